"""A node's settings in the form that PyTorch takes them."""

from obliq.export.contents import Contents, Node


def several(node: Node, name: str, otherwise: tuple[int, ...]) -> tuple[int, ...]:
    """A setting as a tuple."""
    found = node.settings.get(name, otherwise)
    return found if isinstance(found, tuple) else (found,)


def padding(node: Node, axes: int) -> tuple[tuple[int, int], ...]:
    """What stands before and after each axis of space."""
    pads = several(node, "pads", (0,) * 2 * axes)
    return tuple(zip(pads[:axes], pads[axes:], strict=True))


def bounds(node: Node, contents: Contents) -> tuple[float, float]:
    """The two constants that a value is clamped between."""
    low, high = (float(contents.constants[name].reshape(())) for name in node.inputs[1:])
    return low, high


def whole_axes(rank: int) -> tuple[int, ...]:
    """The axes of space of a batch of so many axes."""
    return tuple(range(2, rank))
