"""A cell of a suite (data, architecture, bits, request) as a file: its rows, and the key of each.

The file is what is committed. A later run can reuse its rows, on another machine and without the cache that they came
from: those that have the key that the same row would get now. The key covers the audits of the row's network and of
the retrained one, and so all that `obliq.benchmark.cache_keys` counts: data, setup, request, seed, method and fields,
the versions of the parts that take part, device, and PyTorch's version. Other rows are computed again, and so are
those that failed.
"""

import contextlib
import dataclasses
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from obliq.benchmark.cache import digest_of
from obliq.benchmark.cache_keys import TaskKeys
from obliq.benchmark.plan import PlannedRow
from obliq.benchmark.rows import ResultRow
from obliq.benchmark.suite import Suite, cell_file_name, cell_of
from obliq.checkpoints import present_versions
from obliq.errors import ObliqError
from obliq.io.documents import DocumentType
from obliq.io.strict_json import decode, encode


@dataclass(frozen=True, kw_only=True)
class CellDocument:
    """The content of a cell's file, under the names of its format.

    Attributes:
        data, architecture, bits, scenario: the cell.
        world: the fields of its `Setup`.
        seeds: of the planned rows.
        references: number of reference networks of each original.
        device: cpu or cuda.
        data_digest: of the data set.
        rows: columns of each row, with its `RowOrigin`.
        content: digest of everything else in the file.
    """

    data: str
    architecture: str
    bits: str
    scenario: str
    world: dict[str, Any]
    seeds: tuple[int, ...]
    references: int
    device: str
    data_digest: str
    rows: tuple[dict[str, Any], ...]
    content: str

    def __post_init__(self) -> None:
        if self.content != _content_digest(vars(self)):
            raise ObliqError(
                "the content does not have the digest that it states; expected it as it was written"
            )


CELL_DOCUMENT = DocumentType(
    content=CellDocument,
    format="obliq-benchmark-cell",
    version=3,  # raised when a row's columns, or how they follow from what was measured, change
    title="cell",
)


@dataclass(frozen=True, kw_only=True)
class RowOrigin:
    """What decided a row, and where it was computed.

    Attributes:
        made_by: `row_key` of the planned row when it was computed.
        machine: `describe_machine` on the machine that computed it.
    """

    made_by: str
    machine: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class RecordedRow:
    """A row and its origin."""

    row: ResultRow
    origin: RowOrigin

    def columns(self) -> dict[str, Any]:
        """As the file has it."""
        return self.row.columns() | vars(self.origin)

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any]) -> "RecordedRow":
        """The reverse of `columns`.

        Raises:
            ObliqError: for a column that is unknown, missing or of another type.
        """
        origin = {one.name for one in dataclasses.fields(RowOrigin)}
        return cls(
            row=ResultRow.from_columns({name: columns[name] for name in columns.keys() - origin}),
            origin=decode(RowOrigin, {name: columns[name] for name in columns.keys() & origin}, "a row"),
        )


def row_key(planned: PlannedRow, keys: TaskKeys) -> str:
    """SHA-256 over everything that decides a row but its method's name."""
    return digest_of({"tasks": [keys.of(task) for task in planned.tasks]})


def write_cell(
    folder: Path, planned: Sequence[PlannedRow], rows: Sequence[RecordedRow], keys: TaskKeys
) -> None:
    """Write the file of one cell.

    Args:
        folder: of the suite's results.
        planned: all rows of the cell.
        rows: those of them that are there.
        keys: of tasks.

    Raises:
        ObliqError: when the file cannot be written.
    """
    problem = planned[0].problem
    setup = problem.experiment.setup
    fields: dict[str, Any] = {
        "data": setup.data,
        "architecture": setup.architecture,
        "bits": setup.bits,
        "scenario": problem.scenario.text,
        "world": encode(setup),
        "seeds": tuple(sorted({one.problem.experiment.seed for one in planned})),
        "references": problem.references,
        "device": keys.environment.device,
        "data_digest": keys.environment.data[setup.data],
        "rows": tuple(one.columns() for one in rows),
    }
    file = folder / cell_file_name(cell_of(setup, problem.scenario))
    CELL_DOCUMENT.write(file, CellDocument(**fields, content=_content_digest(fields)), overwrite=True)


