"""What can be typed after `obliq bench`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from obliq.benchmark.run import CACHE, RESULTS


@dataclass(frozen=True, kw_only=True)
class Machine:
    """How to run.

    Attributes:
        device: Where to compute.
        autocast: Compute in bfloat16 where that pays (accelerators).
        json: Print one JSON object on standard output; everything else goes to standard error.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    autocast: bool = False
    json: bool = False


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Compare methods: many originals, requests and seeds, one table.

    Example: obliq bench smoke

    Runs a suite: trains originals, chooses every method's settings on a split of its own, unlearns, retrains,
    audits, and writes one JSON file a cell, rows.csv and tuned.json. `obliq bench report SUITE` writes the report
    again from rows that are there. Seeds stand in the suite; every task uses one thread.

    Attributes:
        words: SUITE: smoke, fashion-small, fashion, fashion-bits, fashion-small-ablations, writers,
            writers-ablations, fashion-long, cifar10, cifar10-small, grid, or module:function for a suite of your own;
            or report SUITE.
        resume: Go on: use what the cache holds, and rows in the results that the same tasks would make now.
        jobs: How many tasks at once, each in a process of its own.
        ray: Work on Ray instead (extra `ray`): this machine's processors, or the cluster in RAY_ADDRESS.
        methods: Run these contenders only, into a folder of their own.
        data_folder: Where the files of built-in data sets are.
        cache: Folder of what was computed; suites share it.
        results: Folder of the suites' folders of results.
        run: How to run.
    """

    words: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[report] SUITE")]
    resume: bool = False
    jobs: int = 1
    ray: bool = False
    methods: Annotated[tuple[str, ...], tyro.conf.arg(metavar="[NAME ...]")] = ()
    data_folder: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    cache: Annotated[Path, tyro.conf.arg(metavar="DIR")] = CACHE
    results: Annotated[Path, tyro.conf.arg(metavar="DIR")] = RESULTS
    run: Machine = field(default_factory=Machine)
