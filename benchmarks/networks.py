"""Which networks come through: quantized to W8A8, trained for a few steps, exported, and run in ONNX Runtime.

Classifiers of torchvision and timm on images of three sizes, with random weights and on random data, and networks
written by hand. Nothing is learned: the table shows whether every layer has an integer form, and whether a file
computes what the interpreter does.

    python -m pip install torchvision timm
    python benchmarks/networks.py [--pixels SIDE ...] [--only NAME ...]

Each run replaces its own rows in results/networks.csv, and makes results/networks.md of all of them. On one processor
core, all classifiers take about ten minutes at 32 and at 64 pixels each, and an hour at 224.
"""

import argparse
import copy
import csv
import importlib
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from networks_tried import BY_HAND, CASES, CLASSES, CLASSIFIERS, IMAGES, Case
from obliq.errors import ObliqError
from obliq.exporting import check, export_file
from obliq.exporting.onnx.runtime import onnx_runtime
from obliq.quantization import calibrate_steps, quantize
from obliq.quantization.layers import keep_steps_positive_

RESULTS = Path(__file__).parent / "results" / "networks.csv"
TABLE = RESULTS.with_suffix(".md")
STEPS = 3


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was found for a network; a line of the results.

    Attributes:
        source: where the network comes from.
        name: its name there.
        shape: of one input, such as `3 x 64 x 64`.
        parameters: how many numbers it learns, in millions.
        refused: why it was refused; empty for a network that came through.
        compared: activation codes that were compared with the interpreter's.
        different: how many of them differ.
        steps_off: the most that one of them is off by.
        same_top1: percentage of inputs with the interpreter's answer.
        megabytes: size of the file.
    """

    source: str
    name: str
    shape: str
    parameters: float
    refused: str = ""
    compared: int = 0
    different: int = 0
    steps_off: int = 0
    same_top1: float = 0.0
    megabytes: float = 0.0

    @property
    def key(self) -> tuple[str, str, str]:
        """What a later run of the same case replaces."""
        return self.source, self.name, self.shape


def row(case: Case) -> Row:
    """Quantize, train for a few steps, export, compare."""
    torch.manual_seed(0)
    network = case.build()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    start: dict[str, Any] = {
        "source": case.source,
        "name": case.name,
        "parameters": round(parameters / 1e6, 2),
    }
    start["shape"] = " x ".join(map(str, case.shape))
    try:
        return Row(**start, **_measured(network, case))
    except ObliqError as error:
        return Row(**start, refused=str(error).split("; expected Conv1d")[0])


def _measured(network: nn.Module, case: Case) -> dict[str, Any]:
    trained_on, compared_on = case.images
    inputs, labels = torch.randn(trained_on, *case.shape), torch.arange(trained_on) % CLASSES
    model = quantize(network.train(), "W8A8", input_shape=case.shape)
    calibrate_steps(model, inputs)
    export_file(
        copy.deepcopy(model).eval(), case.shape
    )  # before training: whatever is refused, is refused here
    descent = torch.optim.SGD(model.parameters(), 1e-3)
    for _ in range(STEPS):
        descent.zero_grad()
        F.cross_entropy(model(inputs), labels).backward()
        descent.step()
        keep_steps_positive_(model)
    data = export_file(model.eval(), case.shape)
    found = check(model, data, inputs[:compared_on])
    codes = found.activations
    return {
        "compared": codes.compared,
        "different": round((1 - codes.equal) * codes.compared),
        "steps_off": codes.largest_step,
        "same_top1": 100 * found.reference.same_top1,
        "megabytes": round(len(data) / 1e6, 2),
    }


def main() -> None:
    """Measure some networks, and write the table of all that have been measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", default=[], help="names of networks")
    parser.add_argument(
        "--pixels", nargs="*", type=int, default=[*IMAGES], choices=[*IMAGES], help="sides of images"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for case in CASES:
        sized = case.source == "by hand" or case.shape[-1] in arguments.pixels
        if not sized or (arguments.only and case.name not in arguments.only):
            continue
        begun = time.perf_counter()
        found = row(case)
        _store(found)
        print(found, f"{time.perf_counter() - begun:.0f} s", flush=True)


def _store(found: Row) -> None:
    """Put a row in place of its older one, and make the table anew."""
    rows = _stored() | {found.key: found}
    order = {(case.source, case.name, " x ".join(map(str, case.shape))): at for at, case in enumerate(CASES)}
    kept = sorted((one for one in rows.values() if one.key in order), key=lambda one: order[one.key])
    with RESULTS.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(asdict, kept))
    TABLE.write_text(_table(kept), encoding="utf-8")


