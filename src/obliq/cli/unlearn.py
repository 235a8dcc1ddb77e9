"""`obliq unlearn`: make a network forget, in its folder or in an exported file."""

import dataclasses
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Union

import tyro

from obliq.cli.options import ComputeOptions, DivisionOptions, OutputOptions, RequestOptions
from obliq.cli.verbs import StageListener, Verb, VerbOutput
from obliq.errors import DataError, ModelError
from obliq.methods import Access, Method, access_of, available_methods

READS: Mapping[Access, str] = {
    "retain set": "",
    "statistics": " It reads only statistics of the retain set.",
    "nothing": " It does not read the retain set.",
}


@dataclass(frozen=True)
class Recommended:
    """What docs/methods.md recommends: proxy-matching (calibrated for a file), where it passed the audit's verdict.

    For other requests the command stops and prints how to retrain.
    """


def _methods() -> Any:
    """What is recommended, and every registered method, as sub-commands; its fields are the options.

    Raises:
        ModelError: when a method cannot be loaded or has no fields.
    """
    for name, kind in available_methods().items():
        if not (isinstance(kind, type) and dataclasses.is_dataclass(kind) and issubclass(kind, Method)):
            raise ModelError(
                f"the method '{name}' is {kind!r}; expected a dataclass with an unlearn function"
            )
    kinds: list[Any] = [Annotated[Recommended, tyro.conf.subcommand("recommended")]]
    kinds += [
        Annotated[kind, tyro.conf.subcommand(name, description=_description(kind))]
        for name, kind in available_methods().items()
    ]
    return Union[tuple(kinds)]  # noqa: UP007 - a tuple of any length has no other spelling


def _description(kind: type[Method]) -> str:
    """The docstring above its attributes, and what the method reads of the retain set where that is not all."""
    text = " ".join((inspect.getdoc(kind) or "").partition("Attributes:")[0].split())
    return text + READS[access_of(kind)]


@dataclass(frozen=True, kw_only=True)
class UnlearnArguments(RequestOptions):
    """Make a saved network forget the samples that you name.

    Example: obliq unlearn runs/original --forget subject=7 --out runs/unlearned proxy-matching --epochs 8

    The method and its own options come last; `obliq unlearn METHOD --help` lists these options. Without a method, the
    command follows the table in docs/methods.md. For one person or a random tenth it runs proxy-matching, which passed
    the audit's verdict in 14 of 20 runs of the demo and in 6 of 21 others. Where no method is recommended (a class or
    nearly all of one, more than a fifth of the samples, more than 10,000 training samples), it stops and prints how to
    retrain. Listed samples and several people count as one person.

    ORIGINAL can also be a file that `obliq export` wrote: `obliq unlearn network.onnx --data digits ...`. The
    result is a folder with the same graph, in which only integer codes and biases have changed. A file does not
    record its data, so pass the same data and the same split as in training. The method is then calibrated, unless
    you name one, because proxy-matching trains new networks, which a file cannot become.

    Attributes:
        original: Folder of the original network, or a file that was exported from it.
        method: One of these, followed by its own options. It reads the retain set unless stated otherwise.
        expect_accuracy: For an exported file: its known accuracy in percent. A warning is printed if the measured
            accuracy is clearly lower.
        accept: Keep a network that fails its gate in OUT. Otherwise it goes to OUT.failed, cannot be exported, and the
            exit status is 3. A network fails when it loses more than 5 points of accuracy on samples that remain.
        accept_large: Forget more than half of the training samples, or the last samples of a class that the request
            does not name.
    """

    expect_accuracy: Annotated[float | None, tyro.conf.arg(metavar="PERCENT", help_behavior_hint="")] = None
    method: Annotated[Method | Recommended, tyro.conf.arg(constructor_factory=_methods)] = field(
        default_factory=Recommended
    )
    accept: bool = False
    accept_large: bool = False
    division: DivisionOptions = field(default_factory=DivisionOptions)
    compute: tyro.conf.CascadeSubcommandArgs[ComputeOptions] = field(default_factory=ComputeOptions)
    output: tyro.conf.CascadeSubcommandArgs[OutputOptions] = field(default_factory=OutputOptions)

    @property
    def named_method(self) -> Method | None:
        """The method that the user named; None where the recommended one is wanted."""
        return None if isinstance(self.method, Recommended) else self.method


def run_unlearn(arguments: UnlearnArguments, progress: StageListener) -> VerbOutput:
    """Apply a method to the network in a folder, or in a file."""
    from obliq.cli.answer_request import answer_request, by_method
    from obliq.cli.computation import start_run
    from obliq.cli.file_inputs import is_exported_file, refuse_division
    from obliq.data import parse_selector
    from obliq.workflow.advice import RECOMMENDED
    from obliq.workflow.request_limits import require_moderate

    if is_exported_file(arguments.original):
        return _unlearn_in_file(arguments, progress)
    refuse_division(arguments.original, arguments.division)
    if arguments.expect_accuracy is not None:
        raise DataError(
            f"{arguments.original} is a folder; expected --expect-accuracy with an exported file only"
        )
    run = start_run(arguments.compute, progress)
    named = arguments.named_method
    return answer_request(
        arguments,
        run,
        progress,
        lambda original: by_method(
            original, named or RECOMMENDED, run, folder=arguments.original, is_named=named is not None
        ),
        accept=arguments.accept,
        check=lambda splits, request: require_moderate(
            splits, parse_selector(request.selector), accept=arguments.accept_large
        ),
    )


