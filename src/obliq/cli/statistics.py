"""`obliq statistics`: what `ficabu` needs of a training set, written while the data are there."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from obliq.cli.options import ComputeOptions, DataOptions, OutputOptions, Overwrite
from obliq.cli.verbs import StageListener, Verb, VerbOutput


@dataclass(frozen=True, kw_only=True)
class StatisticsArguments:
    """Write what ficabu needs of the training set.

    Example: obliq statistics runs/original --out statistics.safetensors

    The file holds the mean squared gradient of each weight over the training samples. `obliq unlearn ... ficabu
    --statistics FILE` then does not read the retain set, and `obliq.unlearn` in Python needs none. Write the file right
    after training: it belongs to these weights.

    Attributes:
        original: Folder of the original network.
        out: New file. Only its owner can read it: keep it as confidential as the network.
        batch_size: Samples per gradient; that of the method, 128 by default.
    """

    original: tyro.conf.Positional[Path]
    out: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    overwrite: Overwrite = False
    batch_size: int = 128
    data: DataOptions = field(default_factory=DataOptions)
    compute: ComputeOptions = field(default_factory=ComputeOptions)
    output: OutputOptions = field(default_factory=OutputOptions)


def run_statistics(arguments: StatisticsArguments, progress: StageListener) -> VerbOutput:
    """Compute the squared gradients of the training part."""
    from obliq.checkpoints.run_folder import load_run
    from obliq.cli.computation import start_run
    from obliq.cli.next_command import free_name, repeated_options
    from obliq.data.selectors import escaped
    from obliq.errors import ModelError
    from obliq.io.atomic import refuse_existing_file, write_file
    from obliq.methods.ficabu import encode_statistics
    from obliq.training.loop import require_at_least
    from obliq.workflow.pipeline import same_partition

    out, data = arguments.out, arguments.data
    refuse_existing_file(out, overwrite=arguments.overwrite)
    require_at_least(1, batch_size=arguments.batch_size)
    run = start_run(arguments.compute, progress)
    original = load_run(arguments.original, data.arch).checkpoint
    if original.provenance.role != "original":
        raise ModelError(
            f"{arguments.original} is {original.provenance.role}; expected an original, whose training samples are all "
            "still to be had"
        )
    parts = same_partition(original, data.data_folder, data.data)
    progress.stage(f"gradients of {len(parts.train):,} training samples")
    content = encode_statistics(original.model, parts.train, arguments.batch_size, run)
    write_file(out, content, overwrite=arguments.overwrite, private=True)
    unlearned = free_name(arguments.original, "unlearned")
    repeated = repeated_options(data.data_folder, data.data, data.arch)
    example = f"class={escaped(parts.collection.class_names[0]) if parts.collection.class_names else 0}"
    method: list[str | Path] = ["ficabu", "--statistics", out]
    return VerbOutput(
        lines=[
            f"statistics of {len(parts.train):,} training samples in {out}, {len(content):,} bytes",
            "They belong to these weights. Keep them as confidential as the network.",
        ],
        values={"file": str(out), "samples": len(parts.train), "bytes": len(content)},
        next_command=[
            "unlearn",
            arguments.original,
            "--forget",
            example,
            "--out",
            unlearned,
            *repeated,
            *method,
        ],
    )


VERB = Verb(StatisticsArguments, run_statistics)
