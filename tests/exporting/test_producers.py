"""Files in the forms of many producers: rebuilt networks answer as ONNX Runtime does, and come back byte for byte."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from obliq.errors import ModelError
from obliq.exporting import parse_exported, share_of_changed_codes
from obliq.exporting.onnx.runtime import session
from obliq.exporting.qdq.check import QDQ_RULES
from obliq.exporting.qdq.parse import OPSETS
from obliq.quantization import weighted_layers

pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")

from tests.exporting.producer_files import CHANNELS, CLASSES, IMAGE, SIDE, Draft, begun, ended

FEATURES = CHANNELS * SIDE * SIDE


def inputs(samples: int = 48) -> torch.Tensor:
    return torch.randn(samples, *IMAGE, generator=torch.Generator().manual_seed(1))


def check_answers(data: bytes, tolerance: float = 2e-3) -> None:
    """As ONNX defines it, but for values at a half; and as ONNX Runtime fuses it, which may round real weights."""
    file = parse_exported(data)
    network, images = file.rebuild(), inputs()
    with torch.no_grad():
        ours = network(images).numpy()
    found = file.predictor.predict(images).numpy()
    assert np.isfinite(found).all()
    assert found.std() > 1e-3
    assert abs(ours - found).mean() < max(0.06, tolerance)
    if file.contents.batch is None and file.contents.nodes[-1].operator != "Softmax":
        exact = session(data, optimised=False, silent=True).run(None, {"image": images.numpy()})[0]
        assert np.median(abs(ours - exact)) < tolerance
        assert (abs(ours - exact).max(1) > max(0.1, tolerance)).mean() <= 0.1
    assert file.with_weights(copy.deepcopy(network)) == data


def one(
    operator: str, *, opset: int = 17, more: Callable[[Draft], list[str]] | None = None, **settings: Any
) -> Callable[[], bytes]:
    """A file in which one operator comes behind the convolution."""

    def build() -> bytes:
        draft = begun(opset=opset)
        source = draft.at
        added = more(draft) if more else []
        draft.node(operator, source, *added, **settings)
        return ended(draft)

    return build


def const(values: object, kind: type = np.float32) -> Callable[[Draft], list[str]]:
    return lambda draft: [draft.constant(values, kind)]


def consts(*values: tuple[object, type]) -> Callable[[Draft], list[str]]:
    return lambda draft: [draft.constant(*value) for value in values]


ARITHMETIC_OF_ONE: dict[str, Callable[[], bytes]] = {
    **{
        name: one(name)
        for name in ("Relu", "Sigmoid", "Tanh", "HardSwish", "Softplus", "Softsign", "Exp", "Erf")
    },
    **{name: one(name) for name in ("Abs", "Neg", "Identity", "HardSigmoid", "Elu", "LeakyRelu", "Dropout")},
    "Mish": one("Mish", opset=18),
    "HardSigmoid as in Hardsigmoid": one("HardSigmoid", alpha=1 / 6, beta=0.5),
    "HardSigmoid whose slope is 1": one("HardSigmoid", alpha=1.0, beta=0.0),
    "LeakyRelu whose slope is 1": one("LeakyRelu", alpha=1.0),
    "Elu of 0.5": one("Elu", alpha=0.5),
    "Gelu": one("Gelu", opset=20),
    "Gelu by tanh": one("Gelu", opset=20, approximate="tanh"),
    "Clip": one("Clip", more=consts((-0.5, np.float32), (0.5, np.float32))),
    "Clip from below": one("Clip", more=const(-0.1)),
    "Clip from above": one("Clip", more=lambda draft: ["", draft.constant(0.2)]),
    "PRelu by channel": one("PRelu", more=const(np.linspace(0, 0.5, CHANNELS).reshape(-1, 1, 1))),
    "Add of a channel": one("Add", more=const(np.linspace(-1, 1, CHANNELS).reshape(1, -1, 1, 1))),
    "Sub": one("Sub", more=const(0.25)),
    "Mul": one("Mul", more=const(-1.5)),
    "Div": one("Div", more=const(3.0)),
    "Pow": one("Pow", more=const(2.0)),
    "Max": one("Max", more=const(0.1)),
    "Min": one("Min", more=const(0.1)),
    "batch norm": one(
        "BatchNormalization",
        more=consts(
            *(
                ([*values], np.float32)
                for values in ([1, -2, 0.5, 1], [0, 1, 0, -1], [0.1, 0, 0, 1], [1, 4, 0.1, 2])
            )
        ),
        epsilon=1e-3,
        momentum=0.9,
    ),
    "Cast to the same": one("Cast", to=1),
    "Sqrt of what cannot be below zero": lambda: ended(_chain(("Abs",), ("Sqrt",))),
    "SiLU": lambda: ended(_gated("Sigmoid")),
    "two constants": lambda: ended(_of_constants()),
    "a dequantized constant": lambda: ended(_dequantized_constant()),
}

MOVED: dict[str, Callable[[], bytes]] = {
    "Transpose": one("Transpose", perm=[0, 2, 3, 1]),
    "Reshape": one("Reshape", more=const([-1, 2, FEATURES // 2], np.int64)),
    "Reshape that copies the batch": one("Reshape", more=const([0, 0, -1], np.int64)),
    "Reshape to a row": one("Reshape", more=const([0, -1], np.int64)),
    "Unsqueeze": one("Unsqueeze", more=const([1], np.int64)),
    "Unsqueeze at the end": one("Unsqueeze", more=const([-1], np.int64)),
    "Gather": one("Gather", more=const([3, 1, -2, 0], np.int64), axis=1),
    "channel shuffle": lambda: ended(_shuffled()),
    "parts": lambda: ended(_parts()),
    "parts of one length": lambda: ended(_parts(opset=18)),
    "slices": lambda: ended(_slices()),
    "mean and Squeeze": lambda: ended(_mean(), CHANNELS),
    "a shape computed from the shape": lambda: ended(_computed_shape()),
    "half of the channels, computed": lambda: ended(_computed_half()),
    "Pad": lambda: ended(_padded(), CHANNELS * (SIDE + 3) * SIDE),
    "Resize": lambda: ended(_resized(), 4 * FEATURES),
    "Flatten from the back": lambda: ended(_chain(("Flatten", {"axis": -3}))),
}


def _chain(*steps: tuple[Any, ...], **fields: Any) -> Draft:
    draft = begun(**fields)
    for operator, *settings in steps:
        draft.node(operator, **(settings[0] if settings else {}))
    return draft


def _gated(operator: str) -> Draft:
    draft = begun()
    value = draft.at
    draft.node("Mul", value, draft.node(operator))
    return draft


def _of_constants() -> Draft:
    draft = begun()
    value = draft.at
    half = draft.node("Div", draft.constant([1.0]), draft.constant([2.0]))
    draft.node("Mul", half, value)
    return draft


def _dequantized_constant() -> Draft:
    draft = begun()
    value = draft.at
    three = draft.node(
        "DequantizeLinear", draft.constant(30, np.uint8), draft.constant(0.1), draft.constant(0, np.uint8)
    )
    draft.node("Add", value, three)
    return draft


def _shuffled() -> Draft:
    draft = begun()
    draft.node("Reshape", draft.at, draft.constant([-1, 2, CHANNELS // 2, SIDE, SIDE], np.int64))
    draft.node("Transpose", perm=[0, 2, 1, 3, 4])
    draft.node("Reshape", draft.at, draft.constant([0, CHANNELS, SIDE, SIDE], np.int64))
    return draft


def _parts(opset: int = 17) -> Draft:
    """With lengths of their own; or with a number of parts, the last of which is shorter, and one that nobody reads."""
    draft, names = begun(opset=opset), ["first", "second", "third"]
    if opset < 18:
        draft.node("Split", draft.at, draft.constant([1, 2, 1], np.int64), outputs=names, axis=1)
        draft.node("Concat", *reversed(names), axis=1)
    else:
        draft.node("Split", outputs=names[:2], axis=1, num_outputs=2)
        draft.node("Concat", *["second"] * 2, axis=1)
    return draft


def _slices() -> Draft:
    draft = begun()
    value = draft.at
    rows = ([0], [2], [1]), ([2], [2**63 - 1], [1])
    halves = [draft.node("Slice", value, *(draft.constant(one, np.int64) for one in row)) for row in rows]
    draft.node("Concat", *halves[::-1], axis=-3)
    ends = ([-1], [-(2**31)], [3], [-1])
    draft.node("Slice", draft.at, *(draft.constant(one, np.int64) for one in ends))
    return draft


def _mean() -> Draft:
    draft = begun()
    draft.node("ReduceMean", axes=[2, 3], keepdims=1)
    draft.node("Squeeze", draft.at, draft.constant([2, 3], np.int64))
    return draft


def _computed_shape() -> Draft:
    """`x.view(x.size(0), -1)` in torch's older exporter."""
    draft = begun()
    value = draft.at
    size = draft.node("Gather", draft.node("Shape", value), draft.constant(0, np.int64), axis=0)
    row = draft.node("Unsqueeze", size, draft.constant([0], np.int64))
    shape = draft.node("Concat", row, draft.constant([-1], np.int64), axis=0)
    draft.node("Reshape", value, shape)
    return draft


