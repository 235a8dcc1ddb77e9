"""What the pages of the documentation hold, as values: blocks of code, commands, links, headings."""

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
MANUALS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *PAGES]
"""Every page that people write; reports of benchmarks are generated."""

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """A line that a reader types, and the output that the page shows below it."""

    line: str
    output: str


def blocks(text: str) -> list[tuple[str, str]]:
    """Fenced blocks as (language, content), in the order of the page."""
    return [(language, content) for language, content in _BLOCK.findall(text)]


def commands(block: str) -> list[Command]:
    """The lines of a console block that begin with a prompt; comments after two blanks are cut.

    A line that ends with a backslash goes on in the next one.
    """
    parts = re.split(r"^\$ ", re.sub(r" \\\n +", " ", block), flags=re.MULTILINE)[1:]
    return [
        Command(line.split("  #")[0].strip(), output.strip())
        for line, _, output in (part.partition("\n") for part in parts)
    ]


def console_lines(page: Path) -> list[str]:
    """Every line that a page asks its reader to type."""
    return [
        command.line
        for language, block in blocks(page.read_text())
        if language == "console"
        for command in commands(block)
    ]


def inline_commands(page: Path) -> list[str]:
    """Complete commands of ours within sentences: those that name where their result goes."""
    found = re.findall(r"`(obliq [^`\n]+)`", _BLOCK.sub("", page.read_text()))
    return [line for line in found if "--out " in line]


def links(page: Path) -> list[str]:
    """Targets of links and pictures within the repository; code is not read."""
    prose = re.sub(r"`[^`\n]*`", "", _BLOCK.sub("", page.read_text()))
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", prose) if "://" not in target]


def anchors(page: Path) -> set[str]:
    """The anchors that repository browsers and the site give to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", _BLOCK.sub("", page.read_text()), flags=re.MULTILINE)
    return {_anchor(heading) for heading in headings}


def _anchor(heading: str) -> str:
    words = re.sub(r"[`*]|\]\([^)]*\)|\[", "", heading).strip().lower()
    kept = "".join(letter for letter in words if letter in "-_ " or unicodedata.category(letter)[0] in "LN")
    return kept.replace(" ", "-")
