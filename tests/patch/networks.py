"""Two small networks of one form: the second is what an unlearning could have made of the first."""

import dataclasses
import functools

import torch

from obliq.checkpoints import Blueprint, Checkpoint, Provenance
from obliq.data import PartitionRule
from obliq.models import initialise
from obliq.quantization import Precision, calibrate_steps, float_state, integer_state, load_integer_state

SHAPE = (1, 8, 8)


@functools.cache
def saved_pair(precision: str = "W4A4") -> tuple[Checkpoint, Checkpoint]:
    """An original and its unlearned network: some codes by one step, a scale, a bias and a statistic."""
    blueprint = Blueprint(
        architecture="convnet", input_shape=SHAPE, classes=4, precision=Precision.parse(precision)
    )
    model = blueprint.build()
    initialise(model, 0)
    generator = torch.Generator().manual_seed(0)
    calibrate_steps(model, torch.randn(16, *SHAPE, generator=generator))
    model.eval()
    integers, floats = integer_state(model), float_state(model)
    for number, (name, tensor) in enumerate(integers.items()):
        if tensor.codes is not None:
            high = 2 ** (tensor.bits - 1) - 1
            chosen = torch.rand(tensor.codes.shape, generator=generator) < 0.02
            codes = (tensor.codes + chosen.to(torch.int8)).clamp(-high, high)
            scale = tensor.scale * 1.01 if number == 1 else tensor.scale
            integers[name] = dataclasses.replace(tensor, codes=codes, scale=scale)
    for name in ("classifier.bias", "features.1.running_mean"):
        floats[name] = floats[name] + 0.01
    history = Provenance(
        role="original", data="digits", rule=PartitionRule(seed=0), partition_digest="0" * 64
    )
    return (
        Checkpoint(model, blueprint, history),
        Checkpoint(
            load_integer_state(model, integers, floats).eval(),
            blueprint,
            dataclasses.replace(history, role="unlearned"),
        ),
    )