def _computed_half() -> Draft:
    """`x.chunk(2, 1)` in torch's older exporter."""
    draft = begun()
    value = draft.at
    zero, one_ = draft.constant([0], np.int64), draft.constant([1], np.int64)
    size = draft.node("Gather", draft.node("Shape", value), one_, axis=0)
    half = draft.node("Div", draft.node("Add", size, one_), draft.constant([2], np.int64))
    all_of_it = draft.node("Mul", half, draft.constant([2], np.int64))
    first = draft.node("Slice", value, zero, half, one_)
    second = draft.node("Slice", value, half, all_of_it, one_)
    draft.node("Concat", second, first, axis=1)
    return draft


def _padded() -> Draft:
    draft = begun()
    draft.node("Pad", draft.at, draft.constant([0, 0, 1, 0, 0, 0, 2, 0], np.int64), mode="constant")
    return draft


def _resized() -> Draft:
    draft = begun()
    scales = draft.constant([1, 1, 2, 2])
    how = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
    draft.node("Resize", draft.at, "", scales, **how)
    return draft


@pytest.mark.parametrize("name", ARITHMETIC_OF_ONE)
def test_functions(name: str) -> None:
    check_answers(ARITHMETIC_OF_ONE[name]())


@pytest.mark.parametrize("name", MOVED)
def test_moves(name: str) -> None:
    check_answers(MOVED[name]())


