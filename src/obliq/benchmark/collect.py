"""Rows from the store, and the files that they are published in.

<results>/<suite>/<cell>.json   see `obliq.benchmark.result_files`
                  rows.csv      all rows
                  tuned.json    see `obliq.benchmark.tuning`
"""

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from obliq.auditing.metrics import DIGITS, compare_with_retrained, metrics_in
from obliq.benchmark import result_files
from obliq.benchmark.cache import Store
from obliq.benchmark.cache_keys import Keys
from obliq.benchmark.plan import Line, cell_of
from obliq.benchmark.result_files import Made, Taken, machine, row_key
from obliq.benchmark.rows import ResultRow, from_csv, to_csv
from obliq.benchmark.suite import ORIGINAL, RETRAINED
from obliq.benchmark.tasks import Measured, Network, Original, Retrained, Task, Unlearned
from obliq.benchmark.tuning import text_of
from obliq.errors import ObliqError
from obliq.io.atomic import write_file
from obliq.io.documents import LARGEST_DOCUMENT
from obliq.io.regular_file import read_regular_file
from obliq.io.strict_json import encode

ROWS = "rows.csv"


def build_row(line: Line, store: Store, keys: Keys, errors: Mapping[str, str]) -> ResultRow | None:
    """A line's row: its numbers, or the reason why there are none; None while its tasks are not done."""
    case = line.case
    world = case.ground.world
    about: dict[str, Any] = {
        "data": world.data,
        "architecture": world.architecture,
        "bits": world.bits,
        "scenario": case.scenario.words,
        "seed": case.ground.seed,
        "method": line.name,
        "fields": _fields(line.of),
    }
    if line.of is None:
        return ResultRow(kind="failed", error=line.error, **about)
    audit, retrained = Measured(case=case, of=line.of), Retrained(case=case)
    if error := errors.get(keys.of(audit)):
        return ResultRow(kind="failed", error=error, **about)
    measured, cost = _values(audit, store, keys), _values(line.of, store, keys)
    if measured is None or cost is None:
        return None
    values = {metric.name: measured.get(metric.name) for metric in metrics_in("benchmark")} | {
        "seconds": _rounded(cost["seconds"]),
        "peak_memory_mb": _rounded(cost.get("memory_increase_mb")),  # older entries hold another number
        "changed_codes": cost.get("changed_codes"),
        "changed_codes_percent": _rounded(cost.get("changed_codes_percent")),
    }
    its_values = _values(Measured(case=case, of=retrained), store, keys)
    its_cost = _values(retrained, store, keys)
    if its_values is not None and its_cost is not None:
        about |= {"train": its_cost["train"], "forget": its_cost["forget"]}
        compared = compare_with_retrained(
            {**measured, "seconds": cost["seconds"]}, {**its_values, "seconds": its_cost["seconds"]}
        )
        # the retrained network is no distance from itself, which would read as a perfect result
        values |= {
            name: value for name, value in compared.items() if line.name != RETRAINED or name == "time_ratio"
        }
    elif not any(keys.of(task) in errors for task in line.tasks):
        return None
    return ResultRow(kind=_kind(line.of), values=values, weights_digest=cost["weights_digest"], **about)


def _kind(network: Network) -> str:
    match network:
        case Unlearned():
            return "unlearned"
        case Retrained():
            return RETRAINED
        case Original():
            return ORIGINAL


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


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)


def write_text(file: Path, text: str) -> None:
    """Write a file so that it appears whole, in place of an older one.

    Raises:
        ObliqError: when it cannot be written.
    """
    write_file(file, text, overwrite=True)


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
            elif (new := build_row(line, store, keys, errors)) is not None:
                made.append(Made(row=new, made_by=row_key(line, keys), machine=here))
        if made:
            write_text(folder / f"{result_files.slug(cell)}.json", result_files.cell_text(own, made, keys))
        everything += made
    write_text(folder / ROWS, to_csv(one.row for one in everything))
    return everything


def read_rows(folder: Path) -> list[ResultRow]:
    """The rows that `publish` wrote.

    Raises:
        ObliqError: when there are none, or the file is not what was written.
    """
    file = folder / ROWS
    try:
        return from_csv(read_regular_file(file, LARGEST_DOCUMENT).decode())
    except (ObliqError, UnicodeDecodeError) as error:
        raise ObliqError(f"{file}: {error}; expected the rows of a suite that was run") from error
