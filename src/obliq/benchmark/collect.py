"""Rows from the store, and the files that they are published in.

<results>/<suite>/<cell>.json   see `obliq.benchmark.result_files`
                  rows.csv      all rows
                  tuned.json    see `obliq.benchmark.tuning`
"""

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from obliq.auditing.metrics import compare_with_retrained
from obliq.benchmark import result_files
from obliq.benchmark.cache import Store
from obliq.benchmark.cache_keys import Keys
from obliq.benchmark.plan import Line, cell_of
from obliq.benchmark.result_files import Made, Taken, machine, row_key
from obliq.benchmark.rows import Row, from_csv, to_csv
from obliq.benchmark.suite import ORIGINAL, RETRAINED
from obliq.benchmark.tasks import Measured, Network, Original, Retrained, Task, Unlearned
from obliq.benchmark.tuning import text_of
from obliq.errors import ObliqError
from obliq.io.documents import LARGEST_DOCUMENT
from obliq.io.regular_file import read_regular_file
from obliq.io.strict_json import encode

ROWS = "rows.csv"


def row(line: Line, store: Store, keys: Keys, errors: Mapping[str, str]) -> Row | None:
    """A line's row: its numbers, or why there are none; None while there is nothing to say yet."""
    case = line.case
    world = case.ground.world
    about: dict[str, Any] = {
        "data": world.data, "architecture": world.architecture, "bits": world.bits,
        "scenario": case.scenario.words, "seed": case.ground.seed, "method": line.name,
        "fields": _fields(line.of),
    }  # fmt: skip
    if line.of is None:
        return Row(kind="failed", error=line.error, **about)
    measured = Measured(case=case, of=line.of)
    if error := errors.get(keys.of(measured)):
        return Row(kind="failed", error=error, **about)
    reference = Retrained(case=case)
    values, made = _values(measured, store, keys), _values(line.of, store, keys)
    beside, ideal = _values(Measured(case=case, of=reference), store, keys), _values(reference, store, keys)
    if values is None or made is None:
        return None
    if beside is None or ideal is None:
        if not any(keys.of(task) in errors for task in line.tasks):
            return None
    else:
        about |= {"train": ideal["train"], "forget": ideal["forget"]}
        compared = compare_with_retrained(
            {**values, "seconds": made["seconds"]}, {**beside, "seconds": ideal["seconds"]}
        )
        about |= {
            name: value for name, value in compared.items() if line.name != RETRAINED or name == "time_ratio"
        }
    kind = (
        "unlearned"
        if isinstance(line.of, Unlearned)
        else RETRAINED
        if isinstance(line.of, Retrained)
        else ORIGINAL
    )
    return Row(
        kind=kind,
        seconds=_short(made["seconds"]),
        peak_memory_mb=_short(made.get("memory_increase_mb")),  # older entries hold another number
        changed_codes=made.get("changed_codes"),
        changed_codes_percent=_short(made.get("changed_codes_percent")),
        weights_digest=made["weights_digest"],
        **values,
        **about,
    )


def _values(task: Task, store: Store, keys: Keys) -> Mapping[str, Any] | None:
    entry = store.find(keys.of(task))
    return None if entry is None else entry.values


def _fields(network: Network | None) -> str:
    match network:
        case Unlearned():
            return text_of(encode(network.method))
        case Retrained():
            return text_of(encode(network.case.ground.world.recipe))
        case Original():
            return text_of(encode(network.ground.world.recipe))
        case _:
            return "{}"


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def write_text(file: Path, text: str) -> None:
    """Write a file so that it appears whole, in place of an older one.

    Raises:
        ObliqError: when it cannot be written.
    """
    draft = file.with_name(f".{file.name}-{secrets.token_hex(6)}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            draft.write_text(text, encoding="utf-8")
            draft.replace(file)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise ObliqError(f"cannot write {file}: {error.strerror or error}") from error


def require_writable(folder: Path) -> None:
    """Write a file into a folder, and remove it; what is published there stays.

    Raises:
        ObliqError: when that cannot be done.
    """
    probe = folder / f".writable-{secrets.token_hex(6)}"
    write_text(probe, "")
    probe.unlink()


def publish(
    folder: Path, lines: Sequence[Line], store: Store, keys: Keys, errors: Mapping[str, str], taken: Taken
) -> list[Made]:
    """Write every cell and `rows.csv`; all rows that are there, in the order of `lines`.

    Raises:
        ObliqError: when the folder cannot be written.
    """
    cells: dict[tuple[str, ...], list[Line]] = {}
    for line in lines:
        cells.setdefault(cell_of(line.case.ground.world, line.case.scenario), []).append(line)
    here, everything = machine(keys.origins.device), list[Made]()
    for cell, own in cells.items():
        made = []
        for line in own:
            if old := taken.find(line, keys):
                made.append(old)
            elif (new := row(line, store, keys, errors)) is not None:
                made.append(Made(row=new, made_by=row_key(line, keys), machine=here))
        if made:
            write_text(folder / f"{result_files.slug(cell)}.json", result_files.cell_text(own, made, keys))
        everything += made
    write_text(folder / ROWS, to_csv(one.row for one in everything))
    return everything


def read_rows(folder: Path) -> list[Row]:
    """The rows that `publish` wrote.

    Raises:
        ObliqError: when there are none, or the file is not what was written.
    """
    file = folder / ROWS
    try:
        return from_csv(read_regular_file(file, LARGEST_DOCUMENT).decode())
    except (ObliqError, UnicodeDecodeError) as error:
        raise ObliqError(f"{file}: {error}; expected the rows of a suite that was run") from error
