"""The step of the logits after a training: learned from the first batch on, or measured at the end."""

import copy
from typing import get_args

import torch
from torch import nn

import obliq
from obliq.data import Partition
from obliq.io.strict_json import decode, encode
from obliq.models import initialise
from obliq.quantization import QuantizedActivation, activations, quantize
from obliq.quantization.least_error import least_error_step
from obliq.run import Run
from obliq.training.logit_steps import LogitSteps, UnroundedLogits
from obliq.training.loop import Recipe, fit
from tests.conftest import SmallNet

CPU = torch.device("cpu")


def logit_quantizer(model: nn.Module) -> QuantizedActivation:
    return list(activations(model).values())[-1]


def test_logits_that_leave_their_first_range_are_learned_in_a_short_training(parts: Partition) -> None:
    layers = [nn.Conv2d(1, 64, 3), nn.BatchNorm2d(64), nn.ReLU(), nn.Flatten(), nn.Linear(1024, 3)]
    network = quantize(nn.Sequential(*layers), "W8A8", input_shape=(1, 6, 6))
    initialise(network, 0)
    reached = {}
    for steps in get_args(LogitSteps):
        # 1,024 features at this rate move the logits by several times their first range in one update
        recipe = Recipe(
            epochs=5, batch_size=32, learning_rate=0.5, norm_statistics="measured", logit_steps=steps
        )
        trained = fit(network, parts.train, recipe, Run(seed=0))
        reached[steps] = obliq.accuracy(trained, parts.train)
    assert reached["learned"] < 60
    assert reached["measured"] > 80


def test_the_step_is_that_of_the_final_logits(parts: Partition) -> None:
    model = quantize(SmallNet(), "W4A4")
    initialise(model, 0)
    names = list(model.state_dict())
    trained = fit(model, parts.train, Recipe(epochs=2, batch_size=32, logit_steps="measured"), Run(seed=1))
    assert list(trained.state_dict()) == names
    quantizer, exact = logit_quantizer(trained), copy.deepcopy(trained)
    exact.classifier_output = nn.Identity()
    logits = obliq.predict(exact, parts.train)
    assert torch.equal(quantizer.step, least_error_step(logits, quantizer.low, quantizer.high))
    assert bool(quantizer.calibrated)
    assert (obliq.predict(trained, parts.train) - logits).abs().max() < 4 * quantizer.step


def test_other_quantizers_stay(parts: Partition) -> None:
    trained = fit(quantize(SmallNet(), "W4A4"), parts.train, Recipe(epochs=1), Run())
    rectified = quantize(
        nn.Sequential(nn.Flatten(), nn.Linear(36, 3), nn.ReLU()), "W8A8", input_shape=(1, 6, 6)
    )
    for model in (trained, rectified, SmallNet(), quantize(SmallNet(), "W4A4", preset="paper")):
        before = copy.deepcopy(model.state_dict())
        unrounded = UnroundedLogits(model)
        assert not any(
            name.endswith("output") and isinstance(one, nn.Identity) for name, one in model.named_modules()
        )
        unrounded.measure_step_(parts.train, CPU)
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_reshaped_logits_are_found() -> None:
    network = nn.Sequential(nn.Conv2d(1, 3, 6), nn.Flatten())
    model = quantize(network, "W8A8", input_shape=(1, 6, 6))
    UnroundedLogits(model)
    assert sum(isinstance(one, nn.Identity) for one in model.modules()) == 1
    assert len(activations(model)) == 1


def test_only_short_trainings_measure_by_default_and_older_records_stay() -> None:
    short = Recipe(epochs=2, batch_size=32)
    assert short.settled(240).logit_steps == "measured"
    assert short.settled(1600) is short  # 100 steps
    assert Recipe(epochs=2, logit_steps="learned").settled(240).logit_steps == "learned"
    assert "logit_steps" not in encode(short)
    assert decode(Recipe, encode(short)).logit_steps is None
