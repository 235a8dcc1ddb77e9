"""Hostile ONNX files of networks with tables, products, concatenations and values in other places."""

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from tests.hostile.onnx_files import (
    Alteration,
    adds,
    becomes,
    both,
    fields,
    first,
    put,
    reads,
    settings,
    without,
)
from tests.hostile.sample import forms_file

zeros = numpy_helper.from_array(np.zeros((1, 4, 6, 6), np.float32), "zeros")
entries = (
    numpy_helper.from_array(np.arange(256).astype(np.int8) // 2, "entries"),
    numpy_helper.from_array(np.full(256, 0.1, np.float32), "scales"),
)

ALTERED: dict[str, Alteration] = {
    "table too short": put("2t", lambda values: values[:255]),
    "table too long": put("2t", lambda values: np.append(values, values)),
    "table of two axes": put("2t", lambda values: values.reshape(16, 16)),
    "table of signed bytes": put("2t", lambda values: values.astype(np.int8)),
    "table of wide numbers": put("2t", lambda values: values.astype(np.int32)),
    "table on another grid": reads("2v", "2t", "1s", "=128"),
    "table around another zero": reads("2v", "2t", "2s", "=0"),
    "table without a zero": reads("2v", "2t", "2s"),
    "table with an axis": settings("2v", axis=0),
    "table along an axis": settings("2y", axis=1),
    "table with many scales": both(
        adds(constants=entries), both(reads("2v", "entries", "scales"), settings("2v", axis=0))
    ),
    "table that is a weight": reads("4y", "3r", "2v", "4b"),
    "table that is an activation": reads("3r", "2t", "2s", "=128"),
    "places in a table from reals": reads("2y", "2v", "1y"),
    "places in a table from bytes": reads("2y", "2v", "first_output"),
    "places in a table that are constant": reads("2y", "2v", "6n"),
    "places in no table": reads("2y", "1w", "2g"),
    "bytes cast to bytes": settings("2g", to=TensorProto.INT8),
    "reals cast to places": reads("2g", "1y"),
    "places that are pooled": both(becomes("transpose", "MaxPool"), reads("transpose", "2g")),
    "place beyond the axis": put("6n", first(4)),
    "place far beyond the axis": put("6n", first(2**62)),
    "negative place": put("6n", first(-1)),
    "places of another type": put("6n", lambda values: values.astype(np.int32)),
    "places of two axes": put("6n", lambda values: values.reshape(1, 2)),
    "places of an axis that flow": reads("getitem", "getitem_0", "2g"),
    "places of samples": settings("getitem", axis=0),
    "places of no axis": settings("getitem", axis=7),
    "places to fill any memory": put("6n", lambda values: np.zeros(2**25, np.int64)),
    "no places": fields("6n", dims=[0], raw_data=b""),
    "samples joined": settings("8y", axis=0),
    "joined along no axis": settings("8y", axis=4),
    "negative axis of joining": settings("8y", axis=-3),
    "joined without an axis": lambda model: _without_settings(model, "8y"),
    "joined with a constant": both(adds(constants=(zeros,)), reads("8y", "6r", "zeros")),
    "joined with bytes": reads("8y", "6r", "getitem_1"),
    "joined with another size": reads("8y", "6r", "0r"),
    "joined three hundred times": reads("8y", *["6r"] * 300),
    "reshape of other elements": put("12n", lambda values: values * np.array([1, 2, 1, 1])),
    "reshape that mixes samples": put("12n", lambda _: np.array([4, -1, 1, 1])),
    "reshape that keeps a size": put("12n", lambda _: np.array([-1, 0, 1, 1])),
    "reshape to nothing": put("12n", lambda _: np.array([-1, 0, 0, 0])),
    "reshape beyond counting": put("12n", lambda _: np.array([-1, 2**62, 2**62, 4])),
    "reshape to many axes": put("12n", lambda _: np.array([-1, 4, *[1] * 20])),
    "reshape by reals": put("12n", lambda values: values.astype(np.float32)),
    "reshape by a setting": settings("view", allowzero=1),
    "samples transposed": settings("transpose", perm=[1, 0, 2, 3]),
    "an axis twice": settings("transpose", perm=[0, 1, 1, 3]),
    "axes missing": settings("transpose", perm=[0, 1, 3]),
    "axes beyond the rank": settings("transpose", perm=[0, 1, 4, 3]),
    "axes turned around by default": lambda model: _without_settings(model, "transpose"),
    "product of bytes": reads("13y", "cat_output", "view"),
    "product with another shape": reads("13y", "8r", "3r"),
    "product with fewer axes": reads("13y", "8r", "11y"),
    "product with a constant": both(adds(constants=(zeros,)), reads("13y", "8r", "zeros")),
    "product that is not rounded": without("mul_output"),
    "sum with fewer axes": both(becomes("13y", "Add"), reads("13y", "8r", "11y")),
}
"""By name: what is done to the integer file."""


def _without_settings(model: object, output: str) -> None:
    nodes = model.graph.node  # type: ignore[attr-defined]
    next(node for node in nodes if node.output[0] == output).ClearField("attribute")


def all_files() -> dict[str, bytes]:
    """Every such file by its name."""
    made = {}
    for name, alter in ALTERED.items():
        model = onnx.load_model_from_string(forms_file())
        alter(model)
        made[name] = model.SerializeToString()
    return made
