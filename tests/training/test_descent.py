"""The loop that methods share."""

import copy
import dataclasses
import sys
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obliq.data import Partition, Splits
from obliq.data.batches import batches
from obliq.errors import ModelError
from obliq.methods import BUILT_IN, Method
from obliq.quantization import learned_steps
from obliq.run import Run, Trace
from obliq.training import descent
from obliq.training.descent import descend, set_batch_norm_mode
from obliq.training.loop import Recipe, cosine_schedule, fit
from tests.methods.measured import same

SETTINGS = {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.2}


def test_on_cross_entropy_it_is_training_to_the_bit(original: nn.Module, splits: Splits) -> None:
    recipe = Recipe(epochs=2, learning_rate=0.02, warmup=0.0, batch_size=32)
    expected = fit(original, splits.retain, recipe, Run(seed=1))
    network = copy.deepcopy(original).to(memory_format=torch.channels_last).train()
    order = Run(seed=1).generator(purpose=1)

    def losses(epoch: int) -> Iterator[Tensor]:
        for inputs, labels in batches(splits.retain, 32, order, torch.device("cpu")):
            yield F.cross_entropy(network(inputs), labels)

    length = len(list(batches(splits.retain, 32, None, torch.device("cpu"))))
    descend(
        network,
        losses,
        epochs=2,
        total=2 * length,
        learning_rate=0.02,
        momentum=0.9,
        weight_decay=5e-4,
        run=Run(),
    )
    assert same(network, expected)


def test_as_published_it_is_the_loop_of_the_public_code(original: nn.Module, splits: Splits) -> None:
    """MU-Q-MUL, `unlearn/impl.py`: an optimizer over all parameters, and a cosine schedule that moves once an epoch."""
    settings = {"momentum": 0.9, "weight_decay": 0.01}
    theirs, ours = copy.deepcopy(original).train(), copy.deepcopy(original).train()
    optimizer = torch.optim.SGD(theirs.parameters(), 0.05, **settings)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3)

    def losses(network: nn.Module) -> Iterator[Tensor]:
        for inputs, labels in batches(splits.retain, 64, None, torch.device("cpu")):
            yield F.cross_entropy(network(inputs), labels)

    for _ in range(3):
        for loss in losses(theirs):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        scheduler.step()
    descend(
        ours,
        lambda epoch: losses(ours),
        epochs=3,
        total=0,
        learning_rate=0.05,
        run=Run(),
        published=True,
        **settings,
    )
    pairs = zip(theirs.state_dict().values(), ours.state_dict().values(), strict=True)
    assert all(torch.allclose(a.float(), b.float(), atol=1e-5) for a, b in pairs)
    assert not same(ours, original)


def test_under_a_mask_the_free_entries_move_as_if_the_others_were_constants() -> None:
    layer = nn.Linear(3, 2, bias=False)
    start, target = layer.weight.detach().clone(), torch.tensor([[1.0, -2.0, 3.0], [0.5, 0.0, -1.0]])
    free = torch.tensor([[True, False, True], [False, False, True]])

    def losses(epoch: int) -> Iterator[Tensor]:
        for _ in range(4):
            yield ((layer.weight - target).pow(2).sum()) + layer.weight.sum() ** 2

    descend(layer, losses, epochs=1, total=4, run=Run(), mask={"weight": free}, **SETTINGS)
    weight, velocity = start.clone(), torch.zeros_like(start)
    for step in range(4):
        slope = 2 * (weight - target) + 2 * weight.sum() + 0.2 * weight
        velocity = torch.where(free, 0.9 * velocity + slope, 0.0)
        weight = weight - cosine_schedule(0.1, 4)(step) * velocity
    torch.testing.assert_close(layer.weight.detach(), weight)
    assert torch.equal(layer.weight[~free], start[~free])


