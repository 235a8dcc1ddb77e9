"""What decoding in a child process costs, and what a child would cost for the readers that have none.

    python benchmarks/child_readers.py [--rounds 7] [--pictures 10000]

Starts are processor time (user and system) of new processes; reading is that of this process and its children together,
in turns with a child and without. Needs Linux and the extra `onnx`.
"""

import argparse
import io
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image

from obliq.data.image_folder import from_folder
from obliq.data.npz_file import from_npz
from obliq.io.isolated.child import Child

TABLE = Path(__file__).parent / "results" / "child_readers.md"
MOST = 0.2
"""Seconds that a child may add."""

WOULD_LOAD = {
    "`.pt` files (torch)": "import torch",
    "ONNX and ExecuTorch files (`obliq.exporting`; the latter also ExecuTorch)": "import obliq.exporting",
}
"""What a child would load for other readers."""


def spent() -> float:
    """Processor seconds of this process and of the children that have ended."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


def measured(run: Callable[[], object]) -> tuple[float, float]:
    """Processor seconds and seconds of the clock."""
    before, started = spent(), time.perf_counter()
    run()
    return spent() - before, time.perf_counter() - started


def started(*jobs: str) -> Callable[[], None]:
    """Start a child for these jobs, and end it."""

    def run() -> None:
        child = Child(jobs, memory=2**30, seconds=60)
        child._start()
        child.end()

    return run


def loaded(code: str) -> Callable[[], object]:
    """Start a process that loads what a reader needs."""
    return lambda: subprocess.run(
        [sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def forked() -> None:
    """A copy of this process, which has torch loaded, that ends at once."""
    if (child := os.fork()) == 0:
        os._exit(0)
    os.waitpid(child, 0)


def pictures(folder: Path, count: int) -> None:
    """PNG pictures of 32x32 pixels in two classes, as large as those of CIFAR-10."""
    draw = np.random.default_rng(0)
    for number in range(count):
        place = folder / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(place / f"{number}.png")


def photographs(folder: Path, count: int) -> None:
    """JPEG pictures of 640x480 pixels, which are scaled."""
    draw = np.random.default_rng(0)
    for number in range(count):
        place = folder / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(draw.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        coarse.resize((640, 480)).save(place / f"{number}.jpg", quality=90)


def arrays(file: Path, save: Callable[..., None], count: int) -> None:
    """An `.npz` file of pictures."""
    draw, made = np.random.default_rng(0), io.BytesIO()
    save(made, x=draw.integers(0, 16, (count, 3, 32, 32), dtype=np.uint8), y=np.arange(count) % 10)
    file.write_bytes(made.getvalue())


def reading(place: Path, count: int) -> dict[str, Callable[[], object]]:
    """What is read, by the words of its row."""
    pictures(place / "png", count)
    photographs(place / "jpg", count // 20)
    arrays(place / "a.npz", np.savez, count)
    arrays(place / "b.npz", np.savez_compressed, count)
    from obliq.data.source_options import SourceOptions

    scaled = SourceOptions(image_size=(64, 64))
    return {
        f"{count:,} PNG of 32x32": lambda: from_folder("folder:png", place / "png"),
        f"{count // 20:,} JPEG of 640x480": lambda: from_folder("folder:jpg", place / "jpg", scaled),
        f".npz of {count * 3072 / 1e6:.0f} MB": lambda: from_npz("npz:a", place / "a.npz"),
        f".npz of {count * 3072 / 1e6:.0f} MB, compressed": lambda: from_npz("npz:b", place / "b.npz"),
    }


def main() -> None:
    """Measure all rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--pictures", type=int, default=10_000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        read = reading(Path(place), arguments.pictures)
        starts = {
            "pictures (Pillow)": started("pictures"),
            "`.npz` (NumPy, zipfile)": started("entries of npz", "array of npz"),
            "pickled batches": started("pickled batch"),
            **{name: loaded(code) for name, code in WOULD_LOAD.items()},
            "any, by a fork of a process with torch": forked,
        }
        found: dict[str, list[tuple[float, float]]] = {}
        for number in range(arguments.rounds + 1):
            rows = {**starts, **read, **{f"{name} ": run for name, run in read.items()}}
            for name, run in rows.items():
                with patch("obliq.io.isolated.child.can_isolate", lambda name=name: not name.endswith(" ")):
                    pair = measured(run)
                if number:  # the first round fills the caches of files and of compiled modules
                    found.setdefault(name, []).append(pair)
    TABLE.write_text("\n".join(table(found, list(starts), list(read), arguments.rounds)) + "\n")
    print(TABLE.read_text())


def table(
    found: dict[str, list[tuple[float, float]]], starts: list[str], read: list[str], rounds: int
) -> list[str]:
    """The lines of the result."""
    lines = [
        "# What a child process costs a reader",
        "",
        f"Made by `benchmarks/child_readers.py`, median of {rounds} rounds, on a machine that had other work, too. "
        "Pictures, `.npz` files and pickled batches are decoded in a child process, one for each data set. It starts "
        f"in less than {MOST} s. A child for the other formats would have to load torch.",
        f"Python {platform.python_version()}, torch {version('torch')}, Pillow {version('pillow')}, NumPy "
        f"{version('numpy')}, one thread.",
        "",
        "| a child that reads | processor seconds to start | a child |",
        "| --- | ---: | --- |",
    ]
    for name in starts:
        seconds = statistics.median(processor for processor, _ in found[name])
        lines.append(
            f"| {name} | {seconds:.2f} | {'no' if name.startswith('any') or seconds >= MOST else 'yes'} |"
        )
    lines += [
        "",
        "A fork is quick, but the copy has all locks of the other threads and none of the threads: torch and notebooks "
        "run some, and Python warns of forks beside them from 3.12 on.",
        "",
        "| read | without, s | with a child, s | added, s | ratio (range) | ratio by the clock |",
        "| --- | ---: | ---: | ---: | --- | ---: |",
    ]
    for name in read:
        without, within = ([processor for processor, _ in found[key]] for key in (f"{name} ", name))
        ratios = [one / other for one, other in zip(within, without, strict=True)]
        clock = statistics.median(
            one / other for (_, one), (_, other) in zip(found[name], found[f"{name} "], strict=True)
        )
        usual, isolated = statistics.median(without), statistics.median(within)
        lines.append(
            f"| {name} | {usual:.2f} | {isolated:.2f} | {isolated - usual:.2f} | {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f}) | {clock:.2f} |"
        )
    return lines


if __name__ == "__main__":
    main()
