"""The tables of a report as text in cells, ready to be set in Markdown or HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from obliq.benchmark.report.ablations import AblationEffect
from obliq.benchmark.report.measures import AUC_DIFFERENCE, GAP, TIME, Measure
from obliq.benchmark.report.overview import Leaderboard, Standing
from obliq.benchmark.report.statistics import Spread
from obliq.benchmark.report.summaries import CellSummary, MethodSummary
from obliq.benchmark.suite import ORIGINAL, RETRAINED, RETRAINED_AGAIN
from obliq.report.content import format_number

DASH = "\N{EN DASH}"
DISPLAY_NAMES = {RETRAINED: "Retrain", RETRAINED_AGAIN: "retrained again (noise floor)", ORIGINAL: "Original"}
NOT_APART = "not apart: "


@dataclass(frozen=True, kw_only=True)
class ColumnHeading:
    """The label of a column, its meaning in words, and the value to wish for."""

    label: str
    words: str = ""
    target: str = ""


@dataclass(frozen=True, kw_only=True)
class TableCell:
    """One number with the words next to it.

    Attributes:
        value: as text.
        spread: its standard deviation as text; empty without one.
        marks: words that follow.
        best: whether it is to stand out.
    """

    value: str
    spread: str = ""
    marks: Sequence[str] = ()
    best: bool = False


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """A name with a note on it, and its cells; `reference` rows are set apart."""

    name: str
    cells: Sequence[TableCell]
    reference: bool = False
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class ReportTable:
    """A caption, a heading for the names and for each column, and the rows; `of_words` where cells are no numbers."""

    caption: str
    first: ColumnHeading
    headings: Sequence[ColumnHeading]
    rows: Sequence[TableRow]
    of_words: bool = False


def cell_tables(summary: CellSummary, notes: Mapping[str, str]) -> Sequence[ReportTable]:
    """The tables of a cell, one for each group of measures; notes are by a method's name."""
    return tuple(
        ReportTable(
            caption=caption,
            first=ColumnHeading(label="Method"),
            headings=[ColumnHeading(label=one.label, words=one.words, target=one.target) for one in measures],
            rows=[
                _method_row(method, measures, len(summary.seeds), notes.get(method.method, ""))
                for method in summary.methods
            ],
        )
        for caption, measures in summary.groups.items()
    )


def _method_row(method: MethodSummary, measures: Sequence[Measure], seeds: int, note: str) -> TableRow:
    name = DISPLAY_NAMES.get(method.method, method.method) if method.reference else method.method
    if method.seeds < seeds:
        name += f" ({method.seeds} of {seeds} seeds)"
    cells = [_measure_cell(method, measure) for measure in measures]
    return TableRow(name=name, cells=cells, reference=method.reference, note=note)


def _measure_cell(method: MethodSummary, measure: Measure) -> TableCell:
    found = method.spreads[measure.key]
    if found is None:
        return TableCell(value=DASH)
    value = shown(found.mean, measure.digits, signed=measure.signed)
    spread = _deviation(found, measure.digits)
    if measure is GAP:
        near = ["best"] * method.as_best + ["floor"] * method.at_floor
        marks = [NOT_APART + ", ".join(near)] if near else []
        return TableCell(value=value, spread=spread, marks=marks, best=method.best)
    side = [f"{method.side}-forgot"] if measure is AUC_DIFFERENCE and method.side else []
    return TableCell(value=value, spread=spread, marks=side)


def shown(value: float | None, digits: int = 1, *, signed: bool = False) -> str:
    """A number as people read it, with a plus before positive ones where the sign matters."""
    text = format_number(value, digits)
    if value is None:
        return text
    if not text.strip("\N{MINUS SIGN}0."):  # what rounds to zero has no sign
        return text.lstrip("\N{MINUS SIGN}")
    return f"+{text}" if signed and value > 0 else text


def _deviation(found: Spread, digits: int) -> str:
    return "" if found.deviation is None else format_number(found.deviation, digits)


