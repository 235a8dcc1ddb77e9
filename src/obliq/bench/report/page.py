"""A report as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from obliq.bench.report import pictures, words
from obliq.bench.report.cells import CellRows
from obliq.bench.report.summaries import CellSummary
from obliq.bench.report.tables import ablation_table, cell_tables, leaderboard
from obliq.report.page import Figure

if TYPE_CHECKING:
    from obliq.bench.report.document import Content


def render(content: Content) -> str:
    """The page; only drawings enter it without being escaped."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("obliq.bench.report", ""), PackageLoader("obliq.report", "")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    ranked = [one.method for one in content.board.standings if not one.reference]
    return environment.get_template("benchmark.html.jinja").render(
        suite=content.suite,
        opening=words.opening(content.summaries, content.background),
        verdict=words.verdict(content.board),
        weighing=words.weighing(content.summaries),
        leaderboard=leaderboard(content.board),
        overall=_both(content.groups, ranked, f"all {len(content.groups)} cells")
        if len(content.groups) > 1
        else (),
        bits=pictures.over_bits(content.groups, ranked),
        ablations=ablation_table(content.found) if content.found else None,
        ablation_words=words.ABLATIONS,
        ablation_bars=pictures.ablation_bars(content.found),
        marks=words.marks(content.summaries),
        cells=[
            {
                "title": str(summary.cell),
                "samples": words.samples(summary),
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
    figures = (pictures.trade_off(groups, ranked, where), pictures.cost(groups, ranked, where))
    return [figure for figure in figures if figure is not None]
