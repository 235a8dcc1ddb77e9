import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn

from obliq.errors import ModelError
from obliq.models import ARCHITECTURES, build_model, choose_architecture
from obliq.models.mobilenet import mobilenetv2

SHAPES = {
    "convnet": (1, 8, 8),
    "strided-convnet": (1, 8, 8),
    "resnet20": (3, 32, 32),
    "resnet18": (3, 32, 32),
    "mobilenetv2": (3, 32, 32),
    "signal-convnet": (9, 128),
}


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def convolution_and_norm(inputs: int, outputs: int, kernel_size: int, groups: int = 1) -> int:
    return inputs // groups * outputs * kernel_size + 2 * outputs


def residual_total(channels: int, classes: int, widths: tuple[int, ...], blocks: int) -> int:
    total = convolution_and_norm(channels, widths[0], 9) + (widths[-1] + 1) * classes
    for width in widths:
        total += (2 * blocks - 1) * convolution_and_norm(width, width, 9)
    total += convolution_and_norm(widths[0], widths[0], 9)
    for narrow, wide in pairwise(widths):
        total += convolution_and_norm(narrow, wide, 9) + convolution_and_norm(narrow, wide, 1)
    return total


def inverted_residual_total(channels: int, classes: int) -> int:
    outputs = [16] + [24] * 2 + [32] * 3 + [64] * 4 + [96] * 3 + [160] * 3 + [320]
    total, width = convolution_and_norm(channels, 32, 9), 32
    for position, output in enumerate(outputs):
        hidden = width if position == 0 else 6 * width
        total += convolution_and_norm(width, hidden, 1) if position else 0
        total += convolution_and_norm(hidden, hidden, 9, groups=hidden) + convolution_and_norm(
            hidden, output, 1
        )
        width = output
    return total + convolution_and_norm(width, 1280, 1) + 1281 * classes


@pytest.mark.parametrize(
    ("name", "shape", "classes", "published", "arithmetic"),
    [
        ("resnet20", (3, 32, 32), 10, 272_474, residual_total(3, 10, (16, 32, 64), 3)),
        ("resnet18", (3, 32, 32), 10, 11_173_962, residual_total(3, 10, (64, 128, 256, 512), 2)),
        ("mobilenetv2", (3, 32, 32), 10, 2_236_682, inverted_residual_total(3, 10)),
        ("mobilenetv2", (3, 32, 32), 1000, 3_504_872, inverted_residual_total(3, 1000)),
        ("convnet", (1, 28, 28), 10, 24_058, (9 + 9 * 16 * 2 + 9 * 32 * 4) * 16 + 2 * 112 + 650),
        ("strided-convnet", (1, 28, 28), 10, 84_794, 9 * (16 + 16 * 64 + 64 * 128) + 2 * 208 + 1290),
        ("signal-convnet", (9, 128), 6, 14_134, (5 * 9 + 5 * 16 * 2 + 5 * 32 * 4) * 16 + 2 * 112 + 65 * 6),
    ],
)
def test_parameter_counts(
    name: str, shape: tuple[int, ...], classes: int, published: int, arithmetic: int
) -> None:
    assert count(build_model(name, shape, classes)) == published == arithmetic


def test_the_papers_shortcut_would_save_2752_parameters_in_resnet20() -> None:
    model = build_model("resnet20", (3, 32, 32), 10)
    shortcuts = [module for name, module in model.named_modules() if name.endswith("shortcut")]
    assert len(shortcuts) == 2
    assert count(model) - sum(map(count, shortcuts)) == 269_722  # option A, counted from table 6 of the paper


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_network_can_be_traced_and_gives_one_logit_a_class(name: str) -> None:
    model = build_model(name, SHAPES[name], 7).eval()
    inputs = torch.randn(2, *SHAPES[name], generator=torch.Generator().manual_seed(0))
    traced = torch.fx.symbolic_trace(model)
    with torch.no_grad():
        logits = model(inputs)
        assert logits.shape == (2, 7)
        assert torch.equal(traced(inputs), logits)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_convolution_is_without_bias_and_followed_by_a_norm(name: str) -> None:
    model = build_model(name, SHAPES[name], 10)
    modules = dict(model.named_modules())
    graph = torch.fx.symbolic_trace(model).graph
    seen = 0
    for node in graph.nodes:
        module = modules.get(str(node.target))
        if isinstance(module, nn.Conv1d | nn.Conv2d):
            assert module.bias is None
            (user,) = node.users
            assert isinstance(modules[str(user.target)], nn.BatchNorm1d | nn.BatchNorm2d)
            seen += 1
    assert seen == sum(isinstance(module, nn.Conv1d | nn.Conv2d) for module in modules.values()) > 0


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (2, 4, 5)])
def test_the_convnet_reads_digits_and_photographs(shape: tuple[int, ...]) -> None:
    assert build_model("convnet", shape, 3).eval()(torch.zeros(2, *shape)).shape == (2, 3)


