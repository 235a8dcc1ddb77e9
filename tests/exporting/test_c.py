"""A C file compiles without a warning and gives every logit of the interpreter, to the last bit."""

import dataclasses
import functools
import inspect
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy import ndarray
from torch import nn

from obliq.data.input_contract import InputContract
from obliq.errors import ModelError
from obliq.exporting import Graph, export_file, format_named, graph_of, interpreter, parse_exported
from obliq.exporting.c.writer import to_c
from obliq.exporting.content import content_of_graph
from obliq.exporting.operations import OPERATIONS, Step
from obliq.patch import content_digest, encode_patch, to_device_image
from obliq.quantization import calibrate_steps, quantize
from obliq.workflow.deployment import export
from tests.exporting.common_forms import formed
from tests.exporting.networks import CASES, made

FLAGS = (
    *("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror", "-O1"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
)
DECODER = Path(__file__).parents[2] / "c"
PROGRAM = """
#include <stdio.h>
#include "obliq_patch.h"
#define NETWORK_DECLARATIONS
#include "network.c"

int main(int count, char **names)
{
    static uint8_t scratch[NETWORK_SCRATCH], image[NETWORK_IMAGE], patch[2 * NETWORK_IMAGE];
    float input[NETWORK_INPUTS], logits[NETWORK_CLASSES];
    if (count > 2) { /* an image as it is */
        FILE *file = fopen(names[1], "rb");
        if (!file || fread(image, 1, sizeof image, file) != sizeof image)
            return 4;
        fclose(file);
    } else if (count > 1) {
        FILE *file = fopen(names[1], "rb");
        const size_t length = file ? fread(patch, 1, sizeof patch, file) : 0;
        if (obliq_patch_apply(patch, length, network_image, NETWORK_IMAGE, 0, OBLIQ_NO_CLOCK, image, sizeof image))
            return 3;
        fclose(file);
    }
    while (fread(input, sizeof input, 1, stdin) == 1) {
        if (network_run(count > 1 ? image : network_image, input, logits, scratch))
            return 2;
        fwrite(logits, sizeof logits, 1, stdout);
    }
    return 0;
}
"""


Compiled = Callable[[bytes], Path]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """Make a program of a file, with the decoder; of equal files once."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler (cc or gcc) is installed")

    def compile_in(folder: Path, *words: str | Path) -> None:
        command = [compiler, *FLAGS, "-I", DECODER, *words]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr

    decoder = tmp_path_factory.mktemp("decoder")
    compile_in(decoder, "-c", DECODER / "obliq_patch.c", DECODER / "obliq_sha256.c")

    @functools.cache
    def program(written: bytes) -> Path:
        folder = tmp_path_factory.mktemp("program")
        (folder / "network.c").write_bytes(written)
        (folder / "main.c").write_text(PROGRAM)
        compile_in(folder, "-o", "network", "network.c", "main.c", *sorted(decoder.glob("*.o")), "-lm")
        return folder / "network"

    return program


def answers(program: Path, inputs: ndarray, *patch: Path) -> ndarray:
    done = subprocess.run([program, *patch], input=inputs.tobytes(), capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return np.frombuffer(done.stdout, np.float32).reshape(len(inputs), -1)


def expected(graph: Graph, inputs: ndarray) -> ndarray:
    logits: ndarray = interpreter.logits(graph, interpreter.run(graph, inputs))
    return logits


def random_inputs(shape: tuple[int, ...], samples: int) -> ndarray:
    """Of all sizes: some saturate, some are halves of steps."""
    draw = np.random.default_rng(0)
    sizes = draw.choice([0.1, 1.0, 30.0], (samples, *(1 for _ in shape)))
    return (draw.standard_normal((samples, *shape)) * sizes).astype(np.float32)


NETWORKS = {
    "W8A8": ("own residual", "own signal", "gated", "shuffled", "dense", "uneven", "u-net"),
    "W4A4": ("own inverted", "gated", "functions", "u-shaped", "keywords"),
}
EVERY = [(name, precision) for precision, names in NETWORKS.items() for name in names]


def uneven() -> nn.Module:
    """Windows that are padded by more after an axis or see padding alone, have gaps or unequal sizes, and groups."""
    return nn.Sequential(
        *(nn.Conv2d(3, 6, (3, 2), (1, 2), (2, 1), (2, 1), groups=3), nn.BatchNorm2d(6), nn.ReLU()),
        *(nn.MaxPool2d(3, 2, padding=1, ceil_mode=True), nn.Conv2d(6, 4, (3, 5), padding="same")),
        *(nn.Conv2d(4, 5, 1, padding=(0, 2)), nn.AvgPool2d((2, 1), 1), nn.Flatten(), nn.Linear(160, 5)),
    )


@functools.cache
def network(name: str, precision: str) -> tuple[nn.Module, Graph]:
    if name == "uneven":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            example = torch.randn(8, 3, 8, 13)
            model = quantize(uneven(), precision, input_shape=(3, 8, 13))
            calibrate_steps(model, example)
        return model.eval(), graph_of(model, (3, 8, 13))
    model, example = made(name, precision) if name in CASES else formed(name, precision)
    return model, graph_of(model, tuple(example.shape[1:]))


@pytest.mark.parametrize(("name", "precision"), EVERY)
def test_every_logit_is_the_interpreters(name: str, precision: str, compiled: Compiled) -> None:
    model, graph = network(name, precision)
    inputs = random_inputs(graph.input_shape, 40)
    program = compiled(export_file(model, graph.input_shape, to="c"))
    np.testing.assert_array_equal(answers(program, inputs), expected(graph, inputs))


def test_every_kernel_is_run_above() -> None:
    graphs = [network(*pair)[1] for pair in EVERY]
    used = {type(step) for graph in graphs for step in graph.steps}
    assert {one for one in OPERATIONS if not inspect.isabstract(one)} - used == set()
    calls = set().union(
        *(re.findall(r"^    (\w+)\(", to_c(graph).decode(), re.MULTILINE) for graph in graphs)
    )
    folder = files("obliq.exporting.c")
    kernels = "".join(folder.joinpath(name).read_text() for name in ("kernels.c", "windows.c"))
    assert calls - {"memcpy"} == set(re.findall(r"^static void (\w+)\([^)]*\*y\)$", kernels, re.MULTILINE))


def test_what_the_c_decoder_patches_is_the_other_network(compiled: Compiled, tmp_path: Path) -> None:
    """Every number is in the image, down to tables, refinements and ranges: one code runs W8A8 and W4A4."""
    (model, graph), (_, other) = network("gated", "W8A8"), network("gated", "W4A4")
    program = compiled(export_file(model, graph.input_shape, to="c"))
    patch = tmp_path / "patch"
    patch.write_bytes(encode_patch(content_of_graph(graph), content_of_graph(other), 1))
    inputs = random_inputs(graph.input_shape, 20)
    np.testing.assert_array_equal(answers(program, inputs, patch), expected(other, inputs))


def test_the_file_states_what_it_is_and_how_inputs_come_about(compiled: Compiled) -> None:
    """Names of classes end no comment, whatever is in them; the same network gives the same bytes."""
    model, graph = network("keywords", "W4A4")
    hostile = ("*/ #error", "/* a", "\u00e9 \\\n", "??/", "}")
    contract = InputContract(
        shape=graph.input_shape,
        axes="channels x height x width",
        stored="uint8",
        divide_by=255.0,
        mean=(0.5,),
        deviation=(0.5,),
        class_names=hostile,
    )
    written = export_file(model, graph.input_shape, to="c", inputs=contract)
    text = written.decode("ascii")
    assert written == export_file(model, graph.input_shape, to=".c", inputs=contract)
    assert content_digest(content_of_graph(graph)) in text
    assert "x / 127.5 - 1" in text
    (line,) = (one for one in text.splitlines() if one.startswith(" * {"))
    assert (
        InputContract.from_text(
            json.dumps(json.loads(line[3:]), sort_keys=True, separators=(",", ":")).encode()
        )
        == contract
    )
    program = compiled(written)
    nothing = np.full((1, *graph.input_shape), np.nan, np.float32)
    assert subprocess.run([program], input=nothing.tobytes(), timeout=60).returncode == 2


def test_names_of_layers_reach_nothing_but_comments(compiled: Compiled) -> None:
    """A network of the user's, or a file from elsewhere, may have any names; none of them becomes C."""
    _, graph = network("keywords", "W4A4")
    names = ("a */ #error b", "??/", 'quote " \\', "line\n#error", "\x00\x1b[2J", "\u202e\u00e9", "x" * 9999)
    steps = [
        dataclasses.replace(step, path=f"{names[number % len(names)]}{number}")
        for number, step in enumerate(graph.steps)
    ]
    hostile = dataclasses.replace(graph, steps=tuple(steps))
    written = to_c(hostile)
    assert max(map(len, written.splitlines())) < 500
    assert set(written) <= {10, *range(32, 127)}
    assert b"#error b" not in written
    assert b"*/ #" not in written
    inputs = random_inputs(graph.input_shape, 3)
    np.testing.assert_array_equal(answers(compiled(written), inputs), expected(graph, inputs))


def test_a_class_called_like_the_image_hides_nothing() -> None:
    model, graph = network("keywords", "W4A4")
    contract = InputContract(
        shape=graph.input_shape,
        axes="channels x height x width",
        stored="float32",
        divide_by=1.0,
        mean=(0.0,),
        deviation=(1.0,),
        class_names=("const uint8_t network_image[NETWORK_IMAGE] = {0,}",),
    )
    export_file(model, graph.input_shape, to="c", inputs=contract)  # which reads the image back


def test_an_image_of_any_bytes_is_computed_with_inside_of_the_arrays(
    compiled: Compiled, tmp_path: Path
) -> None:
    """The compiler's sanitizers stop at accesses outside of arrays and at sums that are not defined."""
    model, graph = network("gated", "W8A8")
    program = compiled(export_file(model, graph.input_shape, to="c"))
    inputs = random_inputs(graph.input_shape, 2)
    draw = np.random.default_rng(0)
    size = len(to_device_image(content_of_graph(graph)))
    for number in range(4):
        image = tmp_path / f"image{number}"
        image.write_bytes(bytes([255 * number]) * size if number < 2 else draw.bytes(size))
        done = subprocess.run(
            [program, image, "raw"], input=inputs.tobytes(), capture_output=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert len(done.stdout) == 2 * 4 * 5


def test_what_cannot_be_done_with_it_is_refused(tmp_path: Path) -> None:
    model, graph = network("keywords", "W4A4")
    written = export_file(model, graph.input_shape, to="c")
    for suffix in ("", ".c"):
        with pytest.raises(ModelError, match=r"written and not read; expected the folder .* or the file"):
            parse_exported(written, suffix=suffix)
    with pytest.raises(ModelError, match="form is 'compact'; expected integer"):
        export_file(model, graph.input_shape, "compact", to="c")
    with pytest.raises(ModelError, match="not run here; expected an export without a check"):
        export(
            model,
            tmp_path / "network.c",
            torch.zeros(1, *graph.input_shape),
            check_on=(torch.zeros(1), torch.zeros(1)),
        )
    kind, other = format_named("c"), network("keywords", "W8A8")[1]
    with pytest.raises(ModelError, match="holds other integers"):
        kind.verify(written, other)
    with pytest.raises(ModelError, match="cannot be read"):
        kind.verify(written.replace(b"79,66,81,78,", b"79,66,81,79,"), graph)


def test_a_layer_without_a_c_form_is_named() -> None:
    _, graph = network("keywords", "W4A4")
    first, *rest = graph.steps

    class Unknown(type(rest[0])):  # type: ignore[misc]
        in_c = Step.in_c

    unknown = Unknown(**{field.name: getattr(rest[0], field.name) for field in dataclasses.fields(rest[0])})
    with pytest.raises(ModelError, match=rf"^{rest[0].path} is a Unknown, which has no C form here$"):
        to_c(dataclasses.replace(graph, steps=(first, unknown, *rest[1:])))
