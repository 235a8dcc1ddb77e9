"""What every verb can be told about how to run."""

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

Network = Annotated[str | None, tyro.conf.arg(metavar="NAME")]


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """How to run.

    Attributes:
        seed: Decides every random draw; the same seed and threads give the same integers (not on cuda).
        threads: Processor threads; 0 uses what torch finds.
        device: Where to compute.
        autocast: Compute in bfloat16 where that pays (accelerators).
        compile: Train and retrain through torch.compile, which pays in long trainings; needs a C++ compiler.
        json: Print one JSON object on standard output; everything else goes to standard error.
    """

    seed: int = 0
    threads: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    autocast: bool = False
    compile: bool = False
    json: bool = False