def _with_weights(way: str) -> bytes:
    draft = Draft()
    if way == "codes clamped to four bits":  # Brevitas, of activations as well
        draft.rounded(0.4, 0, np.int8, clamp=(-8, 7))
        before = draft.at
        codes = draft.constant(draft.codes(CHANNELS, 2, 3, 3, most=7), np.int8)
        draft.node("Clip", codes, draft.constant(-7, np.int8), draft.constant(7, np.int8))
        weight = draft.node("DequantizeLinear", draft.at, draft.constant(0.08))
        draft.node("Conv", before, weight, draft.constant(np.zeros(CHANNELS)), pads=[1] * 4)
        return ended(draft)
    if way == "one scale a channel of an activation":  # NNCF, in front of depthwise layers
        draft.rounded(zero=128)
        draft.convolution()
        grid = draft.constant([0.01, 0.02, 0.03, 0.04]), draft.constant([0, 100, 128, 200], np.uint8)
        draft.node("QuantizeLinear", draft.at, *grid, axis=1)
        draft.node("DequantizeLinear", draft.at, *grid, axis=1)
        draft.convolution(inputs=CHANNELS, group=CHANNELS)
        return ended(draft)
    draft.rounded(zero=128)
    source = draft.at
    if way == "real weights that are rounded":  # fake quantization in torch.onnx's older exporter
        real = draft.constant(draft.random.uniform(-0.5, 0.5, (CHANNELS, 2, 3, 3)))
        grid = (
            draft.constant(np.linspace(0.004, 0.006, CHANNELS)),
            draft.constant(np.zeros(CHANNELS), np.int8),
        )
        weight = draft.node(
            "DequantizeLinear", draft.node("QuantizeLinear", real, *grid, axis=0), *grid, axis=0
        )
        draft.node("Conv", source, weight, pads=[1] * 4)
    elif way == "codes of -128":  # torchao's X86InductorQuantizer
        codes = draft.codes(CHANNELS, 2, 3, 3)
        codes[:, 0, 0, 0] = -128
        draft.node("Conv", source, draft.weight(codes), pads=[1] * 4)
    elif way == "a layer in real numbers":  # whatever a quantizer leaves out
        real = draft.constant(draft.random.normal(0, 0.3, (CHANNELS, 2, 3, 3)))
        draft.node("Conv", source, real, draft.constant(np.ones(CHANNELS)), pads=[1] * 4)
    else:
        draft.convolution(bias="bias" not in way)
    if way != "inputs first":
        return ended(draft)
    draft.rounded(zero=128)
    draft.node("Flatten", axis=1)
    weight = draft.weight(draft.codes(FEATURES, CLASSES), axis=1)
    draft.node("Add", draft.node("MatMul", draft.at, weight), draft.constant([0.1, 0, -0.1]))
    return draft.file()


