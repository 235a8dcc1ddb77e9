import dataclasses
from pathlib import Path

import pytest
import torch

from obliq.checkpoints import Blueprint
from obliq.checkpoints.run_folder import SavedRun
from obliq.data import Partition, PartitionRule, Splits, partition
from obliq.data.request_file import Request, save_request
from obliq.errors import AuditError, DataError, ObliqError
from obliq.methods import FineTune, Retrain
from obliq.run import Run
from obliq.training.loop import Recipe
from obliq.workflow.compare_runs import compare_runs
from obliq.workflow.new_request import create_request
from obliq.workflow.pipeline import (
    method_name,
    recipe_of,
    same_partition,
    train_original,
    unlearn_original,
    write_report,
)
from obliq.workflow.report_context import kind_of_request, report_context
from tests.conftest import make_collection

CPU = torch.device("cpu")
SHORT = Recipe(epochs=2, batch_size=32)
FORM = Blueprint(architecture="convnet", input_shape=(1, 6, 6), classes=3)


@pytest.fixture(scope="module")
def made(parts: Partition) -> SavedRun:
    return train_original(parts, FORM, SHORT, Run(seed=1))


@pytest.fixture(scope="module")
def asked(parts: Partition) -> tuple[Splits, Request]:
    person = int(parts.collection.subjects[parts.train.indices[0]])
    return create_request(parts, f"subject={person}", 0)


@pytest.fixture(scope="module")
def unlearned(made: SavedRun, asked: tuple[Splits, Request]) -> SavedRun:
    return unlearn_original(made.checkpoint, *asked, FineTune(epochs=1), Run(seed=2))


@pytest.fixture(scope="module")
def retrained(made: SavedRun, asked: tuple[Splits, Request]) -> SavedRun:
    return unlearn_original(
        made.checkpoint, *asked, Retrain(recipe=recipe_of(made.checkpoint.provenance)), Run(seed=3)
    )


def test_every_network_records_how_it_was_made(
    made: SavedRun, unlearned: SavedRun, retrained: SavedRun
) -> None:
    roles = [one.checkpoint.provenance.role for one in (made, unlearned, retrained)]
    assert roles == ["original", "unlearned", "retrained"]
    assert unlearned.checkpoint.provenance.method == "fine-tune"
    assert retrained.checkpoint.provenance.recipe == made.checkpoint.provenance.recipe
    assert recipe_of(made.checkpoint.provenance) == SHORT
    assert made.request is None
    assert unlearned.checkpoint.provenance.counts["forget"] == 12
    assert len(made.trace) == 2


def test_a_comparison_has_all_networks(
    made: SavedRun, unlearned: SavedRun, retrained: SavedRun, asked: tuple[Splits, Request], tmp_path: Path
) -> None:
    others = {"unlearned": unlearned, "retrained": retrained}
    measured = compare_runs(made.checkpoint, others, asked[0], CPU)
    assert [entry.kind for entry in measured.entries] == ["original", "unlearned", "retrained"]
    report = write_report(measured, tmp_path / "out", report_context(made, others, asked[1].selector))
    assert report.read_text().startswith("<!")


def test_only_what_belongs_together_is_compared(
    made: SavedRun, unlearned: SavedRun, retrained: SavedRun, asked: tuple[Splits, Request], parts: Partition
) -> None:
    splits, request = asked
    other = train_original(parts, FORM, SHORT, Run(seed=9))
    with pytest.raises(AuditError, match="u was not made from this original"):
        compare_runs(other.checkpoint, {"u": unlearned}, splits, CPU)
    shipped = dataclasses.replace(unlearned, request=None)  # its record has the digest of the request
    compare_runs(made.checkpoint, {"u": shipped}, splits, CPU)
    elsewhere, _ = create_request(parts, "class=1", 0)
    with pytest.raises(AuditError, match="u comes without a request"):
        compare_runs(made.checkpoint, {"u": shipped}, elsewhere, CPU)
    with pytest.raises(AuditError, match="u answers another request"):
        compare_runs(made.checkpoint, {"u": unlearned}, elsewhere, CPU)
    forged = dataclasses.replace(request, salt="0" * 64)
    with pytest.raises(DataError, match="digest"):
        compare_runs(made.checkpoint, {"u": dataclasses.replace(unlearned, request=forged)}, splits, CPU)