@pytest.mark.parametrize(
    "mask", [{}, {"weight": torch.ones(1, dtype=torch.bool)}, {"other": torch.ones(2, 3)}]
)
def test_a_mask_for_another_network_is_refused(mask: dict[str, Tensor]) -> None:
    with pytest.raises(ModelError, match="does not fit the network"):
        descend(
            nn.Linear(3, 2, bias=False),
            lambda epoch: iter(()),
            epochs=1,
            total=1,
            run=Run(),
            mask=mask,
            **SETTINGS,
        )


DESCENDING = {
    name: kind for name, kind in BUILT_IN.items() if hasattr(sys.modules[kind.__module__], "descend")
}


@pytest.mark.parametrize("kind", DESCENDING.values(), ids=DESCENDING.keys())
def test_methods_take_the_steps_that_they_announce(
    kind: type[Method], original: nn.Module, parts: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or their learning rate would end early, or never reach zero. The last batch has one sample too many."""
    announced: list[int] = []
    taken: list[int] = []

    def counting(peak: float, total: int) -> Callable[[int], float]:
        announced.append(total)
        rate = cosine_schedule(peak, total)

        def counted(step: int) -> float:
            if step not in taken[-1:]:  # called once for each group of parameters
                taken.append(step)
            return rate(step)

        return counted

    monkeypatch.setattr(descent, "cosine_schedule", counting)
    splits = parts.forgetting(parts.train.indices[:21], salt=b"1" * 32)
    named = {field.name for field in dataclasses.fields(kind)}
    sizes = {name: 10 for name in ("batch_size", "retain_batch", "forget_batch") if name in named}
    kind(epochs=3, **sizes).unlearn(original, splits, Run(seed=1))
    assert taken == [step for total in announced for step in range(total)]
    assert len(taken) > 3


def test_the_listener_hears_the_mean_loss_of_each_epoch() -> None:
    layer, trace = nn.Linear(1, 1), Trace()

    def losses(epoch: int) -> Iterator[Tensor]:
        yield 0 * layer.weight.sum() + epoch
        yield 0 * layer.weight.sum() + 3 * epoch

    descend(layer, losses, epochs=2, total=4, run=Run(listen=trace), **SETTINGS)
    assert trace.rows == [
        {"stage": "unlearn", "step": epoch, "of": 2, "loss": 2.0 * epoch} for epoch in (1, 2)
    ]


def test_a_loss_that_is_not_finite_is_told_with_its_step() -> None:
    layer = nn.Linear(1, 1)

    def losses(epoch: int) -> Iterator[Tensor]:
        yield layer.weight.sum()
        yield layer.weight.sum() / 0

    with pytest.raises(ModelError, match="at step 1 with learning rate"):
        descend(layer, losses, epochs=1, total=2, run=Run(), **SETTINGS)


@pytest.mark.parametrize(
    ("batch_norm", "role", "samples", "follows"),
    [
        ("frozen", "retain", 8, False),
        ("retain", "retain", 8, True),
        ("retain", "forget", 8, False),
        ("forget", "forget", 8, True),
        ("all", "forget", 8, True),
        ("all", "forget", 1, False),
    ],
)
def test_statistics_follow_what_they_should(batch_norm: str, role: str, samples: int, follows: bool) -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    set_batch_norm_mode(network, batch_norm, role, samples)
    assert network[1].training == follows
    assert network[0].training


def test_one_update_moves_a_learned_step_by_a_tenth_of_itself_at_most(original: nn.Module) -> None:
    network = copy.deepcopy(original).train()
    before = [step.detach().clone() for step in learned_steps(network)]

    def losses(epoch: int) -> Iterator[Tensor]:
        yield sum(
            (sign * 1e6 * step.sum() for sign, step in zip(signs, learned_steps(network), strict=True)),
            torch.zeros(()),
        )

    signs = [(-1) ** index for index in range(len(before))]
    descend(network, losses, epochs=1, total=1, run=Run(), **SETTINGS)
    for sign, one, other in zip(signs, before, learned_steps(network), strict=True):
        torch.testing.assert_close(other.detach(), one * (0.9 if sign > 0 else 1.1))