def _accuracies(measured: Mapping[str, float]) -> str:
    """Measured accuracies in words, and what always answering one class would reach."""
    from obliq.workflow.baseline import BASELINE

    parts = ", ".join(f"{percent:.1f} % on {name}" for name, percent in measured.items() if name != BASELINE)
    return f"{parts} ({measured[BASELINE]:.1f} % by always answering the most frequent class)"


_EARLIER_UNKNOWN = (
    "no record next to this file names earlier requests. If there were any, name each with --forgotten REQUEST, or "
    "their samples are trained on again"
)


def _unlearn_in_file(arguments: UnlearnArguments, progress: StageListener) -> VerbOutput:
    """Integers in, integers out."""
    from obliq.checkpoints.file_record import provenance_of_file
    from obliq.checkpoints.request_tag import bind_request
    from obliq.cli.answer_request import none_recommended, refuse_ancestor, request_lines, require_named
    from obliq.cli.answered_requests import earlier_of_file
    from obliq.cli.computation import start_run
    from obliq.cli.file_inputs import load_partition, require_recorded_division, stated_data
    from obliq.cli.gate import judge_gate
    from obliq.cli.nearby_networks import original_of_file
    from obliq.cli.next_steps import after_unlearned_file, retraining_hint
    from obliq.cli.patch_files import encryption_key
    from obliq.data import parse_selector
    from obliq.exporting import open_exported, sha256_of
    from obliq.io.atomic import refuse_existing_folder
    from obliq.training.orthogonal_descent import OrthogonalDescent
    from obliq.workflow.advice import RECOMMENDED_FOR_FILES, reason_to_retrain
    from obliq.workflow.compare_files import require_fitting
    from obliq.workflow.file_claims import check_claims
    from obliq.workflow.new_request import create_request
    from obliq.workflow.request_limits import require_moderate
    from obliq.workflow.unlearn_file import save_unlearned_file, unlearn_file

    out = arguments.out
    refuse_existing_folder(out, overwrite=arguments.overwrite, inputs=(arguments.original,))
    key = encryption_key(arguments.request_key)
    require_named(arguments)
    data = stated_data(arguments.original, arguments.data)
    run = start_run(arguments.compute, progress)
    shipped = open_exported(arguments.original)
    parts = load_partition(data, arguments.data.data_folder, arguments.division)
    require_fitting(shipped, parts)
    base = provenance_of_file(arguments.original, shipped.file_digest, shipped.content_digest)
    if base is not None:
        refuse_ancestor(out, base, arguments.original)
    require_recorded_division(arguments.original, base, parts)
    earlier = earlier_of_file(arguments, base)
    splits, request = create_request(parts, arguments.forget, run.seed, earlier)
    for line in request_lines(request, splits):
        progress.print_line(line)
    unknown = [] if base is not None or arguments.forgotten else [_EARLIER_UNKNOWN]
    for warning in unknown:
        progress.print_warning(warning)
    require_moderate(splits, parse_selector(request.selector), accept=arguments.accept_large)
    named = arguments.named_method
    method = named or RECOMMENDED_FOR_FILES
    if isinstance(method, OrthogonalDescent):
        method = dataclasses.replace(method, steps="frozen")  # a file's scales are the device's
    if advice := reason_to_retrain(method, splits):
        near = original_of_file(arguments.original)
        retrain = (
            retraining_hint(arguments, near, base)
            if near
            else "Retrain the network that this file was exported from, if you can"
        )
        if named is None:
            raise none_recommended(advice, retrain, "calibrated")
        progress.print_warning(f"{advice}. {retrain}")
    if named is None:
        progress.print_line(
            "method: calibrated, because proxy-matching trains new networks, which a file cannot become"
        )
    progress.stage("measuring the file's accuracy on its data")
    claims = check_claims(shipped, splits, arguments.expect_accuracy, recorded=base is not None)
    for warning in claims.warnings:
        progress.print_warning(warning)
    warnings = [*unknown, *claims.warnings]
    progress.stage(f"forgetting {len(splits.forget):,} samples, keeping {len(splits.retain):,}")
    found = unlearn_file(shipped, splits, request, method, run, claims, base)
    gated = judge_gate(found.provenance, out, accept=arguments.accept)
    found = dataclasses.replace(found, provenance=gated.provenance)
    save_unlearned_file(gated.out, found, overwrite=arguments.overwrite)
    if key is not None:
        bind_request(gated.out, request, key)
    file = gated.out / found.name
    return VerbOutput(
        lines=[
            f"unlearned file {file}, {found.changed_codes_percent:.2f} % of the codes changed, "
            f"in {found.provenance.seconds:,.1f} s",
            f"accuracy before: {_accuracies(claims.accuracy)}",
            *gated.lines,
            *(f"WARNING: {warning}" for warning in warnings),
        ],
        values={
            "file": str(file),
            "role": found.provenance.role,
            "counts": found.provenance.counts,
            "seconds": round(found.provenance.seconds, 3),
            "file_digest": sha256_of(found.content),
            "changed_codes_percent": round(found.changed_codes_percent, 4),
            "accuracy_before": claims.accuracy,
            "warnings": warnings,
            "advice": advice,
            **gated.values,
            "agreement_percent": round(100 * found.agreement, 2),
            "agreement_after_percent": round(100 * found.agreement_after, 2),
        },
        unmet=gated.unmet,
        next_command=()
        if gated.unmet or (base is not None and base.role != "original")  # an audit needs the file before all
        else after_unlearned_file(arguments, data, file),
    )


VERB = Verb(UnlearnArguments, run_unlearn, choices=available_methods)
