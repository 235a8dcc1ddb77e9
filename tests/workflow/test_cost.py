"""The estimate of a method's cost is what the method then does."""

import dataclasses

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from obliq.data import Partition, Splits
from obliq.methods import (
    OEU,
    SCRUB,
    Calibrated,
    FineTune,
    GradientAscent,
    GradientDifference,
    L1Sparse,
    Method,
    NoT,
    ProxyMatching,
    RandomLabel,
    ReGUn,
    SalUn,
    SelectiveDampening,
    SFRon,
    UGradSL,
    available_methods,
)
from obliq.run import Run
from obliq.training.loop import Recipe
from obliq.workflow.cost import WITHOUT_GRADIENTS, CostEstimate, _passes, estimate_cost

METHODS = (
    Calibrated(epochs=1, rounds=1, restarts=0),
    Calibrated(epochs=2, rounds=1, restarts=0, retain_batch=20, forget_batch=5),
    ProxyMatching(epochs=1, rounds=1, restarts=0, proxies=2, proxy_epochs=1),
    OEU(epochs=2),
    OEU(epochs=1, retain_batch=50, forget_batch=5, retain_limit=100),
    ReGUn(epochs=2),
    FineTune(epochs=2),
    L1Sparse(epochs=2),
    NoT(epochs=2),
    UGradSL(epochs=1, retain_batch=16, forget_batch=6),
    GradientAscent(epochs=3),
    GradientDifference(epochs=2, retain_batch=16, forget_batch=6),
    RandomLabel(epochs=2),
    SalUn(epochs=2),
    SCRUB(epochs=3, retain_batch=16),
    SFRon(epochs=2, retain_batch=16),
)


def counted(method: Method, model: nn.Module, splits: Splits) -> tuple[int, int]:
    """Samples that pass through a network's first layer, with and without gradients."""
    passed, kind = [0, 0], type(next(module for module in model.modules() if isinstance(module, nn.Conv2d)))

    def count(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if type(module) is kind and inputs[0].shape[1] == 1:
            passed[not torch.is_grad_enabled()] += len(inputs[0])

    hook = register_module_forward_pre_hook(count)
    try:
        method.unlearn(model, splits, Run(seed=1))
    finally:
        hook.remove()
    return passed[0], passed[1]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
def test_passes_are_counted_before_as_they_are_made(
    method: Method, original: nn.Module, splits: Splits
) -> None:
    found = estimate_cost(method, splits, Recipe(epochs=4))
    assert found is not None
    assert found.retraining == 4 * len(splits.retain)
    assert found.least == found.most
    with_gradients, without = counted(method, original, splits)
    expected = with_gradients + (WITHOUT_GRADIENTS * without if isinstance(method, SCRUB) else 0)
    assert found.most == pytest.approx(expected, rel=0.02)


def test_a_class_takes_every_round_and_probes_of_features(original: nn.Module, parts: Partition) -> None:
    splits = parts.forgetting(parts.train.indices[parts.train.labels == 1], salt=b"1" * 32)
    method = ProxyMatching(epochs=2, rounds=2, restarts=0, proxies=1, proxy_epochs=1)
    found, plain = (
        estimate_cost(dataclasses.replace(method, probe_weight=weight), splits, Recipe(epochs=4))
        for weight in (5.0, 0.0)
    )
    assert found is not None
    assert plain is not None
    assert found.least == found.most > plain.most
    probes = (found.most - plain.most) / WITHOUT_GRADIENTS
    passed = [
        counted(dataclasses.replace(method, probe_weight=weight), original, splits) for weight in (5.0, 0.0)
    ]
    # beside the probes in rounds: one of the proxy, its features of what is moved, and a look at two samples
    moved = len(splits.forget) + int((splits.holdout.labels == 1).sum())
    once = len(splits.retain) + 2 * moved + 2
    assert passed[0][1] - passed[1][1] == pytest.approx(probes + once, rel=0.1)
    assert passed[0][0] == passed[1][0] == pytest.approx(plain.most, rel=0.05)


@pytest.mark.parametrize("kind", sorted(available_methods().values(), key=lambda kind: kind.__name__))
def test_no_request_makes_a_method_much_slower(kind: type[Method]) -> None:
    """Whoever asks chooses the samples, and nothing else that a method's cost depends on (a slow-down attack)."""
    train, method = 10_000, kind()
    for classes in (False, True):
        found = [
            _passes(method, forget, train - forget, classes=classes) for forget in (100, *range(1, 5001, 49))
        ]
        if None in found:
            return  # such a method is run as it is, and its cost is not known beforehand
        usual, *others = (most for _, most in found if most)  # type: ignore[misc]
        assert max(others) <= max(1.5 * usual, train * Recipe().epochs / 2)


def test_rounds_make_a_range_and_other_methods_have_no_estimate(splits: Splits) -> None:
    found = estimate_cost(Calibrated(epochs=2, rounds=3), splits, Recipe(epochs=3))
    assert found is not None
    assert found.most == 3 * found.least
    assert estimate_cost(SelectiveDampening(), splits, Recipe()) is None


@pytest.mark.parametrize(
    ("least", "most", "words"),
    [
        (50, 100, ""),
        (
            50,
            150,
            "this may cost more than retraining: 50 to 150 passes of samples through the network, retraining 100 "
            "(ratio 0.5 to 1.5)",
        ),
        (
            1_150,
            1_150,
            "this will cost more than retraining: 1,150 passes of samples through the network, retraining "
            "100 (ratio 11.5)",
        ),
    ],
)
def test_a_warning_states_both_estimates(least: int, most: int, words: str) -> None:
    assert CostEstimate(least=least, most=most, retraining=100).warning == words
