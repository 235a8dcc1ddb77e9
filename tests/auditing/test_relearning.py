import copy

import pytest
import torch
from torch import nn

from obliq.auditing.relearning import RELEARNED, relearn
from obliq.auditing.signals import compute_signals
from obliq.data import PartitionRule, Splits, partition
from obliq.quantization import quantize, weighted_layers
from obliq.run import Run
from obliq.training.loop import Recipe, fit
from tests.conftest import SmallNet, make_collection

CPU = torch.device("cpu")
RECIPE = Recipe(epochs=6, batch_size=32, learning_rate=0.05)


@pytest.fixture(scope="module")
def splits() -> Splits:
    parts = partition(make_collection(360, noise=3.0), PartitionRule(seed=1, holdout=0, test=0.2))
    return parts.forgetting(parts.train.indices[:60])


@pytest.fixture(scope="module")
def original(splits: Splits) -> nn.Module:
    torch.manual_seed(0)
    return fit(quantize(SmallNet(), "W4A4"), splits.partition.train, RECIPE, Run(seed=0))


def test_the_same_integers_give_the_same_answers(splits: Splits, original: nn.Module) -> None:
    """Latent weights, which an attacker has not, make no difference; the network is left as it was."""
    other = copy.deepcopy(original).train()
    with torch.no_grad():
        for layer in weighted_layers(other).values():
            layer.weight += 1e-4 * layer.weight_step.min() * torch.rand_like(layer.weight)
    state = {name: value.clone() for name, value in other.state_dict().items()}
    first, second = relearn(original, splits, CPU), relearn(other, splits, CPU)
    assert first is not None
    assert second is not None
    assert torch.equal(first.forget.logits, second.forget.logits)
    assert len(first.forget) == len(splits.forget) - RELEARNED
    assert other.training
    assert all(torch.equal(value, state[name]) for name, value in other.state_dict().items())


def test_knowledge_that_a_shift_hides_comes_back(splits: Splits, original: nn.Module) -> None:
    """One class is suppressed by the last layer's bias; a few samples bring some of the others' margins back."""
    hidden = copy.deepcopy(original)
    with torch.no_grad():
        hidden.classifier.bias[0] -= 3
    after = relearn(hidden, splits, CPU)
    assert after is not None
    before = compute_signals(hidden, splits.forget, CPU)
    first, second = (one.margin[one.labels.numpy() == 0].mean() for one in (before, after.forget))
    assert second > first + 0.3


def test_what_cannot_be_relearned_is_left_out(splits: Splits, original: nn.Module) -> None:
    parts = splits.partition
    assert relearn(original, parts.forgetting(parts.train.indices[:35]), CPU) is None

    class Pair(SmallNet):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            logits = super().forward(inputs)
            return (logits, logits) if self.training else logits

    class WithoutGradients(SmallNet):
        @torch.no_grad()
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return super().forward(inputs)

    frozen = copy.deepcopy(original).requires_grad_(False)
    for model in (Pair(), WithoutGradients(), frozen, nn.Flatten()):
        assert relearn(model, splits, CPU) is None
    assert relearn(SmallNet(), splits, CPU) is not None
