"""The report of a suite from the files of its results: report.md and report.html."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from obliq.benchmark.consistent_rows import read_consistent_rows
from obliq.benchmark.report import figures, markdown, text
from obliq.benchmark.report.ablations import AblationEffect, ablation_effects
from obliq.benchmark.report.access import access_by_name, access_notes
from obliq.benchmark.report.background import ABOUT, ABOUT_DOCUMENT, Background, read_background
from obliq.benchmark.report.overview import Leaderboard, rank_methods
from obliq.benchmark.report.settings import edges_in_words, settings_table
from obliq.benchmark.report.statistics import CellRows, group_by_cell
from obliq.benchmark.report.summaries import CellSummary, summarise
from obliq.benchmark.report.tables import ablation_table, cell_tables, gap_matrix, leaderboard_table
from obliq.benchmark.rows import ResultRow
from obliq.benchmark.suite import Suite
from obliq.benchmark.tuning import TUNED, TUNING_DOCUMENT, TuningChoice
from obliq.errors import ObliqError
from obliq.io.atomic import write_file
from obliq.io.visible_text import visible_text
from obliq.report.figures import Figure

MARKDOWN, PAGE = "report.md", "report.html"
DRAWN = 4
"""Cells up to which each has pictures of its own; with more, they would be most of a page that few could load."""


@dataclass(frozen=True, kw_only=True)
class ReportContent:
    """Everything that both documents show.

    Attributes:
        suite: its name.
        groups, summaries: rows and numbers of each cell, in the same order.
        board: all cells at once.
        effects: of the ablations.
        background: what the rows do not state.
        choices: of tuning, for methods that have rows.
    """

    suite: str
    groups: Sequence[CellRows]
    summaries: Sequence[CellSummary]
    board: Leaderboard
    effects: Sequence[AblationEffect]
    background: Background
    choices: Sequence[TuningChoice]

    @property
    def failures(self) -> Sequence[ResultRow]:
        """Of all cells."""
        return [row for summary in self.summaries for row in summary.failures]

    @property
    def notes(self) -> Mapping[str, str]:
        """On methods that read less than the retain set, by name."""
        return access_notes(self.background.access)


def render_benchmark_report(
    rows: Sequence[ResultRow],
    suite: str,
    background: Background | None = None,
    choices: Sequence[TuningChoice] = (),
) -> tuple[str, str]:
    """The report in Markdown and as one HTML document that fetches nothing and is readable without its one script.

    Names from outside are escaped in both, and control characters in them made visible. Equal inputs give equal
    documents, byte for byte.

    Args:
        rows: of every cell, method and seed.
        suite: its name.
        background: what is known besides the rows.
        choices: what tuning chose; those of methods without rows are left out.

    Raises:
        ObliqError: when there are no rows, or two of one method, seed and cell.
    """
    if not rows:
        raise ObliqError(f"suite {suite!r} has no rows to report; expected at least one")
    background = background or Background()
    groups = group_by_cell(rows)
    summaries = tuple(summarise(group) for group in groups)
    board = rank_methods(groups, summaries)
    methods = {one.method for one in board.standings}
    content = ReportContent(
        suite=suite,
        groups=groups,
        summaries=summaries,
        board=board,
        effects=ablation_effects(groups, background.follows),
        background=background,
        choices=[one for one in choices if one.contender in methods],
    )
    return _markdown(content), _page(content)


def _page(content: ReportContent) -> str:
    """The page; only drawings enter it without being escaped."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("obliq.benchmark.report", ""), PackageLoader("obliq.report", "")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    ranked = [one.method for one in content.board.standings if not one.reference]
    several = len(content.groups) > 1
    script = files("obliq.benchmark.report").joinpath("sort_and_filter.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = environment.get_template("benchmark.html.jinja").render(
        script=Markup(script),  # noqa: S704 - ours, and named by its digest, so that no other script can run
        script_hash=f"sha256-{digest}",
        cautions=text.cautions(content.board, content.summaries),
        matrix=gap_matrix(content.board, content.summaries, content.notes) if several else None,
        suite=content.suite,
        opening=text.opening(content.summaries, content.background),
        verdict=text.verdict(content.board, content.summaries),
        weighting=text.weighting(content.summaries),
        leaderboard=leaderboard_table(content.board, content.notes),
        overall=_both(content.groups, ranked, f"all {len(content.groups)} cells") if several else (),
        bits=figures.over_bits(content.groups, ranked),
        ablations=ablation_table(content.effects) if content.effects else None,
        ablation_words=text.ABLATIONS,
        ablation_bars=figures.ablation_bars(content.effects),
        marks=text.marks(content.summaries, content.background),
        settings=settings_table(content.choices),
        edges=edges_in_words(content.choices),
        columns=[one for table in cell_tables(content.summaries[0], {}) for one in table.headings],
        cells=[
            {
                "title": str(summary.cell),
                "samples": text.samples(summary),
                "figures": _cell_figures(group, summary) if len(content.groups) <= DRAWN else (),
                "tables": cell_tables(summary, content.notes),
            }
            for group, summary in zip(content.groups, content.summaries, strict=True)
        ],
        failures=content.failures,
        facts=content.background.facts,
    )
    return visible_text(page)


