"""A benchmark's rows as two documents that say the same: Markdown and one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from obliq.bench.report import markdown, page, words
from obliq.bench.report.background import Background
from obliq.bench.report.cells import CellRows, cells
from obliq.bench.report.changes import Change, changes
from obliq.bench.report.overview import Overview, overview
from obliq.bench.report.summaries import CellSummary, summarise
from obliq.bench.report.tables import ablation_table, cell_tables, leaderboard
from obliq.bench.rows import Row
from obliq.errors import ObliqError


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


def render(rows: Sequence[Row], suite: str, background: Background | None = None) -> tuple[str, str]:
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
    return _markdown(content), page.render(content)


def _markdown(content: Content) -> str:
    parts = [f"# Benchmark: {markdown.escaped(content.suite)}"]
    parts += [markdown.escaped(text) for text in words.opening(content.summaries, content.background)]
    parts += ["## Overview", markdown.escaped(words.verdict(content.board))]
    parts += [markdown.table(leaderboard(content.board)), words.weighing(content.summaries)]
    if content.found:
        parts += ["## Ablations", words.ABLATIONS, markdown.table(ablation_table(content.found))]
    parts += ["## How to read the tables", markdown.items(words.marks(content.summaries))]
    for summary in content.summaries:
        parts += [f"## {markdown.escaped(str(summary.cell))}", words.samples(summary)]
        parts += [markdown.table(table) for table in cell_tables(summary)]
    if content.failures:
        parts += ["## What failed", markdown.failures(content.failures)]
    if content.background.facts:
        parts += ["## Made on", markdown.facts(content.background.facts)]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"
