"""Rows from the store, and the files that they are published in.

<results>/<suite>/<cell>.json   a cell (data, architecture, bits, request): rows and how they were made
                  rows.csv      all rows
                  tuned.json    see `obliq.bench.tuning`
"""

import contextlib
import os
import platform
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from obliq.bench.keys import Keys
from obliq.bench.measuring import MEASURED, average_gap, tug_of_war
from obliq.bench.plan import Line, cell_of
from obliq.bench.rows import Row, from_csv, to_csv
from obliq.bench.store import Store, key_of
from obliq.bench.suite import ORIGINAL, RETRAINED
from obliq.bench.tasks import Measured, Network, Original, Retrained, Task, Unlearned
from obliq.bench.tuning import text_of
from obliq.documents import LARGEST_DOCUMENT, encode, read_bytes, render
from obliq.errors import ObliqError

FORMAT, VERSION = "obliq-benchmark-cell", 1
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
        if line.name not in (RETRAINED,):
            about |= {
                "average_gap": _short(average_gap(values, beside)),
                "tow": _short(tug_of_war(values, beside)),
            }
        about["time_ratio"] = _short(made["seconds"] / ideal["seconds"]) if ideal["seconds"] else None
    kind = (
        "unlearned"
        if isinstance(line.of, Unlearned)
        else RETRAINED
        if isinstance(line.of, Retrained)
        else ORIGINAL
    )
    return Row(
        kind=kind,  # type: ignore[arg-type]
        seconds=_short(made["seconds"]),
        peak_memory_mb=_short(made.get("memory_increase_mb")),  # older entries hold another number
        changed_codes=made.get("changed_codes"),
        changed_codes_percent=_short(made.get("changed_codes_percent")),
        weights_digest=made["weights_digest"],
        **{name: values[name] for name in MEASURED},
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


def cell_text(lines: Sequence[Line], rows: Sequence[Row], keys: Keys) -> str:
    """The document of one cell.

    Args:
        lines: of the cell.
        rows: of the cell, as far as they are there.
        keys: of tasks.
    """
    worlds = [encode(line.case.ground.world) for line in lines[:1]]
    made_by = [keys.of(Measured(case=line.case, of=line.of)) for line in lines if line.of is not None]
    data, architecture, bits, scenario = _cell(lines[0])
    return render(
        {
            "format": FORMAT, "version": VERSION, "data": data, "architecture": architecture, "bits": bits,
            "scenario": scenario, "world": worlds[0], "seeds": sorted({line.case.ground.seed for line in lines}),
            "references": lines[0].case.references, "machine": machine(), "versions": dict(keys.origins.versions),
            "device": keys.origins.device, "data_digest": keys.origins.data[data],
            "made_by": key_of({"tasks": made_by}), "rows": [encode(one) for one in rows],
        }
    )  # fmt: skip


def _cell(line: Line) -> tuple[str, str, str, str]:
    return cell_of(line.case.ground.world, line.case.scenario)


def slug(cell: tuple[str, ...]) -> str:
    """A file name for a cell."""
    return re.sub("[^a-z0-9]+", "-", " ".join(cell).lower().replace("%", " percent")).strip("-")


def machine() -> dict[str, Any]:
    """What the numbers were measured on, without its name."""
    model = ""
    with contextlib.suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        model = next(
            (line.split(":", 1)[1].strip() for line in text.splitlines() if "model name" in line), ""
        )
    return {
        "system": platform.system(), "machine": platform.machine(), "processor": model,
        "processors": os.cpu_count() or 0, "threads a task": 1,
    }  # fmt: skip


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


def publish(
    folder: Path, lines: Sequence[Line], store: Store, keys: Keys, errors: Mapping[str, str]
) -> list[Row]:
    """Write every cell and `rows.csv`; all rows that are there, in the order of `lines`.

    Raises:
        ObliqError: when the folder cannot be written.
    """
    cells: dict[tuple[str, ...], list[Line]] = {}
    for line in lines:
        cells.setdefault(_cell(line), []).append(line)
    everything: list[Row] = []
    for cell, own in cells.items():
        rows = [one for line in own if (one := row(line, store, keys, errors)) is not None]
        if rows:
            write_text(folder / f"{slug(cell)}.json", cell_text(own, rows, keys))
        everything += rows
    write_text(folder / ROWS, to_csv(everything))
    return everything


def read_rows(folder: Path) -> list[Row]:
    """The rows that `publish` wrote.

    Raises:
        ObliqError: when there are none, or the file is not what was written.
    """
    file = folder / ROWS
    try:
        return from_csv(read_bytes(file, LARGEST_DOCUMENT).decode())
    except (ObliqError, UnicodeDecodeError) as error:
        raise ObliqError(f"{file}: {error}; expected the rows of a suite that was run") from error
