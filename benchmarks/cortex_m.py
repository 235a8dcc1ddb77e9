"""Whether exported C files compute the interpreter's logits on an emulated Cortex-M, their sizes and instructions.

    apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm
    python benchmarks/cortex_m.py

Trains ConvNet and ResNet-20 shortly on digits, each at two precisions. They are compiled for a Cortex-M4F and a
Cortex-M7 and run in QEMU, which counts instructions and models no cycles. No device is used. Writes
results/cortex_m.md; about four minutes on one processor core.
"""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy import ndarray
from torch import Tensor

import obliq
from obliq.exporting import Graph, graph_of, interpreter
from obliq.exporting.c.writer import to_c
from obliq.exporting.operations import Layer

HARNESS = Path(__file__).parent / "cortex_m"
TABLE = Path(__file__).parent / "results" / "cortex_m.md"
COMPILER, SIZE, EMULATOR = "arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm"
PACKAGES = "gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm"
FLAGS = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-ffunction-sections", "-fdata-sections")
COUNTED = 1_000_000
"""Instructions of the loop that harness.c times, from which the instructions of one tick of the timer follow."""
PRECISIONS = ("W8A8", "W4A4")


@dataclass(frozen=True)
class Setting:
    """How a network is trained, and what it runs on."""

    shape: tuple[int, int, int]
    recipe: obliq.Recipe
    trained_on: int
    images: int


