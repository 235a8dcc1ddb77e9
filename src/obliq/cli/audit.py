"""`obliq audit`: what networks still show of the forgotten samples, and the report."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from obliq.cli.options import (
    DataOptions,
    DivisionOptions,
    File,
    OutputOptions,
    Overwrite,
    ResultFolder,
    TrainingComputeOptions,
)
from obliq.cli.verbs import StageListener, Verb, VerbOutput
from obliq.errors import AuditError

if TYPE_CHECKING:
    from obliq.cli.requirements import Requirement


@dataclass(frozen=True, kw_only=True)
class AuditArguments:
    """Measure what networks still reveal about forgotten samples.

    Example: obliq audit runs/original runs/unlearned --references 4 --out runs/audit

    The result is a folder with audit.json and report.html. The folder of each audited network keeps its verdict, and
    `obliq export` and `obliq patch make` refuse one that was refused.

    The verdict compares each network with networks retrained without the forgotten samples. One retrained network gives
    the gaps. Two or more, better four, also show how much retraining varies by chance, which decides the verdict.

    You can also name a file that `obliq export` wrote (.onnx or .pte), after the folder from which it was exported or
    instead of it. The file is then measured as a device runs it.

    All networks can be files, those of other quantizers included, as in `obliq audit original.onnx
    unlearned/network.onnx --data digits ...`. Pass the same data and the same split as in training.

    Attributes:
        networks: Folder of the original, then folders or files of networks that unlearned; or files only.
        retrained: Folders or files of networks trained without the forget set. Gaps are measured from the first.
        references: How many retrained networks to compare with, such as 4. Missing ones are trained by the original's
            recipe, each in about the time of the original, and kept in ORIGINAL.retrained for the next audit.
        require: End with exit status 3 unless the first network that unlearned is so: indistinguishable, or a bound in
            quotes such as 'avg-gap<=2', 'ta>=90' or 'auc-distance<=1.5' (to the value to aim at). It can be repeated;
            all must hold, also for answers of a device. Names are those of the table and of audit.json.
        case: Number under which the request is handled. The report and audit.json state it.
        operator: Name of the person who audits. The report and audit.json state it; it is never guessed.
        answers: Answers of a device, as .npz or .csv: logits, probabilities or classes by sample id. `obliq inputs`
            writes the samples to run. All networks are then measured on these samples alone.
        request: The request.json to audit, if no folder contains it.
        request_key: Refuse networks and requests that were not bound by the key in this file (see `obliq unlearn
            --help`), so that nobody can have exchanged them. Reference networks are bound by it, too.
        requests: `newest` measures the newest request. `all` also measures, one by one, every request that the networks
            answered before and every one that was joined to another, to see whether what they named has come back.
        runtime: What runs exported files. `own` is the runtime that a file was written for. `interpreter` is the exact
            integer interpreter of Obliq, which is slow.
        show_forgotten: Show up to this many forgotten images in the report. A report may be kept for longer than the
            request allows.
    """

    networks: Annotated[
        tyro.conf.Positional[tuple[Path, ...]],
        tyro.conf.arg(metavar="ORIGINAL UNLEARNED [UNLEARNED ...]", help_behavior_hint="(required)"),
    ]
    retrained: Annotated[
        tuple[Path, ...], tyro.conf.arg(metavar="PATH [PATH ...]", help_behavior_hint="")
    ] = ()
    out: ResultFolder
    overwrite: Overwrite = False
    references: int = 0
    require: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(metavar="WHAT", help_behavior_hint=""),
    ] = ()
    case: str = ""
    operator: str = ""
    answers: File = None
    request: File = None
    request_key: File = None
    requests: Literal["newest", "all"] = "newest"
    runtime: Literal["own", "onnxruntime", "executorch", "interpreter"] = "own"
    show_forgotten: int = 0
    data: DataOptions = field(default_factory=DataOptions)
    division: DivisionOptions = field(default_factory=DivisionOptions)
    compute: TrainingComputeOptions = field(default_factory=TrainingComputeOptions)
    output: OutputOptions = field(default_factory=OutputOptions)


def run_audit(arguments: AuditArguments, progress: StageListener) -> VerbOutput:
    """Audit folders, folders and files, or files only; write the report."""
    from obliq.auditing.measurement import require_one_line
    from obliq.cli.audit_files import audit_files
    from obliq.cli.audit_folders import audit_folders
    from obliq.cli.audit_requests import request_table, request_values
    from obliq.cli.computation import start_run
    from obliq.cli.file_inputs import is_exported_file
    from obliq.cli.next_steps import FILES_ALONE, ONCE_PER_SEED, after_audit
    from obliq.cli.output import audit_output
    from obliq.cli.requirements import check_requirements, unmet
    from obliq.io.atomic import new_folder, refuse_existing_folder
    from obliq.workflow.last_audit import keep_verdicts
    from obliq.workflow.pipeline import write_report_files

    out, networks = arguments.out, arguments.networks
    inputs = (*arguments.networks, *arguments.retrained)
    refuse_existing_folder(out, overwrite=arguments.overwrite, inputs=inputs)
    required = _required(arguments)
    require_one_line(case=arguments.case, operator=arguments.operator)  # before hours of work, not after
    run = start_run(arguments.compute, progress, compiled=arguments.compute.compile)
    if len(networks) > 1 and is_exported_file(networks[0]):
        audited = audit_files(arguments, progress)
    else:
        audited = audit_folders(arguments, run, progress)
    named = [
        replace(one, audit=replace(one.audit, case=arguments.case, operator=arguments.operator))
        for one in audited
    ]
    (newest, *each), measured = named, named[0].audit
    with new_folder(out, overwrite=arguments.overwrite) as draft:
        write_report_files(measured, draft, newest.context)
        for place, one in enumerate(each, 1):
            (draft / f"request-{place}").mkdir()
            write_report_files(one.audit, draft / f"request-{place}", one.context)
    for warning in keep_verdicts([one.audit for one in named], list(networks[1:])):
        progress.print_warning(warning)
    proposed = after_audit(arguments, measured)
    said = audit_output(measured, out, proposed, required)
    if "FILE" in proposed:  # of networks that only the user can train
        said = replace(said, lines=[*said.lines, FILES_ALONE])
    elif "retrain" in proposed[:1] and "--seed" in proposed:
        said = replace(said, lines=[*said.lines, ONCE_PER_SEED])
    if not each:
        return said
    results = [check_requirements(required, one.audit) for one in each]
    return replace(
        said,
        lines=[*said.lines, *request_table(each)],
        values={**said.values, "requests": request_values(each)},
        unmet=said.unmet or next(filter(None, map(unmet, results)), ""),
    )


def _required(arguments: AuditArguments) -> "list[Requirement]":
    """What the user requires, checked before any work.

    Raises:
        AuditError: for a word that requires nothing, and for a bound that cannot have a value.
    """
    from obliq.cli.requirements import parse_requirement

    required = [parse_requirement(text) for text in arguments.require]
    lacking = next((one for one in required if one.needs_retrained), None)
    if lacking is not None and not arguments.retrained and not arguments.references:
        raise AuditError(
            f"--require {lacking.text!r} is measured from a retrained network; expected --retrained FOLDER or "
            "--references 4"
        )
    return required


VERB = Verb(AuditArguments, run_audit)
