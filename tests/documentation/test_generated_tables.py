"""Tables that scripts write from committed results are those that they would write now."""

import runpy
from typing import Any

import pytest

from tests.documentation.pages import ROOT

BENCHMARKS = ROOT / "benchmarks"


def script(name: str) -> dict[str, Any]:
    """The names of a script, without running it."""
    return runpy.run_path(str(BENCHMARKS / f"{name}.py"))


def test_the_page_of_tuning_is_current() -> None:
    assert (BENCHMARKS / "results" / "tuning_ranges.md").read_text() == script("tuning_ranges")["page"]()


@pytest.mark.parametrize(
    ("value", "tried", "mark"),
    [
        (0.1, (0.1, 0.2, 0.4), "↓"),
        (0.2, (0.1, 0.2, 0.4), ""),
        (0.4, (0.4, 0.1, 0.2), "↑"),
        (0.1, (0.1, 0.2), ""),
        (True, (True, False, True), ""),
        ("mixed", ("mixed", "other", "third"), ""),
    ],
)
def test_an_edge_is_the_end_of_three_or_more_numbers(value: object, tried: tuple[object, ...], mark: str) -> None:
    assert script("tuning_ranges")["edge_of"](value, tried) == mark
