"""A benchmark as a whole: what is computed, what is kept, what is printed when something fails."""

import dataclasses
import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from obliq.benchmark.collect import read_rows
from obliq.benchmark.method_variant import MethodVariant
from obliq.benchmark.rows import ResultRow
from obliq.benchmark.run import BenchmarkResult, run_suite
from obliq.benchmark.scenario import Scenario
from obliq.benchmark.unfinished import TimeIsUp
from obliq.errors import DataError, ObliqError
from tests.benchmark.conftest import Counted
from tests.benchmark.toys import (
    TUNABLE,
    Broken,
    Dying,
    Failing,
    InPlace,
    Nothing,
    Tunable,
    but_for_times,
    options,
    people,
    suite,
)


def by_name(rows: list[ResultRow]) -> dict[str, ResultRow]:
    return {row.method: row for row in rows}


def keys_in(cache: Path) -> set[str]:
    """The tasks that a cache holds."""
    return {entry.parent.name for entry in cache.glob("*/*/entry.json")}


def test_an_interrupted_run_goes_on_where_it_was(
    data: str, tmp_path: Path, counted: Counted, tuned: BenchmarkResult
) -> None:
    for interrupt_at in (3, 9):
        counted.interrupt_at = interrupt_at
        with pytest.raises(KeyboardInterrupt):
            run_suite(suite(data), options(tmp_path / "torn", resume=True))
    counted.interrupt_at = None
    resumed = run_suite(suite(data), options(tmp_path / "torn", resume=True))
    assert set(counted.computed) == keys_in(tmp_path / "cache")
    assert set(counted.computed.values()) == {1}
    assert but_for_times(resumed.rows) == but_for_times(tuned.rows)
    assert [row.kind for row in resumed.rows] == ["original", "retrained", "retrained", "unlearned"]


def test_a_run_whose_time_is_up_writes_what_is_there_and_goes_on_with_resume(
    data: str, tmp_path: Path, counted: Counted, tuned: BenchmarkResult
) -> None:
    counted.interrupt_at, counted.interruption = 13, TimeIsUp
    torn = run_suite(suite(data), options(tmp_path / "torn"))
    assert not torn.complete
    assert 0 < len(torn.rows) < len(tuned.rows)
    assert read_rows(torn.folder) == torn.rows
    assert "tunable" not in (torn.folder / "report.md").read_text()
    counted.interrupt_at = None
    resumed = run_suite(suite(data), options(tmp_path / "torn", resume=True))
    assert resumed.complete
    assert set(counted.computed.values()) == {1}
    assert but_for_times(resumed.rows) == but_for_times(tuned.rows)


def test_minutes_that_are_over_end_a_run_before_its_first_task(data: str, tmp_path: Path) -> None:
    torn = run_suite(suite(data), options(tmp_path, minutes=1e-9))
    assert (torn.rows, torn.complete) == ([], False)
    assert keys_in(tmp_path / "cache") == set()


def test_a_number_of_minutes_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ObliqError, match=r"minutes nan; expected 0 \(no limit\) to 525,600"):
        options(tmp_path, minutes=float("nan"))


def test_processes_give_the_same_rows_and_survive_a_death(
    data: str, tmp_path: Path, tuned: BenchmarkResult
) -> None:
    variants = (MethodVariant(name="dying", method_class=Dying), TUNABLE)
    together = run_suite(suite(data, *variants), options(tmp_path / "together", jobs=2))
    lost = by_name(together.rows).pop("dying")
    assert (lost.kind, "status 9" in lost.error) == ("failed", True)
    assert but_for_times([row for row in together.rows if row.method != "dying"]) == but_for_times(tuned.rows)
    assert len(together.failures) == 1


@pytest.mark.usefixtures("tuned")
def test_a_failing_method_gets_a_row_and_the_others_their_own(data: str, tmp_path: Path) -> None:
    variants = (
        MethodVariant(name="failing", method_class=Failing),
        MethodVariant(name="broken", method_class=Broken),
        TUNABLE,
    )
    said = StringIO()
    console = Console(file=said)
    finished = run_suite(suite(data, *variants), options(tmp_path, resume=True, console=console))
    rows = by_name(finished.rows)
    assert (
        f"  failed: unlearned (Failing, random=20%, {data}, convnet, W4A4, seed 1): nothing works here; expected a "
        "better day\n"
    ) in said.getvalue()
    assert rows["failing"].error == "nothing works here; expected a better day"
    assert rows["broken"].error.startswith("AttributeError: ")
    assert rows["tunable"].kind == "unlearned"
    assert len(finished.failures) == 2
    assert read_rows(finished.folder) == finished.rows


