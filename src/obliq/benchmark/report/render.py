"""The report of a suite from the files of its results: report.md and report.html.

`about.json` beside the rows says what they do not: which contender follows which, tuning, machine, versions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from obliq.benchmark.cache_keys import Keys
from obliq.benchmark.collect import read_rows, write_text
from obliq.benchmark.report import figures, markdown, phrases
from obliq.benchmark.report.overview import Change, Overview, changes, overview
from obliq.benchmark.report.phrases import Background
from obliq.benchmark.report.statistics import CellRows, cells
from obliq.benchmark.report.summaries import CellSummary, summarise
from obliq.benchmark.report.tables import ablation_table, cell_tables, leaderboard
from obliq.benchmark.rows import Row
from obliq.benchmark.suite import Suite, World
from obliq.errors import ObliqError
from obliq.io.documents import LARGEST_DOCUMENT
from obliq.io.regular_file import read_regular_file
from obliq.io.strict_json import decode, parse_json
from obliq.io.strict_json import render_json as as_json
from obliq.report.page import Figure


def render_page(content: Content) -> str:
    """The page; only drawings enter it without being escaped."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("obliq.benchmark.report", ""), PackageLoader("obliq.report", "")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    ranked = [one.method for one in content.board.standings if not one.reference]
    return environment.get_template("benchmark.html.jinja").render(
        suite=content.suite,
        opening=phrases.opening(content.summaries, content.background),
        verdict=phrases.verdict(content.board),
        weighing=phrases.weighing(content.summaries),
        leaderboard=leaderboard(content.board),
        overall=_both(content.groups, ranked, f"all {len(content.groups)} cells")
        if len(content.groups) > 1
        else (),
        bits=figures.over_bits(content.groups, ranked),
        ablations=ablation_table(content.found) if content.found else None,
        ablation_words=phrases.ABLATIONS,
        ablation_bars=figures.ablation_bars(content.found),
        marks=phrases.marks(content.summaries),
        cells=[
            {
                "title": str(summary.cell),
                "samples": phrases.samples(summary),
                "figures": _cell_figures(group, summary),
                "tables": cell_tables(summary),
            }
            for group, summary in zip(content.groups, content.summaries, strict=True)
        ],
        failures=content.failures,
        facts=content.background.facts,
    )


def _cell_figures(group: CellRows, summary: CellSummary) -> Sequence[Figure]:
    """The cell's pictures, with its own order of methods."""
    ranked = [one.method for one in summary.methods if not one.reference]
    if summary.best is not None:
        ranked.sort(key=lambda name: summary.best is None or name != summary.best.method)
    return _both([group], ranked, str(summary.cell))


def _both(groups: Sequence[CellRows], ranked: Sequence[str], where: str) -> Sequence[Figure]:
    drawn = (figures.trade_off(groups, ranked, where), figures.cost(groups, ranked, where))
    return [figure for figure in drawn if figure is not None]


@dataclass(frozen=True, kw_only=True)
class Content:
    """Everything that both documents show.

    Attributes:
        suite: its name.
        groups, summaries: rows and numbers of each cell, in the same order.
        board: all cells at once.
        found: ablations.
        background: what the rows do not say.
    """

    suite: str
    groups: Sequence[CellRows]
    summaries: Sequence[CellSummary]
    board: Overview
    found: Sequence[Change]
    background: Background

    @property
    def failures(self) -> Sequence[Row]:
        """Of all cells."""
        return [row for summary in self.summaries for row in summary.failures]


