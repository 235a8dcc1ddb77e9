import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from obliq.data import Collection, Examples, Partition
from obliq.data.batches import batches
from obliq.errors import ModelError
from obliq.exporting import graph_of
from obliq.exporting.operations import Convolution
from obliq.models import build_model, initialise
from obliq.quantization import activations, learned_steps, quantize, weights_digest
from obliq.run import Run, Trace
from obliq.training.loop import (
    Recipe,
    cosine_schedule,
    fit,
    move_to_device,
    parameter_groups,
    steps_per_epoch,
)
from obliq.training.prediction import accuracy, predict
from obliq.training.step_losses import READ_TOGETHER, StepLosses
from tests.conftest import SmallNet

CPU = torch.device("cpu")
SHORT = Recipe(epochs=2, batch_size=32)


def fresh() -> nn.Module:
    model = quantize(SmallNet(), weight_bits=4, activation_bits=4)
    initialise(model, 0)
    return model


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": 0}, "epochs=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"learning_rate": 0.0}, "learning_rate=0.0; expected a number above 0"),
        ({"learning_rate": math.nan}, "learning_rate=nan"),
        ({"learning_rate": math.inf}, "learning_rate=inf"),
        ({"momentum": -0.1}, "momentum=-0.1"),
        ({"momentum": 1.0}, r"momentum=1\.0"),
        ({"momentum": math.nan}, "momentum=nan"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"weight_decay": math.inf}, "weight_decay=inf"),
        ({"warmup": 1.5}, "warmup=1.5"),
    ],
)
def test_recipes_that_make_no_sense(fields: dict[str, float], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Recipe(**fields)


def test_the_schedule_is_half_a_cosine_after_a_linear_rise() -> None:
    rate = cosine_schedule(0.2, 100, warmup=0.1)
    assert [rate(step) for step in range(10)] == pytest.approx([0.02 * (step + 1) for step in range(10)])
    for step in range(10, 100):
        assert rate(step) == pytest.approx(0.1 * (1 + math.cos(math.pi * (step - 10) / 90)))
    assert cosine_schedule(0.2, 100)(0) == 0.2
    assert cosine_schedule(0.2, 1, warmup=1.0)(0) == 0.2


@given(samples=st.integers(1, 90), batch_size=st.integers(1, 40))
def test_steps_in_a_pass_are_the_batches_that_come(samples: int, batch_size: int) -> None:
    collection = Collection("toy", torch.zeros(samples, 2), torch.arange(samples) % 2)
    examples = Examples(collection, torch.arange(samples))
    assert steps_per_epoch(samples, batch_size) == len(list(batches(examples, batch_size, None, CPU)))


def test_weight_decay_spares_steps_norms_and_biases() -> None:
    model = fresh()
    decayed, others = parameter_groups(model, 0.1)
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    weights = {id(p) for name, p in model.named_parameters() if name.endswith("weight") and p.dim() > 1}
    assert {id(parameter) for parameter in decayed["params"]} == weights
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    spared = [*learned_steps(model), *(p for norm in norms for p in norm.parameters())]
    spared += [p for name, p in model.named_parameters() if name.endswith("bias")]
    assert {id(parameter) for parameter in spared} == {id(parameter) for parameter in others["params"]}


def test_frozen_parameters_are_kept_hashed_and_exported(parts: Partition) -> None:
    model = fresh()
    frozen = [name for name, _ in model.named_parameters() if name.startswith("features.0.")]
    assert len(frozen) == 2  # weight and step
    for name in frozen:
        model.get_parameter(name).requires_grad_(False)
    trained = fit(model, parts.train, SHORT, Run(seed=1))
    assert all(torch.equal(trained.get_parameter(name), model.get_parameter(name)) for name in frozen)
    assert not torch.equal(
        trained.get_parameter("classifier.weight"), model.get_parameter("classifier.weight")
    )
    other = copy.deepcopy(trained)
    other.get_parameter("features.0.weight").data.neg_()
    assert weights_digest(other) != weights_digest(trained)
    ours, theirs = (
        next(step for step in graph_of(one, (1, 6, 6)).steps if isinstance(step, Convolution))
        for one in (trained, other)
    )
    weight, step = (trained.get_parameter(name).detach() for name in frozen)
    codes = (weight / step.view(-1, 1, 1, 1)).round().clamp(-127, 127)  # the first layer has 8 bits
    assert (abs(ours.weights.codes) == codes.abs().numpy()).all()
    assert not (ours.weights.codes == theirs.weights.codes).all()


def test_the_given_network_is_left_alone_and_the_new_one_is_calibrated(parts: Partition) -> None:
    model = fresh()
    before = copy.deepcopy(model.state_dict())
    trained = fit(model, parts.train, SHORT, Run(seed=1))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not trained.training
    assert all(bool(quantizer.calibrated) for quantizer in activations(trained).values())


def test_same_seed_same_weights_whatever_the_global_state(parts: Partition) -> None:
    model = fresh()
    torch.manual_seed(1)
    first = fit(model, parts.train, SHORT, Run(seed=1)).state_dict()
    torch.manual_seed(2)
    expected = torch.rand(2)
    torch.manual_seed(2)
    again = fit(model, parts.train, SHORT, Run(seed=1)).state_dict()
    assert torch.equal(torch.rand(2), expected)
    other = fit(model, parts.train, SHORT, Run(seed=2)).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_it_learns_and_tells_how_it_goes(parts: Partition) -> None:
    trace = Trace()
    trained = fit(fresh(), parts.train, Recipe(epochs=8, batch_size=32), Run(seed=1, listen=trace))
    assert [row["step"] for row in trace.rows] == list(range(1, 9))
    assert trace.rows[-1]["loss"] < trace.rows[0]["loss"]
    assert accuracy(trained, parts.train, CPU) > 60


def test_a_training_set_of_one_sample(parts: Partition) -> None:
    trained = fit(fresh(), parts.train.take(1), Recipe(epochs=2), Run(seed=1))
    assert bool(torch.isfinite(predict(trained, parts.test, CPU)).all())


def test_a_loss_that_is_not_finite(parts: Partition) -> None:
    with pytest.raises(ModelError, match=r"became .* expected a lower rate"):
        fit(fresh(), parts.train, Recipe(epochs=3, learning_rate=1e30, warmup=0.0), Run(seed=1))


def add_all(losses: StepLosses, *values: float) -> None:
    for value in values:
        losses.add(torch.tensor(value))


def test_losses_are_read_in_order_and_refused_with_their_step() -> None:
    processor, accelerator = (StepLosses(10, 0.1, torch.device(name)) for name in ("cpu", "cuda"))
    values = [float(number) for number in range(READ_TOGETHER + 2)]
    for losses in (processor, accelerator):
        add_all(losses, *values)
    assert processor.values == values
    assert accelerator.values == values[:READ_TOGETHER]  # an accelerator would wait for each read
    message = rf"became nan at step {12 + READ_TOGETHER} with learning rate 0\.1; expected a lower rate"
    with pytest.raises(ModelError, match=message):
        add_all(processor, math.nan)
    add_all(accelerator, math.nan, 0.5)
    with pytest.raises(ModelError, match=message):
        accelerator.read()


@pytest.mark.parametrize("training", [False, True])
def test_predicting_changes_nothing(training: bool, original: nn.Module, parts: Partition) -> None:
    model = copy.deepcopy(original).train(training)
    before = copy.deepcopy(model.state_dict())
    logits = predict(model, parts.test, CPU)
    assert model.training is training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert logits.shape == (len(parts.test), 3)
    assert logits.dtype == torch.float32
    assert not logits.requires_grad
    assert torch.equal(logits, predict(original, parts.test, CPU))


def test_the_mode_is_restored_after_a_failure(parts: Partition) -> None:
    model = nn.Linear(3, 2).train()
    with pytest.raises(RuntimeError):
        predict(model, parts.test, CPU)
    assert model.training


def test_convolutions_are_laid_out_for_the_processor() -> None:
    model = move_to_device(fresh(), Run())
    filters = [parameter for parameter in model.parameters() if parameter.dim() == 4]
    assert filters
    assert all(parameter.is_contiguous(memory_format=torch.channels_last) for parameter in filters)


def test_predicting_leaves_every_module_in_its_own_mode(parts: Partition) -> None:
    """A user may have frozen batch norm alone."""
    model = build_model("convnet", (1, 6, 6), 3).train()
    frozen = next(one for one in model.modules() if isinstance(one, nn.BatchNorm2d)).eval()
    predict(model, parts.test, CPU)
    assert model.training
    assert not frozen.training
    assert sum(not one.training for one in model.modules()) == 1
