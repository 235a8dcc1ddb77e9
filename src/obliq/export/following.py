"""From node to node through a file's graph: what is known of each value, and whether the whole makes sense."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from obliq.errors import ModelError
from obliq.export.contents import Contents, Node
from obliq.export.values import Value, activation, require

Rule = Callable[[Node, list[Value]], Value]
MOST_PRODUCTS = 2**40
"""Multiplications for one sample."""


@dataclass(frozen=True, kw_only=True)
class Operator:
    """What a file may do with one operator of the standard domain.

    Attributes:
        rule: what must hold of its inputs, and what it makes of them.
        inputs: the fewest and the most.
        settings: names of the settings that it may have.
    """

    rule: Rule
    inputs: tuple[int, int]
    settings: frozenset[str] = frozenset()


def followed(
    contents: Contents, operators: Mapping[str, Operator], idle: frozenset[str] = frozenset()
) -> dict[str, Value]:
    """Every value of a graph by name.

    Args:
        contents: as they were parsed.
        operators: the allow-list.
        idle: constants that may stand there unread.

    Raises:
        ModelError: naming the node, what was found and what was expected.
    """
    first, last = contents.ends
    values = {
        name: Value(kind=contents.kinds[name], shape=values.shape, constant=values)
        for name, values in contents.constants.items()
    }
    if first in values:
        raise ModelError(f"a constant is called {first!r}; expected that of the input alone")
    values[first] = activation("float32", contents.input_shape)
    unread = set(values) - idle
    products = 0
    for node in contents.nodes:
        operator = operators.get(node.operator)
        if operator is None:
            raise ModelError(
                f"operator {node.operator[:80]!r} that makes {node.output!r} is not read; expected "
                f"{', '.join(operators)}"
            )
        (least, most), settings = operator.inputs, operator.settings
        require(least <= len(node.inputs) <= most, node, f"{least} to {most} inputs")
        require(
            set(node.settings) <= settings, node, f"settings {', '.join(sorted(settings)) or 'of no kind'}"
        )
        require(node.output not in values, node, "a name of its own for each value")
        require(values.keys() >= set(node.inputs), node, "inputs that were made before")
        values[node.output] = made = operator.rule(node, [values[name] for name in node.inputs])
        unread = (unread - set(node.inputs)) | {node.output}
        products += _products(node, values, made)
    if unread != {last} or not values[last].flows:
        raise ModelError(f"{sorted(unread)[:3]} are not read by anything; expected that of {last!r} alone")
    if values[last].kind != "float32" or len(values[last].shape) != 1:
        raise ModelError(f"{last!r} is {values[last]}; expected a float32 row for each sample")
    if products > MOST_PRODUCTS:
        raise ModelError(f"{products} multiplications for a sample; expected at most {MOST_PRODUCTS}")
    return values


def _products(node: Node, values: dict[str, Value], made: Value) -> int:
    if node.operator not in ("Conv", "Gemm"):
        return 0
    return int(np.prod(values[node.inputs[1]].shape[1:], dtype=object) * np.prod(made.shape, dtype=object))
