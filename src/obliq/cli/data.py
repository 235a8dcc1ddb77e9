"""`obliq data`: what a data set holds, and how a request names it."""

from dataclasses import dataclass, field

import tyro

from obliq.cli.options import DataFolder, OutputOptions
from obliq.cli.tables import fields, table
from obliq.cli.verbs import StageListener, Verb, VerbOutput

MOST_ROWS = 40
"""Classes or subjects that are printed; `--json` lists all of them."""


@dataclass(frozen=True, kw_only=True)
class DataArguments:
    """Print what a data set holds, and how to name a request.

    Example: obliq data folder:photos

    Options can follow the name of your own data. npz:FILE and module:function take layout=HW, HWC, CHW, CL or LC (the
    axes of one sample: channels, height, width, length), labels=names (labels are class names, not positions) and
    scale=-1..1, 0..1 or 0..255 (the range to which bytes are scaled). folder:DIR takes image-size=64 or 64x48, and
    scale. Unseen samples can have sources of their own: folder:train,holdout=folder:val,test=folder:test.
    Example: obliq data npz:watch.npz,layout=LC

    Attributes:
        source: A built-in set (digits, fashion-mnist, mnist, cifar10, cifar100, svhn, tiny-imagenet, watch), npz:FILE,
            folder:DIR or module:function.
    """

    source: tyro.conf.Positional[str]
    data_folder: DataFolder = None
    output: OutputOptions = field(default_factory=OutputOptions)


def run_data(arguments: DataArguments, progress: StageListener) -> VerbOutput:
    """Read all samples of a data set."""
    from pathlib import Path

    from obliq.cli.next_command import free_name, repeated_options
    from obliq.data import load_dataset
    from obliq.data.summary import contents_in_words, summarise_collection
    from obliq.io.strict_json import encode

    collection = load_dataset(arguments.source, arguments.data_folder)
    found = summarise_collection(collection)
    span = "" if found.value_range is None else f", {found.value_range[0]:g} to {found.value_range[1]:g}"
    lines = [
        f"{found.name}: {contents_in_words(collection)}",
        *fields(
            {
                "one sample": f"{' x '.join(map(str, found.sample_shape))}: {found.axes}",
                "values": f"{found.values}{span}",
                "scaled": f"{found.scaling} (what the network reads)",
                "ids": f"{found.ids[0]} to {found.ids[1]}"
                + (", and positions from 0" if found.own_ids and not found.ids[0].isdecimal() else ""),
                **({"holdout part": f"{found.official_holdout:,} samples"} if found.official_holdout else {}),
                "test part": f"{found.official_test:,} samples" if found.official_test else "none of its own",
                "to forget": "; ".join(f"--forget {request}" for request in found.requests),
            }
        ),
        "",
        *_counts("class", found.classes),
    ]
    if found.subjects:
        lines += ["", *_counts("subject", found.subjects)]
    if found.unknown_subjects:
        lines.append(f"{found.unknown_subjects:,} samples of unknown subjects")
    return VerbOutput(
        lines=lines,
        values=encode(found),
        next_command=(
            "train",
            arguments.source,
            "--out",
            free_name(Path("runs/original"), "original"),
            *repeated_options(arguments.data_folder),
        ),
    )


def _counts(what: str, counts: dict[str, int]) -> list[str]:
    rows = [[name, f"{count:,}"] for name, count in counts.items()]
    hidden = len(rows) - MOST_ROWS
    return table([what, "samples"], rows[:MOST_ROWS]) + ([f"... and {hidden:,} more"] if hidden > 0 else [])


VERB = Verb(DataArguments, run_data)