def render_both(rows: Sequence[Row], suite: str, background: Background | None = None) -> tuple[str, str]:
    """The report in Markdown and as one HTML document without scripts and without anything to fetch.

    Names from outside are escaped in both. Equal inputs give equal documents, byte for byte.

    Args:
        rows: of every cell, method and seed.
        suite: its name.
        background: what is known besides the rows.

    Raises:
        ObliqError: when there are no rows, or two of one method, seed and cell.
    """
    if not rows:
        raise ObliqError(f"suite {suite!r} has no rows to report; expected at least one")
    background = background or Background()
    groups = cells(rows)
    summaries = tuple(summarise(group) for group in groups)
    content = Content(
        suite=suite,
        groups=groups,
        summaries=summaries,
        board=overview(groups, summaries),
        found=changes(groups, background.follows),
        background=background,
    )
    return _markdown(content), render_page(content)


def _markdown(content: Content) -> str:
    parts = [f"# Benchmark: {markdown.escaped(content.suite)}"]
    parts += [markdown.escaped(text) for text in phrases.opening(content.summaries, content.background)]
    parts += ["## Overview", markdown.escaped(phrases.verdict(content.board))]
    parts += [markdown.table(leaderboard(content.board)), phrases.weighing(content.summaries)]
    if content.found:
        parts += ["## Ablations", phrases.ABLATIONS, markdown.table(ablation_table(content.found))]
    parts += ["## How to read the tables", markdown.items(phrases.marks(content.summaries))]
    for summary in content.summaries:
        parts += [f"## {markdown.escaped(str(summary.cell))}", phrases.samples(summary)]
        parts += [markdown.table(table) for table in cell_tables(summary)]
    if content.failures:
        parts += ["## What failed", markdown.failures(content.failures)]
    if content.background.facts:
        parts += ["## Made on", markdown.facts(content.background.facts)]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


ABOUT, MARKDOWN, PAGE = "about.json", "report.md", "report.html"


@dataclass(frozen=True, kw_only=True)
class About:
    """What a report tells besides the rows; the fields of `Background`, as they are stored."""

    follows: dict[str, str]
    trials: int | None
    tuning_seed: int | None
    tuning_bits: str | None
    facts: dict[str, str]
    tuned_in: str | None = None


def about(suite: Suite, keys: Keys, machines: Iterable[Mapping[str, str]]) -> About:
    """What there is to tell about a suite whose rows were made on these machines."""
    trials = max(len(one.trials()) for one in suite.contenders)
    tuned = trials > 1
    said = dict[str, dict[str, None]]()  # a set in the order of its values
    for name, value in (pair for machine in machines for pair in machine.items() if pair[1]):
        said.setdefault(name, {})[value] = None
    facts = {name: " or ".join(values) for name, values in said.items()}
    facts["device"] = keys.origins.device
    return About(
        follows=dict(sorted((one.name, one.follows) for one in suite.contenders if one.follows is not None)),
        trials=trials if tuned else None,
        tuning_seed=suite.tuning_seed if tuned else None,
        tuning_bits=suite.tuning_bits if tuned else None,
        facts=dict(sorted(facts.items())),
        tuned_in=None if suite.tuned_in is None or not tuned else _in_words(suite.tuned_in),
    )


def _in_words(world: World) -> str:
    images = f"{world.limit} images" if world.limit else "all images"
    return f"{world.architecture} with {images} of {world.data}"


def write_report(folder: Path, rows: Sequence[Row], known: About) -> None:
    """Write the report and what it rests on besides the rows.

    Raises:
        ObliqError: when there are no rows, or the folder cannot be written.
    """
    markdown, page = render_both(rows, folder.name, Background(**vars(known)))
    write_text(folder / ABOUT, as_json(vars(known)))
    write_text(folder / MARKDOWN, markdown)
    write_text(folder / PAGE, page)


def write_report_again(folder: Path) -> int:
    """Write the report from the files that are there; the number of rows.

    Raises:
        ObliqError: when the files are missing, or not as they were written.
    """
    rows, file = read_rows(folder), folder / ABOUT
    try:
        known = decode(About, parse_json(read_regular_file(file, LARGEST_DOCUMENT)), "the file")
    except ObliqError as error:
        raise ObliqError(f"{file}: {error}") from error
    write_report(folder, rows, known)
    return len(rows)
