"""What every registered method promises. A new method is tested by being registered."""

import copy
import dataclasses
import functools
import itertools
import json
import math
from collections.abc import Callable
from typing import ClassVar

import pytest
import torch
from torch import nn

from obliq.data import Collection, Examples, Partition, Splits
from obliq.errors import ModelError
from obliq.methods import (
    BUILT_IN,
    BoundaryExpand,
    BoundaryShrink,
    Calibrated,
    FiCABU,
    GradientAscent,
    Influence,
    JiT,
    Method,
    MUMis,
    NoT,
    ProjectedGradient,
    ProxyMatching,
    Retrain,
    SelectiveDampening,
    access_of,
    run_method,
)
from obliq.methods.method import TRIALS, some_of
from obliq.quantization import integer_state, learned_steps
from obliq.run import Run
from obliq.training.loop import Recipe
from obliq.training.prediction import accuracy, predict
from tests.methods.measured import unreadable

# small batches: where a whole forget set is one batch, its order does not matter and seeds cannot differ
SHORTENED: dict[type[Method], Method] = {
    BoundaryExpand: BoundaryExpand(epochs=3, batch_size=4),
    BoundaryShrink: BoundaryShrink(epochs=3, batch_size=4),
    Calibrated: Calibrated(epochs=3, rounds=1),
    FiCABU: FiCABU(batch_size=4),
    GradientAscent: GradientAscent(epochs=3, batch_size=4),
    Influence: Influence(samples=40),
    JiT: JiT(copies=3, batch_size=4),
    MUMis: MUMis(epochs=3, batch_size=4),
    NoT: NoT(epochs=8, learning_rate=0.1, batch_size=16),
    ProjectedGradient: ProjectedGradient(epochs=3, batch_size=4),
    ProxyMatching: ProxyMatching(epochs=3, rounds=1, proxies=1),
    Retrain: Retrain(recipe=Recipe(epochs=25, learning_rate=0.05, batch_size=32)),
    SelectiveDampening: SelectiveDampening(alpha=3.0, batch_size=4),
}


def short(kind: type[Method]) -> Method:
    """The method with its defaults, made short."""
    return SHORTENED[kind] if kind in SHORTENED else kind(epochs=3)


@pytest.fixture(scope="module")
def once(original: nn.Module, splits: Splits) -> Callable[[type[Method]], nn.Module]:
    """What a method of seed 1 makes of the original, computed once; tests leave it as it is."""
    return functools.cache(lambda kind: short(kind).unlearn(original, splits, Run(seed=1)))


every_method = pytest.mark.parametrize("kind", BUILT_IN.values(), ids=BUILT_IN.keys())


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
def test_another_seed_gives_other_weights(
    kind: type[Method], original: nn.Module, splits: Splits, once: Callable[[type[Method]], nn.Module]
) -> None:
    first, other = once(kind).state_dict(), short(kind).unlearn(original, splits, Run(seed=2)).state_dict()
    assert any(not torch.equal(first[name], other[name]) for name in first)


@every_method
def test_same_seed_same_integers_and_global_random_numbers_are_neither_used_nor_moved(
    kind: type[Method], original: nn.Module, splits: Splits, once: Callable[[type[Method]], nn.Module]
) -> None:
    first = once(kind).state_dict()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    again = short(kind).unlearn(original, splits, Run(seed=1)).state_dict()
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(first[name], again[name]) for name in first)


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


@every_method
def test_the_docstring_names_its_source(kind: type[Method]) -> None:
    import importlib

    text = importlib.import_module(kind.__module__).__doc__ or ""
    assert "Paper:" in text or "Source:" in text
    assert "econstructed" in text or "Deviations:" in text or "Source: ours" in text


tuned = pytest.mark.parametrize(
    "kind",
    [kind for kind in BUILT_IN.values() if hasattr(kind, "search")],
    ids=[name for name, kind in BUILT_IN.items() if hasattr(kind, "search")],
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


def test_all_but_retraining_can_be_tuned() -> None:
    untuned = {name for name, kind in BUILT_IN.items() if not hasattr(kind, "search")}
    assert untuned <= {"retrain", "oeu"}


@every_method
def test_frozen_parameters_keep_their_values(kind: type[Method], original: nn.Module, splits: Splits) -> None:
    partly = copy.deepcopy(original)
    frozen = [name for name, _ in partly.named_parameters()][:4]
    for name in frozen:
        partly.get_parameter(name).requires_grad_(False)
    result = short(kind).unlearn(partly, splits, Run(seed=1))
    for name in frozen:
        assert torch.equal(result.get_parameter(name), partly.get_parameter(name)), name
    moved = [
        name
        for name, value in result.named_parameters()
        if not torch.equal(value, partly.get_parameter(name))
    ]
    assert moved, "nothing else moved either"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Halving:
    """Halves every weight, in the given network or in a copy."""

    in_place: bool
    version: ClassVar[int] = 1

    def unlearn(self, model: nn.Module, splits: Splits, run: Run) -> nn.Module:
        network = model if self.in_place else copy.deepcopy(model)
        for parameter in network.parameters():
            parameter.data *= 0.5
        return network


class WithState(nn.Linear):
    """Keeps something else than tensors in its state, as modules of users may."""

    def get_extra_state(self) -> dict[str, int]:
        return {"calls": 1}

    def set_extra_state(self, state: dict[str, int]) -> None: ...


def test_a_network_that_was_changed_in_place_is_noticed(splits: Splits) -> None:
    network = WithState(2, 2)
    assert run_method(Halving(in_place=False), network, splits, Run()) is not network
    with pytest.raises(ModelError, match=r"method Halving changed .* copy\.deepcopy"):
        run_method(Halving(in_place=True), network, splits, Run())
