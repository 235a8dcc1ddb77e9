"""From an ordinary network to one that trains with quantized weights and activations."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, fx, nn

from obliq.argument_types import require_flags
from obliq.errors import ModelError
from obliq.quantization.layer_bits import LayerBits
from obliq.quantization.layers import (
    QuantizedActivation,
    activations,
    from_float,
    quantizable_layers,
    weighted_layers,
)
from obliq.quantization.least_error import least_error_step
from obliq.quantization.operations import DROPOUTS, RECTIFIERS, operation
from obliq.quantization.placement import (
    Placement,
    deploy_placements,
    paper_placements,
    shortcut_convolutions,
    weighted_nodes,
)
from obliq.quantization.precision import Precision, check_bits, weight_range
from obliq.quantization.quantized_weight import check_weight_grid
from obliq.quantization.same_function import require_same_function
from obliq.quantization.tracing import check_quantizable, trace

PRESETS = ("deploy", "paper")


def quantize(
    model: nn.Module,
    precision: Precision | str | None = None,
    *,
    weight_bits: int | None = None,
    activation_bits: int | None = None,
    edge_bits: int = 8,
    weight_grid: str = "per_channel",
    preset: str = "deploy",
    layer_bits: LayerBits | Mapping[str, Precision | str] | str | None = None,
    input_shape: Sequence[int] | None = None,
    verify: bool = True,
) -> fx.GraphModule:
    """Make a quantization-aware copy of a network.

    Convolutions and linear layers become layers with learned weight steps, and quantizers are inserted for
    activations. The activation steps must be set from data by `calibrate_steps` before the first forward pass.

    Args:
        model: any module that torch.fx can trace, from one tensor to logits; left untouched.
        precision: bit widths as a value or as text such as `W4A4`; FP32 gives a float copy.
        weight_bits: instead of `precision`, together with `activation_bits`.
        activation_bits: instead of `precision`, together with `weight_bits`.
        edge_bits: bits where coarse grids cost most: weights and inputs of the first and last layer, the network's
            input, the logits and residual sums.
        weight_grid: a step for each output channel (`per_channel`) or for each layer (`per_tensor`).
        preset: `deploy` quantizes everything that an integer graph needs. `paper` quantizes what the published Q-MUL
            networks do: first and last layer and 1x1 convolutions on shortcuts stay in floating point, and
            activations are quantized only where a quantized layer reads them.
        layer_bits: precision of single layers, by module path: `{"stem": "W8A8"}` or `stem=W8A8`. A module stands for
            all layers in it. The bits of activations are those of what the layer reads; where several layers read one
            value, the largest decide.
        input_shape: the shape of one input, channels first; several common shapes are tried when it is left out.
        verify: run both networks on random inputs and refuse a copy that computes something else. Only turn it off
            for networks whose conversion is tested elsewhere.

    Returns:
        A graph with the parameter names of `model`, plus steps.

    Raises:
        ModelError: when a setting is out of range, or the network cannot be quantized or would compute
            something else afterwards.
        ObliqError: for an argument of another type.

    Example:
        >>> import obliq, torch
        >>> network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten())
        >>> quantized = obliq.quantize(network, "W4A8", input_shape=(1, 8, 8))
    """
    require_flags(verify=verify)
    wanted = _precision(precision, weight_bits, activation_bits)
    special = LayerBits.of(layer_bits)
    check_bits("edge bits", edge_bits)
    check_weight_grid(weight_grid)
    if preset not in PRESETS:
        raise ModelError(f"preset is {preset!r}; expected {' or '.join(PRESETS)}")
    traced = trace(model)
    weighted = weighted_nodes(traced)
    if not wanted.is_float:
        check_quantizable(traced)
        if not weighted:
            raise ModelError(
                f"{type(model).__name__} has no layer to quantize; expected at least one of "
                f"{quantizable_layers()}"
            )
    if wanted.is_float and special.entries:
        raise ModelError(
            f"layer bits {special} in an FP32 network; expected them with bits for the whole network"
        )
    own = special.of_layers([str(node.target) for node in weighted])
    if verify:
        require_same_function(model, traced, input_shape)
    if wanted.is_float:
        return traced
    read_bits = {node: own[str(node.target)].activations for node in weighted if str(node.target) in own}
    edges = {weighted[0], weighted[-1]}
    if preset == "deploy":
        bits = {node: edge_bits if node in edges else wanted.weights for node in weighted}
        placements = deploy_placements(traced, wanted.activations, edge_bits, read_bits)
    else:
        kept = (edges | shortcut_convolutions(traced)) - read_bits.keys()
        bits = {node: wanted.weights for node in weighted if node not in kept}
        if not bits:
            raise ModelError("the paper preset keeps first and last layer float; expected more layers")
        placements = paper_placements(traced, set(bits), wanted.activations, read_bits)
    bits |= {node: own[str(node.target)].weights for node in read_bits}
    _insert(traced, placements)
    for node, width in bits.items():
        name = str(node.target)
        traced.set_submodule(name, from_float(traced.get_submodule(name), width, weight_grid))
    traced.delete_all_unused_submodules()
    traced.graph.lint()
    traced.recompile()
    if verify:
        require_same_function(model, traced, input_shape)
    return traced.train(model.training)


def calibrate_steps(
    model: nn.Module,
    inputs: Float[Tensor, "samples ..."],
    *,
    least_error: bool = False,
    only: Collection[str] | None = None,
) -> None:
    """Set the activation steps of a quantized network from one batch, in place and in graph order.

    Every quantizer sees its input after the quantizers before it. Batch norm normalises as in the present mode of
    the network (by the batch when training), and its running statistics stay as they are. Dropout is off. A second
    call sets the steps again. A float network is left as it is.

    Args:
        model: a network that `quantize` returned.
        inputs: standardised inputs on the device of the network.
        least_error: set the steps of weights too, and all steps for the least squared error. That suits a network that
            was trained in floating point and stays as it is; otherwise steps are those that training starts from.
        only: names of activation quantizers; others, and weights, keep their steps. None for all.

    Raises:
        ModelError: when the batch is empty or not finite, or the network is not a traced one.
    """
    if not activations(model):
        return
    if not isinstance(model, fx.GraphModule):
        raise ModelError(f"cannot calibrate a {type(model).__name__}; expected a network from quantize")
    if inputs.shape[0] == 0 or not bool(torch.isfinite(inputs).all()):
        raise ModelError("the calibration batch is empty or not finite; expected finite inputs")
    saved = {name: value.clone() for name, value in model.named_buffers() if not name.endswith("calibrated")}
    resting = [module for module in model.modules() if type(module) in DROPOUTS and module.training]
    try:
        for module in resting:
            module.train(False)
        with torch.no_grad():
            if least_error and only is None:
                for layer in weighted_layers(model).values():
                    low, high = weight_range(layer.bits)
                    layer.weight_step.copy_(least_error_step(layer.weight, low, high, layer.channel_axis))
            calibration = _Calibration(model, least_error, only)
            calibration.extra_traceback = False  # an error stays one line
            calibration.run(inputs)
    finally:
        for module in resting:
            module.train(True)
        with torch.no_grad():
            for name, value in saved.items():
                model.get_buffer(name).copy_(value)


class _Calibration(fx.Interpreter):
    """Runs a network; each quantizer sets its step from its input before it rounds."""

    def __init__(self, model: fx.GraphModule, least_error: bool, only: Collection[str] | None) -> None:
        super().__init__(model)
        self._least_error, self._only = least_error, only

    def call_module(self, target: fx.node.Target, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        module = self.fetch_attr(str(target))
        if self._only is not None and str(target) not in self._only:
            return super().call_module(target, args, kwargs)
        if isinstance(module, QuantizedActivation) and self._least_error:
            module.set_step(least_error_step(args[0], module.low, module.high))
        elif isinstance(module, QuantizedActivation):
            module.calibrate(args[0])
        return super().call_module(target, args, kwargs)


def _precision(precision: Precision | str | None, weights: int | None, activations: int | None) -> Precision:
    if precision is not None and weights is None and activations is None:
        return Precision.parse(precision) if isinstance(precision, str) else precision
    if precision is None and weights is not None and activations is not None:
        return Precision(weights, activations)
    raise ModelError(
        f"precision={precision}, weight_bits={weights}, activation_bits={activations}; expected a precision alone, or "
        "weight and activation bits"
    )


def _insert(traced: fx.GraphModule, placements: list[Placement]) -> None:
    for placement in placements:
        after = placement.after
        traced.add_submodule(placement.name, QuantizedActivation(placement.bits, placement.signed))
        readers = list(after.users) if placement.readers is None else list(placement.readers)
        with traced.graph.inserting_after(after):
            quantizer = traced.graph.call_module(placement.name, (after,))
        for reader in readers:
            reader.replace_input_with(after, quantizer)
        if operation(after) in RECTIFIERS and set(after.users) == {quantizer}:
            # An unsigned quantizer clamps at zero itself, with the same gradient.
            quantizer.replace_input_with(after, after.all_input_nodes[0])
            traced.graph.erase_node(after)