WAYS = (
    *(
        "no bias",
        "inputs first",
        "codes clamped to four bits",
        "real weights that are rounded",
        "codes of -128",
    ),
    *("one scale a channel of an activation", "a layer in real numbers"),
)


@pytest.mark.parametrize("way", WAYS)
def test_forms_of_weights(way: str) -> None:
    check_answers(_with_weights(way), tolerance=0.3 if way == "codes of -128" else 2e-3)


def _transposed(gemm: bool) -> bytes:
    draft = begun()
    draft.rounded(zero=128)
    row = draft.node("Flatten", axis=1)
    if gemm:
        weight = draft.weight(draft.codes(FEATURES, CLASSES), axis=1)
    else:
        weight = draft.node("Transpose", draft.weight(draft.codes(CLASSES, FEATURES)), perm=[1, 0])
    draft.node("Gemm" if gemm else "MatMul", row, weight)
    return draft.file()


@pytest.mark.parametrize("gemm", [True, False])
def test_what_is_trained_is_written_whatever_the_order_of_axes(gemm: bool) -> None:
    data = _transposed(gemm)
    check_answers(data)
    _check_written(data)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_trained_is_written(way: str) -> None:
    _check_written(_with_weights(way), 0.05 if way == "codes of -128" else 2e-3)


def _check_written(data: bytes, tolerance: float = 2e-3) -> None:
    file = parse_exported(data)
    network = file.rebuild()
    with torch.no_grad():
        for layer in weighted_layers(network).values():
            step = layer.weight_step.reshape(-1, *(1,) * (layer.weight.dim() - 1))
            layer.weight.sub_(2 * step * layer.weight.sign())
            if layer.bias.requires_grad:
                layer.bias.add_(0.05)
    after = parse_exported(file.with_weights(network))
    share = share_of_changed_codes(file.contents, after.contents)
    assert share is not None
    assert share > 0.8
    with torch.no_grad():
        expected = network(inputs()).numpy()
    found = session(after.data, optimised=False, silent=True).run(None, {"image": inputs().numpy()})[0]
    assert np.median(abs(found - expected)) < tolerance
    assert after.contents.nodes == file.contents.nodes


def test_the_bits_of_clamped_codes_are_stated() -> None:
    draft = Draft()
    draft.rounded(0.4, 0, np.int8, clamp=(-8, 7))
    codes = draft.codes(CHANNELS, 2, 3, 3, most=7)
    source = draft.at
    draft.node(
        "Clip", draft.constant(codes, np.int8), draft.constant(-7, np.int8), draft.constant(7, np.int8)
    )
    draft.node("Conv", source, draft.node("DequantizeLinear", draft.at, draft.constant(0.08)), pads=[1] * 4)
    draft.node("Relu")
    draft.node("ReduceMean", axes=[2, 3], keepdims=0)
    draft.node("Slice", draft.at, *(draft.constant([size], np.int64) for size in (0, CLASSES, 1)))
    assert parse_exported(draft.file()).precision == "W4A4"


@pytest.mark.parametrize("opset", OPSETS)
def test_every_set_of_operators(opset: int) -> None:
    """The forms that differ: axes as a setting or an input, parts, output types, formats."""
    draft = begun(opset=opset)
    draft.node("Relu") if opset < 14 else draft.node("HardSwish")
    settings = {"num_outputs": 2} if opset >= 18 else {}
    draft.node("Split", outputs=["first", "second"], axis=1, **settings)
    draft.node("Concat", "second", "first", axis=1)
    given = {"output_dtype": 3, "block_size": 0} if opset >= 21 else {"saturate": 1} if opset >= 19 else {}
    grid = [draft.constant(0.05)] + ([] if opset >= 21 else [draft.constant(0, np.int8)])
    draft.node("QuantizeLinear", draft.at, *grid, **given)
    draft.node("DequantizeLinear", draft.at, *grid)
    if opset < 18:
        draft.node("ReduceMean", axes=[2, 3], keepdims=0)
    else:
        draft.node(
            "ReduceMean", draft.at, draft.constant([2, 3], np.int64), keepdims=0, noop_with_empty_axes=0
        )
    draft.matrix(CHANNELS)
    check_answers(draft.file())