def _stored() -> dict[tuple[str, str, str], Row]:
    if not RESULTS.exists():
        return {}
    with RESULTS.open(encoding="utf-8", newline="") as file:
        kinds = {field.name: field.type for field in fields(Row)}
        rows = [
            Row(**{name: kinds[name](text) for name, text in one.items()}) for one in csv.DictReader(file)
        ]  # type: ignore[operator]
    return {one.key: one for one in rows}


def _table(rows: list[Row]) -> str:
    """All rows as text: a line for each classifier, and one for each network written by hand."""
    reasons: list[str] = []
    by_name = {one.key: one for one in rows}
    lines, came = [], {side: [0, 0] for side in IMAGES}
    for source, name, _ in CLASSIFIERS:
        sizes = {side: by_name.get((source, name, f"3 x {side} x {side}")) for side in IMAGES}
        found = [one for one in sizes.values() if one is not None]
        if not found:
            continue
        size = max(one.megabytes for one in found)
        cells = [source, name, f"{found[0].parameters:.2f} M", f"{size:.2f} MB" if size else ""]
        cells += [_cell(one, reasons) for one in sizes.values()]
        for side, one in sizes.items():
            came[side][0] += one is not None and not one.refused
            came[side][1] += one is not None
        lines.append("| " + " | ".join(cells) + " |")
    own = [one for one in rows if one.source == "by hand"]
    versions = [f"{name} {importlib.import_module(name).__version__}" for name in ("torchvision", "timm")]
    every = [one for one in rows if not one.refused]
    equal = sum(one.different == 0 and one.same_top1 == 100 for one in every)
    sizes_text = ", ".join(f"**{count} of {of}** at {side} pixels" for side, (count, of) in came.items())
    return (
        HEAD.format(
            versions=", ".join(versions),
            torch=torch.__version__,
            runtime=onnx_runtime(),
            steps=STEPS,
            images="; ".join(f"{some} images of {side} pixels" for side, (_, some) in IMAGES.items()),
            by_hand=BY_HAND[1],
            counts=sizes_text,
            own=f"{sum(not one.refused for one in own)} of {len(own)}",
            equal=f"{equal} of {len(every)}",
        )
        + "\n".join(lines)
        + OWN_HEAD
        + "\n".join(_own_line(one, reasons) for one in own)
        + "\n"
        + "".join(f"\n{number}. `{reason}`" for number, reason in enumerate(reasons, 1))
        + ("\n" if reasons else "")
    )


def _cell(one: Row | None, reasons: list[str]) -> str:
    """How many codes were compared, what differs, or the number of the reason for which it was refused."""
    if one is None:
        return "not run"
    if one.refused:
        if one.refused not in reasons:
            reasons.append(one.refused)
        return f"refused ({reasons.index(one.refused) + 1})"
    text = f"{one.compared:,}"
    if one.different:
        text += f", {one.different:,} differ, by at most {one.steps_off}"
    return text if one.same_top1 == 100 else f"{text}, top-1 {one.same_top1:.0f} %"


def _own_line(one: Row, reasons: list[str]) -> str:
    cells = [
        one.name,
        one.shape,
        f"{one.parameters:.2f} M",
        f"{one.megabytes:.2f} MB",
        _cell(one, reasons),
    ]
    return "| " + " | ".join(cells) + " |"


HEAD = """# Networks that come through

Made by `benchmarks/networks.py`; {versions}, PyTorch {torch}, {runtime},
one thread. Weights and data are random, and each network was trained for {steps} steps. The table shows whether every
layer has an integer form and whether the file computes what the interpreter does, not how accurate a network is.
Networks are quantized to W8A8 and exported in the `integer` form.

Classifiers of torchvision and timm that come through, of those that were run: {counts}.
Networks written by hand: {own}. The others are refused, in one line with the path of the layer.

A number is that of the integer activations that were compared with the interpreter's, on {images};
on {by_hand} inputs for networks written by hand. In **{equal}** files every activation and every top-1 answer
equals the interpreter's; where something differs, the table states it.

| from | network | parameters | file | 32 x 32 | 64 x 64 | 224 x 224 |
| --- | --- | ---: | ---: | ---: | ---: | ---: |
"""
OWN_HEAD = """

| written by hand | input | parameters | file | compared |
| --- | --- | ---: | ---: | ---: |
"""


if __name__ == "__main__":
    main()
