"""Batch norm's statistics after a training: running averages, or measured ones of the final weights."""

import copy

import torch
from torch import nn

import obliq
from obliq.data import Partition
from obliq.io.strict_json import decode, encode
from obliq.models import initialise
from obliq.quantization import quantize
from obliq.run import Run
from obliq.training.loop import Recipe, fit
from obliq.training.norm_statistics import measure_norm_statistics_
from tests.conftest import SmallNet

SHORT = Recipe(epochs=2, batch_size=32)


def statistics(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value for name, value in model.named_buffers() if "running" in name}


def test_measured_ones_are_the_averages_with_the_final_weights(parts: Partition) -> None:
    model = quantize(SmallNet(), "W4A4")
    initialise(model, 0)
    running = fit(model, parts.train, SHORT, Run(seed=1))
    measured = fit(
        model, parts.train, Recipe(epochs=2, batch_size=32, norm_statistics="measured"), Run(seed=1)
    )
    for mine, theirs in zip(measured.parameters(), running.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    # inputs of the first norm do not depend on statistics, so they are the same in evaluation mode
    convolution = next(module for module in measured.modules() if isinstance(module, nn.Conv2d))
    seen: list[torch.Tensor] = []
    hook = convolution.register_forward_hook(lambda layer, given, output: seen.append(output))
    obliq.predict(measured, parts.train)
    hook.remove()
    first = next(iter(statistics(measured)))
    expected = torch.cat(seen).mean((0, 2, 3))
    torch.testing.assert_close(statistics(measured)[first], expected, atol=0.004, rtol=0)
    assert (statistics(running)[first] - expected).abs().max() > 0.01
    assert not any(module.training for module in measured.modules())
    norms = [module for module in measured.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {0.1}


def test_measuring_leaves_out_dropout_and_frozen_norms(parts: Partition) -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(64, 3),
        nn.BatchNorm1d(3),
    )
    model[1].requires_grad_(False)
    frozen = copy.deepcopy(model[1].state_dict())
    measure_norm_statistics_(model, parts.train, 32, Run(), augment=False)
    once = {name: value.clone() for name, value in statistics(model).items()}
    measure_norm_statistics_(model, parts.train, 32, Run(), augment=False)
    assert all(torch.equal(value, once[name]) for name, value in statistics(model).items())
    assert all(torch.equal(value, frozen[name]) for name, value in model[1].state_dict().items())
    assert not torch.equal(once["5.running_mean"], torch.zeros(3))


def test_only_short_trainings_measure_by_default_and_older_records_stay() -> None:
    assert SHORT.steps(240) == 16
    assert SHORT.settled(240).norm_statistics == "measured"
    assert SHORT.settled(1600).norm_statistics is None  # 100 steps
    running = Recipe(epochs=2, norm_statistics="running", logit_steps="learned")
    assert running.settled(240) == running
    assert "norm_statistics" not in encode(SHORT)
    assert decode(Recipe, encode(SHORT)).norm_statistics is None
    assert decode(Recipe, encode(running)) == running


def test_the_library_measures_after_a_short_training(parts: Partition) -> None:
    network = quantize(SmallNet(), "W4A4")
    initialise(network, 0)
    mine = obliq.train(network, parts.train, SHORT, device="cpu", progress=False)
    same = obliq.train(network, parts.train, SHORT.settled(len(parts.train)), device="cpu", progress=False)
    running = Recipe(epochs=2, batch_size=32, norm_statistics="running")
    other = obliq.train(network, parts.train, running, device="cpu", progress=False)
    first = next(iter(statistics(mine)))
    assert torch.equal(statistics(mine)[first], statistics(same)[first])
    assert not torch.equal(statistics(mine)[first], statistics(other)[first])
