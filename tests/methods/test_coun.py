"""What CoUn promises beyond the common contract."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from obliq.data import Splits
from obliq.methods import CoUn, FineTune
from obliq.methods.coun import contrastive_loss
from obliq.run import Run
from tests.methods.by_hand import first_step, linear, splits_by_hand
from tests.methods.measured import unreadable


def test_the_contrastive_loss_by_hand() -> None:
    """Two samples at right angles, two equal views each: -log(e^(1/t) / (e^(1/t) + 2)), whatever their lengths."""
    views = torch.tensor([[3.0, 0.0], [0.0, 0.5]])
    expected = -math.log(math.exp(2.0) / (math.exp(2.0) + 2))
    assert float(contrastive_loss(views, 7 * views, 0.5)) == pytest.approx(expected)
    swapped = contrastive_loss(views, views.flip(0), 0.5)
    assert float(swapped) == pytest.approx(-math.log(1 / (math.exp(2.0) + 2)))


def test_the_first_step_descends_on_equation_1(monkeypatch: pytest.MonkeyPatch) -> None:
    shifts = iter([0.3, -0.2])  # the noise of both views
    monkeypatch.setattr(torch, "randn", lambda shape, generator: torch.full(shape, next(shifts)))
    network = linear([[1.0, 0.5], [-0.5, 2.0]], [[1.0, -1.0], [0.5, 1.5]])
    retain = [((1.0, 0.0), 0), ((0.5, 2.0), 1), ((-1.0, 1.5), 1)]
    splits = splits_by_hand(forget=[((9.0, 9.0), 0)], retain=retain)
    method = CoUn(weight=0.7, temperature=0.5, noise=1.0, epochs=1, learning_rate=0.01, weight_decay=0.0)
    found = first_step(method, network, splits)

    inputs, labels = splits.retain.inputs(), splits.retain.labels
    features = [network[0](inputs + shift) for shift in (0.3, -0.2)]
    z = [one / one.norm() for one in torch.cat(features)]
    terms = []
    for v, one in enumerate(z):
        alike = [torch.exp(one @ other / 0.5) for other in z]
        terms.append(-torch.log(alike[(v + 3) % 6] / (sum(alike) - alike[v])))
    loss = F.cross_entropy(network[1](features[0]), labels) + 0.7 * torch.stack(terms).mean()
    expected = torch.autograd.grad(loss, list(network.parameters()))
    torch.testing.assert_close(found, list(expected), atol=1e-4, rtol=0)


def test_views_of_one_sample_come_closer_than_by_fine_tuning(original: nn.Module, splits: Splits) -> None:
    def loss(network: nn.Module) -> float:
        inputs = splits.retain.inputs()[:64]
        noise = 0.5 * torch.randn(2, *inputs.shape, generator=torch.Generator().manual_seed(3))
        found: list[torch.Tensor] = []
        hook = network.get_submodule("classifier").register_forward_pre_hook(
            lambda _, given: found.append(given[0])
        )
        with torch.no_grad():
            for one in noise:
                network(inputs + one)
        hook.remove()
        return float(contrastive_loss(*found, 0.5))

    settings = {"epochs": 3, "learning_rate": 0.02, "batch_size": 32}
    pulled = CoUn(weight=1.0, temperature=0.5, noise=0.5, **settings).unlearn(original, splits, Run(seed=1))
    tuned = FineTune(**settings).unlearn(original, splits, Run(seed=1))
    assert loss(pulled) < loss(tuned)


def test_the_forget_set_is_not_needed(original: nn.Module, splits: Splits) -> None:
    CoUn(epochs=1, augment=True).unlearn(original, unreadable(splits, "forget"), Run(seed=1))
