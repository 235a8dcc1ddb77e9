"""Training, unlearning and retraining for callers: any form of data, any traceable network, one clear error each."""

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import obliq
from obliq.data import Examples, Partition, Splits
from obliq.errors import DataError, GateError, ModelError, ObliqError
from obliq.methods import BUILT_IN, OEU, Calibrated, FineTune, GradientAscent, Retrain
from obliq.quantization import quantize, weights_digest
from obliq.run import Run, Trace
from obliq.training.loop import Recipe
from tests.conftest import SmallNet
from tests.methods.measured import same
from tests.workflow.networks_and_sets import FORMS, SHAPE, Elsewhere, sets, trained_elsewhere

SHORT = Recipe(epochs=2, batch_size=32)
METHOD = Calibrated(epochs=1, rounds=1)
in_every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
Form = Callable[[Examples], Any]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@in_every_form
def test_one_seed_gives_one_network_whatever_the_form_of_the_data(
    form: Form, original: nn.Module, splits: Splits
) -> None:
    expected = METHOD.unlearn(original, splits, Run(seed=3))
    given = sets(splits, form, "forget", "retain", "holdout")
    found = obliq.unlearn(original, **given, method=METHOD, seed=3, device="cpu", progress=False)
    assert weights_digest(found) == weights_digest(expected)
    assert not found.training


@in_every_form
def test_one_seed_gives_one_training_whatever_the_form_of_the_data(form: Form, parts: Partition) -> None:
    network = obliq.create_network("convnet", (1, 6, 6), 3, precision="W4A4", seed=1)
    digests = {
        weights_digest(obliq.train(network, data, SHORT, seed=2, device="cpu", progress=False))
        for data in (parts.train, form(parts.train))
    }
    assert len(digests) == 1


def test_retraining_is_the_methods_of_that_name(original: nn.Module, splits: Splits) -> None:
    settled = SHORT.settled(len(splits.retain))
    expected = Retrain(recipe=settled).unlearn(original, splits, Run(seed=4))
    found = obliq.retrain(original, splits.retain, SHORT, seed=4, device="cpu", progress=False)
    assert weights_digest(found) == weights_digest(expected)


def test_a_method_is_named_or_given(original: nn.Module, splits: Splits) -> None:
    given = sets(splits, FORMS["pairs of tensors"], "forget", "retain")
    named, own = (
        obliq.unlearn(original, **given, method=method, device="cpu", progress=False)
        for method in ("sfron", BUILT_IN["sfron"]())
    )
    assert weights_digest(named) == weights_digest(own)


def test_networks_are_left_as_they_were(original: nn.Module, splits: Splits) -> None:
    given = sets(splits, FORMS["pairs of tensors"], "forget", "retain", "holdout")
    before = copy.deepcopy(original.state_dict())
    training = [module.training for module in original.modules()]
    obliq.unlearn(original, **given, method=METHOD, progress=False)
    obliq.train(original, given["retain"], SHORT, progress=False)
    obliq.retrain(original, given["retain"], SHORT, progress=False)
    obliq.accuracy(original, given["retain"])
    assert all(torch.equal(value, before[name]) for name, value in original.state_dict().items())
    assert [module.training for module in original.modules()] == training


def test_a_float_network_is_quantized_calibrated_and_keeps_its_answers(parts: Partition) -> None:
    network = trained_elsewhere(parts.train)
    quantized = quantize(network, "W8A8", input_shape=SHAPE)
    assert obliq.calibrate(quantized, parts.train) is quantized
    assert obliq.accuracy(network, parts.train) > 90
    assert abs(obliq.accuracy(network, parts.train) - obliq.accuracy(quantized, parts.train)) < 3
    both = (
        obliq.calibrate(quantize(network, "W8A8", input_shape=SHAPE), data)
        for data in (parts.train, parts.train.inputs())
    )
    assert len({weights_digest(one) for one in both}) == 1


