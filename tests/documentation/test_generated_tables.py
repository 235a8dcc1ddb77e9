"""Tables that scripts write from committed results are those that they would write now."""

import csv
import runpy
import sys
from typing import Any
from unittest import mock

import pytest
import torch

import obliq
from obliq.benchmark.scenario import Scenario
from obliq.data import Collection, PartitionRule, partition
from obliq.methods import BUILT_IN, ProxyMatching, Retrain, registered_name
from obliq.workflow.advice import FAR_MORE, RECOMMENDED, reason_to_retrain
from tests.documentation.pages import DOCS, ROOT

BENCHMARKS = ROOT / "benchmarks"


def script(name: str) -> dict[str, Any]:
    """The names of a script, without running it."""
    with mock.patch.object(sys, "path", [str(BENCHMARKS), *sys.path]):
        return runpy.run_path(str(BENCHMARKS / f"{name}.py"))


def test_the_page_of_tuning_is_current() -> None:
    assert (BENCHMARKS / "results" / "tuning_ranges.md").read_text() == script("tuning_ranges")["page"]()


def test_an_arrow_marks_the_edge_of_a_range() -> None:
    arrow = script("tuning_ranges")["arrow"]
    assert [arrow(value, (1, 2, 3)) for value in (1, 2, 3)] == ["↓", "", "↑"]


def test_the_table_of_choices_is_current_and_names_methods_that_exist() -> None:
    made = script("decision_table")
    page = (DOCS / "methods.md").read_text()
    assert made["with_table"](page) == page
    assert {one.method for one in made["choices"]()} - {None} <= set(BUILT_IN)


@pytest.mark.parametrize(
    ("table", "judged", "request_text"),
    [
        ("verdicts", "random=10%", "random=10%"),
        ("verdicts", "random=30%", "random=30%"),
        ("verdicts", "random=50%", "random=50%"),
        ("verdicts", "class=0", "class=0"),
        ("verdicts", "subjects=1", "subjects=1"),
        ("verdicts", "subjects=10", "random=28%"),
        ("verdicts_long", "random=10%", "random=10%"),
    ],
)
def test_the_command_line_follows_the_verdicts(table: str, judged: str, request_text: str) -> None:
    """It speaks for retraining exactly where the recommended method passes in less than half of the runs."""
    parts = partition(obliq.load_dataset("digits"), PartitionRule())
    splits = parts.forgetting(Scenario(request_text).select_forget_set(parts, 0))
    passed, cells = script("decision_figures")["passes"](judged, registered_name(type(RECOMMENDED)), table)
    assert cells > 0
    assert bool(reason_to_retrain(RECOMMENDED, splits)) == (2 * passed < cells)
    assert reason_to_retrain(Retrain(), splits) == ""


def test_the_command_line_follows_the_figures_of_large_data() -> None:
    mean = script("decision_figures")["mean"]
    for request in ("random=10%", "random=50%", "class=0"):
        gaps = [mean("cifar10-cpu", request, name, "average_gap") for name in ("amun", "proxy-matching")]
        assert gaps[0] < gaps[1]
    passed = script("decision_figures")["passes"](
        "random=10%", registered_name(type(RECOMMENDED)), "verdicts_large"
    )
    assert passed[0] == 0 < passed[1]
    for samples in (FAR_MORE - 100, FAR_MORE + 100):
        collection = Collection("large", torch.zeros(2 * samples, 1, 1, 1), torch.arange(2 * samples) % 10)
        parts = partition(collection, PartitionRule(holdout=0.25, test=0.25))
        splits = parts.forgetting(parts.train.indices[: samples // 10], salt=b"1" * 32)
        found = reason_to_retrain(RECOMMENDED, splits)
        assert ("On 45,000 (a random tenth" in found) == (len(parts.train) > FAR_MORE) == (samples > FAR_MORE)


def test_requests_that_keep_coming_were_measured_with_the_method_as_it_is() -> None:
    with (BENCHMARKS / "results" / "repeated_requests.csv").open(newline="", encoding="utf-8") as file:
        versions = {row["version"] for row in csv.DictReader(file)}
    assert versions == {str(ProxyMatching.version)}
