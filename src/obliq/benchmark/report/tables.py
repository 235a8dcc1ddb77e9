"""Tables as words, ready to be set in Markdown or HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from obliq.benchmark.report.measures import GAP, GROUPS, SIGNED_AUC, Measure
from obliq.benchmark.report.overview import Change, Overview, Standing
from obliq.benchmark.report.statistics import AGAIN, ORIGINAL, RETRAINED, Spread
from obliq.benchmark.report.summaries import CellSummary, MethodSummary
from obliq.report.page import format_number

DASH = "\N{EN DASH}"
NAMES = {RETRAINED: "Retrain", AGAIN: "retrained again (noise floor)", ORIGINAL: "Original"}
NOT_APART = "not apart: "


@dataclass(frozen=True, kw_only=True)
class Heading:
    """Of a column: what it is called, what that means, and what to wish for."""

    short: str
    name: str = ""
    target: str = ""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One number with the words beside it.

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
class Line:
    """A row of a table; `reference` ones are set apart."""

    name: str
    entries: Sequence[Entry]
    reference: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """A caption, a heading for the names and for each column, and the lines."""

    caption: str
    first: Heading
    headings: Sequence[Heading]
    lines: Sequence[Line]


def cell_tables(summary: CellSummary) -> Sequence[Table]:
    """The tables of a cell, one for each group of measures."""
    return tuple(
        Table(
            caption=caption,
            first=Heading(short="Method"),
            headings=[Heading(short=one.short, name=one.name, target=one.target) for one in measures],
            lines=[_line(method, measures, len(summary.seeds)) for method in summary.methods],
        )
        for caption, measures in GROUPS
    )


def _line(method: MethodSummary, measures: Sequence[Measure], seeds: int) -> Line:
    name = NAMES.get(method.method, method.method) if method.reference else method.method
    if method.seeds < seeds:
        name += f" ({method.seeds} of {seeds} seeds)"
    entries = [_entry(method, measure) for measure in measures]
    return Line(name=name, entries=entries, reference=method.reference)


def _entry(method: MethodSummary, measure: Measure) -> Entry:
    found = method.spreads[measure.key]
    if found is None:
        return Entry(value=DASH)
    value = shown(found.mean, measure.digits, signed=measure.signed)
    spread = _deviation(found, measure.digits)
    if measure is GAP:
        near = ["best"] * method.as_best + ["floor"] * method.at_floor
        marks = [NOT_APART + ", ".join(near)] if near else []
        return Entry(value=value, spread=spread, marks=marks, best=method.best)
    side = [f"{method.side}-forgot"] if measure is SIGNED_AUC and method.side else []
    return Entry(value=value, spread=spread, marks=side)


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


def leaderboard(board: Overview) -> Table:
    """The overview as one table."""
    headings = (
        Heading(short="mean Avg. Gap", name="over cells", target="target 0, lower is better"),
        Heading(short="Cells", name="with a gap for every seed", target="more is better"),
        Heading(short="Best in", name="cells where its mean gap is smallest", target="higher is better"),
        Heading(
            short="Not told apart in",
            name="further cells: from the best, by its noise",
            target="higher is better",
        ),
        Heading(short="Worst gap", name="of any cell", target="lower is better"),
        Heading(short="RA \N{MINUS SIGN} Retrain", name="mean over cells", target="target 0"),
        Heading(
            short="TA \N{MINUS SIGN} Retrain", name="mean over cells", target="target 0; above is no harm"
        ),
        Heading(short="RTE", name="time over Retrain's time", target="lower is better"),
    )
    leader = next(iter(board.leaders), None)
    lines = [_standing(one, board, one is leader) for one in board.standings]
    caption = f"All methods over {counted(len(board.cells), 'cell')}"
    return Table(caption=caption, first=Heading(short="Method"), headings=headings, lines=lines)


def _standing(one: Standing, board: Overview, leads: bool) -> Line:
    gap = Entry(value=DASH)
    if one.gap is not None:
        gap = Entry(value=shown(one.gap.mean, 2), spread=_deviation(one.gap, 2), best=leads)
    worst = Entry(value=DASH)
    if one.worst is not None:
        worst = Entry(value=shown(one.worst[1], 2), marks=[one.worst[0].among(board.cells)])
    share = f"{shown(100 * one.firsts / len(board.cells), 0)} %"
    firsts = [
        Entry(value=DASH)
        if one.reference
        else Entry(value=str(one.firsts), marks=[share] * (one.firsts > 0)),
        Entry(value=DASH if one.reference else str(one.as_firsts)),
    ]
    offsets = [Entry(value=shown(v, 1, signed=True)) for v in (one.retain_difference, one.test_difference)]
    return Line(
        name=NAMES[one.method] if one.reference else one.method,
        entries=[
            gap,
            Entry(value=f"{one.cells} of {len(board.cells)}"),
            *firsts,
            worst,
            *offsets,
            Entry(value=shown(one.time_ratio, 2)),
        ],
        reference=one.reference,
    )


def ablation_table(found: Sequence[Change]) -> Table:
    """Each ablation against the contender that it follows."""
    return Table(
        caption="Change of Avg. Gap by each ablation",
        first=Heading(short="Ablation"),
        headings=(
            Heading(short="Of", name="the contender that it follows"),
            Heading(short="Change", name="of Avg. Gap, points", target="above 0: the change harms"),
            Heading(short="Cells", name="in common"),
        ),
        lines=[
            Line(
                name=one.method,
                entries=(
                    Entry(value=one.follows),
                    Entry(
                        value=shown(one.change.mean, 2, signed=True),
                        spread=_deviation(one.change, 2),
                        marks=["within noise"] * one.noise,
                    ),
                    Entry(value=str(one.cells)),
                ),
            )
            for one in found
        ],
    )


def counted(count: int, noun: str) -> str:
    """For instance `1 cell`, `3 cells`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
