"""The verb that measures what networks, and the files that were shipped of them, still show."""

from pathlib import Path

from obliq.auditing.reference_models import train_reference_signals
from obliq.checkpoints.run_folder import SavedRun, load_run
from obliq.cli.arguments import AuditVerb, Division
from obliq.cli.audit_files import audit_files, images_of, is_file, opened
from obliq.cli.progress import Narrator
from obliq.cli.verbs import Outcome, audited, started
from obliq.data.request_file import REQUEST_FILE, Request, load_request
from obliq.errors import AuditError, DataError
from obliq.exporting import Shipped
from obliq.io.atomic import refuse_existing_folder
from obliq.workflow.compare_networks import compare_runs, require_comparable
from obliq.workflow.pipeline import recipe_of, report_context, same_partition, write_report


def run_audit(arguments: AuditVerb, narrator: Narrator) -> Outcome:
    """Audit and report."""
    result = arguments.result
    refuse_existing_folder(result.out, overwrite=result.overwrite)
    run = started(arguments.run, narrator)
    if len(arguments.networks) > 1 and is_file(arguments.networks[0]):
        narrator.stage("auditing")
        measured, story = audit_files(arguments)
        write_report(measured, result.out, story, overwrite=result.overwrite)
        return audited(measured, result.out)
    original, others, shipped, retrained = _given(arguments)
    if arguments.division != Division():
        raise DataError(
            f"{arguments.networks[0]} is a folder, which knows how its data were divided; expected no division"
        )
    request = _request(arguments, others)
    parts = same_partition(original.checkpoint, arguments.data_folder, arguments.data)
    splits = request.splits(parts)
    images = images_of(splits, arguments.show_forgotten)
    references = None
    if arguments.references:
        require_comparable(original.checkpoint, others, splits)  # before hours of training, not after
        narrator.stage(f"training {arguments.references} reference networks on halves of the training part")
        recipe = recipe_of(original.checkpoint)
        references = train_reference_signals(
            original.checkpoint.model, recipe, splits, arguments.references, run
        )
    narrator.stage("auditing")
    measured = compare_runs(
        original.checkpoint, others, splits, run.device, references, shipped, request, retrained
    )
    write_report(
        measured,
        result.out,
        report_context(original, others, request.selector, images=images),
        overwrite=result.overwrite,
    )
    return audited(measured, result.out)


def _given(arguments: AuditVerb) -> tuple[SavedRun, dict[str, SavedRun], dict[str, Shipped], Shipped | None]:
    """The original, the other networks by name, the files by name, and the file of the retrained network."""
    if len(arguments.networks) < 2:
        raise AuditError(
            f"{len(arguments.networks)} networks to audit; expected the original, then at least one that unlearned"
        )
    first, *rest = arguments.networks
    folders, files = [path for path in rest if not is_file(path)], [path for path in rest if is_file(path)]
    original = _in_role("original", first, arguments.arch)
    unlearned = [_in_role("unlearned", folder, arguments.arch) for folder in folders]
    names = (
        [folder.resolve().name for folder in folders] if len(folders) > 1 else ["unlearned"][: len(folders)]
    )
    names += [file.name for file in files]
    reserved = ["original", "retrained"] if len(names) > 1 else []
    if len(set(names + reserved)) < len(names + reserved):
        raise AuditError(
            f"folders called {', '.join(names)}; expected names that differ, from 'original' and 'retrained' too"
        )
    others = dict(zip(names, unlearned, strict=False))
    if arguments.retrained and not is_file(arguments.retrained):
        others["retrained"] = _in_role("retrained", arguments.retrained, arguments.arch)
    shipped = {file.name: opened(file, arguments) for file in files}
    retrained = arguments.retrained
    as_file = opened(retrained, arguments) if retrained and is_file(retrained) else None
    return original, others, shipped, as_file


def _in_role(role: str, folder: Path, architecture: str | None) -> SavedRun:
    made = load_run(folder, architecture)
    if made.checkpoint.provenance.role != role:
        raise AuditError(
            f"{folder} holds a network that is {made.checkpoint.provenance.role}; expected {role}"
        )
    return made


def _request(arguments: AuditVerb, others: dict[str, SavedRun]) -> Request:
    """The request that was given, or that stands in a folder of a network or of a file."""
    if arguments.request is not None:
        return load_request(arguments.request)
    first = next(iter(others.values()), None)
    if first is not None and first.request is not None:
        return first.request
    beside = arguments.networks[1].parent / REQUEST_FILE
    if first is None and beside.exists():
        return load_request(beside)
    raise AuditError(
        f"{arguments.networks[1]} comes without request.json; expected the request (or --request FILE), since "
        "the audit needs its samples"
    )