def _cell_figures(group: CellRows, summary: CellSummary) -> Sequence[Figure]:
    """The cell's pictures, with its own order of methods."""
    ranked = [one.method for one in summary.methods if not one.reference]
    if summary.best is not None:
        ranked.sort(key=lambda name: summary.best is None or name != summary.best.method)
    return _both([group], ranked, str(summary.cell))


def _both(groups: Sequence[CellRows], ranked: Sequence[str], where: str) -> Sequence[Figure]:
    drawn = (figures.trade_off(groups, ranked, where), figures.cost(groups, ranked, where))
    return [figure for figure in drawn if figure is not None]


def _markdown(content: ReportContent) -> str:
    escape, table = markdown.escape_markdown, markdown.markdown_table
    parts = [f"# Benchmark: {escape(content.suite)}"]
    parts += [escape(sentence) for sentence in text.opening(content.summaries, content.background)]
    parts += ["## Overview", escape(text.verdict(content.board, content.summaries))]
    if cautions := text.cautions(content.board, content.summaries):
        parts += ["**When these numbers mean little**", markdown.sentence_list(cautions)]
    parts += [table(leaderboard_table(content.board, content.notes)), text.weighting(content.summaries)]
    if len(content.groups) > 1:
        parts += [table(gap_matrix(content.board, content.summaries, content.notes))]
    if content.effects:
        parts += ["## Ablations", text.ABLATIONS, table(ablation_table(content.effects))]
    parts += [
        "## How to read the tables",
        markdown.sentence_list(text.marks(content.summaries, content.background)),
    ]
    if settings := settings_table(content.choices):
        parts += ["## Tuned settings", edges_in_words(content.choices), table(settings)]
    for summary in content.summaries:
        parts += [f"## {escape(str(summary.cell))}", text.samples(summary)]
        parts += [table(one) for one in cell_tables(summary, content.notes)]
    if content.failures:
        parts += ["## What failed", markdown.failure_list(content.failures)]
    if content.background.facts:
        parts += ["## Machine and versions", markdown.fact_list(content.background.facts)]
    return visible_text("\n\n".join(part.strip("\n") for part in parts) + "\n")


def write_benchmark_report(folder: Path, rows: Sequence[ResultRow], background: Background) -> None:
    """Write the report from rows, background and the `tuned.json` of the folder, and the background beside it.

    Raises:
        ObliqError: when there are no rows, `tuned.json` is not as it was written, or the folder cannot be written.
    """
    tuning = TUNING_DOCUMENT.read_if_present(folder / TUNED)
    choices = () if tuning is None else tuning.choices
    in_markdown, page = render_benchmark_report(rows, folder.name, background, choices)
    ABOUT_DOCUMENT.write(folder / ABOUT, background, overwrite=True)
    write_file(folder / MARKDOWN, in_markdown, overwrite=True)
    write_file(folder / PAGE, page, overwrite=True)


def rewrite_report(folder: Path, suite: Suite | None = None) -> int:
    """Write the report again from the rows and the background in a folder; the number of rows.

    Args:
        folder: of the results.
        suite: whose results they are, for what an older background lacks; None where it is not at hand.

    Raises:
        ObliqError: when the files are missing, not as they were written, or do not agree.
    """
    rows = read_consistent_rows(folder, suite)
    background = read_background(folder)
    if background.access is None and suite is not None:
        background = dataclasses.replace(background, access=access_by_name(suite))
    write_benchmark_report(folder, rows, background)
    return len(rows)
