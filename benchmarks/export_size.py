"""How large exported files are beside what they must hold. Takes no time and comes out the same on every machine.

python benchmarks/export_size.py
"""

from pathlib import Path

import torch

from obliq.checkpoints import Blueprint
from obliq.exporting import Graph, graph_of, to_onnx
from obliq.exporting.operations import Convolution, Linear
from obliq.models import initialise
from obliq.quantization import Precision, calibrate_steps, packed_size

TABLE = Path(__file__).parent / "results" / "export_size.md"
ARCHITECTURES, PRECISIONS = ("resnet20", "resnet18"), ("W8A8", "W4A4", "W2A2")
FORMS = {"integer": 8, "compact": 2}
"""With the narrowest width that weights are stored in."""
SHAPE = (3, 32, 32)
ALLOWED, SPARE = 1.05, 2**13
HEAD = """# Size of exported files

Made by `benchmarks/export_size.py`, in bytes, for inputs of 3 x 32 x 32 and 10 classes; the values of the weights make
no difference. Content is codes at the width that they are stored in, scales and biases; the goal was content + 5 % +
8 KB.

| network | form | content | file | beyond content | within the goal |
| --- | --- | ---: | ---: | ---: | --- |
"""


def graph(architecture: str, precision: str) -> Graph:
    """The integer steps of a network with drawn weights."""
    blueprint = Blueprint(
        architecture=architecture, input_shape=SHAPE, classes=10, precision=Precision.parse(precision)
    )
    model = blueprint.build()
    initialise(model, 0)
    calibrate_steps(model, torch.randn(8, *SHAPE, generator=torch.Generator().manual_seed(0)))
    return graph_of(model.eval(), SHAPE)


def content(of: Graph, narrowest: int) -> int:
    """Bytes of codes, of a float32 scale an output, and of an int32 bias."""
    total = 0
    for step in of.steps:
        if isinstance(step, Convolution | Linear):
            width = next(width for width in (2, 4, 8) if width >= max(step.weights.bits, narrowest))
            total += packed_size(step.weights.codes.size, width) + 8 * len(step.weights.bias)
    return total


def row(name: str, of: Graph, form: str) -> str:
    inside, size = content(of, FORMS[form]), len(to_onnx(of, form))
    left = int(ALLOWED * inside + SPARE) - size
    outcome = f"yes, by {left:,}" if left >= 0 else f"no, by {-left:,}"
    return f"| {name} | {form} | {inside:,} | {size:,} | {size - inside:,} | {outcome} |"


def main() -> None:
    rows = []
    for architecture in ARCHITECTURES:
        for precision in PRECISIONS:
            of = graph(architecture, precision)
            rows += [row(f"{architecture} {precision}", of, form) for form in FORMS]
    TABLE.write_text(HEAD + "\n".join(rows) + "\n")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