def test_calibration_takes_no_more_samples_than_asked_for(parts: Partition) -> None:
    first, second = (
        obliq.calibrate(quantize(Elsewhere(), "W8A8", input_shape=SHAPE), parts.train, samples=n)
        for n in (8, 512)
    )
    assert weights_digest(first) != weights_digest(second)


def test_a_float_network_unlearns_once_it_says_so(parts: Partition, splits: Splits) -> None:
    network = trained_elsewhere(parts.train)
    given = sets(splits, FORMS["pairs of tensors"], "forget", "retain")
    with pytest.raises(ModelError, match=r"Elsewhere has no quantized layers.*FP32"):
        obliq.unlearn(network, **given, progress=False)
    unlearned = obliq.unlearn(
        quantize(network, "FP32", input_shape=SHAPE), **given, method=FineTune(epochs=1), progress=False
    )
    assert obliq.accuracy(unlearned, given["retain"]) > 90


def test_progress_goes_to_standard_error_or_to_a_function(
    original: nn.Module, splits: Splits, capsys: pytest.CaptureFixture[str]
) -> None:
    given = sets(splits, FORMS["pairs of tensors"], "forget", "retain")
    method = FineTune(epochs=7)
    obliq.unlearn(original, **given, method=method)
    said = capsys.readouterr()
    assert said.out == ""
    assert 5 <= said.err.count("unlearning: ") <= 7
    assert "unlearning: 7 of 7, " in said.err
    trace = Trace()
    obliq.unlearn(original, **given, method=method, progress=trace)
    obliq.unlearn(original, **given, method=method, progress=False)
    assert len(trace.rows) == 7
    assert capsys.readouterr() == ("", "")


def test_a_network_that_was_not_calibrated_is_refused_with_the_call(splits: Splits) -> None:
    given = sets(splits, FORMS["pairs of tensors"], "forget", "retain")
    with pytest.raises(
        ModelError, match=r"quantizers of the network have no steps yet; expected obliq.calibrate"
    ):
        obliq.unlearn(quantize(SmallNet(), "W4A4"), **given)


@pytest.mark.parametrize("method", ["lotus", "projected-gradient", METHOD])
def test_a_method_that_compares_with_unseen_samples_asks_for_them(
    method: str | OEU, original: nn.Module, splits: Splits
) -> None:
    given = sets(splits, FORMS["pairs of tensors"], "forget", "retain")
    with pytest.raises(DataError, match=r"no holdout samples were given.*expected holdout=") as caught:
        obliq.unlearn(original, **given, method=method, progress=False)
    assert "\n" not in str(caught.value)


def pair(samples: int, fill: float = 0.0, shape: tuple[int, ...] = (1, 6, 6)) -> tuple[Tensor, Tensor]:
    return torch.full((samples, *shape), fill), torch.arange(samples) % 3


