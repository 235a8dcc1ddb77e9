"""Sums and products round as in ONNX Runtime, to the last code, where numbers lie next to a half."""

import numpy as np
import pytest
import torch
from numpy import ndarray

from obliq.exporting import check, export_file
from obliq.exporting.grids import Grid
from obliq.exporting.onnx.runtime import session
from obliq.exporting.operations import Add, Concatenate, Multiply, Step
from tests.exporting.networks import made

onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")

OPERATIONS = {"Add": Add, "Mul": Multiply, "Concat": Concatenate}


def grid(scale: float, signed: bool) -> Grid:
    low = -128 if signed else 0
    return Grid(scale=float(np.float32(scale)), bits=8, signed=signed, low=low, high=low + 255)


def in_runtime(operator: str, read: list[ndarray], grids: list[Grid], result: Grid) -> ndarray:
    helper, types = onnx.helper, onnx.TensorProto
    constants, nodes, inputs = [], [], []
    for name, one in zip("abc", [*grids, result], strict=True):
        constants.append(onnx.numpy_helper.from_array(np.float32(one.scale), f"{name}s"))
        constants.append(onnx.numpy_helper.from_array(np.uint8(one.zero_point), f"{name}z"))
    for name, codes in zip("ab", read, strict=True):
        inputs.append(helper.make_tensor_value_info(name, types.UINT8, codes.shape))
        nodes.append(helper.make_node("DequantizeLinear", [name, f"{name}s", f"{name}z"], [f"{name}r"]))
    settings = {"axis": 1} if operator == "Concat" else {}
    nodes.append(helper.make_node(operator, ["ar", "br"], ["cr"], **settings))
    nodes.append(helper.make_node("QuantizeLinear", ["cr", "cs", "cz"], ["c"]))
    outputs = [helper.make_tensor_value_info("c", types.UINT8, None)]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    stored = zip("ab", read, grids, strict=True)
    given = {name: (codes + one.zero_point).astype(np.uint8) for name, codes, one in stored}
    found = session(model.SerializeToString()).run(None, given)[0]
    return found.astype(np.int32) - result.zero_point


def near_a_half(operator: str, grids: list[Grid], result: Grid) -> list[ndarray]:
    """Pairs of codes whose result, in float64, is within float32's error of a half; and some others."""
    first, second = np.meshgrid(*(np.arange(one.low, one.high + 1) for one in grids), indexing="ij")
    scales = [one.scale / result.scale for one in grids]
    exact = first * scales[0] + second * scales[1]
    if operator == "Mul":
        exact = first * second * (grids[0].scale * scales[1])
    chosen = np.abs(exact - np.floor(exact) - 0.5) < 3e-6 * np.maximum(np.abs(exact), 40)
    chosen &= (exact > result.low - 1) & (exact < result.high + 1)
    chosen[::50, ::50] = True
    return [first[chosen].astype(np.int32), second[chosen].astype(np.int32)]


@pytest.mark.parametrize("repeated", [None, 0, 1])
@pytest.mark.parametrize("operator", OPERATIONS)
def test_every_code_is_the_runtimes(operator: str, repeated: int | None) -> None:
    if operator == "Concat" and repeated is not None:
        pytest.skip("nothing is repeated")
    random, compared = np.random.default_rng(0), 0
    for _ in range(40):
        scales, signs = np.exp(random.uniform(-4, -1, 3)), random.integers(0, 2, 3).astype(bool)
        if operator == "Mul":
            scales[2] = scales[0] * scales[1] * np.exp(random.uniform(2, 6))
        *grids, result = (grid(scale, bool(sign)) for scale, sign in zip(scales, signs, strict=True))
        read = [codes.reshape(1, -1, 1) for codes in near_a_half(operator, grids, result)]
        if repeated is not None:
            read[1 - repeated] = np.repeat(read[1 - repeated], 5, axis=2)
        step: Step = OPERATIONS[operator](
            **{"name": "c", "path": "c", "sources": ("a", "b"), "grid": result},
            **({"axis": 1} if operator == "Concat" else {}),
        )
        found = step.in_numpy(read, grids)
        np.testing.assert_array_equal(found, in_runtime(operator, read, grids, result))
        held = step.constants(grids) | {
            "scale": torch.tensor(result.scale, dtype=torch.float32),
            "sources": torch.tensor([one.scale for one in grids], dtype=torch.float32),
        }
        in_torch = step.in_torch([torch.from_numpy(codes).float() for codes in read], held)
        np.testing.assert_array_equal(in_torch.numpy(), found)
        compared += found.size
    assert compared > 1_500


def test_random_inverted_residuals_have_every_activation_of_the_interpreter() -> None:
    """A sum next to a half in such a network was once rounded otherwise than in the runtime."""
    for seed in range(1, 4):
        model, inputs = made("own inverted", "W8A8", seed)
        agreement = check(model, export_file(model, inputs.shape[1:]), inputs[:2]).activations
        assert (agreement.equal, agreement.compared > 0) == (1, True), seed
