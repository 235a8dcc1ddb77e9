"""What `obliq unlearn` and `obliq retrain` share: a request is answered by the network in a folder."""

from collections.abc import Callable
from pathlib import Path

from obliq.checkpoints import Checkpoint
from obliq.checkpoints.folder import DOCUMENT_FILE
from obliq.checkpoints.run_folder import load_run, save_run
from obliq.cli.next_command import free_name, repeated_options
from obliq.cli.options import RequestOptions
from obliq.cli.output import saved_run_values
from obliq.cli.verbs import StageListener, VerbOutput
from obliq.data.request_file import REQUEST_FILE
from obliq.errors import DataError
from obliq.io.atomic import refuse_existing_folder
from obliq.methods import Method, Retrain
from obliq.run import Run
from obliq.workflow.pipeline import create_request, request_in_words, same_partition, unlearn_original


def answer_request(
    arguments: RequestOptions,
    run: Run,
    progress: StageListener,
    method_for: Callable[[Checkpoint], Method],
) -> VerbOutput:
    """Apply a method to an original and save the result.

    Args:
        arguments: the original, the request, and where the result goes.
        run: seed, device and listener.
        progress: shows the stage.
        method_for: chooses the method, when the original is known.

    Raises:
        DataError: when the network is no original.
    """
    out, data = arguments.out, arguments.data
    refuse_existing_folder(out, overwrite=arguments.overwrite)
    original = load_run(arguments.original, data.arch).checkpoint
    if original.provenance.role != "original":
        raise DataError(
            f"{arguments.original} is {original.provenance.role} already; expected an original (one request "
            "may name several classes, subjects or ids)"
        )
    parts = same_partition(original, data.data_folder, data.data)
    splits, request = create_request(parts, arguments.forget, run.seed)
    progress.print_line(f"to forget: {request_in_words(request, splits)}")
    method = method_for(original)
    forget, retain = len(splits.forget), len(splits.retain)
    if isinstance(method, Retrain):
        progress.stage(f"retraining on {retain} samples, without {forget}")
    else:
        progress.stage(f"forgetting {forget} samples, keeping {retain}")
    answered = unlearn_original(original, splits, request, method, run)
    save_run(out, answered, overwrite=arguments.overwrite)
    provenance = answered.checkpoint.provenance
    return VerbOutput(
        lines=[f"{provenance.role} network in {out}, in {provenance.seconds:.1f} s"],
        values=saved_run_values(answered, out),
        next_command=_next_command(arguments, provenance.role),
    )


def _next_command(arguments: RequestOptions, role: str) -> list[str | Path]:
    """An audit when both networks are there, else what makes the missing one for the same request."""
    out, original, data = arguments.out, arguments.original, arguments.data
    repeated = repeated_options(data.data_folder, data.data, data.arch)
    same_request = ("--forget", f"request={out / REQUEST_FILE}", "--out")
    if role == "unlearned":
        return ["retrain", original, *same_request, free_name(out, "retrained"), *repeated]
    kind, _, file = arguments.forget.partition("=")
    unlearned = Path(file).parent
    if kind == "request" and (unlearned / DOCUMENT_FILE).exists():
        return ["audit", original, unlearned, "--retrained", out, "--out", free_name(out, "audit"), *repeated]
    unlearned = free_name(out, "unlearned")
    return ["unlearn", original, *same_request, unlearned, *repeated, "calibrated"]
