"""The passes that a method counts beforehand are those that it then makes."""

import dataclasses

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from obliq.data import MissingExamples, Partition, Splits
from obliq.methods import (
    AAMU,
    AMUN,
    BUILT_IN,
    OEU,
    QMUL,
    SCRUB,
    BadTeacher,
    BoundaryShrink,
    Calibrated,
    CalibratedHoldout,
    Counted,
    FiCABU,
    GradientDifference,
    Influence,
    JiT,
    LoTUS,
    Method,
    MUMis,
    MUNBa,
    ProjectedGradient,
    ProxyMatching,
    SFRon,
    UGradSL,
)
from obliq.methods.mu_mis import OF_SENSITIVITIES
from obliq.run import Run
from obliq.training.loop import Recipe
from obliq.training.passes import WITHOUT_GRADIENTS, SetSizes, mean_batch
from tests.methods.test_contract import short

ODD_BATCHES: tuple[Method, ...] = (
    AAMU(epochs=2, retain_batch=20, forget_batch=5),
    Calibrated(epochs=2, rounds=1, restarts=0, retain_batch=20, forget_batch=5),
    CalibratedHoldout(epochs=2, rounds=1, restarts=0, retain_batch=5, forget_batch=7),
    FiCABU(alpha=1e9),
    GradientDifference(epochs=2, retain_batch=16, forget_batch=6),
    MUNBa(epochs=2, batch_size=7),
    OEU(epochs=1, retain_batch=50, forget_batch=5, retain_limit=100),
    OEU(epochs=1, movable=0.5),
    QMUL(epochs=2, reweighting=False, labels="random"),
    SCRUB(epochs=3, retain_batch=16),
    SFRon(epochs=2, retain_batch=16),
    UGradSL(epochs=1, retain_batch=16, forget_batch=6),
)
KINDS = [kind for kind in BUILT_IN.values() if issubclass(kind, Counted)]
COUNTED = (*map(short, KINDS), *ODD_BATCHES)
WITHOUT_LOOKS = (AAMU, BoundaryShrink, JiT, QMUL, SCRUB)
"""Methods of which every pass without gradients is part of a step. Others may also look at the network between passes,
which is not counted, and is much of all on so few samples."""


