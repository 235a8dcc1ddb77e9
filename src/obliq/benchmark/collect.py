"""Rows from the cache, and the files of results that they are written to.

<results>/<suite>/<cell>.json   see `obliq.benchmark.result_files`
                  rows.csv      all rows
                  tuned.json    see `obliq.benchmark.tuning`
                  about.json    see `obliq.benchmark.report.background`
"""

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from obliq.auditing.measured_values import DIGITS, compare_with_retrained, metrics_in
from obliq.benchmark.cache import ResultCache
from obliq.benchmark.cache_keys import TaskKeys
from obliq.benchmark.plan import PlannedRow
from obliq.benchmark.result_files import (
    RecordedRow,
    ReusedRows,
    RowOrigin,
    describe_machine,
    row_key,
    write_cell,
)
from obliq.benchmark.rows import ResultRow, from_csv, to_csv
from obliq.benchmark.suite import ORIGINAL, RETRAINED, cell_of
from obliq.benchmark.tasks import AuditTask, NetworkTask, OriginalTask, RetrainedTask, Task, UnlearnedTask
from obliq.benchmark.tuning import fields_text
from obliq.benchmark.workers import TaskOutcome
from obliq.errors import ObliqError
from obliq.io.atomic import write_file
from obliq.io.document_text import LARGEST_DOCUMENT
from obliq.io.regular_file import read_regular_file
from obliq.io.strict_json import encode

ROWS = "rows.csv"


def build_row(
    planned: PlannedRow, cache: ResultCache, keys: TaskKeys, errors: Mapping[str, str]
) -> ResultRow | None:
    """A row with its numbers, or with the reason why there are none; None while its tasks are not done."""
    problem = planned.problem
    setup = problem.experiment.setup
    about: dict[str, Any] = {
        "data": setup.data,
        "architecture": setup.architecture,
        "bits": setup.bits,
        "scenario": problem.scenario.text,
        "seed": problem.experiment.seed,
        "method": planned.name,
        "fields": _fields(planned.network),
    }
    if planned.network is None:
        return ResultRow(kind="failed", error=planned.error, **about)
    audit, retrained = AuditTask(problem=problem, network=planned.network), RetrainedTask(problem=problem)
    if error := errors.get(keys.of(audit)):
        return ResultRow(kind="failed", error=error, **about)
    measured, cost = _values(audit, cache, keys), _values(planned.network, cache, keys)
    if measured is None or cost is None:
        return None
    values = {metric.name: measured.get(metric.name) for metric in metrics_in("benchmark")} | {
        "seconds": _rounded(cost["seconds"]),
        "peak_memory_mb": _rounded(cost.get("memory_increase_mb")),
        "changed_codes": cost.get("changed_codes"),
        "changed_codes_percent": _rounded(cost.get("changed_codes_percent")),
    }
    aim = _values(AuditTask(problem=problem, network=retrained), cache, keys)
    aim_cost = _values(retrained, cache, keys)
    if aim is not None and aim_cost is not None:
        about |= {"train": aim_cost["train"], "forget": aim_cost["forget"]}
        compared = compare_with_retrained(
            {**measured, "seconds": cost["seconds"]}, {**aim, "seconds": aim_cost["seconds"]}
        )
        # the retrained network's distance to itself is no result
        values |= {
            name: value
            for name, value in compared.items()
            if planned.name != RETRAINED or name == "time_ratio"
        }
    elif not any(keys.of(task) in errors for task in planned.tasks):
        return None
    return ResultRow(
        kind=_kind(planned.network), values=values, weights_digest=cost["weights_digest"], **about
    )


def _kind(network: NetworkTask) -> str:
    match network:
        case UnlearnedTask():
            return "unlearned"
        case RetrainedTask():
            return RETRAINED
        case OriginalTask():
            return ORIGINAL


def _values(task: Task, cache: ResultCache, keys: TaskKeys) -> Mapping[str, Any] | None:
    entry = cache.find(keys.of(task))
    return None if entry is None else entry.values


def _fields(network: NetworkTask | None) -> str:
    match network:
        case UnlearnedTask():
            return fields_text(encode(network.method))
        case RetrainedTask() | OriginalTask():
            return fields_text(encode(network.experiment.setup.recipe))
        case _:
            return "{}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)


def require_writable(folder: Path) -> None:
    """Write a file into a folder, and remove it; the results in it stay.

    Raises:
        ObliqError: when that cannot be done.
    """
    probe = folder / f".writable-{secrets.token_hex(6)}"
    write_file(probe, "")
    probe.unlink()


def write_results(
    folder: Path,
    planned: Sequence[PlannedRow],
    cache: ResultCache,
    keys: TaskKeys,
    errors: Mapping[str, str],
    reused: ReusedRows,
) -> list[RecordedRow]:
    """Write every cell and `rows.csv`. Returns all rows that are there, in the order of `planned`.

    Raises:
        ObliqError: when the folder cannot be written.
    """
    cells: dict[tuple[str, ...], list[PlannedRow]] = {}
    for one in planned:
        cells.setdefault(cell_of(one.problem.experiment.setup, one.problem.scenario), []).append(one)
    machine, everything = describe_machine(keys.environment.device), list[RecordedRow]()
    for in_cell in cells.values():
        rows = []
        for one in in_cell:
            if recorded := reused.find(one, keys):
                rows.append(recorded)
            elif (row := build_row(one, cache, keys, errors)) is not None:
                rows.append(
                    RecordedRow(row=row, origin=RowOrigin(made_by=row_key(one, keys), machine=machine))
                )
        if rows:
            write_cell(folder, in_cell, rows, keys)
        everything += rows
    write_file(folder / ROWS, to_csv(one.row for one in everything), overwrite=True)
    return everything


SECONDS_BETWEEN_FILES = 60.0


@dataclass
class ResultWriter:
    """Writes the files of results from time to time, so that an interrupted run leaves what it has.

    Files with outdated rows stay as they are until all rows are there. The cache has the new ones until then.
    """

    folder: Path
    planned: Sequence[PlannedRow]
    cache: ResultCache
    keys: TaskKeys
    reused: ReusedRows
    errors: dict[str, str] = field(default_factory=dict)
    _written: float = field(default_factory=time.monotonic)

    def watch(self, outcome: TaskOutcome | None) -> None:
        """Write the files if enough time has passed since the last time."""
        if outcome and outcome.error:
            self.errors[outcome.key] = outcome.error
        if outcome and time.monotonic() - self._written > SECONDS_BETWEEN_FILES:
            self.write_what_is_there()
            self._written = time.monotonic()

    def write_what_is_there(self) -> None:
        """Write the files, unless those that are there have outdated rows."""
        if not self.reused.outdated:
            self.write()

    def write(self) -> list[RecordedRow]:
        """Write the files. Returns all rows that are there."""
        return write_results(self.folder, self.planned, self.cache, self.keys, self.errors, self.reused)


def read_rows(folder: Path) -> list[ResultRow]:
    """The rows that `write_results` wrote.

    Raises:
        ObliqError: when there are none, or the file is not what was written.
    """
    file = folder / ROWS
    try:
        return from_csv(read_regular_file(file, LARGEST_DOCUMENT).decode())
    except (ObliqError, UnicodeDecodeError) as error:
        raise ObliqError(f"{file}: {error}; expected the rows of a suite that was run") from error
