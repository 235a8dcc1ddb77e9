"""Reports state what each method reads of the data that remain."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from torch import nn

from obliq.benchmark.collect import ROWS
from obliq.benchmark.method_variant import MethodVariant
from obliq.benchmark.report import render
from obliq.benchmark.report.access import NOTES, access_by_name
from obliq.benchmark.report.background import ABOUT, Background, read_background
from obliq.benchmark.report.render import MARKDOWN, PAGE, rewrite_report
from obliq.benchmark.rows import to_csv
from obliq.benchmark.suite import Suite
from obliq.benchmark.suites import suite_named
from obliq.cli.main import main
from obliq.data import Splits
from obliq.methods import Access, BadTeacher, LoTUS, UsedAccess
from obliq.run import Run
from tests.benchmark.synthetic_rows import CELLS, synthetic_rows
from tests.report.test_page import Outline

FULL, LESS, NONE, UNKNOWN = "calibrated", "selective-dampening", "gradient-ascent", "removed since"
ACCESS: dict[str, UsedAccess] = {FULL: "retain set", LESS: "statistics", NONE: "nothing"}
ROWS_OF_ALL = synthetic_rows((*ACCESS, UNKNOWN), CELLS[:2])


@dataclass(frozen=True, kw_only=True)
class OfUser:
    """A user's method, which reads the forget set alone."""

    version: ClassVar[int] = 1
    access: ClassVar[Access] = "nothing"

    def unlearn(self, model: nn.Module, splits: Splits, run: Run) -> nn.Module:
        """Nothing that a report would ask for."""
        raise NotImplementedError


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes most of the time of a report."""
    monkeypatch.setattr(render, "_both", lambda *_: ())


def suite_of(*variants: MethodVariant) -> Suite:
    """The smoke suite with other methods."""
    return dataclasses.replace(suite_named("smoke"), variants=variants)


def write_older_results(folder: Path, methods: tuple[str, ...]) -> Path:
    """Results whose background is from before access was recorded."""
    folder.mkdir(parents=True)
    (folder / ROWS).write_text(to_csv(synthetic_rows(methods, CELLS[:1])))
    older = Path(__file__).parents[2] / "benchmarks" / "results" / "watch" / ABOUT
    about = json.loads(older.read_text())
    about.pop("access", None)
    (folder / ABOUT).write_text(json.dumps(about))
    return folder


def test_every_table_notes_the_methods_that_read_less_and_no_other() -> None:
    text, page = render.render_benchmark_report(ROWS_OF_ALL, "s", Background(access=ACCESS))
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    for name, access in ACCESS.items():
        starts = {line.split(" | ")[0] for line in lines if line.startswith(f"| {name}")}
        assert starts == {f"| {name}" + (f" ({NOTES[access]})" if access in NOTES else "")}
        names = page.count(f"<th>{name}</th>"), page.count(f"<th>{name}<small> {NOTES.get(access)}</small>")
        assert sorted(names) == [0, 2 + 3 * 2]  # the leaderboard, all cells side by side, three tables a cell


@pytest.mark.parametrize(
    ("access", "methods", "words"),
    [
        (None, (FULL, NONE), "what each method reads of the retain set is not recorded"),
        ({FULL: "retain set"}, (FULL,), "every method reads the retain set."),
        ({FULL: "part of the retain set"}, (FULL,), "Part of the retain set: it reads some"),
        (ACCESS, (FULL, LESS), "unless stated otherwise. Retain statistics only: it reads sums"),
        (ACCESS, (FULL, NONE), "unless stated otherwise. No retain data: it reads forget samples"),
        (ACCESS, (FULL, UNKNOWN), f"unless stated otherwise. Not recorded for {UNKNOWN}."),
    ],
)
def test_both_documents_explain_the_notes_that_occur(
    access: dict[str, UsedAccess] | None, methods: tuple[str, ...], words: str
) -> None:
    text, page = render.render_benchmark_report(
        synthetic_rows(methods, CELLS[:1]), "s", Background(access=access)
    )
    line = next(one for one in text.splitlines() if one.startswith("- Level of access: "))
    assert words in line
    assert line.removeprefix("- ") in " ".join(Outline(page).text.split())


def test_own_methods_and_settings_count() -> None:
    calibrated = suite_named("smoke").variants[1]
    limited = dataclasses.replace(calibrated, name="few", fixed={**calibrated.fixed, "retain_limit": 50})
    suite = suite_of(MethodVariant(name="mine", method_class=OfUser), calibrated, limited)
    assert access_by_name(suite) == {
        "mine": "nothing",
        "calibrated": "retain set",
        "few": "part of the retain set",
    }


def test_a_share_of_the_retain_set_counts_where_it_is_a_default_or_every_value_to_try_is_one() -> None:
    shares = {"all": (0.3, 0.6), "some": (0.3, 1.0)}
    suite = suite_of(
        MethodVariant(name="default", method_class=LoTUS),
        *(
            MethodVariant(name=name, method_class=BadTeacher, tried={"retain_share": shares[name]})
            for name in shares
        ),
    )
    part: UsedAccess = "part of the retain set"
    assert access_by_name(suite) == {"default": part, "all": part, "some": "retain set"}


def test_a_report_from_older_results_has_what_its_suite_states(tmp_path: Path) -> None:
    methods = (FULL, NONE)
    folder = write_older_results(tmp_path / "fashion", methods)
    assert main(["bench", "report", "fashion", "--results", str(tmp_path)]) == 0
    assert f"{NONE} ({NOTES['nothing']})" in (folder / MARKDOWN).read_text()
    assert (read_background(folder).access or {})[NONE] == "nothing"


def test_a_report_from_older_results_of_an_unknown_suite_guesses_nothing(tmp_path: Path) -> None:
    folder = write_older_results(tmp_path / "mine", (FULL, NONE))
    assert main(["bench", "report", "mine", "--results", str(tmp_path)]) == 0
    assert NOTES["nothing"] not in (folder / PAGE).read_text()
    assert "is not recorded" in (folder / MARKDOWN).read_text()
    assert read_background(folder).access is None


def test_what_a_run_recorded_stays(tmp_path: Path) -> None:
    folder = write_older_results(tmp_path / "mine", (FULL, NONE))
    about = json.loads((folder / ABOUT).read_text())
    (folder / ABOUT).write_text(json.dumps(about | {"access": {FULL: "nothing", NONE: "retain set"}}))
    rewrite_report(folder, suite_named("fashion"))
    assert f"{FULL} ({NOTES['nothing']})" in (folder / MARKDOWN).read_text()
    assert f"| {NONE} |" in (folder / MARKDOWN).read_text()
