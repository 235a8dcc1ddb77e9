"""ExecuTorch programs of networks trained on Fashion-MNIST: size, speed, and whether they answer as they should.

Trains nothing: give it folders made by `obliq train fashion-mnist` or `obliq unlearn`, for instance

    obliq train fashion-mnist --arch resnet20 --bits W8A8 --limit 1500 --epochs 1 --out runs/a
    python benchmarks/executorch_programs.py runs/a runs/b ...

One image at a time, one thread. Four files take turns: our program, the ONNX files of the `integer` and the `float`
form, and a program of the same network in FP32, with drawn weights since speed does not depend on values.
"""

import argparse
import dataclasses
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from export_speed import processor
from obliq.checkpoints import Blueprint, Checkpoint
from obliq.checkpoints.run_folder import load_run
from obliq.exporting import check, export_file
from obliq.exporting.executorch.runtime import executorch_version, load_program
from obliq.exporting.onnx.runtime import session
from obliq.exporting.optional import import_executorch, import_onnxruntime
from obliq.models import initialise
from obliq.quantization import Precision
from obliq.workflow.parity_samples import parity_samples

TABLE = Path(__file__).parent / "results" / "executorch_programs.md"
HEAD = """# ExecuTorch programs

Made by `benchmarks/executorch_programs.py`: ExecuTorch {executorch} with XNNPACK, PyTorch {torch}, ONNX Runtime {onnx},
one image of Fashion-MNIST at a time, one thread, {machine}, {load}. Times are milliseconds an image,
the best of all runs; "faster" is FP32 time over integer time of the same runtime, by the best run and by the
processor time of all runs. Every time includes the call from Python; ONNX Runtime runs with
`session.x64quantprecision`, as in audits, which on this processor only slows weights of 4 bits.

| network | program | FP32 program | integer ONNX | program, ms | FP32 program, ms | faster, best | \
faster, processor time | integer ONNX, ms | FP32 ONNX, ms | faster, best |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""
PARITY = """
On {samples} test images, the program against the network as trained, the same with device biases, and our integer
interpreter. Differences of logits are in their standard deviations; the codes are those of the last layer.

| network | trained on | top-1 as trained | mean | top-1 deployed | mean | top-1 interpreter | largest | codes equal |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


def in_fp32(blueprint: Blueprint) -> bytes:
    """The same architecture as a program of floats, whole in XNNPACK."""
    exir = import_executorch("exir")
    xnnpack = import_executorch("backends.xnnpack.partition.xnnpack_partitioner").XnnpackPartitioner()
    model = dataclasses.replace(blueprint, precision=Precision.parse("FP32")).build()
    initialise(model, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = torch.export.export(model.eval(), (torch.zeros(1, *blueprint.input_shape),), strict=False)
        lowered = exir.to_edge_transform_and_lower(exported, partitioner=[xnnpack])
        buffer: bytes = lowered.to_executorch().buffer
    return buffer


def timed(running: dict[str, Callable[[], object]], seconds: float) -> dict[str, tuple[float, float]]:
    """Best wall and mean processor milliseconds of a run, by name."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in running}
    for run in running.values():
        run()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for name, run in running.items():
            wall, used = time.perf_counter(), time.process_time()
            for _ in range(10):
                run()
            taken[name].append((100 * (time.perf_counter() - wall), 100 * (time.process_time() - used)))
    return {
        name: (min(wall for wall, _ in runs), sum(used for _, used in runs) / len(runs))
        for name, runs in taken.items()
    }


def named(saved: Checkpoint) -> str:
    return f"{saved.blueprint.architecture} {saved.blueprint.precision}"


def speed_row(saved: Checkpoint, program: bytes, seconds: float) -> str:
    shape = saved.blueprint.input_shape
    floats = in_fp32(saved.blueprint)
    files = {form: export_file(saved.model, shape, form) for form in ("integer", "float")}
    sample = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    programs = {"program": load_program(program), "FP32 program": load_program(floats)}
    sessions = {form: session(file) for form, file in files.items()}
    running: dict[str, Callable[[], object]] = {
        **{name: lambda run=run: run(sample) for name, run in programs.items()},
        **{form: lambda one=one: one.run(None, {"input": sample}) for form, one in sessions.items()},
    }
    times = timed(running, seconds)
    (ours, ours_used), (fp32, fp32_used) = times["program"], times["FP32 program"]
    cells = [
        named(saved),
        f"{len(program):,}",
        f"{len(floats):,}",
        f"{len(files['integer']):,}",
        f"{ours:.3f}",
        f"{fp32:.3f}",
        f"{fp32 / ours:.2f}",
        f"{fp32_used / ours_used:.2f}",
        f"{times['integer'][0]:.3f}",
        f"{times['float'][0]:.3f}",
        f"{times['float'][0] / times['integer'][0]:.2f}",
    ]
    return "| " + " | ".join(cells) + " |"


def parity_row(saved: Checkpoint, program: bytes, most: int) -> tuple[str, int]:
    found = check(saved.model, program, parity_samples(saved, "fashion-mnist", None, most))
    recipe, counts = saved.provenance.recipe or {}, saved.provenance.counts
    trained = (
        f"{counts['train']} images, {recipe['epochs']} epochs" if recipe else f"{saved.provenance.method}"
    )
    cells = [
        named(saved),
        trained,
        f"{100 * found.network.same_top1:.2f} %",
        f"{found.network.mean_difference:.4f}",
        f"{100 * found.deployed_network.same_top1:.2f} %",
        f"{found.deployed_network.mean_difference:.1e}",
        f"{100 * found.reference.same_top1:.2f} %",
        f"{found.reference.largest_difference:.1g}",
        f"{100 * found.activations.equal:.4f} % of {found.activations.compared:,}",
    ]
    return "| " + " | ".join(cells) + " |", found.samples


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--most", type=int, default=0, help="images to check on; 0 for all")
    parser.add_argument("--seconds", type=float, default=10, help="of timing for each network")
    parser.add_argument(
        "--load", default="on a machine with nothing else to do", help="what else was running"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    speeds, parities, samples = [], [], 0
    for folder in arguments.folders:
        saved = load_run(folder).checkpoint
        program = export_file(saved.model, saved.blueprint.input_shape, to="executorch")
        speeds.append(speed_row(saved, program, arguments.seconds))
        parity, samples = parity_row(saved, program, arguments.most)
        parities.append(parity)
        print(speeds[-1], parity, sep="\n", flush=True)
    head = HEAD.format(
        executorch=executorch_version(),
        torch=torch.__version__,
        onnx=import_onnxruntime().__version__,
        machine=processor(),
        load=arguments.load,
    )
    rows = "\n".join(speeds) + "\n" + PARITY.format(samples=f"{samples:,}") + "\n".join(parities) + "\n"
    TABLE.write_text(head + rows)


if __name__ == "__main__":
    main()
