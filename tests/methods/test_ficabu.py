"""What dampening from the last layer backwards promises beyond the common contract."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from obliq.checkpoints.tensors import tensors_to_bytes
from obliq.data import Examples, Partition, Splits
from obliq.errors import ModelError
from obliq.methods import FiCABU, SelectiveDampening
from obliq.methods.ficabu import by_layer, dampened_parameters, depth_scale, write_statistics
from obliq.run import Run, Trace
from obliq.training.prediction import accuracy
from tests.methods.by_hand import linear, splits_by_hand
from tests.methods.measured import CPU, same, unreadable


def a_class(parts: Partition) -> Splits:
    return parts.forgetting(parts.train.indices[parts.train.labels == 1], salt=b"1" * 32)


def test_layers_come_last_first_and_fade_with_depth(original: nn.Module) -> None:
    layers = by_layer(dampened_parameters(original))
    assert layers[0] == ["classifier.weight", "classifier.bias"]
    assert layers[-1] == ["features.0.weight"]
    scales = [depth_scale(depth / 4, 5.0) for depth in range(5)]
    assert scales[0] == 1
    assert scales == sorted(scales, reverse=True)
    assert {depth_scale(depth / 4, 0.0) for depth in range(5)} == {1.0}


def test_the_steepest_scale_leaves_the_first_half_of_the_layers(
    original: nn.Module, parts: Partition
) -> None:
    """At a steepness whose exponential would overflow, the scale has its limit: a step at half the depth."""
    scales = [depth_scale(depth / 4, 1500.0) for depth in range(5)]
    assert scales == pytest.approx([1, 1, 0.5, 0, 0])
    method = FiCABU(alpha=1.0, dampening=100.0, steepness=1500.0)
    result = method.unlearn(original, a_class(parts), Run(seed=1))
    before, after = dict(original.named_parameters()), dict(result.named_parameters())
    moved = [
        any(not torch.equal(before[name], after[name]) for name in names)
        for names in by_layer(dampened_parameters(original))
    ]
    assert moved == [True, True, True, False, False]


def test_the_edit_of_three_layers_by_hand() -> None:
    """s_t is 1 at the last layer, (1 + e^(-k / 2)) / 2 half way and e^(-k / 2) at the first; nothing stops the edit."""
    network = linear([[1.0, 0.2], [0.3, 1.0]], [[1.0, 0.1], [0.2, 1.5]], [[1.2, 0.1], [0.2, 1.0]])
    splits = splits_by_hand(
        forget=[((2.0, 0.5), 0)],
        retain=[((0.5, 1.0), 1), ((0.3, 1.5), 1), ((-0.2, 0.4), 1)],
        holdout=[((0.0, 1.0), 1)],
    )
    alpha, dampening, steepness = 2.0, 0.2, 1.0
    method = FiCABU(alpha=alpha, dampening=dampening, steepness=steepness)
    result = method.unlearn(network, splits, Run(seed=1))

    def squared(parts: list[Examples]) -> tuple[torch.Tensor, ...]:
        inputs, labels = (torch.cat([getattr(one, what) for one in parts]) for what in ("indices", "labels"))
        loss = F.cross_entropy(network(splits.forget.collection.fetch(inputs)), labels)
        return tuple(one**2 for one in torch.autograd.grad(loss, list(network.parameters())))

    of_forget, of_all = squared([splits.forget]), squared([splits.forget, splits.retain])
    scales = [math.exp(-steepness / 2), (1 + math.exp(-steepness / 2)) / 2, 1.0]  # the first layer first
    for before, after, forget, overall, scale in zip(
        network.parameters(), result.parameters(), of_forget, of_all, scales, strict=True
    ):
        chosen = forget > alpha / scale * overall
        assert bool(chosen.any())
        factors = torch.where(chosen, (dampening / scale * overall / forget).clamp(max=1), 1)
        torch.testing.assert_close(after, before * factors)


def test_it_stops_at_the_target_and_leaves_earlier_layers(original: nn.Module, parts: Partition) -> None:
    splits, trace = a_class(parts), Trace()
    method = FiCABU(alpha=1.0, dampening=0.1, steepness=0.0, stop="chance")
    result = method.unlearn(original, splits, Run(seed=1, listen=trace))
    edited = trace.rows[-1]["edited_layers"]
    layers = by_layer(dampened_parameters(original))
    assert 0 < edited < len(layers)
    assert accuracy(result, splits.forget, CPU) <= 100 / 3 < accuracy(original, splits.forget, CPU)
    before, after = dict(original.named_parameters()), dict(result.named_parameters())
    untouched = [name for names in layers[edited:] for name in names]
    assert untouched
    assert all(torch.equal(before[name], after[name]) for name in untouched)


def test_over_all_layers_alike_it_is_selective_dampening(original: nn.Module, parts: Partition) -> None:
    """A class that is answered to the end: dampening too weak to reach the target edits every layer, as SSD does."""
    splits, trace = a_class(parts), Trace()
    weak = FiCABU(alpha=1.0, dampening=100.0, steepness=0.0)
    result = weak.unlearn(original, splits, Run(seed=1, listen=trace))
    assert trace.rows[-1]["edited_layers"] == len(by_layer(dampened_parameters(original)))
    assert not same(result, original)
    same_edit = SelectiveDampening(alpha=1.0, dampening=100.0).unlearn(original, splits, Run(seed=1))
    assert same(result, same_edit)


def test_with_shipped_statistics_the_retain_set_is_not_read(
    original: nn.Module, splits: Splits, tmp_path: Path
) -> None:
    file = tmp_path / "statistics.safetensors"
    both = Examples(splits.forget.collection, torch.cat([splits.forget.indices, splits.retain.indices]))
    write_statistics(file, original, both, seed=1)
    shipped = FiCABU(alpha=1.5, stop="chance", statistics=str(file))
    result = shipped.unlearn(original, unreadable(splits, "retain"), Run(seed=1))
    assert same(result, FiCABU(alpha=1.5, stop="chance").unlearn(original, splits, Run(seed=1)))
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(ModelError, match="obliq statistics"):
        shipped.unlearn(original, splits, Run(seed=1))


def test_statistics_below_zero_are_refused(original: nn.Module, splits: Splits, tmp_path: Path) -> None:
    values = {name: -torch.ones(one.shape) for name, one in dampened_parameters(original).items()}
    file = tmp_path / "statistics"
    file.write_bytes(tensors_to_bytes(values))
    with pytest.raises(ModelError, match="has numbers below 0; expected what `obliq statistics` wrote"):
        FiCABU(statistics=str(file)).unlearn(original, splits, Run(seed=1))