def test_a_method_that_changes_its_original_spoils_no_other_row(
    data: str, tmp_path: Path, tuned: BenchmarkResult
) -> None:
    variants = (
        MethodVariant(name="in place", method_class=InPlace),
        MethodVariant(name="nothing", method_class=Nothing),
        TUNABLE,
    )
    finished = run_suite(suite(data, *variants), options(tmp_path / "others"))
    rows = by_name(finished.rows)
    assert rows["in place"].error.startswith(
        "method InPlace changed the network that it was given; expected a new one"
    )
    assert rows["nothing"].error == "method Nothing returned NoneType; expected a network (nn.Module)"
    assert but_for_times([row for row in finished.rows if row.kind != "failed"]) == but_for_times(tuned.rows)


@pytest.mark.usefixtures("tuned")
def test_results_are_used_only_when_that_is_said(data: str, tmp_path: Path) -> None:
    with pytest.raises(ObliqError, match=r"holds \d+ results of toy already; expected --resume"):
        run_suite(suite(data), options(tmp_path, results=tmp_path / "others"))
    with pytest.raises(
        ObliqError, match=r"toy holds rows of toy already; expected --resume .* or another --results"
    ):
        run_suite(suite(data), options(tmp_path, cache=tmp_path / "empty"))


def test_outdated_rows_stay_until_all_are_computed_again(
    data: str, tmp_path: Path, counted: Counted, tuned: BenchmarkResult
) -> None:
    longer = suite(data, setups=tuple(dataclasses.replace(one, limit=100) for one in suite(data).setups))
    before = {file.name: file.read_bytes() for file in tuned.folder.iterdir() if file.name != "tuned.json"}
    counted.interrupt_at = len(keys_in(tmp_path / "cache")) - 1
    with pytest.raises(KeyboardInterrupt):
        run_suite(longer, options(tmp_path, resume=True))
    assert {name: (tuned.folder / name).read_bytes() for name in before} == before
    counted.interrupt_at = None
    after = run_suite(longer, options(tmp_path, resume=True))
    assert [row.method for row in after.rows] == [row.method for row in tuned.rows]
    assert but_for_times(after.rows) != but_for_times(tuned.rows)


def test_what_was_tuned_stays(data: str, tmp_path: Path, counted: Counted, tuned: BenchmarkResult) -> None:
    (choice,) = json.loads((tuned.folder / "tuned.json").read_text())["choices"]
    assert choice["gaps"][choice["chosen"]] == min(choice["gaps"])
    assert json.loads(choice["trials"][choice["chosen"]]).items() <= json.loads(tuned.rows[-1].fields).items()
    (tuned.folder / "rows.csv").unlink()
    again = run_suite(suite(data), options(tmp_path, cache=tmp_path / "empty"))
    assert set(counted.computed) < keys_in(
        tmp_path / "cache"
    )  # the tuning split's networks were not made again
    assert but_for_times(again.rows) == but_for_times(tuned.rows)


def test_kept_trials_go_on_beyond_the_edge_of_their_range(
    data: str, tmp_path: Path, tuned: BenchmarkResult
) -> None:
    (before,) = json.loads((tuned.folder / "tuned.json").read_text())["choices"]
    run_suite(suite(data, beyond_edges=2), options(tmp_path, resume=True))
    (after,) = json.loads((tuned.folder / "tuned.json").read_text())["choices"]
    first = len(before["trials"])
    assert (after["trials"][:first], after["gaps"][:first]) == (before["trials"], before["gaps"])
    # two values are both edges, so there is at least one further trial
    assert 1 <= after["beyond"] == len(after["trials"]) - first <= 2
    assert after["gaps"][after["chosen"]] == min(after["gaps"])
    assert "up to 2 further trials went beyond it" in (tuned.folder / "report.md").read_text()


def test_references_serve_attacks_and_select_memorised_samples(data: str, tmp_path: Path) -> None:
    finished = run_suite(
        suite(data, scenarios=(Scenario("memorised=high"), Scenario("subjects=2")), references=2),
        options(tmp_path),
    )
    assert finished.failures == []
    assert all(row.rmia_auc is not None for row in finished.rows)
    cells = sorted(file.name for file in finished.folder.glob("npz*.json"))
    assert [name.rpartition("w4a4-")[2] for name in cells] == [
        "memorised-high.json",
        "subjects-2.json",
    ]
    cell = json.loads((finished.folder / cells[0]).read_text())
    assert [row["method"] for row in cell["rows"]] == ["original", "retrained", "retrained again", "tunable"]
    assert (cell["references"], cell["seeds"]) == (2, [1])