SETTINGS = {
    "convnet": Setting((1, 8, 8), obliq.Recipe(epochs=10, batch_size=32), 1000, 100),
    "resnet20": Setting((3, 32, 32), obliq.Recipe(epochs=4, batch_size=32), 1000, 10),
}
HEAD = """# C files on an emulated Cortex-M

Made by `benchmarks/cortex_m.py`: {compiler} with `-std=c99 -O2`,
{emulator}. **Nothing was measured on a device.**

QEMU executes the instructions of the processor and counts them (`-icount shift=0`). It models no cycles, caches or wait
states of flash memory, so that these numbers give no time. The same releases count the same for equal networks.

{networks}
- Processors: Cortex-M4F (board mps2-an386, floats in single precision) and Cortex-M7 (mps2-an500, in double precision,
  too). Each program may use 1 MB of flash memory and 128 KB of RAM; the linker refuses more.
- Flash and RAM are bytes of the whole program by `arm-none-eabi-size`. The image is the network in flash memory. Flash
  includes the start-up code of the benchmark, RAM the input and the logits as floats. The stack is not part of RAM.
- Stack is what one call of `network_run` overwrote. A multiply-accumulate is one weight times one code, which may be
  padding.
- Equal logits are those that have the same bits as the integer interpreter's.

| network | processor | flash | image | RAM | scratch | stack | instructions an image | instructions a \
multiply-accumulate | equal logits |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""


@dataclass(frozen=True)
class Processor:
    """What to compile for, and the board that QEMU emulates."""

    name: str
    options: tuple[str, ...]
    board: str


PROCESSORS = (
    Processor("Cortex-M4F", ("-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16"), "mps2-an386"),
    Processor("Cortex-M7", ("-mcpu=cortex-m7", "-mfpu=fpv5-d16"), "mps2-an500"),
)


def output(command: list[str], folder: Path | None = None) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=1800)
    if done.returncode:
        raise SystemExit(f"{command[0]} ended with status {done.returncode}; expected 0\n{done.stderr}")
    return done.stdout


def require_tools() -> None:
    """Stop where the compiler, its C library or the emulator is not installed."""
    missing = [tool for tool in (COMPILER, SIZE, EMULATOR) if shutil.which(tool) is None]
    if COMPILER not in missing and output([COMPILER, "-print-file-name=libm.a"]).strip() == "libm.a":
        missing.append("newlib for arm-none-eabi")
    if missing:
        raise SystemExit(f"{', '.join(missing)} not found; install Debian's packages {PACKAGES}")


def trained(architecture: str, precision: str) -> tuple[Graph, ndarray]:
    """A network trained on digits, which are enlarged to its inputs, and test images."""
    setting = SETTINGS[architecture]
    data = obliq.load_dataset("digits")
    train, _, test = obliq.train_holdout_test_split(data, seed=0)
    train, test = train.take(setting.trained_on), test.take(setting.images)
    inputs, images = (enlarged(part.inputs(), setting.shape) for part in (train, test))
    network = obliq.create_network(architecture, setting.shape, data.classes, precision=precision, seed=0)
    network = obliq.train(network, (inputs, train.labels), setting.recipe, device="cpu", progress=False)
    return graph_of(network, setting.shape), images.numpy()


def enlarged(images: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """The nearest pixel at each place, in every channel."""
    return F.interpolate(images, shape[1:]).expand(-1, *shape).contiguous()


def compiled(written: bytes, processor: Processor, folder: Path) -> Path:
    (folder / "network.c").write_bytes(written)
    options = [
        "-mthumb",
        "-mfloat-abi=hard",
        *processor.options,
        *FLAGS,
        "-nostartfiles",
        "-Wl,--gc-sections",
    ]
    sources = ["network.c", str(HARNESS / "harness.c"), "-T", str(HARNESS / "boards.ld"), "-lm"]
    output([COMPILER, *options, "-I", ".", "-o", "network.elf", *sources], folder)
    return folder / "network.elf"


def emulated(program: Path, processor: Processor, inputs: ndarray) -> tuple[ndarray, ndarray]:
    """Logits (images, classes), and the counts (images, 3) that harness.c describes."""
    folder = program.parent
    (folder / "inputs.bin").write_bytes(inputs.tobytes())
    semihosting = ["-semihosting-config", "enable=on,target=native", "-icount", "shift=0"]
    board = ["-M", processor.board, "-display", "none", "-monitor", "none", "-serial", "none"]
    output([EMULATOR, *board, *semihosting, "-kernel", str(program)], folder)
    logits = np.fromfile(folder / "logits.bin", np.float32).reshape(len(inputs), -1)
    return logits, np.fromfile(folder / "counts.bin", np.uint32).reshape(len(inputs), 3)


def row(name: str, of: Graph, inputs: ndarray, processor: Processor) -> str:
    written = to_c(of)
    codes = interpreter.run(of, inputs)
    expected = interpreter.logits(of, codes)
    products = sum(
        step.weights.codes.size * int(np.prod(codes[step.name].shape[2:]))
        for step in of.steps
        if isinstance(step, Layer)
    )
    with tempfile.TemporaryDirectory() as folder:
        program = compiled(written, processor, Path(folder))
        text, data, bss = map(int, output([SIZE, str(program)]).splitlines()[1].split()[:3])
        logits, counts = emulated(program, processor, inputs)
    instructions = counts[:, 0].mean() * round(COUNTED / counts[:, 1].mean())
    equal = int((logits.view(np.uint32) == expected.view(np.uint32)).sum())
    cells = [
        name,
        processor.name,
        f"{text + data:,}",
        f"{constant(written, 'IMAGE'):,}",
        f"{data + bss:,}",
        f"{constant(written, 'SCRATCH'):,}",
        f"{counts[:, 2].max():,}",
        f"{instructions:,.0f}",
        f"{instructions / products:.1f}",
        f"{equal:,} of {expected.size:,}",
    ]
    return "| " + " | ".join(cells) + " |"


def described(architecture: str) -> str:
    one = SETTINGS[architecture]
    return (
        f"- {architecture}: trained on {one.trained_on:,} digits for {one.recipe.epochs} epochs, run on {one.images} "
        f"test images; inputs of {' x '.join(map(str, one.shape))}."
    )


def constant(written: bytes, name: str) -> int:
    """A size that a C file defines."""
    return int(written.split(f"#define NETWORK_{name} ".encode(), 1)[1].split(b"\n", 1)[0])


def main() -> None:
    require_tools()
    torch.set_num_threads(1)
    rows = []
    for architecture, precision in product(SETTINGS, PRECISIONS):
        of, inputs = trained(architecture, precision)
        for processor in PROCESSORS:
            rows.append(row(f"{architecture} {precision}", of, inputs, processor))
            print(rows[-1], flush=True)
    head = HEAD.format(
        compiler=output([COMPILER, "--version"]).splitlines()[0],
        emulator=output([EMULATOR, "--version"]).splitlines()[0],
        networks="\n".join(map(described, SETTINGS)),
    )
    TABLE.write_text(head + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
