"""A cell of a suite (data, architecture, bits, request) as a file: its rows, and by what each was made.

The file is what is committed. A later run can take rows from it, on another machine and without the cache that
they came from: those whose `made_by` is the key that the same row would get now. That key is over the audits of
the row's network and of the retrained one, and so over all that `obliq.benchmark.cache_keys` counts: data, setting,
request, seed, method and fields, the versions of the parts that take part, device, and PyTorch's version. A row
that would get another key is computed again, and so is one that failed.
"""

import contextlib
import os
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from obliq.benchmark.cache import key_of
from obliq.benchmark.cache_keys import Keys
from obliq.benchmark.plan import Line, cell_of
from obliq.benchmark.rows import ResultRow
from obliq.benchmark.suite import Suite
from obliq.checkpoints import present_versions
from obliq.errors import ObliqError
from obliq.io.documents import DocumentType
from obliq.io.strict_json import decode, encode


@dataclass(frozen=True, kw_only=True)
class Made:
    """A row and where it comes from.

    Attributes:
        row: the row.
        made_by: `row_key` of its line when it was made.
        machine: what `machine` said there.
    """

    row: ResultRow
    made_by: str
    machine: dict[str, str]


def row_key(line: Line, keys: Keys) -> str:
    """SHA-256 over everything that makes a line's row but its method's name."""
    return key_of({"tasks": [keys.of(task) for task in line.tasks]})


def slug(cell: tuple[str, ...]) -> str:
    """A file name for a cell."""
    return re.sub("[^a-z0-9]+", "-", " ".join(cell).lower().replace("%", " percent")).strip("-")


@dataclass(frozen=True, kw_only=True)
class CellDocument:
    """What the file of a cell holds.

    Attributes:
        data, architecture, bits, scenario: what the cell is called by.
        world: the setting in full, as plain values.
        seeds: of the rows that the suite asks for.
        references: how many reference networks an audit used.
        device: cpu or cuda.
        data_digest: of the data set.
        rows: the columns of each row, with `made_by` and `machine`.
        content: digest of all else in the file, header included.
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
    content: str = ""

    def __post_init__(self) -> None:
        if self.content != self.digest():
            raise ObliqError(
                "its content has another digest than it states; expected it as it was written (delete it to have "
                "its rows computed again)"
            )

    @classmethod
    def with_digest(cls, **fields: Any) -> "CellDocument":
        """A cell of these fields, with their digest as its `content`."""
        return cls(**fields, content=_digest(fields))

    def digest(self) -> str:
        """The digest of all fields but `content`."""
        return _digest({name: value for name, value in vars(self).items() if name != "content"})


CELL_DOCUMENT = DocumentType(
    content=CellDocument,
    format="obliq-benchmark-cell",
    version=3,  # raised when a row's columns, or how they follow from what was measured, change
    title="cell",
)


def _digest(fields: Mapping[str, Any]) -> str:
    return key_of({**CELL_DOCUMENT.fields_of_header, **fields})


def cell_text(lines: Sequence[Line], made: Sequence[Made], keys: Keys) -> str:
    """The document of one cell.

    Args:
        lines: of the cell.
        made: its rows, as far as they are there.
        keys: of tasks.
    """
    case = lines[0].case
    world = case.ground.world
    return CELL_DOCUMENT.to_text(
        CellDocument.with_digest(
            data=world.data,
            architecture=world.architecture,
            bits=world.bits,
            scenario=case.scenario.words,
            world=encode(world),
            seeds=tuple(sorted({line.case.ground.seed for line in lines})),
            references=case.references,
            device=keys.origins.device,
            data_digest=keys.origins.data[world.data],
            rows=tuple(one.row.columns() | {"made_by": one.made_by, "machine": one.machine} for one in made),
        )
    )


def read_cell(file: Path) -> list[Made]:
    """The rows in a file that `cell_text` gave; none where there is no file, or one of an older version.

    Raises:
        ObliqError: when the file is not what was written.
    """
    cell = CELL_DOCUMENT.read_if_current(file)
    try:
        return [_made(row) for row in cell.rows] if cell else []
    except ObliqError as error:
        raise ObliqError(f"{file}: {error}") from error


def _made(columns: Mapping[str, Any]) -> Made:
    apart = {name: columns[name] for name in ("made_by", "machine") if name in columns}
    row = ResultRow.from_columns({name: value for name, value in columns.items() if name not in apart})
    return decode(Made, {"row": row, **apart}, "a row")


def machine(device: str) -> dict[str, str]:
    """The machine and the versions that the numbers were measured with, without its name; `device` is cpu or cuda.

    Of a cluster, this is the machine that publishes.
    """
    model = ""
    with contextlib.suppress(OSError):
        about = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        model = next(
            (line.split(":", 1)[1].strip() for line in about.splitlines() if "model name" in line), ""
        )
    accelerator = {"accelerator": torch.cuda.get_device_name()} if device == "cuda" else {}
    return accelerator | present_versions() | {
        "system": platform.system(), "machine": platform.machine(), "processor": model,
        "processors": str(os.cpu_count() or ""), "threads a task": "1",
    }  # fmt: skip


@dataclass(frozen=True)
class Taken:
    """Rows by what they were made by and their method's name, and how many others there were.

    Attributes:
        rows: that can be taken.
        differ: how many rows of the same networks would be made otherwise now.
    """

    rows: Mapping[tuple[str, str], Made] = field(default_factory=dict)
    differ: int = 0

    def find(self, line: Line, keys: Keys) -> Made | None:
        """The row of a line, if it can be taken."""
        return self.rows.get((row_key(line, keys), line.name)) if line.tasks else None

    def words(self, folder: Path, lines: int) -> str:
        """What there was, in one line."""
        others = f"; {self.differ} others there were made otherwise and are computed again" * bool(
            self.differ
        )
        return f"{len(self.rows)} of {lines} rows taken from {folder}{others}"


def published(folder: Path, suite: Suite) -> list[Made]:
    """The rows in the files of all cells of a suite; a failure is none.

    Raises:
        ObliqError: when a file is not what was written.
    """
    cells = (cell_of(world, scenario) for world in suite.worlds for scenario in suite.scenarios)
    made = [one for cell in cells for one in read_cell(folder / f"{slug(cell)}.json")]
    return [one for one in made if one.row.kind != "failed"]


def taken(made: Iterable[Made], lines: Sequence[Line], keys: Keys) -> Taken:
    """Those rows that the lines' tasks would make now."""
    by_place = {(*_place(line), line.name): line for line in lines}
    rows, differ = dict[tuple[str, str], Made](), 0
    for one in made:
        row = one.row
        line = by_place.get((row.data, row.architecture, row.bits, row.scenario, row.seed, row.method))
        if line is not None and line.tasks and one.made_by == row_key(line, keys):
            rows[one.made_by, row.method] = one
        elif line is not None:
            differ += 1
    return Taken(rows, differ)


def _place(line: Line) -> tuple[str, str, str, str, int]:
    return *cell_of(line.case.ground.world, line.case.scenario), line.case.ground.seed
