"""What every registered method promises. A new method is tested by being registered."""

import copy
import dataclasses
import functools
import importlib
import itertools
import json
import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from obliq.data import Collection, Examples, Partition, Splits
from obliq.errors import ModelError
from obliq.methods import (
    BUILT_IN,
    Calibrated,
    FiCABU,
    Influence,
    JiT,
    Method,
    NoT,
    ProxyMatching,
    Retrain,
    SelectiveDampening,
    access_of,
)
from obliq.methods.method import TRIALS, some_of
from obliq.quantization import integer_state, learned_steps
from obliq.run import Run
from obliq.training.linear_probe import last_linear
from obliq.training.loop import Recipe
from obliq.training.prediction import accuracy, predict
from tests.methods.draws import random_draws
from tests.methods.measured import same, unreadable
from tests.methods.toy_methods import FixedNoise, Noisy, WholeAscent

TOYS = {"noisy": Noisy, "whole-ascent": WholeAscent}
SHORTENED: dict[type[Method], dict[str, object]] = {
    Calibrated: {"rounds": 1},
    FiCABU: {"alpha": 1.0, "stop": "chance"},  # else some originals are left as they are
    Influence: {"samples": 40},
    JiT: {"copies": 3},
    NoT: {"epochs": 8, "learning_rate": 0.1, "batch_size": 16},
    ProxyMatching: {"rounds": 1, "proxies": 1},
    Retrain: {"recipe": Recipe(epochs=25, learning_rate=0.05, batch_size=32)},
    SelectiveDampening: {"alpha": 3.0},
}
"""Settings in which a method is quicker, or in which it has an effect and keeps the rest on so small a problem."""


def short(kind: type[Method]) -> Method:
    """The method with its defaults, made short where it has the fields for it."""
    given: dict[str, object] = {"epochs": 3}
    if access_of(kind) != "retain set":  # of a forget set in one batch, the order would not matter
        given["batch_size"] = 4
    fields = {one.name for one in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: given[name] for name in given.keys() & fields} | SHORTENED.get(kind, {}))


@pytest.fixture(scope="module")
def once(original: nn.Module, splits: Splits) -> Callable[[type[Method]], nn.Module]:
    """What a method of seed 1 makes of the original, computed once; tests leave it as it is."""
    return functools.cache(lambda kind: short(kind).unlearn(original, splits, Run(seed=1)))


METHODS = BUILT_IN | TOYS
every_method = pytest.mark.parametrize("kind", METHODS.values(), ids=METHODS.keys())


@every_method
def test_the_given_network_is_left_as_it_was(kind: type[Method], original: nn.Module, splits: Splits) -> None:
    before = copy.deepcopy(original.state_dict())
    was_training = original.training
    short(kind).unlearn(original, splits, Run(seed=1))
    after = original.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert original.training == was_training


@every_method
def test_momentum_is_below_one(kind: type[Method]) -> None:
    if "momentum" in {one.name for one in dataclasses.fields(kind)}:  # type: ignore[arg-type]
        with pytest.raises(ModelError, match="momentum"):
            kind(momentum=1.0)


def test_some_samples_leave_out_no_class_where_samples_are_in_the_order_of_classes() -> None:
    labels = torch.arange(10).repeat_interleave(6)
    in_order = Examples(Collection("in order", torch.zeros(60, 1, 2, 2), labels), torch.arange(60))
    assert set(some_of(in_order, 40).labels.tolist()) == set(range(10))
    mixed = Examples(in_order.collection, torch.arange(60).reshape(10, 6).T.flatten())
    assert torch.equal(some_of(mixed, 20).indices, mixed.indices[::3])
    assert len(some_of(mixed, 100)) == 60


@every_method
def test_another_seed_gives_other_weights_where_anything_is_drawn(
    kind: type[Method], original: nn.Module, splits: Splits, once: Callable[[type[Method]], nn.Module]
) -> None:
    if same(once(kind), short(kind).unlearn(original, splits, Run(seed=2))):
        drawn = random_draws(lambda: short(kind).unlearn(original, splits, Run(seed=1)))
        assert drawn == 0, "random numbers were drawn, and another seed gave the same weights"


def test_a_method_that_ignores_the_seed_is_noticed(original: nn.Module, splits: Splits) -> None:
    def once(kind: type[Method]) -> nn.Module:
        return short(kind).unlearn(original, splits, Run(seed=1))

    with pytest.raises(AssertionError, match="another seed gave the same"):
        test_another_seed_gives_other_weights_where_anything_is_drawn(FixedNoise, original, splits, once)


@every_method
def test_same_seed_same_integers_and_global_random_numbers_are_neither_used_nor_moved(
    kind: type[Method], original: nn.Module, splits: Splits, once: Callable[[type[Method]], nn.Module]
) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    again = short(kind).unlearn(original, splits, Run(seed=1))
    assert torch.equal(torch.rand(3), expected)
    assert same(once(kind), again)


@every_method
def test_the_result_is_a_sound_network_of_the_same_layers(
    kind: type[Method], original: nn.Module, once: Callable[[type[Method]], nn.Module]
) -> None:
    result = once(kind)
    before, after = original.state_dict(), result.state_dict()
    assert {n: (t.shape, t.dtype) for n, t in before.items()} == {
        n: (t.shape, t.dtype) for n, t in after.items()
    }
    assert all(bool(torch.isfinite(tensor.float()).all()) for tensor in after.values())
    assert all(bool((step > 0).all()) for step in learned_steps(result))
    assert integer_state(result).keys() == integer_state(original).keys()
    assert not result.training