@pytest.mark.usefixtures("tuned")
def test_a_follower_takes_what_was_tuned_for_another(data: str, tmp_path: Path) -> None:
    ablation = MethodVariant(name="twice", method_class=Tunable, fixed={"epochs": 2}, follows="tunable")
    rows = by_name(run_suite(suite(data, TUNABLE, ablation), options(tmp_path, resume=True)).rows)
    followed, own = (json.loads(rows[name].fields) for name in ("tunable", "twice"))
    assert own == followed | {"epochs": 2}


def test_data_that_are_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.npz"):
        run_suite(suite("npz:nowhere.npz"), options(tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("impossible", ["class=77", "subjects=99", "random=5000"])
def test_a_request_that_the_data_do_not_allow_is_refused_before_any_task(
    data: str, tmp_path: Path, impossible: str
) -> None:
    scenarios = (Scenario("random=20%"), Scenario(impossible))
    with pytest.raises(DataError, match=impossible):
        run_suite(suite(data, scenarios=scenarios), options(tmp_path))
    assert not list((tmp_path / "cache").glob("[0-9a-f]*"))


def test_folders_that_cannot_be_written(data: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    with pytest.raises(ObliqError, match="cannot write"):
        run_suite(suite(data), options(tmp_path, cache=file / "cache"))
    with pytest.raises(ObliqError, match="cannot write"):
        run_suite(suite(data), options(tmp_path, results=file / "results"))


def test_float_networks_take_part(data: str, tmp_path: Path) -> None:
    setups = tuple(dataclasses.replace(setup, bits="FP32") for setup in suite(data).setups)
    row = by_name(run_suite(suite(data, setups=setups), options(tmp_path)).rows)["tunable"]
    assert (row.bits, row.kind, row.changed_codes) == ("FP32", "unlearned", None)


def test_numbers_beside_retraining_are_those_of_an_audit(data: str, tuned: BenchmarkResult) -> None:
    from obliq.data import load_dataset, partition
    from obliq.methods import Retrain
    from obliq.run import Run
    from obliq.workflow.compare_runs import compare_runs
    from obliq.workflow.new_request import create_request
    from obliq.workflow.pipeline import train_original, unlearn_original

    finished = by_name(tuned.rows)
    (setup,) = suite(data).setups
    parts, seed = partition(load_dataset(data), setup.partition_rule(1)), Run(seed=1)
    original = train_original(parts, setup.blueprint(parts.collection), setup.recipe, seed)
    splits, request = create_request(parts, "random=20%", 1)
    method = Tunable(**json.loads(finished["tunable"].fields))
    others = {
        "tunable": unlearn_original(original.checkpoint, splits, request, method, seed),
        "retrained": unlearn_original(
            original.checkpoint, splits, request, Retrain(recipe=setup.recipe), seed
        ),
    }
    for entry in compare_runs(original.checkpoint, others, splits, seed.device).entries:
        row = finished[entry.name]
        for name in ("weights_digest", "average_gap", "tow", "mia_svc_confidence", "changed_codes_percent"):
            if row.kind == "unlearned" or name not in ("average_gap", "tow", "changed_codes_percent"):
                expected = getattr(entry, name)
                same = expected if isinstance(expected, str) else pytest.approx(expected, abs=2e-4)
                assert getattr(row, name) == same, name


def test_settings_tuned_in_a_setup_with_other_data_are_used(data: str, tmp_path: Path) -> None:
    other = suite(people(tmp_path / "others.npz", samples=180)).setups[0]
    other = dataclasses.replace(other, recipe=dataclasses.replace(other.recipe, momentum=0.85))
    finished = run_suite(suite(data, tuned_in=other), options(tmp_path))
    assert (finished.failures, finished.rows[-1].data) == ([], data)
    tuned = json.loads((finished.folder / "tuned.json").read_text())["choices"]
    assert [choice["data"] for choice in tuned] == [other.data]
    report = (finished.folder / "report.md").read_text()
    assert "on convnet with all images of npz" in report
    assert r"by a recipe of its own \(momentum=0.85\)." in report
    assert "--autocast" not in report


def test_a_report_names_the_precision_of_convolutions(data: str, tmp_path: Path) -> None:
    finished = run_suite(suite(data), dataclasses.replace(options(tmp_path), autocast=True))
    assert "- convolutions in: bfloat16 (--autocast)" in (finished.folder / "report.md").read_text()
