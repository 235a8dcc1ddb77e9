"""Whether a network and samples that a caller has fit together, checked before anything long begins."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, fx, nn

from obliq.data import DataLike, Examples, Splits, as_examples, join_roles
from obliq.errors import DataError, ModelError
from obliq.io.user_code import exit_as_error, first_line
from obliq.methods import FiCABU, Method, access_of, available_methods
from obliq.quantization import activations, calibrate_steps, weighted_layers
from obliq.run import device_of


def join_for(
    model: nn.Module,
    *,
    forget: DataLike,
    retain: DataLike | None,
    holdout: DataLike | None = None,
    test: DataLike | None = None,
    whole_classes: bool = False,
) -> Splits:
    """The given sets as disjoint roles, after a check that the network reads their samples and knows their labels.

    Raises:
        DataError: as `join_roles`.
        ModelError: as `outputs_of`.
    """
    first = as_examples(forget, "forget")
    return join_roles(
        first, retain, holdout, test, classes=outputs_of(model, first), whole_classes=whole_classes
    )


def outputs_of(model: nn.Module, examples: Examples) -> int:
    """How many classes a network distinguishes, from its logits for one sample in evaluation mode.

    Raises:
        ModelError: when it is no module, cannot read the sample, or does not answer with one row of logits.
    """
    require_network(model)
    shape = examples.collection.sample_shape
    sample = examples.collection.fetch(examples.indices[:1]).to(device_of(model))
    probe = copy.deepcopy(model).eval()
    try:
        if any(not bool(quantizer.calibrated) for quantizer in activations(probe).values()):
            calibrate_steps(probe, sample)
        with torch.no_grad(), exit_as_error():
            logits = probe(sample)
    except Exception as error:  # the user's own code may raise anything
        raise ModelError(
            f"the network cannot read samples of shape {shape}: {first_line(error)}; expected samples and a network "
            "that fit together"
        ) from error
    if not isinstance(logits, Tensor) or logits.dim() != 2 or len(logits) != 1 or logits.shape[1] < 2:
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ModelError(
            f"the network answers one sample with {found}; expected logits of shape (1, classes), two classes or more"
        )
    return int(logits.shape[1])


def require_network(model: object) -> None:
    """Raise unless it is a module.

    Raises:
        ModelError: with what it is instead.
    """
    if not isinstance(model, nn.Module):
        inside = ", for instance run.checkpoint.model of a loaded run" if hasattr(model, "checkpoint") else ""
        raise ModelError(f"the network is a {type(model).__name__}; expected a torch.nn.Module{inside}")


def require_ready(model: nn.Module) -> None:
    """Raise unless a network is quantized and calibrated, or was left in floating point on purpose.

    Raises:
        ModelError: with the calls that are missing.
    """
    require_network(model)
    waiting = [name for name, quantizer in activations(model).items() if not bool(quantizer.calibrated)]
    if waiting:
        raise ModelError(
            f"{len(waiting)} quantizers of the network have no steps yet; expected obliq.calibrate(model, data) "
            "after obliq.quantize"
        )
    if not weighted_layers(model) and not isinstance(model, fx.GraphModule):
        raise ModelError(
            f"{type(model).__name__} has no quantized layers; expected obliq.quantize(model, 'W8A8') and "
            "obliq.calibrate(model, data), or obliq.quantize(model, 'FP32') to unlearn in floating point"
        )


def require_labels_below(classes: int, examples: Examples) -> None:
    """Raise for a label that a network has no output for.

    Raises:
        DataError: with the largest label.
    """
    largest = int(examples.labels.max())
    if largest >= classes:
        raise DataError(
            f"the data have label {largest}, but the network distinguishes {classes} classes; expected labels from "
            f"0 to {classes - 1}"
        )


def require_no_retain_set(method: Method) -> None:
    """Raise for a method that reads the retain set.

    Raises:
        DataError: naming methods that do not.
    """
    access = access_of(type(method))
    if access == "nothing" or (isinstance(method, FiCABU) and method.statistics):
        return
    others = ", ".join(name for name, kind in available_methods().items() if access_of(kind) == "nothing")
    raise DataError(
        f"no retain samples were given, and {type(method).__name__} reads them; expected retain=..., or a method that "
        f"reads none ({others}; ficabu with statistics=FILE)"
    )
