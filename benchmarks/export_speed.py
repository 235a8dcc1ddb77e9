"""How fast exported files are: the integer graph against the same network in FP32, in one run.

    python benchmarks/export_speed.py

Networks are not trained, since speed does not depend on the values. The two sessions take turns, so
that whatever else the machine does hits both; the best run of each counts, and the processor time of all.
"""

import argparse
import platform
import time
from pathlib import Path

import numpy as np
import torch

from export_size import SHAPE, graph
from obliq.exporting import to_onnx
from obliq.exporting.onnx.runtime import session
from obliq.exporting.optional import import_onnxruntime

TABLE = Path(__file__).parent / "results" / "export_speed.md"
CASES = (("resnet20", "W8A8", 64), ("resnet20", "W4A4", 64), ("resnet18", "W8A8", 8), ("resnet18", "W4A4", 8))
HEAD = """# Speed of exported files

Made by `benchmarks/export_speed.py`: ONNX Runtime {version}, one thread, inputs of 3 x 32 x 32, {machine}, {load}.
"Faster" is FP32 time over integer time in the same run: by the best run of each, and by the processor time of all
runs. The goal was 1.8 times FP32 for W8A8.

| network | batch | FP32 img/s | integer img/s | faster, best | faster, processor time | compact faster, best |
| --- | --- | --- | --- | --- | --- | --- |
"""


def timed(files: dict[str, bytes], batch: int, seconds: float) -> dict[str, tuple[float, float]]:
    """Best wall and mean processor seconds of a run, by form."""
    inputs = np.random.default_rng(0).normal(size=(batch, *SHAPE)).astype(np.float32)
    sessions = {form: session(file) for form, file in files.items()}
    for running in sessions.values():
        running.run(None, {"input": inputs})
    taken: dict[str, list[tuple[float, float]]] = {form: [] for form in files}
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for form, running in sessions.items():
            wall, processor = time.perf_counter(), time.process_time()
            running.run(None, {"input": inputs})
            taken[form].append((time.perf_counter() - wall, time.process_time() - processor))
    return {
        form: (min(w for w, _ in runs), sum(p for _, p in runs) / len(runs)) for form, runs in taken.items()
    }


def row(architecture: str, precision: str, batch: int, seconds: float) -> str:
    of = graph(architecture, precision)
    files = {form: to_onnx(of, form) for form in ("float", "integer", "compact")}
    times = timed(files, batch, seconds)
    (float_best, float_cpu), (best, cpu), (compact_best, _) = (times[form] for form in files)
    cells = [
        f"{architecture} {precision}",
        f"{batch}",
        f"{batch / float_best:,.0f}",
        f"{batch / best:,.0f}",
        f"{float_best / best:.2f}",
        f"{float_cpu / cpu:.2f}",
        f"{float_best / compact_best:.2f}",
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20, help="for each network")
    parser.add_argument(
        "--load", default="on a machine with nothing else to do", help="what else was running"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for case in CASES:
        rows.append(row(*case, arguments.seconds))
        print(rows[-1], flush=True)
    head = HEAD.format(version=import_onnxruntime().__version__, load=arguments.load, machine=processor())
    TABLE.write_text(head + "\n".join(rows) + "\n")


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    found = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    vnni = " with VNNI" if any("avx512_vnni" in line or "avx_vnni" in line for line in lines) else ""
    return (found[0] if found else platform.processor() or platform.machine()) + vnni


if __name__ == "__main__":
    main()
