"""A report as Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from obliq.benchmark.report.tables import Entry, Heading, Table
from obliq.benchmark.rows import Row


def escaped(text: str) -> str:
    """Text from outside as one line that Markdown shows as it is, inside tables too."""
    line = " ".join(text.split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#+!|~$@:])", r"\\\1", line) if _active(line) else line


def _active(line: str) -> bool:
    """Whether Markdown could read something into it; ordinary names stay as readable as they are."""
    return bool(re.search(r"[\\`*_\[\]|~$@!]|https?:|www\.", line))


def table(content: Table) -> str:
    """A pipe table; targets follow below it, for a heading of three lines would be too wide."""
    head = [content.first.short, *(heading.short for heading in content.headings)]
    lines = [
        f"**{escaped(content.caption)}**",
        "",
        f"| {' | '.join(_bar(text) for text in head)} |",
        "| --- |" + " ---: |" * len(content.headings),
    ]
    for line in content.lines:
        name = f"*{escaped(line.name)}*" if line.reference else escaped(line.name)
        lines.append(f"| {' | '.join([name, *(_entry(entry) for entry in line.entries)])} |")
    explained = "; ".join(_explained(one) for one in content.headings if one.name or one.target)
    return "\n".join([*lines, "", f"{explained}.", ""])


def _bar(text: str) -> str:
    return text.replace("|", "\\|")


def _explained(heading: Heading) -> str:
    name = f" ({heading.name})" if heading.name else ""
    return f"{_bar(heading.short)}{name}" + (f": {heading.target}" if heading.target else "")


def _entry(entry: Entry) -> str:
    text = escaped(entry.value) + (f" ± {entry.spread}" if entry.spread else "")
    text = f"**{text}**" if entry.best else text
    return " ".join([text, *(f"({escaped(mark)})" for mark in entry.marks)])


def failures(rows: Sequence[Row]) -> str:
    """What went wrong, a line each."""
    return "\n".join(
        f"- {escaped(f'{row.scenario} · {row.bits} · {row.data} · {row.architecture}')}, seed {row.seed}, "
        f"**{escaped(row.method)}**: {escaped(row.error)}"
        for row in rows
    )


def facts(found: Mapping[str, str]) -> str:
    """Names and values, a line each."""
    return "\n".join(f"- {escaped(name)}: {escaped(value)}" for name, value in found.items())


def items(texts: Sequence[str]) -> str:
    """A list of sentences of ours that may hold names from outside."""
    return "\n".join(f"- {escaped(text)}" for text in texts)
