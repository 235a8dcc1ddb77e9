"""The settings that tuning chose, with the ranges that were tried and what lies at their edges."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from obliq.benchmark.report.tables import (
    DASH,
    ColumnHeading,
    ReportTable,
    TableCell,
    TableRow,
    counted,
    shown,
)
from obliq.benchmark.tuning import TuningChoice

INSIDE = 3
"""Values from which a range has an inside; with fewer, every choice is at an edge."""
LOWEST, HIGHEST = "lowest", "highest"


def values_tried(trials: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The different values of each field, in the order of the trials."""
    values = defaultdict[str, list[Any]](list)
    for trial in trials:
        for field, value in trial.items():
            if value not in values[field]:
                values[field].append(value)
    return dict(values)


def is_range(tried: Sequence[Any]) -> bool:
    """Whether values are numbers, and enough of them that some lie inside."""
    return len(tried) >= INSIDE and not any(
        isinstance(value, bool) or not isinstance(value, int | float) for value in tried
    )


def edge_of(value: Any, tried: Sequence[Any]) -> str:
    """`lowest` or `highest` for a value at the edge of a range; empty inside, and where there is no range."""
    if not is_range(tried):
        return ""
    return LOWEST if value == min(tried) else HIGHEST if value == max(tried) else ""


def edges_of(choice: TuningChoice) -> dict[str, str]:
    """The edge at which each chosen value lies, or an empty text; without fields that have no range."""
    tried = values_tried(choice.every_fields)
    chosen = choice.fields or {}
    return {field: edge_of(value, tried[field]) for field, value in chosen.items() if is_range(tried[field])}


def setting_text(value: Any) -> str:
    """A value of a field as people read it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def settings_table(choices: Sequence[TuningChoice]) -> ReportTable | None:
    """What was chosen for each method; None where nothing was tuned."""
    if not choices:
        return None
    places = {_place(one) for one in choices}
    where = f" on {places.pop()}" if len(places) == 1 else ""
    return ReportTable(
        caption=f"Settings that tuning chose{where}",
        first=ColumnHeading(label="Method"),
        headings=(
            ColumnHeading(label="Tuned on"),
            ColumnHeading(label="Chosen", words="of the values in brackets"),
            ColumnHeading(label="At an edge", words="a better value may lie beyond it"),
            ColumnHeading(label="Gap in tuning", words="of the chosen trial", target="target: 0"),
            ColumnHeading(label="Trials", words="with those beyond an edge"),
        ),
        of_words=True,
        rows=[_row(one, one.scenario if where else f"{one.scenario}, {_place(one)}") for one in choices],
    )


def edges_in_words(choices: Sequence[TuningChoice]) -> str:
    """How many chosen values lie at the edge of a range, of how many ranges."""
    edges = [edge for one in choices for edge in edges_of(one).values()]
    at_edge = sum(map(bool, edges))
    return (
        f"Of {counted(len(edges), 'value')} chosen from {INSIDE} or more numbers, {at_edge} "
        f"{'lies' if at_edge == 1 else 'lie'} at an edge of what was tried. Of two values each is an edge, so these "
        "are not counted. One seed was tuned on, so small differences between trials are chance."
    )


def _place(one: TuningChoice) -> str:
    return f"{one.data}, {one.architecture} at {one.bits}"


def _row(one: TuningChoice, tuned_on: str) -> TableRow:
    tried = values_tried(one.every_fields)
    trials = f"{len(one.trials)}" + (f" ({one.beyond} beyond)" if one.beyond else "")
    if one.fields is None or one.chosen is None:
        texts = [tuned_on, "every trial failed", DASH, DASH, trials]
    else:
        texts = [
            tuned_on,
            "; ".join(_chosen(field, value, tried[field]) for field, value in one.fields.items()),
            "; ".join(f"{_words(field)}: {edge}" for field, edge in edges_of(one).items() if edge) or DASH,
            shown(one.gaps[one.chosen], 2),
            trials,
        ]
    return TableRow(name=one.contender, cells=[TableCell(value=text) for text in texts])


def _chosen(field: str, value: Any, tried: Sequence[Any]) -> str:
    """For instance `learning rate 0.1 (0.01 to 0.3)`."""
    text = f"{_words(field)} {setting_text(value)}"
    if is_range(tried):
        return f"{text} ({setting_text(min(tried))} to {setting_text(max(tried))})"
    others = [setting_text(one) for one in tried if one != value]
    return f"{text} (or {', '.join(others)})" if others else text


def _words(field: str) -> str:
    return field.replace("_", " ")
