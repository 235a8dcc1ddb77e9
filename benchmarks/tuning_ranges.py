"""Which settings were tried for each method, which was best, and whether it lay at the edge of its range.

    python benchmarks/tuning_ranges.py

Reads the committed `tuned.json` of every suite and writes results/tuning_ranges.md; computes nothing else.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from obliq.benchmark.report.settings import HIGHEST, LOWEST, edge_of, edges_of, setting_text, values_tried
from obliq.benchmark.tuning import TUNING_DOCUMENT, TuningChoice

RESULTS = Path(__file__).parent / "results"
TABLE = RESULTS / "tuning_ranges.md"
WHOLE = ("fashion-small", "writers")  # where two suites differ, these come first
OFTEN = 4
RATE = "learning_rate"
ARROWS = {"": "", LOWEST: "↓", HIGHEST: "↑"}

INTRODUCTION = """\
# What was tried in tuning

Written by `benchmarks/tuning_ranges.py` from the `tuned.json` of each suite. Every method had six trials for each
request, and three in the suites of budgets, on an original of a seed that is not reported. The trial with the smallest
Avg. Gap to that seed's own retrained network was kept.{beyond}

- **A column per request** has the value that was best, and **best gap** its Avg. Gap in points, in the same order.
- **↓ and ↑** mark the lowest and the highest value of a range of three or more: a better value may lie beyond it.
- **Fields with two values** are at an edge whatever is chosen, and words have no order. Neither is marked.
- **One trial on one seed decides.** Small differences between neighbouring values are therefore chance. Of three
  values, two are edges, so two in three choices would be marked if chance alone decided.

{summary}
"""

Place = tuple[str, str, str]
"""Data, architecture and bits."""
Tried = tuple[str, tuple[str, ...]]
"""A method's name, and its trials as JSON text, without those beyond an edge."""


def committed_choices() -> dict[TuningChoice, list[str]]:
    """Every choice, with the suites that use it."""
    found = defaultdict[TuningChoice, list[str]](list)
    for file in sorted(RESULTS.glob("*/tuned.json"), key=lambda file: (file.parent.name not in WHOLE, file)):
        for choice in TUNING_DOCUMENT.read(file).choices:
            found[choice].append(file.parent.name)
    return found


def arrow(value: Any, tried: Sequence[Any]) -> str:
    """An arrow if a number is the lowest or the highest of three or more; else nothing."""
    return ARROWS[edge_of(value, tried)]


def gap_of(choice: TuningChoice) -> str:
    """The gap of the best trial, and how many trials have none."""
    if choice.chosen is None:
        return "all failed"
    failed = choice.gaps.count(None)
    return f"{choice.gaps[choice.chosen]:.1f}" + (f" ({failed} failed)" if failed else "")


def table(choices: Mapping[Tried, Mapping[str, TuningChoice]], requests: Sequence[str]) -> list[str]:
    """One row for each field of each method."""
    lines = [
        "| method | field | tried | " + " | ".join(requests) + " | best gap |",
        "| --- | --- | --- | " + "--- | " * len(requests) + "--- |",
    ]
    for (method, _), by_request in sorted(choices.items()):
        gaps = " · ".join(gap_of(by_request[one]) if one in by_request else "-" for one in requests)
        everything = (fields for choice in by_request.values() for fields in choice.every_fields)
        for number, (field, tried) in enumerate(values_tried(everything).items()):
            best = []
            for request in requests:
                fields = by_request[request].fields if request in by_request else None
                own = values_tried(by_request[request].every_fields)[field] if request in by_request else ()
                best.append(
                    "-" if fields is None else setting_text(fields[field]) + " " + arrow(fields[field], own)
                )
            cells = [
                "" if number else method,
                field.replace("_", " "),
                ", ".join(map(setting_text, tried)),
                *(one.strip() for one in best),
                "" if number else gaps,
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return lines


def at_edges(choices: Sequence[TuningChoice]) -> tuple[list[str], int]:
    """The names of methods whose best value was at an edge, one for each choice, and the number of ranges."""
    edges = [(choice.contender, edge) for choice in choices for edge in edges_of(choice).values()]
    return [name for name, edge in edges if edge], len(edges)


def rates_at_edges() -> list[str]:
    """A table of the suites: how many learning rates were chosen, and how many of these lie at the edge."""
    lines = [
        "| suite | learning rates chosen | at the edge | further trials beyond an edge |",
        "| --- | ---: | ---: | ---: |",
    ]
    for file in sorted(RESULTS.glob("*/tuned.json")):
        choices = [one for one in TUNING_DOCUMENT.read(file).choices if one.fields and RATE in one.fields]
        at_edge = sum(bool(edges_of(one).get(RATE)) for one in choices)
        beyond = "up to three" if any(one.beyond for one in choices) else "none"
        lines.append(f"| `{file.parent.name}` | {len(choices)} | {at_edge} | {beyond} |")
    return lines


def page() -> str:
    """The page as text."""
    found = committed_choices()
    names, ranges = at_edges(list(found))
    often = sorted({name for name in names if names.count(name) >= OFTEN})
    summary = (
        f"**{len(names)} of {ranges} best values lie at the edge of their range.** Methods with {OFTEN} or more of "
        f"them:\n{', '.join(often)}.\nWith a wider range, their numbers may get better. Further trials changed the "
        "learning rate alone.\nSuites without further trials share choices with others, or are older than these."
    )
    places = defaultdict[Place, dict[TuningChoice, list[str]]](dict)
    for choice, suites in found.items():
        places[choice.data, choice.architecture, choice.bits][choice] = suites
    suites_beyond = {suite for choice, suites in found.items() if choice.beyond for suite in suites}
    beyond = (
        ""
        if not suites_beyond
        else (
            f" In {', '.join(f'`{one}`' for one in sorted(suites_beyond))}, up to three\nfurther trials went beyond "
            "the edge of a method's learning rates where the best one lay there."
        )
    )
    parts = [INTRODUCTION.format(summary=summary, beyond=beyond).rstrip("\n"), "\n".join(rates_at_edges())]
    for (data, architecture, bits), choices in places.items():
        suites = sorted({suite for several in choices.values() for suite in several})
        rows = defaultdict[Tried, dict[str, TuningChoice]](dict)
        for choice, used_by in choices.items():
            name, trials = choice.contender, choice.trials[: len(choice.trials) - choice.beyond]
            others_come_first = not set(WHOLE).isdisjoint(suites) and set(WHOLE).isdisjoint(used_by)
            if others_come_first or choice.scenario in rows[name, trials]:  # tuned again, for other suites
                name += f" (in {', '.join(used_by)})"
            rows[name, trials][choice.scenario] = choice
        requests = list(dict.fromkeys(choice.scenario for choice in choices))
        parts.append(
            f"## {data}, {architecture}, {bits}\n\nUsed by {', '.join(f'`{one}`' for one in suites)}."
        )
        parts.append("\n".join(table(rows, requests)))
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write the page."""
    TABLE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
