"""Markdown for the parts of a report; all text from outside is escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from obliq.benchmark.report.tables import ColumnHeading, ReportTable, TableCell
from obliq.benchmark.rows import ResultRow


def escape_markdown(text: str) -> str:
    """Text from outside as one line that Markdown shows as it is, inside tables too."""
    line = " ".join(text.split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#+!|~$@:])", r"\\\1", line) if _has_markup(line) else line


def _has_markup(line: str) -> bool:
    """Whether Markdown could interpret something; ordinary names stay as readable as they are."""
    return bool(re.search(r"[\\`*_\[\]|~$@!]|https?:|www\.", line))


def markdown_table(content: ReportTable) -> str:
    """A pipe table; targets follow below it, as a heading of three lines would be too wide."""
    head = [content.first.label, *(heading.label for heading in content.headings)]
    lines = [
        f"**{escape_markdown(content.caption)}**",
        "",
        f"| {' | '.join(escape_markdown(text) for text in head)} |",
        "| --- |" + (" --- |" if content.of_words else " ---: |") * len(content.headings),
    ]
    for row in content.rows:
        name = f"*{escape_markdown(row.name)}*" if row.reference else escape_markdown(row.name)
        name += f" ({row.note})" if row.note else ""
        lines.append(f"| {' | '.join([name, *(_cell(cell) for cell in row.cells)])} |")
    explained = "; ".join(_explained(one) for one in content.headings if one.words or one.target)
    return "\n".join([*lines, "", f"{explained}.", ""] if explained else [*lines, ""])


def _explained(heading: ColumnHeading) -> str:
    words = f" ({heading.words})" if heading.words else ""
    return f"{escape_markdown(heading.label)}{words}" + (f": {heading.target}" if heading.target else "")


def _cell(cell: TableCell) -> str:
    text = escape_markdown(cell.value) + (f" ± {cell.spread}" if cell.spread else "")
    text = f"**{text}**" if cell.best else text
    return " ".join([text, *(f"({escape_markdown(mark)})" for mark in cell.marks)])


def failure_list(rows: Sequence[ResultRow]) -> str:
    """The failed rows, one per line."""
    return "\n".join(
        f"- {escape_markdown(f'{row.scenario} · {row.bits} · {row.data} · {row.architecture}')}, seed {row.seed}, "
        f"**{escape_markdown(row.method)}**: {escape_markdown(row.error)}"
        for row in rows
    )


def fact_list(facts: Mapping[str, str]) -> str:
    """Names and values, one per line."""
    return "\n".join(f"- {escape_markdown(name)}: {escape_markdown(value)}" for name, value in facts.items())


def sentence_list(texts: Sequence[str]) -> str:
    """Sentences of ours that may hold names from outside."""
    return "\n".join(f"- {escape_markdown(text)}" for text in texts)
