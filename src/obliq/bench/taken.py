"""Rows that need not be computed: those in the files of a suite's cells that the same tasks would make."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from obliq.bench import cell_files
from obliq.bench.cell_files import Made, row_key
from obliq.bench.keys import Keys
from obliq.bench.plan import Line, cell_of
from obliq.bench.suite import Suite


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
    made = [one for cell in cells for one in cell_files.read(folder / f"{cell_files.slug(cell)}.json")]
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
