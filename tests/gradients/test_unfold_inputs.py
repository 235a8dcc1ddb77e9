"""What a layer's patches are: the vectors that its weights are multiplied with."""

import pytest
import torch
from torch import nn

from obliq.gradients import unfold_inputs


@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(6, 4, bias=False),
        nn.Conv1d(4, 6, 3, stride=2, padding=1, bias=False),
        nn.Conv2d(4, 6, 3, padding=2, dilation=2, bias=False),
        nn.Conv2d(4, 8, (3, 1), groups=2, padding="same", bias=False),
        nn.Conv2d(4, 4, 3, groups=4, padding=1, padding_mode="circular", bias=False),
    ],
    ids=["linear", "signal", "dilated", "grouped", "depthwise, circular"],
)
def test_patches_times_weights_are_the_layers_answers(layer: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    shape = {nn.Linear: (5, 6), nn.Conv1d: (5, 4, 9), nn.Conv2d: (5, 4, 7, 6)}[type(layer)]
    inputs = torch.randn(shape, generator=generator)
    seen = unfold_inputs(layer, inputs)
    rows = layer.weight.reshape(seen.shape[1], -1, seen.shape[2])
    answers = layer(inputs)
    expected = answers.unsqueeze(2) if answers.dim() == 2 else answers.flatten(2)
    assert torch.allclose((rows @ seen).flatten(1, 2), expected, atol=1e-5)
