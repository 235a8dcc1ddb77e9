"""A float network with weights that were trained elsewhere, as its user names both."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from obliq.data import Examples
from obliq.errors import ModelError
from obliq.io.user_code import first_line
from obliq.models import build_model
from obliq.models.weights_file import WeightsFile, load_state, load_weights, read_weights
from obliq.quantization import (
    ForeignForm,
    ForeignNetwork,
    float_state,
    form_of,
    has_foreign_quantizers,
    read_foreign_network,
    state_digest,
    weighted_layers,
)
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
        foreign: the network with the quantizers of another tool; None without such quantizers.
        form: the form in which it comes in.
    """

    network: nn.Module
    architecture: str
    source: str
    digest: str
    notes: tuple[str, ...] = ()
    steps: WeightsFile | None = None
    foreign: ForeignNetwork | None = None
    form: ForeignForm | None = None

    @property
    def as_it_came(self) -> nn.Module:
        """The network that its user knows: with the quantizers of another tool, where it has them."""
        return self.network if self.foreign is None else self.foreign.module


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
        found = loaded_from_module(network, architecture, architecture)
    else:
        read = read_weights(Path(weights))
        with torch.random.fork_rng(devices=[]):
            network = build_model(architecture, collection.sample_shape, collection.classes)
        if has_foreign_quantizers(network):
            notes = load_state(network, read, (str(weights), architecture))
            found = loaded_from_module(network, architecture, Path(weights).name, read.digest, notes)
            return _fitting(found, data)
        floats = read.without_steps() if read.has_steps else read
        notes = load_weights(network, floats, (str(weights), architecture))
        if read.has_steps:
            notes += (f"steps were read from {weights}; --bits must be those of its training",)
        steps = read if read.has_steps else None
        found = LoadedNetwork(network.eval(), architecture, Path(weights).name, read.digest, notes, steps)
    return _fitting(found, data)


def loaded_from_module(
    network: nn.Module, architecture: str, source: str, digest: str | None = None, notes: tuple[str, ...] = ()
) -> LoadedNetwork:
    """A network that a function of the user's returned, in floating point or with quantizers of another tool.

    Args:
        network: with trained weights.
        architecture: what builds it, as the user named it.
        source: where its weights come from.
        digest: of the file of weights; of the weights themselves when left out.
        notes: what was changed on the way.

    Raises:
        ModelError: when it has quantizers that have no equal here.
    """
    if not has_foreign_quantizers(network):
        found = digest or state_digest({}, float_state(network))
        return LoadedNetwork(network.eval(), architecture, source, found, notes)
    try:
        foreign = read_foreign_network(network)
    except Exception as error:  # the modules are those of another tool, in a version that nobody knows
        raise ModelError(
            f"{architecture} has quantizers that cannot be read: {first_line(error)}; expected those of Brevitas 0.13 "
            "or of torch.ao (prepare_qat), or a network in floating point"
        ) from error
    form = form_of(foreign)
    notes += (f"bits and steps were read from the quantizers of {architecture}: {form.bits}",)
    if form.has_powers_of_two:
        notes += ("all steps are powers of two; unlearning keeps them so only with --steps frozen",)
    found = digest or state_digest({}, float_state(foreign.plain))
    return LoadedNetwork(foreign.plain, architecture, source, found, notes, foreign=foreign, form=form)


def _fitting(found: LoadedNetwork, data: Examples) -> LoadedNetwork:
    """The network, which has an output for each class.

    Raises:
        ModelError: when it has not.
    """
    collection, architecture = data.collection, found.architecture
    outputs = outputs_of(found.network, data)
    if outputs < collection.classes:
        raise ModelError(
            f"{architecture} distinguishes {outputs} classes, but {collection.name} has {collection.classes}; expected "
            "a network with an output for each"
        )
    return found
