"""What `benchmarks/mutants.py` found: the file that keeps it, and the table of the results."""

import json
import platform
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mutant_changes import mutants_of

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "benchmarks" / "results" / "mutants.md"
EQUIVALENT = ROOT / "benchmarks" / "equivalent_mutants.toml"
UNTRIED, UNREADABLE = "not tried", "import"
"""In the place of the test that killed a mutant."""


def entries_of(kept: Path, module: str, kind: str) -> list[dict[str, Any]]:
    """What was kept of a module: entries that have a field of this name, the newest last."""
    entries = map(json.loads, kept.read_text().splitlines()) if kept.exists() else ()
    return [one for one in entries if one["module"] == module and kind in one]


def results(kept: Path, module: str) -> dict[tuple[str, str, str], str | None]:
    """What killed each mutant of a module, by its part, its change and its line; None for survivors."""
    return {
        (one["part"], one["change"], one["text"]): one["killer"] for one in entries_of(kept, module, "killer")
    }


def reasons_of_equivalence() -> dict[tuple[str, str, str], str]:
    """Why a change makes no difference, by module, line and change."""
    entries = tomllib.loads(EQUIVALENT.read_text())["mutant"]
    return {
        (one["module"], one["line"], change): " ".join(one["why"].split())
        for one in entries
        for change in one["changes"]
    }


def write_table(tests: Mapping[str, Sequence[str]], kept: Path, seconds: float) -> None:
    """Put what was found so far into the results: of each module that has tests."""
    reasons = reasons_of_equivalence()
    rows, survivors = [], []
    for module, files in tests.items():
        found, untried, killed, same, alive = results(kept, module), 0, 0, 0, 0
        for one in mutants_of((ROOT / "src" / module).read_text()):
            killer = found.get((one.part, one.change, one.text), UNTRIED)
            untried += killer == UNTRIED
            killed += killer is not None and killer not in (UNTRIED, UNREADABLE)
            if killer is not None:
                continue
            reason = reasons.get((module, one.text, one.change), "")
            same, alive = same + bool(reason), alive + (not reason)
            text = one.text.replace("|", "&#124;")
            survivors.append(f"| `{module}` | {one.line} | {one.change} | `{text}` | {reason} |")
        named = ", ".join(
            f"`{name.removeprefix('tests/')}`" for name in dict.fromkeys(one.split("::")[0] for one in files)
        )
        rows.append(
            f"| `{module}` | {killed + same + alive} | {untried} | {killed} | {same} | {alive} | {named} |"
        )
    TABLE.write_text("\n".join(_lines(rows, survivors, seconds)) + "\n")


def _lines(rows: list[str], survivors: list[str], seconds: float) -> Iterator[str]:
    yield f"""# Mistakes that tests notice

Made by `benchmarks/mutants.py`. Each mutant is a module with one small mistake: a comparison, number, operator,
condition or statement changed. The tests that reach its line run on it, the quickest first, until one fails or they
have taken {seconds:g} s. Tests that start another process or go through the command line do not count. The texts of
messages, the arguments of decorators and annotations are not changed, and changes with which a module cannot be
imported are left out. Python {platform.python_version()}.

| module | mutants tried | not tried | killed | equivalent | survived | tests, below `tests` |
| --- | ---: | ---: | ---: | ---: | ---: | --- |"""
    yield from rows
    yield "\n## Survivors\n"
    yield "Where a reason stands, the change makes no difference that a caller could notice.\n"
    yield "| module | line | change | text | why it makes no difference |"
    yield "| --- | ---: | --- | --- | --- |"
    yield from survivors