def made(method: Method, model: nn.Module, splits: Splits) -> tuple[int, int]:
    """Samples that pass through a network's first layer, with and without gradients."""
    passed, kind = [0, 0], type(next(module for module in model.modules() if isinstance(module, nn.Conv2d)))

    def count(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if type(module) is kind and inputs[0].shape[-3] == 1:
            passed[not torch.is_grad_enabled()] += len(inputs[0])

    hook = register_module_forward_pre_hook(count)
    try:
        method.unlearn(model, splits, Run(seed=1))
    finally:
        hook.remove()
    return passed[0], passed[1]


@pytest.mark.parametrize("method", COUNTED, ids=lambda method: type(method).__name__)
def test_passes_are_counted_as_they_are_made(method: Method, original: nn.Module, splits: Splits) -> None:
    # A round that is repeated after damage is not counted, and whether one is depends on the processor's rounding.
    given = {"record_every": 0, "restarts": 0}
    known = {one.name for one in dataclasses.fields(method)}  # type: ignore[arg-type]
    method = dataclasses.replace(method, **{name: given[name] for name in given.keys() & known})  # type: ignore[type-var]
    assert isinstance(method, Counted)
    least, most = method.count_passes(SetSizes.of(splits))
    with_gradients, without = made(method, original, splits)
    trained = with_gradients * (OF_SENSITIVITIES if isinstance(method, MUMis) else 1)
    everything = trained + WITHOUT_GRADIENTS * without
    if isinstance(method, WITHOUT_LOOKS):
        trained = everything
    assert least <= 1.02 * everything
    assert most >= 0.98 * trained
    if least == most:
        assert most <= 1.02 * everything


def test_a_class_takes_every_round_and_probes_of_features(original: nn.Module, parts: Partition) -> None:
    splits = parts.forgetting(parts.train.indices[parts.train.labels == 1], salt=b"1" * 32)
    sizes = SetSizes.of(splits)
    method = ProxyMatching(epochs=2, rounds=2, restarts=0, proxies=1, proxy_epochs=1)
    without_probes = dataclasses.replace(method, probe_weight=0.0)
    found, plain = method.count_passes(sizes), without_probes.count_passes(sizes)
    assert found.least == found.most > plain.most
    probes = (found.most - plain.most) / WITHOUT_GRADIENTS
    passed = made(method, original, splits), made(without_probes, original, splits)
    # beside the probes in rounds: one of the proxy, its features of what is moved, and a look at two samples
    moved = len(splits.forget) + int((splits.holdout.labels == 1).sum())
    once = len(splits.retain) + 2 * moved + 2
    assert passed[0][1] - passed[1][1] == pytest.approx(probes + once, rel=0.1)
    assert passed[0][0] == passed[1][0] == pytest.approx(plain.most, rel=0.05)


def test_sizes_are_those_of_the_sets(parts: Partition) -> None:
    splits = parts.forgetting(parts.train.indices[parts.train.labels == 1], salt=b"1" * 32)
    of_class = int((splits.holdout.labels == 1).sum())
    assert 0 < of_class < len(splits.holdout)
    assert SetSizes.of(splits) == SetSizes(
        forget=len(splits.forget),
        retain=len(splits.retain),
        kept_holdout=len(splits.holdout) - of_class,
        like_forget=of_class,
        whole_classes=True,
    )


def test_the_last_batch_may_be_smaller() -> None:
    assert [mean_batch(*one) for one in ((12, 6), (12, 5), (3, 128), (0, 8))] == [6, 4, 3, 0]


SIZES = SetSizes(forget=10, retain=90, kept_holdout=20, like_forget=20)
THIRD = WITHOUT_GRADIENTS


@pytest.mark.parametrize(
    ("method", "least", "most"),
    [
        # two teachers of each of 10 + 45 samples, in two epochs
        (BadTeacher(retain_share=0.5, epochs=2), 2 * 55 * (1 + 2 * THIRD), 2 * 55 * (1 + 2 * THIRD)),
        # one teacher; it may end before the first epoch
        (LoTUS(retain_share=0.5, epochs=2), 0, 2 * 55 * (1 + THIRD)),
        # 90 + 10 + 10 samples in two epochs; an attack of 1 to 3 * 4 + 1 turns
        (AMUN(epochs=2, attack_steps=4, doublings=2), 220 + 10, 220 + 130),
        (AMUN(epochs=2, attack_steps=4, doublings=2, true_labels=False), 200 + 10, 200 + 130),
        (MUMis(epochs=5), 2 * 10 * OF_SENSITIVITIES, 5 * 10 * OF_SENSITIVITIES),
        (ProjectedGradient(epochs=4), 90 * THIRD, 90 * THIRD + 40),
        (Influence(samples=30), 100 + 1, 100 + 30),
        (Influence(samples=30, inverse="code"), 100 + 30, 100 + 30),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, Counted) else f"{one:.0f}",
)
def test_passes_by_hand(method: Counted, least: float, most: float) -> None:
    assert method.count_passes(SIZES) == pytest.approx((least, most))


def test_a_whole_class_takes_every_epoch_of_projected_gradient() -> None:
    found = ProjectedGradient(epochs=4).count_passes(dataclasses.replace(SIZES, whole_classes=True))
    assert found.least == found.most


@pytest.mark.parametrize("method", [short(kind) for kind in KINDS], ids=lambda method: type(method).__name__)
def test_passes_are_counted_without_a_holdout_set(method: Counted, splits: Splits) -> None:
    nothing = MissingExamples(splits.forget.collection, torch.empty(0, dtype=torch.int64), "holdout")
    sizes = SetSizes.of(dataclasses.replace(splits, holdout=nothing))
    assert (sizes.kept_holdout, sizes.like_forget) == (0, 0)
    assert method.count_passes(sizes).most >= 0


PROPORTIONAL = (AAMU, AMUN, CalibratedHoldout, MUMis)
"""Methods whose cost grows with the forget set even where it is much of the data; `obliq unlearn` warns of that."""


@pytest.mark.parametrize("kind", KINDS)
def test_no_request_makes_a_method_much_slower(kind: type[Method]) -> None:
    """Whoever asks chooses the samples, and nothing else that a method's cost depends on (a slow-down attack)."""
    train, method = 10_000, kind()
    assert isinstance(method, Counted)

    def most(forget: int, *, classes: bool) -> float:
        sizes = SetSizes(
            forget=forget,
            retain=train - forget,
            kept_holdout=1000,
            like_forget=1000,
            whole_classes=classes,
        )
        assert isinstance(method, Counted)
        return method.count_passes(sizes).most

    for classes in (False, True):
        usual = most(100, classes=classes)
        for forget in range(1, 5001, 49):
            factor = max(1, forget / 100) if kind in PROPORTIONAL else 1
            assert most(forget, classes=classes) <= max(1.5 * usual * factor, train * Recipe().epochs / 2)
