"""In what a file stores its weights, and so in which form it was written."""

from obliq.export.contents import Contents

_BITS = {"int8": 8, "int4": 4, "int2": 2}


def weight_constants(contents: Contents) -> tuple[str, ...]:
    """The constants that hold the codes of layers, in the order of their layers; none for a file of floats."""
    made_by = {node.output: node for node in contents.nodes}
    found = []
    for node in contents.nodes:
        if node.operator in ("Conv", "Gemm"):
            name = node.inputs[1]
            while name not in contents.constants:
                name = made_by[name].inputs[0]
            if contents.kinds[name] != "float32":
                found.append(name)
    return tuple(found)


def widths(contents: Contents) -> dict[str, int]:
    """The bits that the codes of each layer are stored in, by the layer's path."""
    layers = [node.layer for node in contents.nodes if node.operator in ("Conv", "Gemm")]
    names = weight_constants(contents)
    return {
        layer or name.removesuffix(".weight"): _BITS[contents.kinds[name]]
        for layer, name in zip(layers, names, strict=True)
    }


def stored_weights(contents: Contents) -> str:
    """The narrowest type that weights are stored in: `int8`, `int4`, `int2`, or `float32`."""
    kinds = {contents.kinds[name] for name in weight_constants(contents)}
    return next((kind for kind in ("int2", "int4", "int8") if kind in kinds), "float32")


def form_of(contents: Contents) -> str:
    """The only form of `to_onnx` that such a file can have, if it is ours.

    Bytes alone are `integer`: a network of which no layer has fewer bits has the same file in the `compact` form.
    """
    return {"int8": "integer", "float32": "float"}.get(stored_weights(contents), "compact")
