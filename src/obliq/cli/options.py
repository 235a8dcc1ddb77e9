"""Options that several verbs share. They are read without torch, so that `--help` does not wait for it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

Folder = Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")]
File = Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")]
Flag = Annotated[bool, tyro.conf.arg(help_behavior_hint="")]
Expiry = Annotated[str | None, tyro.conf.arg(metavar="DAY|TIME", help_behavior_hint="")]
ResultFolder = Annotated[
    Path,
    tyro.conf.arg(
        metavar="DIR", help="New folder for the result. It is created when the result is complete."
    ),
]
Overwrite = Annotated[
    bool, tyro.conf.arg(help="Replace an earlier result, if obliq created it.", help_behavior_hint="")
]
DataFolder = Annotated[
    Path | None,
    tyro.conf.arg(
        metavar="DIR",
        help="Folder with the files of a built-in data set. By default $OBLIQ_DATA, then ./data.",
        help_behavior_hint="",
    ),
]
Architecture = Annotated[
    str | None,
    tyro.conf.arg(
        metavar="NAME",
        help="Your own network code, as module:function. Pass it to every command that loads the network: obliq never "
        "runs code because a file names it.",
        help_behavior_hint="",
    ),
]
LabelOption = Annotated[
    str | None,
    tyro.conf.arg(
        metavar="TEXT",
        help="What files call your own data. Without it they state only the kind, such as 'own data (npz)'; the "
        "path stays in source.json, which never ships.",
        help_behavior_hint="",
    ),
]
PartOption = Annotated[str | None, tyro.conf.arg(metavar="SHARE|ids=FILE|SOURCE", help_behavior_hint="")]
LayerOption = Annotated[
    str,
    tyro.conf.arg(
        metavar="PATH=BITS,...",
        help="Other bits for single layers, by module path: 'stem=W8A8,classifier=W8A8'. A module stands for all "
        "layers in it.",
        help_behavior_hint="",
    ),
]
RayAddress = Annotated[
    str | None,
    tyro.conf.arg(
        metavar="ADDRESS",
        help="Compute networks and audits on the Ray cluster at HOST:PORT, ray://HOST:PORT or auto (extra ray). It "
        "receives the samples and their roles, and no key or name. Everything else stays on this machine.",
        help_behavior_hint="",
    ),
]
DataName = Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")]


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Which data and which code to load.

    Attributes:
        data: Data set that the network was trained on. Pass it for an exported file, for data that were moved, and for
            data from your own code (module:function), which obliq runs only if you name it here.
    """

    data: DataName = None
    data_folder: DataFolder = None
    arch: Architecture = None


@dataclass(frozen=True, kw_only=True)
class DivisionOptions:
    """For exported files only: how their data were split for training.

    Attributes:
        division_seed: The --seed of `obliq train` or `obliq adopt`.
        trained_on: The --trained-on of `obliq adopt`.
        holdout: Share of samples (or people) that were kept out of training, by default 0.15; or ids=FILE, or a source
            of their own.
        test: The same for the test set, if the data set has no test set of its own.
        limit: The --limit of `obliq train`; 0 for all samples.
    """

    division_seed: int = 0
    trained_on: Annotated[str | None, tyro.conf.arg(metavar="SAMPLES", help_behavior_hint="")] = None
    holdout: PartOption = None
    test: PartOption = None
    limit: int = 0


@dataclass(frozen=True, kw_only=True)
class ComputeOptions:
    """How to compute.

    Attributes:
        seed: Decides every random draw. The same seed and threads give the same integers (not on cuda).
        threads: CPU threads; 0 for the default of torch. The number is recorded with the network: state it to repeat
            a result, because another number rounds sums differently.
        device: Where to compute.
        autocast: Compute convolutions in bfloat16.
    """

    seed: int = 0
    threads: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    autocast: Flag = False


@dataclass(frozen=True, kw_only=True)
class TrainingComputeOptions(ComputeOptions):
    """How to compute.

    Attributes:
        compile: Train through torch.compile: faster for long trainings, but needs a C++ compiler.
    """

    compile: Flag = False


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """What to print.

    Attributes:
        json: Print one JSON object on standard output.
        quiet: Print results, warnings and errors only, no progress.
        verbose: Print every step of progress, and tracebacks of errors.
    """

    json: Flag = False
    quiet: Annotated[bool, tyro.conf.arg(aliases=["-q"], help_behavior_hint="")] = False
    verbose: Annotated[bool, tyro.conf.arg(aliases=["-v"], help_behavior_hint="")] = False


@dataclass(frozen=True, kw_only=True)
class RequestOptions:
    """What the verbs share that answer a request to forget.

    Attributes:
        original: Folder of the original network.
        forget: What to forget: class=3 or class=cat, subject=7 (a person), random=10%, random=600, ids=FILE (one id per
            line), request=FILE (an earlier request.json) or requests=FILE (that one and all before it). It can be
            repeated; all are then forgotten together. `obliq data SOURCE` lists the names.
        forgotten: A request.json that was answered before, where the folder of the network does not hold it. It can be
            repeated.
        request_key: Bind the request to the result with the 32 random bytes in this file, which only you may read and
            write. Keep it outside of the folders: an audit with the same key then refuses what was exchanged.
    """

    original: tyro.conf.Positional[Path]
    forget: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(metavar="WHAT", help_behavior_hint="(required)"),
    ] = ()
    forgotten: Annotated[
        tyro.conf.UseAppendAction[tuple[Path, ...]], tyro.conf.arg(metavar="FILE", help_behavior_hint="")
    ] = ()
    request_key: File = None
    out: ResultFolder
    overwrite: Overwrite = False
    data: DataOptions = field(default_factory=DataOptions)
