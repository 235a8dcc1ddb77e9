"""A float network with weights that were trained elsewhere, as its user names both."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from obliq.data import Examples
from obliq.errors import ModelError
from obliq.models import build_model
from obliq.models.weights_file import WeightsFile, load_weights, read_weights
from obliq.quantization import float_state, state_digest, weighted_layers
from obliq.workflow.network_checks import outputs_of

INCLUDED = "included"
"""In place of a file: the weights that the function itself returns."""


@dataclass(frozen=True)
class LoadedNetwork:
    """A float network with the weights that it was trained to.

    Attributes:
        network: in evaluation mode.
        architecture: what builds it, as the user named it.
        source: name of the file, or of the function.
        digest: SHA-256 of the file, or of the weights.
        notes: what was changed on the way, in words.
        steps: a file of `obliq.quantize` with the steps of all quantizers; None where they are yet to be chosen.
    """

    network: nn.Module
    architecture: str
    source: str
    digest: str
    notes: tuple[str, ...] = ()
    steps: WeightsFile | None = None


def load_network(architecture: str, weights: str | Path, data: Examples) -> LoadedNetwork:
    """Build a network and load its weights.

    Args:
        architecture: a built-in name, or `module:function`, which is imported and called.
        weights: a file, or `included` for the weights that the function returns.
        data: samples that it must be able to read, with labels that it must know.

    Raises:
        ModelError: when the network cannot be built or cannot read the samples, or when the weights do not fit it.
    """
    collection = data.collection
    if str(weights) == INCLUDED:
        with torch.random.fork_rng(devices=[]):
            network = build_model(architecture, collection.sample_shape, collection.classes)
        if weighted_layers(network):
            raise ModelError(
                f"{architecture} returns a quantized network; expected the float network from the function, and "
                "the state dict of the quantized one as --weights FILE"
            )
        found = LoadedNetwork(
            network.eval(), architecture, architecture, state_digest({}, float_state(network))
        )
    else:
        read = read_weights(Path(weights))
        with torch.random.fork_rng(devices=[]):
            network = build_model(architecture, collection.sample_shape, collection.classes)
        floats = read.without_steps() if read.has_steps else read
        notes = load_weights(network, floats, (str(weights), architecture))
        if read.has_steps:
            notes += (f"steps were read from {weights}; --bits must be those of its training",)
        steps = read if read.has_steps else None
        found = LoadedNetwork(network.eval(), architecture, Path(weights).name, read.digest, notes, steps)
    outputs = outputs_of(found.network, data)
    if outputs < collection.classes:
        raise ModelError(
            f"{architecture} distinguishes {outputs} classes, but {collection.name} has {collection.classes}; expected "
            "a network with an output for each"
        )
    return found