def read_cell(file: Path) -> list[RecordedRow]:
    """The rows in what `write_cell` wrote; none where there is no file, or one of an older version.

    Raises:
        ObliqError: when the file is not what was written.
    """
    remedy = "(delete the file to compute its rows again)"
    try:
        document = CELL_DOCUMENT.read_if_current(file)
    except ObliqError as error:
        raise ObliqError(f"{error} {remedy}") from error
    try:
        return [RecordedRow.from_columns(one) for one in (document.rows if document else ())]
    except ObliqError as error:
        raise ObliqError(f"{file}: {error} {remedy}") from error


def _content_digest(fields: Mapping[str, Any]) -> str:
    """The digest of all that a file holds, header included, but `content`."""
    others = {name: value for name, value in fields.items() if name != "content"}
    return digest_of({**CELL_DOCUMENT.fields_of_header, **others})


def describe_machine(device: str) -> dict[str, str]:
    """The kind of machine and the versions of packages, without the machine's name; `device` is cpu or cuda.

    Of a cluster, this is the machine that writes the results.
    """
    model = ""
    with contextlib.suppress(OSError):
        about = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        model = next(
            (line.split(":", 1)[1].strip() for line in about.splitlines() if "model name" in line), ""
        )
    accelerator = {"accelerator": torch.cuda.get_device_name()} if device == "cuda" else {}
    return {
        **accelerator,
        **present_versions(),
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": model,
        "processors": str(os.cpu_count() or ""),
        "threads a task": "1",
    }


@dataclass(frozen=True)
class ReusedRows:
    """Recorded rows that need not be computed again.

    Attributes:
        rows: by key and by their method's name.
        outdated: number of recorded rows of the same networks that have another key now.
    """

    rows: Mapping[tuple[str, str], RecordedRow] = field(default_factory=dict)
    outdated: int = 0

    def find(self, planned: PlannedRow, keys: TaskKeys) -> RecordedRow | None:
        """The recorded row of a planned one, if it can be reused."""
        return self.rows.get((row_key(planned, keys), planned.name)) if planned.tasks else None

    def summary(self, folder: Path, planned: int) -> str:
        """How many rows are reused, in one line."""
        rows = "row" if self.outdated == 1 else "rows"
        others = f"; {self.outdated} outdated {rows} there: computed again, and replaced at the end" * bool(
            self.outdated
        )
        return f"{len(self.rows)} of {planned} rows reused from {folder}{others}"


def read_recorded_rows(folder: Path, suite: Suite) -> list[RecordedRow]:
    """The rows in the files of all cells of a suite, without those that failed.

    Raises:
        ObliqError: when a file is not what was written.
    """
    rows = [one for cell in suite.cells for one in read_cell(folder / cell_file_name(cell))]
    return [one for one in rows if one.row.kind != "failed"]


def find_reusable_rows(
    recorded: Iterable[RecordedRow], planned: Sequence[PlannedRow], keys: TaskKeys
) -> ReusedRows:
    """The recorded rows that have the key that a planned row has now."""
    by_place = {(*_place(one), one.name): one for one in planned}
    rows, outdated = dict[tuple[str, str], RecordedRow](), 0
    for one in recorded:
        row = one.row
        wanted = by_place.get((row.data, row.architecture, row.bits, row.scenario, row.seed, row.method))
        if wanted is not None and wanted.tasks and one.origin.made_by == row_key(wanted, keys):
            rows[one.origin.made_by, row.method] = one
        elif wanted is not None:
            outdated += 1
    return ReusedRows(rows, outdated)


def _place(planned: PlannedRow) -> tuple[str, str, str, str, int]:
    problem = planned.problem
    return *cell_of(problem.experiment.setup, problem.scenario), problem.experiment.seed