def test_the_residual_form_halves_twice_and_the_mobile_form_thrice() -> None:
    sizes: dict[str, int] = {}
    for name in ("resnet20", "resnet18", "mobilenetv2"):
        model = build_model(name, (3, 32, 32), 10).eval()
        handle = model.pool.register_forward_pre_hook(  # type: ignore[union-attr]
            lambda _, inputs, name=name: sizes.__setitem__(name, inputs[0].shape[-1])
        )
        model(torch.zeros(1, 3, 32, 32))
        handle.remove()
    assert sizes == {"resnet20": 8, "resnet18": 4, "mobilenetv2": 4}


def test_width_scales_the_mobile_network() -> None:
    half = count(mobilenetv2(3, 10, width=0.5))
    assert 0.25 < half / 2_236_682 < 0.4
    assert all(
        module.out_channels % 8 == 0
        for module in mobilenetv2(3, 10, width=0.35).modules()
        if isinstance(module, nn.Conv2d)
    )


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ((9, 128), "signal-convnet"),
        ((1, 8, 8), "convnet"),
        ((1, 28, 28), "convnet"),
        ((1, 64, 64), "resnet20"),
        ((3, 32, 32), "resnet20"),
        ((3, 128, 128), "resnet20"),
        ((3, 300, 200), "strided-convnet"),
    ],
)
def test_a_network_is_chosen_to_suit_the_input(shape: tuple[int, ...], name: str) -> None:
    assert choose_architecture(shape) == name
    build_model(name, shape, 2)


@pytest.mark.parametrize(
    ("name", "shape", "classes", "message"),
    [
        ("resnet20", (9, 128), 10, r"given inputs of shape \(9, 128\); expected \(channels, height, width\)"),
        (
            "signal-convnet",
            (1, 8, 8),
            10,
            r"given inputs of shape \(1, 8, 8\); expected \(channels, length\)",
        ),
        ("convnet", (1, 3, 9), 10, r"shape \(1, 3, 9\); expected height and width of 4 or more"),
        ("signal-convnet", (1, 3), 10, r"shape \(1, 3\); expected length of 4 or more"),
        ("convnet", (0, 8, 8), 10, r"shape \(0, 8, 8\); expected sizes of at least 1"),
        ("convnet", (1, 8, 8), 1, r"1 classes; expected at least 2"),
        (
            "resnet21",
            (3, 32, 32),
            10,
            r"unknown architecture 'resnet21'; expected convnet, strided-convnet, resnet20",
        ),
        ("no_such_module:make", (3, 32, 32), 10, r"cannot import 'no_such_module:make'"),
        ("json:no_such_function", (3, 32, 32), 10, r"cannot import 'json:no_such_function'"),
        (":make", (3, 32, 32), 10, r"cannot import ':make'"),
        ("sys:version", (3, 32, 32), 10, r"version is a str, not a function; expected"),
        ("operator:is_", (3, 32, 32), 10, r"operator:is_ returned a bool; expected a torch.nn.Module"),
    ],
)
def test_what_cannot_be_built_is_named(name: str, shape: tuple[int, ...], classes: int, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build_model(name, shape, classes)


@pytest.mark.parametrize("shape", [(5,), (1, 2, 3, 4), ()])
def test_nothing_is_chosen_for_other_inputs(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="expected \\(channels, length\\)"):
        choose_architecture(shape)


def test_a_function_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_networks.py").write_text(
        "from torch import nn\n"
        "def tiny(input_shape, classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(input_shape[0] * input_shape[1], classes))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    model = build_model("my_networks:tiny", (2, 3), 4)
    assert model(torch.zeros(5, 2, 3)).shape == (5, 4)
    sys.modules.pop("my_networks")
