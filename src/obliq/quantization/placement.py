"""Where quantizers go in a network, and with which bits and sign.

An integer graph needs every value that a layer reads or computes to lie on a grid. A chain of layer, batch norm and
rectifier is one unit with one quantizer at its end, because it becomes one integer operation. Operations that only
move values (flatten, max pool, ...) need no quantizer: their values are on a grid already.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import fx
from torch.nn.modules.conv import _ConvNd

from obliq.quantization.operations import (
    CLIPPED_RECTIFIERS,
    COMPARISONS,
    NORMALISATIONS,
    RECTIFIERS,
    TRANSPARENT,
    is_number,
    is_weighted,
    module_of,
    moves_values,
    never_negative,
    operation,
    require_one_result,
    tensor_users,
)


@dataclass(frozen=True)
class Placement:
    """One quantizer to insert.

    Attributes:
        name: name of the new module, stable for a given network.
        after: the node whose values are quantized.
        readers: the nodes that read the quantized values; None for all.
        bits: bit width.
        signed: whether negative values can occur.
    """

    name: str
    after: fx.Node
    readers: tuple[fx.Node, ...] | None
    bits: int
    signed: bool


def weighted_nodes(traced: fx.GraphModule) -> list[fx.Node]:
    """The convolutions and linear layers in the order of computation."""
    return [node for node in traced.graph.nodes if is_weighted(node)]


def deploy_placements(
    traced: fx.GraphModule, activation_bits: int, edge_bits: int, read_bits: Mapping[fx.Node, int]
) -> list[Placement]:
    """Quantizers for an integer graph: after the input, layers, additions, averages, other functions, and the logits.

    A quantizer whose values a layer reads has `activation_bits`. Others (a residual sum, a shortcut), the input, the
    inputs of the first and last layer, and the logits have `edge_bits`. `read_bits` are those of layers that read
    other bits.

    Raises:
        ModelError: naming a call that gives several tensors.
    """
    for node in traced.graph.nodes:
        require_one_result(node)
    weighted = weighted_nodes(traced)
    ends = {weighted[0], weighted[-1], *(node for node in traced.graph.nodes if node.op == "output")}
    positive = _never_negative_nodes(traced)
    placements: list[Placement] = []
    names: dict[str, int] = {}
    for root, after in _units(traced):
        readers = _readers(after)
        # edge bits at the network's input, at the inputs of first and last layer, and where no layer reads
        inner = any(map(is_weighted, readers)) and not ends & readers and root.op != "placeholder"
        name = "network_input" if root.op == "placeholder" else f"{_label(root)}_output"
        bits = activation_bits if inner else edge_bits
        bits = _bits_for(readers, bits, read_bits)
        placements.append(Placement(_unique(name, names, traced), after, None, bits, not positive[after]))
    return placements


def paper_placements(
    traced: fx.GraphModule, quantized: set[fx.Node], activation_bits: int, read_bits: Mapping[fx.Node, int]
) -> list[Placement]:
    """Quantizers only where a quantized layer reads, as in the published Q-MUL networks."""
    positive = _never_negative_nodes(traced)
    read: dict[fx.Node, list[fx.Node]] = {}
    for node in traced.graph.nodes:
        if node in quantized:
            read.setdefault(node.args[0], []).append(node)
    placements: list[Placement] = []
    names: dict[str, int] = {}
    for value, readers in read.items():
        name = _unique(f"{_label(readers[0])}_input", names, traced)
        bits = _bits_for(set(readers), activation_bits, read_bits)
        placements.append(Placement(name, value, tuple(readers), bits, not positive[value]))
    return placements


def _bits_for(readers: set[fx.Node], bits: int, read_bits: Mapping[fx.Node, int]) -> int:
    """The bits of a value: the most that one of its readers wants, `bits` for those without a wish."""
    return max((read_bits.get(reader, bits) for reader in readers), default=bits)


def shortcut_convolutions(traced: fx.GraphModule) -> set[fx.Node]:
    """The 1x1 convolutions on a shortcut: added to a longer path that starts from the same node."""
    found: set[fx.Node] = set()
    for node in weighted_nodes(traced):
        module = module_of(node)
        if not isinstance(module, _ConvNd) or set(module.kernel_size) != {1}:
            continue
        start = _start_of(node)
        after = _unit_end(node)
        for user in tensor_users(after):
            others = [value for value in user.all_input_nodes if value is not after]
            if len(others) == 1 and start in _ancestors(others[0]) and _passes_layer(others[0], start):
                found.add(node)
    return found


def _units(traced: fx.GraphModule) -> Iterator[tuple[fx.Node, fx.Node]]:
    """First and last node of every chain that ends in one quantizer."""
    inside: set[fx.Node] = set()
    for node in traced.graph.nodes:
        if node in inside or node.op in ("output", "get_attr") or is_number(node):
            continue
        if node.op != "placeholder" and (moves_values(node) or operation(node) in COMPARISONS):
            continue
        after = node if node.op == "placeholder" else _unit_end(node, inside)
        yield node, after


def _unit_end(root: fx.Node, inside: set[fx.Node] | None = None) -> fx.Node:
    """Follow batch norm and rectifier from `root` while no other node reads the values between them.

    Dropout and identity may lie between them.
    """
    inside = set() if inside is None else inside
    end = root
    # A layer may be followed by batch norm and then a rectifier; another operation by a rectifier only.
    followers = [RECTIFIERS | CLIPPED_RECTIFIERS]
    if is_weighted(root):
        followers.insert(0, NORMALISATIONS)
    if operation(root) in RECTIFIERS | CLIPPED_RECTIFIERS:
        followers = []
    for kinds in followers:
        passed: list[fx.Node] = []
        users = tensor_users(end)
        while len(users) == 1 and operation(users[0]) in TRANSPARENT:
            passed.append(users[0])
            users = tensor_users(users[0])
        if len(users) == 1 and operation(users[0]) in kinds:
            end = users[0]
            inside.update(passed, [end])
    return end


def layers_that_read(node: fx.Node) -> set[fx.Node]:
    """The layers with weights that read the values of a node, directly or after operations that only move them."""
    return set(filter(is_weighted, _readers(node)))


def _readers(node: fx.Node) -> set[fx.Node]:
    """The nodes that read the values of `node`, directly or after operations that only move them."""
    found: set[fx.Node] = set()
    for user in tensor_users(node):
        if moves_values(user):
            found |= _readers(user)
        else:
            found.add(user)
    return found


def _never_negative_nodes(traced: fx.GraphModule) -> dict[fx.Node, bool]:
    known: dict[fx.Node, bool] = {}
    for node in traced.graph.nodes:
        known[node] = never_negative(node, known)
    return known


def _start_of(node: fx.Node) -> fx.Node:
    """Walk up from a layer over operations with one input and no weights (pools, rectifiers)."""
    start: fx.Node = node.all_input_nodes[0]
    while (
        len(start.all_input_nodes) == 1 and not is_weighted(start) and operation(start) not in NORMALISATIONS
    ):
        start = start.all_input_nodes[0]
    return start


def _ancestors(node: fx.Node) -> set[fx.Node]:
    found: set[fx.Node] = set()
    waiting = [node]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting.extend(current.all_input_nodes)
    return found


def _passes_layer(end: fx.Node, start: fx.Node) -> bool:
    """Whether a weighted layer lies between `start` and `end`."""
    return any(
        is_weighted(node) and start in _ancestors(node) for node in _ancestors(end) if node is not start
    )


def _label(node: fx.Node) -> str:
    """A readable name: the layer's own, or the function's name after that of the module that calls it."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    if node.op == "call_module" or not stack:
        return node.name
    function = getattr(node.target, "__name__", str(node.target))
    return f"{stack[-1][0]}.{function}".replace(".", "_").strip("_")


def _unique(name: str, taken: dict[str, int], traced: fx.GraphModule) -> str:
    """A name with a number, if it was used before or the network itself uses it."""
    count = taken.get(name, 0)
    taken[name] = count + 1
    numbered = name if count == 0 else f"{name}_{count}"
    return _unique(name, taken, traced) if hasattr(traced, numbered) else numbered