def test_another_division_is_refused(made: SavedRun) -> None:
    other = partition(make_collection(), PartitionRule(seed=5))
    with pytest.raises(DataError, match="expected the same data, divided in the same way"):
        unlearn_original(made.checkpoint, *create_request(other, "random=5", 0), FineTune(epochs=1), Run())


@pytest.mark.parametrize(
    ("recipe", "message"), [(None, "trained elsewhere"), ({"epochs": "x"}, "recipe"), ({"a": 1}, "recipe")]
)
def test_recipes_that_cannot_be_followed(
    recipe: dict[str, object] | None, message: str, made: SavedRun
) -> None:
    provenance = dataclasses.replace(made.checkpoint.provenance, recipe=recipe)
    with pytest.raises(ObliqError, match=message):
        recipe_of(provenance)


def test_the_story_never_names_who(made: SavedRun, unlearned: SavedRun, retrained: SavedRun) -> None:
    others = {"unlearned": unlearned, "retrained": retrained}
    for selector in ("subject=86753", "class=86753", "ids=/home/86753.txt", "random=86753"):
        assert "86753" not in repr(report_context(made, others, selector))


def test_the_report_has_what_the_method_of_each_network_read_of_the_retained_samples(
    made: SavedRun, unlearned: SavedRun, retrained: SavedRun
) -> None:
    def by(method: str | None, **fields: int) -> SavedRun:
        provenance = dataclasses.replace(
            unlearned.checkpoint.provenance, method=method, method_fields=dict(fields)
        )
        return dataclasses.replace(
            unlearned, checkpoint=dataclasses.replace(unlearned.checkpoint, provenance=provenance)
        )

    others = {
        "a": unlearned,
        "b": by("gradient-ascent"),
        "c": by("calibrated", retain_limit=5),
        "d": by("ficabu"),
        "e": by("of a package that is not here"),
        "f": by(None),
        "retrained": retrained,
    }
    assert report_context(made, others, "class=1").retain_data == {
        "a": "the samples themselves",
        "b": "nothing",
        "c": "a part of the samples",
        "d": "only statistics, such as sums of squared gradients",
        "e": "not recorded",
        "f": "not recorded",
    }


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        ("class=3", "one class"),
        ("class=3,5", "2 classes"),
        ("subject=7", "one subject"),
        ("subject=7,8,9", "3 subjects"),
        ("random=10%", "a random share of the samples"),
        ("random=600", "a random share of the samples"),
        ("ids=people.txt", "listed samples"),
    ],
)
def test_kinds_of_requests(selector: str, words: str) -> None:
    assert kind_of_request(selector) == words


def test_a_method_that_is_not_registered_has_its_class_name() -> None:
    class Mine:
        def unlearn(self, model: object, splits: object, run: object) -> object: ...

    assert (method_name(FineTune()), method_name(Mine())) == ("fine-tune", "Mine")


def test_a_reference_of_another_recipe_is_refused(made: SavedRun, asked: tuple[Splits, Request]) -> None:
    splits, request = asked
    other = unlearn_original(made.checkpoint, splits, request, Retrain(recipe=Recipe(epochs=1)), Run(seed=3))
    with pytest.raises(AuditError, match="another recipe"):
        compare_runs(made.checkpoint, {"retrained": other}, splits, CPU)


def test_data_that_run_code_are_not_loaded_on_a_files_word(
    made: SavedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "planted_data.py").write_text("raise SystemExit('planted code ran')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    provenance = dataclasses.replace(made.checkpoint.provenance, data="planted_data:samples")
    received = dataclasses.replace(made.checkpoint, provenance=provenance)
    with pytest.raises(DataError, match="expected that name from you"):
        same_partition(received, None)
    with pytest.raises(DataError, match=r"another:name.*No module named 'another' .looked for in "):
        same_partition(received, None, "another:name")  # what the user names wins


def test_a_request_made_before_is_the_same_request(
    parts: Partition, asked: tuple[Splits, Request], tmp_path: Path
) -> None:
    splits, request = asked
    save_request(tmp_path / "request.json", request)
    again, same = create_request(parts, f"request={tmp_path / 'request.json'}", seed=99)
    assert same == request
    assert again.digest == splits.digest
    assert torch.equal(again.forget.indices, splits.forget.indices)
