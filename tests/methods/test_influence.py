"""What influence unlearning promises beyond the common contract."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from obliq.data import Collection, Examples, PartitionRule, Splits, partition
from obliq.errors import ModelError
from obliq.methods import Influence
from obliq.methods.influence import inverse_fisher_product, inverse_fisher_product_as_coded
from obliq.quantization import learned_steps
from obliq.run import Run
from obliq.training.prediction import predict

CPU = torch.device("cpu")


def gradients_and_vector(samples: int = 30, parameters: int = 9) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(samples, parameters, generator=generator), torch.randn(parameters, generator=generator)


def flat_state(model: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().reshape(-1) for parameter in model.parameters()])


@pytest.mark.parametrize(("samples", "parameters"), [(30, 9), (5, 40), (1, 3)])
def test_the_product_equals_an_explicit_solve(samples: int, parameters: int) -> None:
    gradients, v = gradients_and_vector(samples, parameters)
    fisher = torch.eye(parameters) + gradients.T @ gradients / samples
    expected = torch.linalg.solve(fisher, v)
    assert torch.allclose(inverse_fisher_product(gradients, v), expected, atol=1e-5)


def test_the_product_equals_the_recursion_that_the_paper_describes() -> None:
    gradients, v = gradients_and_vector()
    inverse = torch.eye(len(v))
    for gradient in gradients:
        moved = inverse @ gradient
        inverse -= torch.outer(moved, moved) / (len(gradients) + gradient @ moved)
    assert torch.allclose(inverse_fisher_product(gradients, v), inverse @ v, atol=1e-5)


def test_the_code_changes_the_vector_along_the_first_gradient_alone() -> None:
    gradients, v = gradients_and_vector()
    change = inverse_fisher_product_as_coded(iter(gradients), v) - v
    cosine = F.cosine_similarity(change, gradients[0], dim=0).abs().item()
    assert cosine == pytest.approx(1.0, abs=1e-4)


def test_a_tiny_linear_network_moves_as_the_closed_form_says() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs, labels = torch.randn(30, 4, generator=generator), torch.arange(30) % 3
    parts = partition(Collection("tiny", inputs, labels), PartitionRule(seed=0, holdout=0.2, test=0.2))
    splits = parts.forgetting(parts.train.indices[:4], salt=b"0" * 32)
    network = nn.Linear(4, 3)
    result = Influence(strength=2.0).unlearn(network, splits, Run(seed=0))

    def rows(examples: Examples) -> torch.Tensor:
        x = examples.inputs()
        error = network(x).softmax(1).detach() - F.one_hot(examples.labels, 3)  # d CE / d logits
        return torch.cat([torch.einsum("no,ni->noi", error, x).flatten(1), error], dim=1)

    forget, retain = rows(splits.forget), rows(splits.retain)
    n = len(forget) + len(retain)
    v = forget.sum(0) / n - retain.sum(0) * len(forget) / (n * len(retain))
    fisher = torch.eye(15) + retain.T @ retain / len(retain)
    expected = flat_state(network) + 2.0 * torch.linalg.solve(fisher, v)
    assert torch.allclose(flat_state(result), expected, atol=1e-5)


def test_the_forget_loss_rises(original: nn.Module, splits: Splits) -> None:
    def loss(model: nn.Module) -> float:
        return F.cross_entropy(predict(model, splits.forget, CPU), splits.forget.labels).item()

    for inverse in ("exact", "code"):
        result = Influence(strength=5.0, samples=40, inverse=inverse).unlearn(original, splits, Run(seed=1))
        assert loss(result) > loss(original)


def test_steps_move_and_stay_positive_and_statistics_stay(original: nn.Module, splits: Splits) -> None:
    result = Influence(strength=50.0, samples=40).unlearn(original, splits, Run(seed=1))
    assert any(
        not torch.equal(a, b) for a, b in zip(learned_steps(original), learned_steps(result), strict=True)
    )
    assert all(bool((step > 0).all()) for step in learned_steps(result))
    before, after = dict(original.named_buffers()), dict(result.named_buffers())
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_little_memory_means_fewer_samples(original: nn.Module, splits: Splits) -> None:
    taken = []

    def listen(stage: str, step: int, of: int, values: dict[str, float]) -> None:
        taken.append(values["samples"])

    size = sum(parameter.numel() for parameter in original.parameters()) * 4 / 2**30
    for memory in (1.0, 5.5 * size, 0.0):
        Influence(samples=50, memory=memory).unlearn(original, splits, Run(seed=1, listen=listen))
    assert taken == [50, 5, 1]


@pytest.mark.parametrize("settings", [{"samples": 0}, {"strength": -1.0}, {"memory": float("nan")}])
def test_settings_out_of_range_are_named(settings: dict[str, float]) -> None:
    with pytest.raises(ModelError, match=next(iter(settings))):
        Influence(**settings)
