"""What a caller does with a network: create it, train it, make it forget, and retrain it for comparison.

Networks are ordinary modules from a batch of inputs to logits. They come in and go out on the device that they are on,
and the given one is left as it was, except by `calibrate`, which works in place.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from obliq.argument_types import require_flags, require_whole_numbers
from obliq.checkpoints import Blueprint
from obliq.data import DataLike, Examples, as_examples
from obliq.errors import GateError
from obliq.methods import Method, Retrain, run_method
from obliq.models import initialise, require_drawn_weights
from obliq.quantization import Precision, calibrate_steps
from obliq.run import Listener, Run, Trace, device_named, device_of, together
from obliq.training.loop import Recipe, fit, require_at_least
from obliq.training.memory import rehearse, require_memory
from obliq.workflow.gate import pass_gate
from obliq.workflow.network_checks import (
    join_for,
    outputs_of,
    require_labels_below,
    require_network,
    require_no_retain_set,
    require_ready,
)
from obliq.workflow.progress import listener_for
from obliq.workflow.resolve_method import resolve_method


def create_network(
    architecture: str,
    input_shape: Sequence[int],
    classes: int,
    *,
    precision: Precision | str = "FP32",
    seed: int = 0,
) -> nn.Module:
    """Create one of the built-in networks with weights drawn from a seed.

    Args:
        architecture: `convnet`, `strided-convnet`, `resnet20`, `resnet18`, `mobilenetv2` or `signal-convnet`; or
            `module:function` for a function of (input_shape, classes) in your own code, which is imported.
        input_shape: the shape of one input, channels first: (channels, height, width) or (channels, length).
        classes: how many classes the network distinguishes.
        precision: bits of weights and activations, such as `W4A4`, or `FP32`.
        seed: decides the weights; the global random state is left as it was.

    Returns:
        A network from a batch of inputs of that shape to logits (batch, classes).

    Raises:
        ModelError: for an unknown architecture, an input that it cannot read, bits outside 2 to 8, and a function of
            yours that returns trained weights, which this function would draw again.
        ObliqError: for an argument of another type.

    Example:
        >>> import obliq
        >>> network = obliq.create_network("convnet", (1, 8, 8), 10, precision="W4A4")
    """
    require_whole_numbers(classes=classes, seed=seed)
    require_whole_numbers(**{f"input_shape[{axis}]": size for axis, size in enumerate(input_shape)})
    wanted = Precision.parse(precision) if isinstance(precision, str) else precision
    blueprint = Blueprint(
        architecture=architecture, input_shape=tuple(input_shape), classes=classes, precision=wanted
    )
    if blueprint.is_user_code:
        require_drawn_weights(blueprint.build, architecture)
    model = blueprint.build()
    initialise(model, seed)
    return model


def calibrate(
    model: nn.Module,
    data: DataLike | Tensor,
    *,
    samples: int = 512,
    seed: int = 0,
    least_error: bool = False,
) -> nn.Module:
    """Set the activation steps of a quantized network from samples, in place.

    `quantize` inserts quantizers whose steps must be set from data before the network is used. `train` and `retrain`
    do so by themselves; a network that was trained before it was quantized needs this function.

    Args:
        model: a network that `quantize` returned. Batch norm normalises as in its present mode, so call `.eval()`
            first on a network that was trained before.
        data: samples of any accepted kind (see `train_holdout_test_split`), or a tensor of inputs (samples, ...).
        samples: how many of them are used at most.
        seed: decides which.
        least_error: choose all steps, those of the weights too, for the least squared error. Use it for a network that
            was trained in floating point and stays as it is. Without it, steps are those that training starts from.

    Returns:
        The same network.

    Raises:
        ModelError: for a network that `quantize` did not return, and inputs that are not finite.
        DataError: for data that cannot be read.
        ObliqError: for an argument of another type.

    Example:
        >>> import obliq, torch
        >>> network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 32), torch.nn.Linear(32, 10))
        >>> data = obliq.load_dataset("digits")
        >>> quantized = obliq.calibrate(obliq.quantize(network.eval(), "W8A8"), data)
    """
    require_flags(least_error=least_error)
    require_whole_numbers(samples=samples, seed=seed)
    require_at_least(1, samples=samples)
    require_network(model)
    generator = torch.Generator().manual_seed(seed)
    if isinstance(data, Tensor):
        inputs = data[torch.randperm(len(data), generator=generator)[:samples]]
    else:
        examples = as_examples(data)
        chosen = examples.indices[torch.randperm(len(examples), generator=generator)[:samples]]
        inputs = examples.collection.fetch(chosen)
    calibrate_steps(model, inputs.to(device_of(model)), least_error=least_error)
    return model


def train(
    model: nn.Module,
    data: DataLike,
    recipe: Recipe | None = None,
    *,
    seed: int = 0,
    device: str = "auto",
    progress: bool | Listener = True,
) -> nn.Module:
    """Train a copy of a network on samples, from the weights that it has.

    Args:
        model: any module from inputs (batch, ...) to logits (batch, classes); one of `quantize` is trained on its
            integer grid, its steps with it (quantization-aware training).
        data: training samples: a map-style data set of (input, label), a pair of tensors (inputs, labels), or samples
            of a `Collection`. Float inputs are used as they are. Raw uint8 inputs are refused outside a `Collection`,
            which states how they are scaled.
        recipe: stochastic gradient descent by default settings when left out.
        seed: decides the order of samples and every other draw. On a processor, equal seeds and thread counts give
            equal integers.
        device: where to compute: `auto` (an accelerator where there is one), `cpu` or `cuda`.
        progress: whether progress is printed to standard error; or a function that receives it.

    Returns:
        The trained copy, in evaluation mode.

    Raises:
        DataError: for data that cannot be read, or that do not fit the network.
        ModelError: when the loss stops being finite, and before training for a batch that does not fit into memory.
        ObliqError: for an argument of another type.

    Example:
        >>> import obliq
        >>> data = obliq.load_dataset("digits")
        >>> network = obliq.create_network("convnet", data.sample_shape, data.classes, precision="W4A4")
        >>> trained = obliq.train(network, data, obliq.Recipe(epochs=1), progress=False)
    """
    require_whole_numbers(seed=seed)
    examples = as_examples(data)
    require_labels_below(outputs_of(model, examples), examples)
    return _fit(model, examples, recipe, _run("training", seed, device, progress))


def retrain(
    model: nn.Module,
    retain: DataLike,
    recipe: Recipe | None = None,
    *,
    seed: int = 0,
    device: str = "auto",
    progress: bool | Listener = True,
) -> nn.Module:
    """Train a network of the same form from new weights on the retain set: the reference for an audit.

    Args:
        model: the original network, of which only the form is used.
        retain: what remains of the training set without the forget set.
        recipe: how the original was trained; gaps to a network that was trained otherwise mean little. Where the
            original took 100 steps or a few more, state `norm_statistics` and `logit_steps` in the recipes of both: a
            training of fewer steps, as on a smaller retain set, chooses others.
        seed: decides the new weights and every other draw.
        device: as for `train`.
        progress: as for `train`.

    Returns:
        A network that never received the forget set, in evaluation mode.

    Raises:
        DataError: for data that cannot be read, or that do not fit the network.
        ModelError: for a submodule with parameters and no `reset_parameters` function, and a loss that is not finite.
        ObliqError: for an argument of another type.

    Example:
        >>> import obliq
        >>> data = obliq.load_dataset("digits")
        >>> network = obliq.create_network("convnet", data.sample_shape, data.classes, precision="W4A4")
        >>> forget, retain = obliq.forget_retain_split(data, "class=3")
        >>> retrained = obliq.retrain(network, retain, obliq.Recipe(epochs=1), progress=False)
    """
    require_whole_numbers(seed=seed)
    examples = as_examples(retain, "retain")
    require_labels_below(outputs_of(model, examples), examples)
    fresh = copy.deepcopy(model)
    initialise(fresh, seed)
    return _fit(fresh, examples, recipe, _run("retraining", seed, device, progress))


def unlearn(
    model: nn.Module,
    *,
    forget: DataLike,
    retain: DataLike | None = None,
    holdout: DataLike | None = None,
    whole_classes: bool = False,
    method: str | Method = "proxy-matching",
    accept: bool = False,
    seed: int = 0,
    device: str = "auto",
    progress: bool | Listener = True,
) -> nn.Module:
    """Return a network that is meant to behave as if it had not been trained on the forget set.

    Whether it does is for `audit` to measure.

    Args:
        model: the original: a network of `quantize` or `create_network`, trained by `train` or by your own code; or one
            that was unlearned before.
        forget: the samples to forget. All sets may be map-style data sets of (input, label), pairs of tensors
            (inputs, labels), or samples of ours; inputs as the network reads them.
        retain: the rest of what the network was trained on, without the samples of earlier requests. Methods whose
            level of access is "nothing", such as `calibrated-holdout`, need none, nor does `ficabu` with a file of
            statistics.
        holdout: samples of the same kind that it was not trained on; some methods compare with them.
        whole_classes: where `retain` is left out, whether the forget set holds all that there was of each of its
            classes, so that the network shall no longer answer with them.
        method: a name that `available_methods` lists, with its default settings; or a method with your own. The default
            does not depend on the request: for a class, or more than a fifth of the samples, retraining is recommended,
            where `obliq unlearn` on the command line stops (docs/methods.md).
        accept: return the network although it fails its gate; see `obliq.workflow.gate`.
        seed: decides every draw. On a processor, equal seeds and thread counts give equal integers.
        device: as for `train`.
        progress: as for `train`.

    Returns:
        A new network of the same form, in evaluation mode; the given one is left as it was.

    Raises:
        ModelError: for a network without quantized layers that `quantize` did not return, for quantizers without
            calibrated steps, for an unknown method, and for a method that diverges.
        DataError: for sets that cannot be read, do not fit the network, or overlap; and for a method that needs
            `retain` or `holdout` where it is missing.
        GateError: when the new network fails its gate; its attribute `network` holds it.
        ObliqError: for an argument of another type.

    Example:
        >>> import obliq
        >>> train, holdout, test = obliq.train_holdout_test_split(obliq.load_dataset("digits"))
        >>> forget, retain = obliq.forget_retain_split(train, "class=3")
        >>> network = obliq.create_network("convnet", (1, 8, 8), 10, precision="W4A4")
        >>> original = obliq.train(network, train, obliq.Recipe(epochs=1), progress=False)
        >>> unlearned = obliq.unlearn(original, forget=forget, retain=retain, method="sfron", progress=False)
    """
    require_flags(whole_classes=whole_classes, accept=accept)
    require_whole_numbers(seed=seed)
    chosen = resolve_method(method)
    if retain is None:
        require_no_retain_set(chosen)
    require_ready(model)
    splits = join_for(model, forget=forget, retain=retain, holdout=holdout, whole_classes=whole_classes)
    if isinstance(chosen, Retrain):
        chosen = replace(chosen, recipe=chosen.recipe.settled(len(splits.retain)))
    trace, run = Trace(), _run("unlearning", seed, device, progress)
    unlearned = run_method(chosen, model, splits, replace(run, listen=together(run.listen, trace)))
    unlearned = unlearned.to(device_of(model)).eval()
    if retain is None and holdout is None:
        warnings.warn(
            "neither retain nor holdout samples were given, so no gate can show whether the new network still works; "
            "expected holdout=, samples that it was not trained on",
            stacklevel=2,
        )
    gate = pass_gate(model, unlearned, splits, trace.rows)
    if gate.failures and not accept:
        raise GateError(
            f"the unlearned network failed its gate: {'; '.join(gate.failures)}; expected one that passes. Try "
            "other settings (a lower learning_rate, if the method has one), another method, or accept=True",
            unlearned,
        )
    return unlearned


def _fit(model: nn.Module, examples: Examples, recipe: Recipe | None, run: Run) -> nn.Module:
    """Train by a recipe, after a check of the memory; the network comes back on the device that it is on."""
    wanted = (recipe or Recipe()).settled(len(examples))
    if (found := rehearse(model, examples)) is not None:
        require_memory(found[1], examples, wanted.batch_size, run.device, "a recipe with batch_size")
    return fit(model, examples, wanted, run).to(device_of(model))


def _run(title: str, seed: int, device: str, progress: bool | Listener) -> Run:
    return Run(seed=seed, device=device_named(device), listen=listener_for(title, progress))