FLAT = quantize(nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten(0)), "FP32")
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no module": ({"model": {"weights": 1}}, "the network is a dict; expected a torch.nn.Module"),
    "a loaded run": (
        {"model": SimpleNamespace(checkpoint=0)},
        r"for instance run\.checkpoint\.model of a loaded run",
    ),
    "another shape": ({"forget": pair(4, shape=(2,))}, r"the network cannot read samples of shape \(2,\)"),
    "no logits": ({"model": FLAT}, r"answers one sample with \(16,\)"),
    "unknown method": (
        {"method": "forget-it"},
        "there is no method 'forget-it'; the nearest is retrain; expected one of a-amu",
    ),
    "a class of methods": ({"method": OEU}, r"the method is OEU; expected OEU\(\)"),
    "no method": ({"method": 3}, "the method is int; expected a method such as"),
    "retrain": ({"method": "retrain"}, r"expected obliq.retrain\(model, retain, recipe\)"),
    "labels": ({"retain": (pair(9)[0], torch.arange(9))}, "retain has label 8, but the network"),
    "mismatched labels": ({"retain": (pair(9)[0], pair(8)[1])}, "retain: 9 inputs but 8"),
    "NaN": ({"forget": pair(3, torch.nan)}, "forget: 3 of 3 inputs hold NaN"),
    "nothing": ({"forget": pair(0)}, "forget: no samples"),
    "bytes": ({"forget": (pair(3)[0].byte(), pair(3)[1])}, "forget: inputs are uint8"),
    "overlap": ({"forget": pair(3), "retain": pair(6)}, "forget samples are in retain too"),
    "device": ({"device": "tpu"}, "device 'tpu'; expected auto, cpu or cuda"),
    "seed": ({"seed": -1}, "seed -1; expected 0"),
}


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(("changes", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_unlearned_is_refused_in_one_line(
    changes: dict[str, Any], words: str, original: nn.Module, splits: Splits
) -> None:
    given = sets(splits, FORMS["pairs of tensors"], "forget", "retain")
    arguments = {"model": original, **given, "progress": False, **changes}
    with pytest.raises(ObliqError, match=words) as caught:
        obliq.unlearn(arguments.pop("model"), **arguments)
    assert "\n" not in str(caught.value)


def test_training_refuses_labels_beyond_the_network(original: nn.Module) -> None:
    beyond = torch.zeros(9, 1, 6, 6), torch.arange(9)
    for act in (obliq.train, obliq.retrain):
        with pytest.raises(DataError, match="label 8, but the network distinguishes 3 classes"):
            act(original, beyond, SHORT, progress=False)


def test_created_networks_are_those_of_the_seed() -> None:
    first, again, other = (
        obliq.create_network("convnet", (1, 8, 8), 4, precision="W4A4", seed=seed) for seed in (1, 1, 2)
    )
    same = [torch.equal(one, two) for one, two in zip(first.parameters(), again.parameters(), strict=True)]
    assert all(same)
    assert any(
        not torch.equal(one, two) for one, two in zip(first.parameters(), other.parameters(), strict=True)
    )
    with pytest.raises(ModelError, match="unknown architecture 'transformer'"):
        obliq.create_network("transformer", (1, 8, 8), 4)


def test_a_ruined_network_is_an_error_that_holds_it(original: nn.Module, splits: Splits) -> None:
    given = {"forget": splits.forget, "retain": splits.retain, "holdout": splits.holdout}
    ruin = GradientAscent(learning_rate=1.0)
    with pytest.raises(GateError, match=r"failed its gate: .*accept=True") as caught:
        obliq.unlearn(original, **given, method=ruin, progress=False)
    accepted = obliq.unlearn(original, **given, method=ruin, accept=True, progress=False)
    assert same(caught.value.network, accepted)


def test_the_retain_set_is_needed_only_by_methods_that_read_it(original: nn.Module, splits: Splits) -> None:
    method = GradientAscent(epochs=1, learning_rate=1e-4)
    given = {"forget": splits.forget, "holdout": splits.holdout}
    without = obliq.unlearn(original, **given, method=method, progress=False)
    whole = obliq.unlearn(original, **given, retain=splits.retain, method=method, progress=False)
    assert obliq.weights_digest(without) == obliq.weights_digest(whole)
    with pytest.raises(
        DataError, match=r"FineTune reads them; expected retain=.*, or a method .*jit, mu-mis"
    ):
        obliq.unlearn(original, **given, method="fine-tune", progress=False)
    with pytest.raises(DataError, match="FiCABU reads them"):
        obliq.unlearn(original, **given, method="ficabu", progress=False)
    with pytest.raises(GateError, match="holdout samples"):
        obliq.unlearn(original, **given, method=GradientAscent(learning_rate=1.0), progress=False)


def test_without_retain_and_holdout_samples_a_warning_names_the_missing_gate(
    original: nn.Module, splits: Splits
) -> None:
    method = GradientAscent(epochs=1, learning_rate=1e-4)
    with pytest.warns(UserWarning, match=r"no gate can show .* expected holdout="):
        obliq.unlearn(original, forget=splits.forget, method=method, progress=False)