def leaderboard_table(board: Leaderboard, notes: Mapping[str, str]) -> ReportTable:
    """The leaderboard as one table; notes are by a method's name."""
    headings = (
        ColumnHeading(label="mean Avg. Gap", words="over cells", target="target: 0"),
        ColumnHeading(label="Cells", words="with a gap for every seed", target="target: all"),
        ColumnHeading(
            label="Best in", words="cells where its mean gap is smallest", target="higher is better"
        ),
        ColumnHeading(
            label="Not told apart in",
            words="further cells: from the best, by its noise",
            target="higher is better",
        ),
        ColumnHeading(label="Worst gap", words="of any cell", target="target: 0"),
        ColumnHeading(label="RA \N{MINUS SIGN} Retrain", words="mean over cells", target="target: 0"),
        ColumnHeading(
            label="TA \N{MINUS SIGN} Retrain", words="mean over cells", target="target: 0 or higher"
        ),
        ColumnHeading(label=TIME.label, words=TIME.words, target=TIME.target),
    )
    leader = next(iter(board.leaders), None)
    return ReportTable(
        caption=f"All methods over {counted(len(board.cells), 'cell')}",
        first=ColumnHeading(label="Method"),
        headings=headings,
        rows=[_standing_row(one, board, one is leader, notes.get(one.method, "")) for one in board.standings],
    )


def _standing_row(one: Standing, board: Leaderboard, leads: bool, note: str) -> TableRow:
    gap = TableCell(value=DASH)
    if one.gap is not None:
        gap = TableCell(value=shown(one.gap.mean, 2), spread=_deviation(one.gap, 2), best=leads)
    worst = TableCell(value=DASH)
    if one.worst is not None:
        where = [one.worst[0].among(board.cells)] if len(board.cells) > 1 else []
        worst = TableCell(value=shown(one.worst[1], 2), marks=where)
    share = f"{shown(100 * one.firsts / len(board.cells), 0)} %"
    firsts = [TableCell(value=DASH), TableCell(value=DASH)]
    if not one.reference:
        # a single seed has no noise to compare with
        has_noise = one.gap is not None and one.gap.deviation is not None
        firsts = [
            TableCell(value=str(one.firsts), marks=[share] * (one.firsts > 0)),
            TableCell(value=str(one.as_firsts) if has_noise else DASH),
        ]
    differences = (one.retain_difference, one.test_difference)
    return TableRow(
        name=DISPLAY_NAMES[one.method] if one.reference else one.method,
        cells=[
            gap,
            TableCell(value=f"{one.cells} of {len(board.cells)}"),
            *firsts,
            worst,
            *(TableCell(value=shown(value, 1, signed=True)) for value in differences),
            TableCell(value=shown(one.time_ratio, TIME.digits)),
        ],
        reference=one.reference,
        note=note,
    )


def gap_matrix(board: Leaderboard, summaries: Sequence[CellSummary], notes: Mapping[str, str]) -> ReportTable:
    """Avg. Gap of every method in every cell, methods in the order of the leaderboard; notes are by a method's name."""
    found = {(one.method, number): one for number, summary in enumerate(summaries) for one in summary.methods}
    rows = []
    for standing in board.standings:
        cells = []
        for number in range(len(summaries)):
            own = found.get((standing.method, number))
            gap = None if own is None or own.gap is None else own.gap.mean
            cells.append(TableCell(value=shown(gap, 2), best=own is not None and own.best))
        if any(cell.value != DASH for cell in cells):
            name = DISPLAY_NAMES[standing.method] if standing.reference else standing.method
            note = notes.get(standing.method, "")
            rows.append(TableRow(name=name, cells=cells, reference=standing.reference, note=note))
    return ReportTable(
        caption="Avg. Gap in every cell",
        first=ColumnHeading(label="Method"),
        headings=[ColumnHeading(label=summary.cell.among(board.cells)) for summary in summaries],
        rows=rows,
    )


def ablation_table(effects: Sequence[AblationEffect]) -> ReportTable:
    """Each ablation against the method that it follows."""
    return ReportTable(
        caption="Change of Avg. Gap by each ablation",
        first=ColumnHeading(label="Ablation"),
        headings=(
            ColumnHeading(label="Of", words="the method that it follows"),
            ColumnHeading(
                label="Change", words="of Avg. Gap, points", target="above 0: farther from retraining"
            ),
            ColumnHeading(label="Cells", words="in common"),
        ),
        rows=[
            TableRow(
                name=one.method,
                cells=(
                    TableCell(value=one.follows),
                    TableCell(
                        value=shown(one.change.mean, 2, signed=True),
                        spread=_deviation(one.change, 2),
                        marks=["within noise"] * one.noise,
                    ),
                    TableCell(value=str(one.cells)),
                ),
            )
            for one in effects
        ],
    )


def counted(count: int, noun: str) -> str:
    """For instance `1 cell`, `3 cells`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
