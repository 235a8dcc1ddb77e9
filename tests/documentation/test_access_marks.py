"""Tables of results mark methods that read less than the retain set or are kinder than their code, and no others."""

import re
from pathlib import Path

import pytest

from obliq.benchmark.report.text import KINDER
from obliq.methods import BUILT_IN, access_of
from tests.documentation.pages import DOCS, ROOT

MARKS = {"retain set": "", "statistics": "†", "nothing": "‡"}
LEGEND = (
    "Level of access ([in words](methods.md#all-methods)): † only statistics of the retain set, ‡ nothing of it. "
    "Other methods read its samples."
)
KINDER_LEGEND = "° Kinder to accuracy than its public code ([how](methods.md#what-differs-from-public-code))."
NO_METHOD = re.compile(r"original|no unlearning|retrained again.*")
"""Rows of tables of methods that no method produced."""
OTHER_NAMES = {"entropy": "oeu"}
PAGES = [ROOT / "README.md", DOCS / "results.md", DOCS / "results-tables.md"]


def method_of(row: str) -> str | None:
    """The method that the name of a row begins with, also after a comma and within brackets; None for other rows."""
    words = re.sub(r"[`*†‡°]", "", row).casefold()
    parts = [part.strip() for part in re.split(r"[(),]", words)]
    known = {name: name for name in BUILT_IN} | OTHER_NAMES
    found = [known[name] for name in known for part in parts if re.match(rf"{name}(?![\w-])", part)]
    return found[0] if found else None


def tables(section: str) -> list[tuple[str, list[str]]]:
    """The tables of a section: the heading of the first column, and the names of the rows."""
    found = re.findall(r"(?:^\|.*\n?)+", section, flags=re.MULTILINE)
    columns = [[line.split("|")[1].strip() for line in table.splitlines()] for table in found]
    return [(column[0], column[2:]) for column in columns]


@pytest.mark.parametrize(
    ("row", "method"),
    [
        ("calibrated, in rounds", "calibrated"),
        ("`calibrated-holdout` ‡", "calibrated-holdout"),
        ("one average (ReGUn)", "regun"),
        ("distribution, pooled (A-AMU)", "a-amu"),
        ("q-mul public code", "q-mul"),
        ("retrained again", None),
        ("a class is not recognised more than after retraining", None),
    ],
)
def test_rows_are_read_as_methods(row: str, method: str | None) -> None:
    assert method_of(row) == method


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_row_has_the_mark_of_its_method(page: Path) -> None:
    seen = 0
    for section in re.split(r"^#+ ", page.read_text(), flags=re.MULTILINE):
        for heading, rows in tables(section):
            methods = {row: method_of(row) for row in rows}
            marks = {row: "".join(re.findall("[†‡°]", row)) for row in rows}
            wanted = {
                row: MARKS[access_of(BUILT_IN[name])] + "°" * (name in KINDER) if name else ""
                for row, name in methods.items()
            }
            assert marks == wanted
            if heading in ("method", "target"):
                assert [row for row in rows if not methods[row] and not NO_METHOD.fullmatch(row)] == []
            together = "".join(marks.values())
            assert not re.search("[†‡]", together) or LEGEND in section
            assert "°" not in together or KINDER_LEGEND in section
            seen += sum(map(bool, methods.values()))
    assert seen > 2