def test_a_file_for_one_sample_at_a_time() -> None:
    draft = begun(batch=1)
    draft.rounded()
    draft.node("Reshape", draft.at, draft.constant([1, -1], np.int64))
    draft.matrix(FEATURES)
    check_answers(draft.file())


def test_probabilities_become_logits() -> None:
    draft = begun()
    draft.rounded()
    draft.node("Flatten", axis=1)
    draft.matrix(FEATURES)
    draft.node("Softmax", axis=-1)
    data = draft.file()
    check_answers(data)
    found = parse_exported(data).predictor.predict(inputs())
    assert torch.allclose(found.exp().sum(1), torch.ones(len(found)), atol=1e-5)


def test_every_operator_that_is_read_is_tried_here() -> None:
    """But for those that other tests of the room make."""
    tried = {
        "Clip",
        "Relu",
        "Conv",
        "Gemm",
        "MatMul",
        "Flatten",
        "MaxPool",
        "AveragePool",
        "GlobalAveragePool",
        "Swish",
    }
    for build in (*ARITHMETIC_OF_ONE.values(), *MOVED.values()):
        tried |= {node.operator for node in parse_exported(build()).contents.nodes}
    assert set(QDQ_RULES) - tried == {"ReduceMean", "Softmax"} - tried


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "an operator": (one("Sin"), r"operator 'Sin' that makes \['v4'\] is not read"),
    "samples that change places": (
        one("Transpose", perm=[1, 0, 2, 3]),
        "Transpose .*: expected the batch first",
    ),
    "samples in one row": (
        one("Reshape", more=const([1, -1], np.int64)),
        "Reshape .*: expected a free batch",
    ),
    "every second sample": (
        one("Slice", more=consts(*(([size], np.int64) for size in (0, 2**40, 0, 2)))),
        "Slice .*: expected an axis from 1 to 3",
    ),
    "samples backwards": (
        one("Slice", more=consts(*(([size], np.int64) for size in (-1, -(2**31), 0, -1)))),
        "Slice .*: expected an axis from 1 to 3",
    ),
    "a slope that is no number": (one("LeakyRelu", alpha=float("nan")), "LeakyRelu .*: expected alpha from"),
    "a division by zero": (one("Div", more=const(0.0)), "Div .*: expected a divisor that is not zero"),
    "infinity": (one("Add", more=const(np.inf)), "Add .*: expected real numbers, finite"),
    "sizes that do not fit": (
        one("Add", more=const(np.ones((1, 5, 1, 1)))),
        "Add .*: expected shapes that fit",
    ),
    "a linear interpolation": (
        one("Resize", more=lambda draft: ["", draft.constant([1, 1, 2, 2])], mode="linear"),
        "Resize .*: expected mode nearest",
    ),
    "a batch norm in training": (
        one(
            "BatchNormalization",
            more=lambda draft: [draft.constant(np.ones(CHANNELS)) for _ in range(4)],
            training_mode=1,
        ),
        "BatchNormalization .*: expected training_mode from 0 to 0",
    ),
    "a negative variance": (
        one("BatchNormalization", more=lambda draft: [draft.constant(-np.ones(CHANNELS)) for _ in range(4)]),
        "BatchNormalization .*: expected variances above zero",
    ),
    "a softmax in between": (one("Softmax", axis=1), "Softmax .*: expected one row a sample"),
    "weights around another zero": (
        lambda: _asymmetric(),
        r"Conv .*: expected constant int8 weights around zero",
    ),
}


def _asymmetric() -> bytes:
    draft = begun()
    draft.rounded()
    source = draft.at
    codes = draft.constant(draft.codes(CHANNELS, CHANNELS, 3, 3).view(np.uint8), np.uint8)
    weight = draft.node("DequantizeLinear", codes, draft.constant(0.01), draft.constant(120, np.uint8))
    draft.node("Conv", source, weight, pads=[1] * 4)
    return ended(draft)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_supported_is_named(name: str) -> None:
    build, message = REFUSED[name]
    with pytest.raises(ModelError, match=message):
        parse_exported(build())