@every_method
def test_what_is_retained_is_kept(
    kind: type[Method], original: nn.Module, splits: Splits, once: Callable[[type[Method]], nn.Module]
) -> None:
    result = once(kind)
    device = torch.device("cpu")
    assert accuracy(result, splits.retain, device) >= accuracy(original, splits.retain, device) - 10


@every_method
def test_the_test_set_is_never_read(kind: type[Method], original: nn.Module, untestable: Splits) -> None:
    with pytest.raises(AssertionError, match="test set"):
        len(untestable.test)
    short(kind).unlearn(original, untestable, Run(seed=1))


@every_method
def test_the_retain_set_is_read_as_declared(kind: type[Method], original: nn.Module, splits: Splits) -> None:
    without = unreadable(splits, "retain")
    if access_of(kind) == "nothing":
        short(kind).unlearn(original, without, Run(seed=1))
    else:
        with pytest.raises(AssertionError, match="retain set"):
            short(kind).unlearn(original, without, Run(seed=1))


@every_method
@pytest.mark.parametrize("count", [1, 7], ids=["one sample", "an incomplete batch"])
def test_small_forget_sets(kind: type[Method], original: nn.Module, parts: Partition, count: int) -> None:
    splits = parts.forgetting(parts.train.indices[:count], salt=b"1" * 32)
    result = short(kind).unlearn(original, splits, Run(seed=1))
    assert bool(torch.isfinite(predict(result, splits.forget, torch.device("cpu"))).all())


@every_method
def test_a_whole_class(kind: type[Method], original: nn.Module, parts: Partition) -> None:
    of_class = parts.train.indices[parts.train.labels == 1]
    splits = parts.forgetting(of_class, salt=b"1" * 32)
    assert splits.forgotten_classes == {1}
    result = short(kind).unlearn(original, splits, Run(seed=1))
    assert bool(torch.isfinite(predict(result, splits.forget, torch.device("cpu"))).all())


@every_method
def test_fields_are_settings_that_can_be_written_down(kind: type[Method]) -> None:
    method = short(kind)
    assert dataclasses.is_dataclass(method)
    written = json.loads(json.dumps(dataclasses.asdict(method)))
    nested = {"recipe": Recipe(**written.pop("recipe"))} if "recipe" in written else {}
    assert kind(**written, **nested) == method
    with pytest.raises(dataclasses.FrozenInstanceError):
        method.epochs = 7


def description(kind: type[Method]) -> str:
    """The docstring of its file, in one line."""
    return " ".join((importlib.import_module(kind.__module__).__doc__ or "").split())


@every_method
def test_the_docstring_names_its_source(kind: type[Method]) -> None:
    text = description(kind)
    assert "Paper:" in text or "Source:" in text
    assert "econstructed" in text or "Deviations:" in text or "Source: ours" in text


LIMIT = "A learned step changes by at most a tenth in one update (`obliq.quantization.keep_steps_near_`)."


@every_method
def test_the_docstring_states_the_limit_on_learned_steps_exactly_where_it_acts(
    kind: type[Method],
    original: nn.Module,
    splits: Splits,
    once: Callable[[type[Method]], nn.Module],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual = once(kind)
    monkeypatch.setattr(
        "obliq.quantization.layers.LARGEST_CHANGE", 0.0
    )  # steps that it limits stay as they are
    acts = not same(usual, short(kind).unlearn(original, splits, Run(seed=1)))
    assert (LIMIT in description(kind)) == acts, LIMIT


tuned = pytest.mark.parametrize(
    "kind",
    [kind for kind in METHODS.values() if hasattr(kind, "search")],
    ids=[name for name, kind in METHODS.items() if hasattr(kind, "search")],
)


@tuned
def test_a_search_makes_the_same_number_of_trials_as_every_other(kind: type[Method]) -> None:
    assert math.prod(len(values) for values in kind.search.values()) == TRIALS
    assert all(len(set(values)) == len(values) for values in kind.search.values())


@tuned
def test_every_combination_of_a_search_is_a_method(kind: type[Method]) -> None:
    assert kind.search.keys() <= {field.name for field in dataclasses.fields(kind)}
    for values in itertools.product(*kind.search.values()):
        given = dict(zip(kind.search, values, strict=True))
        assert dataclasses.asdict(kind(**given)).items() >= given.items()


@every_method
def test_a_method_with_a_real_number_to_choose_has_a_search(kind: type[Method]) -> None:
    chosen = any(isinstance(one.default, float) for one in dataclasses.fields(kind))  # type: ignore[arg-type]
    assert hasattr(kind, "search") or not chosen


@every_method
def test_frozen_parameters_keep_their_values(kind: type[Method], original: nn.Module, splits: Splits) -> None:
    """The first ones, and those of the last layer, which a method may treat in its own way."""
    partly = copy.deepcopy(original)
    names = [name for name, _ in partly.named_parameters()]
    frozen = names[:4] + [name for name in names if name.startswith(f"{last_linear(partly)}.")]
    for name in frozen:
        partly.get_parameter(name).requires_grad_(False)
    result = short(kind).unlearn(partly, splits, Run(seed=1))
    for name in frozen:
        assert torch.equal(result.get_parameter(name), partly.get_parameter(name)), name
    assert [name for name, value in result.named_parameters() if not value.requires_grad] == frozen
    moved = [
        name
        for name, value in result.named_parameters()
        if not torch.equal(value, partly.get_parameter(name))
    ]
    assert moved, "nothing else moved either"
