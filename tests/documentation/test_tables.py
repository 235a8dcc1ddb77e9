"""Tables of the documentation name everything that there is, and nothing else."""

import re
from pathlib import Path

import pytest

from obliq.benchmark.suites import SUITES
from obliq.data import DATASETS
from obliq.methods import BUILT_IN, access_of
from tests.documentation.pages import DOCS, ROOT


def first_column(page: str, heading: str) -> list[str]:
    """The names in backticks in the first column of the table below a heading."""
    below = (DOCS / f"{page}.md").read_text().split(f"# {heading}\n", 1)[1].split("\n#", 1)[0]
    return re.findall(r"^\| `([\w-]+)`", below, flags=re.MULTILINE)


def test_every_method_is_listed() -> None:
    assert sorted(first_column("methods", "All methods")) == sorted(BUILT_IN)


def test_every_method_is_listed_with_what_it_reads_of_the_retain_set() -> None:
    below = (DOCS / "methods.md").read_text().split("# All methods\n", 1)[1].split("\n#", 1)[0]
    rows = re.findall(r"^\| `([\w-]+)` \| .* \| ([^|]+) \| [^|]+ \|$", below, flags=re.MULTILINE)
    stated = {name: access.split(", but ")[0] for name, access in rows}
    assert stated == {name: access_of(kind) for name, kind in BUILT_IN.items()}


def test_every_data_set_is_listed() -> None:
    assert sorted(first_column("getting-started", "Which data")) == sorted(DATASETS)


def test_every_suite_is_listed() -> None:
    assert sorted(first_column("benchmark", "The suites")) == sorted(SUITES)


@pytest.mark.parametrize("page", [*DOCS.glob("*.md"), *ROOT.glob("*.md")], ids=lambda page: page.name)
def test_every_row_has_as_many_cells_as_its_heading(page: Path) -> None:
    tables = re.findall(r"(?:^\|.*\n)+", page.read_text(), flags=re.MULTILINE)
    counts = [{len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()} for table in tables]
    assert [table for table, count in zip(tables, counts, strict=True) if len(count) > 1] == []


def test_every_measurement_is_linked() -> None:
    results = ROOT / "benchmarks" / "results"
    linked = (DOCS / "measurements.md").read_text()
    reports = [*results.glob("*.md"), *results.glob("*/report.md")]
    assert [file for file in reports if f"(../{file.relative_to(ROOT)})" not in linked] == []


def test_the_glossary_says_where_each_term_is_used() -> None:
    terms = re.split(r"^### ", (DOCS / "glossary.md").read_text(), flags=re.MULTILINE)[1:]
    assert len(terms) >= 30
    assert [term.split("\n")[0] for term in terms if not re.search(r"Used\s+in:\s+\[", term)] == []
