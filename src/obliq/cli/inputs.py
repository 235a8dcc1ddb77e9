"""`obliq inputs`: the samples that a device should answer, for an audit of its answers."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from obliq.cli.options import DataOptions, DivisionOptions, OutputOptions, Overwrite
from obliq.cli.verbs import StageListener, Verb, VerbOutput


@dataclass(frozen=True, kw_only=True)
class InputsArguments:
    """Write the samples that a device should answer, for the audit.

    Example: obliq inputs runs/original --request runs/unlearned/request.json --out inputs.npz

    The .npz file has two arrays: `id`, and `x` with the inputs as the network reads them (float32, scaled, channels
    first). Forget, retain and test samples are mixed, in the order of their ids. Run them on the device, and pass the
    answers to `obliq audit --answers`.

    Attributes:
        original: Folder of the original network, or an exported file together with --data.
        request: The request.json of the network that unlearned.
        out: New file. Only its owner can read it, since it holds the forgotten samples.
        samples: At most this many samples of each role, evenly spaced.
    """

    original: tyro.conf.Positional[Path]
    request: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    out: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    overwrite: Overwrite = False
    samples: int = 500
    data: DataOptions = field(default_factory=DataOptions)
    division: DivisionOptions = field(default_factory=DivisionOptions)
    output: OutputOptions = field(default_factory=OutputOptions)


def run_inputs(arguments: InputsArguments, progress: StageListener) -> VerbOutput:
    """Choose samples of every role and write their inputs."""
    import io

    import numpy as np

    from obliq.checkpoints.run_folder import load_run
    from obliq.cli.file_inputs import is_exported_file, load_partition, refuse_division, stated_data
    from obliq.data.request_file import load_request
    from obliq.errors import DataError
    from obliq.io.atomic import refuse_existing_file, write_file
    from obliq.workflow.device_answers import samples_to_run
    from obliq.workflow.pipeline import same_partition

    out, original, data = arguments.out, arguments.original, arguments.data
    if out.suffix != ".npz":
        raise DataError(f"--out {out}; expected a name that ends in .npz")
    refuse_existing_file(out, overwrite=arguments.overwrite)
    request = load_request(arguments.request)
    if is_exported_file(original):
        parts = load_partition(stated_data(original, data), data.data_folder, arguments.division)
    else:
        refuse_division(original, arguments.division)
        parts = same_partition(load_run(original, data.arch).checkpoint, data.data_folder, data.data)
    chosen = samples_to_run(request.splits(parts), arguments.samples)
    names = parts.collection.sample_names
    places = chosen.indices.tolist()
    ids = np.array([names[place] for place in places]) if names else chosen.indices.numpy()
    content = io.BytesIO()
    np.savez(content, id=ids, x=chosen.inputs().float().numpy())
    write_file(out, content.getvalue(), overwrite=arguments.overwrite, private=True)
    shape = "x".join(map(str, parts.collection.sample_shape))
    return VerbOutput(
        lines=[
            f"{len(chosen):,} inputs of shape {shape} in {out}, with their ids",
            "It holds the forgotten samples: delete it, and the copy on the device, after the audit.",
        ],
        values={"file": str(out), "samples": len(chosen), "shape": list(parts.collection.sample_shape)},
        next_command=_audit_of_answers(arguments),
    )


def _audit_of_answers(arguments: InputsArguments) -> list[str | Path]:
    """The audit of what a device answers; the network that unlearned lies where its request does."""
    from obliq.cli.file_inputs import division_words, is_exported_file
    from obliq.cli.next_command import free_name, repeated_options

    original, folder, data = arguments.original, arguments.request.parent, arguments.data
    words: list[str | Path] = ["audit", original, folder]
    if is_exported_file(original):
        words = ["audit", original, f"UNLEARNED{original.suffix}", "--request", arguments.request]
    words += ["--answers", "ANSWERS", "--out", free_name(arguments.out, "audit")]
    words += repeated_options(data.data_folder, data.data, data.arch)
    return [*words, *division_words(arguments.division)]


VERB = Verb(InputsArguments, run_inputs)
