"""The steps of a network that another tool quantized, in a network of ours, unchanged.

Every quantizer of the other tool must be one that `quantize` places, with the same codes. What the other tool left in
floating point and an integer graph needs rounded (often the logits, sometimes the input) gets a step from data.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, fx

from obliq.errors import ModelError
from obliq.quantization.convert import calibrate_steps
from obliq.quantization.foreign_quantizers import ForeignGrid, ForeignNetwork
from obliq.quantization.layer_bits import LayerBits
from obliq.quantization.layers import QuantizedActivation, activations, weighted_layers
from obliq.quantization.operations import moves_values, tensor_users
from obliq.quantization.placement import Placement, deploy_placements, layers_that_read, weighted_nodes
from obliq.quantization.precision import Precision, weight_range
from obliq.quantization.tracing import check_quantizable, trace

EDGE_BITS = 8
WIDEST_DIFFERENCE = 1e-4
"""Of outputs, in standard deviations of all outputs: sums in another order move a value across a half now and then."""
COMPARED = 64
"""Samples on which the two networks are compared."""
SEVERAL = (
    "only some of those who read it round it, or in several ways; expected one quantizer for all of them"
)


@dataclass(frozen=True)
class ForeignForm:
    """The form of a network of ours with the codes of a network that another tool quantized.

    Attributes:
        precision: the bits that most layers have.
        layer_bits: of the other layers.
        weight_grid: `per_tensor` where no layer has a step for each output.
        steps: of activations, by the name of the quantizer.
    """

    precision: Precision
    layer_bits: LayerBits
    weight_grid: str
    steps: dict[str, Tensor]

    @property
    def bits(self) -> str:
        """The precision in words, with that of single layers."""
        return f"{self.precision}, {self.layer_bits}" if self.layer_bits.entries else str(self.precision)

    @property
    def has_powers_of_two(self) -> bool:
        """Whether every step is a power of two, as for devices that shift instead of multiplying."""
        return all(bool((torch.frexp(step).mantissa == 0.5).all()) for step in self.steps.values())


def form_of(foreign: ForeignNetwork) -> ForeignForm:
    """The bits, grid and steps that a network of ours must have to compute what a foreign one does.

    Raises:
        ModelError: with every quantizer that has no equal here, by the path of its module, and what to do.
    """
    traced = trace(foreign.plain)
    check_quantizable(traced)
    problems = list(foreign.problems)
    layers = weighted_nodes(traced)
    weights = {str(node.target): _weight_bits(foreign, str(node.target), problems) for node in layers}
    read = dict.fromkeys(weights, EDGE_BITS)
    placed: dict[str, tuple[Placement, int, Tensor]] = {}
    used: set[tuple[str, str]] = set()
    for placement in deploy_placements(traced, EDGE_BITS, EDGE_BITS, {}):
        found = list(_grids_after(placement.after, foreign, used))
        grid = found[0] if found else None
        if any((one is None) != (grid is None) or (one and grid and not one.is_same(grid)) for one in found):
            problems.append(f"{_named(placement, foreign)}: {SEVERAL}")
        elif grid is not None:
            bits = _bits_of(grid, placement, foreign, problems)
            placed[placement.name] = (placement, bits, grid.step)
            read |= {str(node.target): bits for node in layers_that_read(placement.after)}
    for kind, grids in (("output", foreign.outputs), ("input", foreign.inputs)):
        problems += [
            f"{foreign.names.get(path, path) or 'the network'}: its {kind} is rounded where Obliq computes a layer, "
            "its batch norm and its ReLU as one, or rounds already; expected one quantizer behind these three"
            for path in grids
            if (kind, path) not in used
        ]
    own = {path: Precision(weights[path], read[path]) for path in weights}
    # among the precisions of layers, the one that suits sums and outputs too
    ranked = [precision for precision, _ in Counter(own.values()).most_common()]
    tried = [(precision, _special(layers, own, precision)) for precision in ranked]
    others = [list(_of_other_bits(traced, placed, foreign, *form)) for form in tried]
    best = min(range(len(tried)), key=lambda number: len(others[number]))
    (precision, special), problems = tried[best], problems + others[best]
    if problems:
        raise ModelError(
            f"{len(problems)} quantizers have no equal here: {'; '.join(problems)}. Expected symmetric grids of 2 to 8 "
            "bits where an integer graph needs them; or the integer ONNX file (QDQ) that the tool exports "
            "(`obliq unlearn FILE.onnx`), or the float weights alone, in a network without quantizers"
        )
    several = any(grid.step.dim() for grid in foreign.weights.values())
    steps = {name: step for name, (_, _, step) in placed.items()}
    return ForeignForm(precision, special, "per_channel" if several else "per_tensor", steps)


def bring_in_steps(
    model: fx.GraphModule, foreign: ForeignNetwork, form: ForeignForm, inputs: Float[Tensor, "samples ..."]
) -> tuple[str, ...]:
    """Set the steps of a network of ours to those of a foreign one, and compare what both compute.

    Args:
        model: the plain network, quantized to `form`; changed in place.
        foreign: what came in.
        form: see `form_of`.
        inputs: standardised inputs, for steps that the other network does not have, and for the comparison.

    Returns:
        The quantizers whose steps came from data.

    Raises:
        ModelError: when the two compute different outputs.
    """
    with torch.no_grad():
        for path, layer in weighted_layers(model).items():
            step = foreign.weights[path].step.to(layer.weight_step.device)
            layer.weight_step.copy_(step.expand(layer.weight_step.shape))
        for name, quantizer in activations(model).items():
            if name in form.steps:
                quantizer.set_step(form.steps[name].to(quantizer.step.device))
    added = tuple(name for name in activations(model) if name not in form.steps)
    calibrate_steps(model, inputs, least_error=True, only=added)
    with torch.no_grad():
        expected = foreign.module.to(inputs.device)(inputs[:COMPARED])
        expected = getattr(expected, "value", expected)  # Brevitas returns values together with their scale
        found = _Without(model, added).run(inputs[:COMPARED])
    spread = expected.std().clamp_min(1e-12)
    different = float(((expected - found).abs() / spread).mean())
    if not different <= WIDEST_DIFFERENCE:
        raise ModelError(
            f"with the steps of {type(foreign.module).__name__} outputs differ by {different:.2g} standard deviations "
            f"on average, and at most {WIDEST_DIFFERENCE:g} was expected: the network computes something that was not "
            "recognised; expected the integer ONNX file that the tool exports (`obliq unlearn FILE.onnx`)"
        )
    return added


class _Without(fx.Interpreter):
    """Runs a network without some of its activation quantizers; an unsigned one is then the ReLU that it replaced."""

    def __init__(self, model: fx.GraphModule, left_out: tuple[str, ...]) -> None:
        super().__init__(model)
        self._left_out = left_out

    def call_module(self, target: fx.node.Target, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        module = self.fetch_attr(str(target))
        if str(target) in self._left_out and isinstance(module, QuantizedActivation):
            return args[0] if module.signed else args[0].clamp_min(0)
        return super().call_module(target, args, kwargs)


def _weight_bits(foreign: ForeignNetwork, path: str, problems: list[str]) -> int:
    """The bits of the weights of a layer."""
    grid, name = foreign.weights.get(path), foreign.names.get(path, path)
    if grid is None:
        if not any(problem.startswith(f"{name}:") for problem in problems):
            problems.append(
                f"{path}: its weights are not quantized; expected quantized weights in every layer"
            )
        return EDGE_BITS
    bits = (grid.high + 1).bit_length()
    low, high = weight_range(bits) if 2 <= bits <= 8 else (0, 0)
    if grid.high != high or grid.low not in (low, low - 1):
        problems.append(
            f"{name}: weight codes from {grid.low} to {grid.high}; expected -127 to 127 at 8 bits, -7 to 7 at 4"
        )
        return EDGE_BITS
    weight = foreign.plain.get_parameter(f"{path}.weight".strip("."))
    step = grid.step.reshape(-1, *[1] * (weight.dim() - 1)) if grid.step.dim() else grid.step
    if grid.low < low and bool(((weight / step).round() < low).any()):
        problems.append(
            f"{name}: weights have the code {grid.low}, which has no counterpart here; expected codes from {low} to "
            f"{high} (quant_min={low}, or a narrow range), and a short training with them"
        )
    return bits


def _grids_after(
    node: fx.Node, foreign: ForeignNetwork, used: set[tuple[str, str]]
) -> Iterator[ForeignGrid | None]:
    """The grids that the values of a node are rounded to on their ways to what computes with them."""
    path = _path(node)
    if path in foreign.outputs:
        used.add(("output", path))
        yield foreign.outputs[path]
        for again in _next_grids(node, foreign):
            if again[1].is_same(foreign.outputs[path]):  # rounding twice to one grid is rounding once
                used.add(again[0])
        return
    for user in tensor_users(node):
        target = _path(user)
        if target in foreign.inputs:
            used.add(("input", target))
            yield foreign.inputs[target]
        elif moves_values(user):
            yield from _grids_after(user, foreign, used)
        else:
            yield None


def _path(node: fx.Node) -> str:
    """The path of the module that a node calls; no path for others."""
    return str(node.target) if node.op == "call_module" else "(no module)"


def _next_grids(node: fx.Node, foreign: ForeignNetwork) -> Iterator[tuple[tuple[str, str], ForeignGrid]]:
    """The quantizers that follow directly behind a quantizer, with only moves between."""
    for user in tensor_users(node):
        target = _path(user)
        if target in foreign.inputs:
            yield ("input", target), foreign.inputs[target]
        elif moves_values(user):
            if target in foreign.outputs:
                yield ("output", target), foreign.outputs[target]
            yield from _next_grids(user, foreign)


def _bits_of(grid: ForeignGrid, placement: Placement, foreign: ForeignNetwork, problems: list[str]) -> int:
    """The bits of an activation quantizer of ours with the codes of a grid."""
    bits = (grid.high + 1).bit_length() - (0 if placement.signed else 1)
    low = -(2 ** (bits - 1)) if placement.signed else 0
    high = 2 ** (bits - 1) - 1 if placement.signed else 2**bits - 1
    # where no value is negative, a grid that could hold negative ones rounds as one that cannot
    fits = grid.low == low if placement.signed else grid.low <= 0
    if grid.step.dim() or not fits or grid.high != high or not 2 <= bits <= 8:
        sign = "can be negative" if placement.signed else "are never negative"
        expected = (
            "-128 to 127 at 8 bits, -8 to 7 at 4" if placement.signed else "0 to 255 at 8 bits, 0 to 15 at 4"
        )
        problems.append(
            f"{_named(placement, foreign)}: values that {sign} have codes from {grid.low} to {grid.high} around zero"
            f"{' and several scales' if grid.step.dim() else ''}; expected {expected}, zero point 0 and one scale"
        )
        return EDGE_BITS
    return bits


def _special(layers: list[fx.Node], own: dict[str, Precision], precision: Precision) -> LayerBits:
    """The layers whose bits differ from what they have in a network of a precision."""
    edge, ends = Precision(EDGE_BITS, EDGE_BITS), (str(layers[0].target), str(layers[-1].target))
    return LayerBits(
        tuple((path, bits) for path, bits in own.items() if bits != (edge if path in ends else precision))
    )


def _of_other_bits(
    traced: fx.GraphModule,
    placed: dict[str, tuple[Placement, int, Tensor]],
    foreign: ForeignNetwork,
    precision: Precision,
    special: LayerBits,
) -> Iterator[str]:
    """Quantizers that `quantize` would give other bits."""
    layers = weighted_nodes(traced)
    wanted = special.of_layers([str(node.target) for node in layers])
    read_bits = {node: wanted[str(node.target)].activations for node in layers if str(node.target) in wanted}
    for placement in deploy_placements(traced, precision.activations, EDGE_BITS, read_bits):
        if placement.name in placed and placed[placement.name][1] != placement.bits:
            yield (
                f"{_named(placement, foreign)}: {placed[placement.name][1]} bits where no layer reads; expected "
                f"{placement.bits}, as for sums and outputs"
            )


def _named(placement: Placement, foreign: ForeignNetwork) -> str:
    """The module whose values are rounded, as the user knows it."""
    after = placement.after
    if after.op == "placeholder":
        return "the input"
    path = _path(after) if after.op == "call_module" else placement.name.removesuffix("_output")
    return foreign.names.get(path, path)
