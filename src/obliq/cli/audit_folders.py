"""The audit of networks in folders, and of files that were exported from them."""

from dataclasses import dataclass, replace
from pathlib import Path

from obliq.auditing import Audit
from obliq.checkpoints.run_folder import SavedRun, load_run
from obliq.cli.audit import AuditArguments
from obliq.cli.audit_files import authenticated, forgotten_images, given_recording
from obliq.cli.audit_requests import AuditedRequest, each_request, newest_in_words
from obliq.cli.file_inputs import is_exported_file, open_exported_file, refuse_division
from obliq.cli.verbs import StageListener
from obliq.data import Splits
from obliq.data.request_file import REQUEST_FILE, Request, load_request
from obliq.errors import AuditError
from obliq.exporting import ExportedFile
from obliq.io.drafts import sweep
from obliq.quantization import weights_digest
from obliq.report import ReportContext
from obliq.run import Run
from obliq.workflow.compare_files import retrained_name
from obliq.workflow.compare_runs import compare_runs, require_comparable
from obliq.workflow.device_answers import DeviceRecording
from obliq.workflow.pipeline import same_partition
from obliq.workflow.report_context import report_context
from obliq.workflow.retrained_networks import complete_retrained, kept_folder, require_count


@dataclass(frozen=True, kw_only=True)
class AuditedRuns:
    """What an audit compares.

    Attributes:
        original: the network before the request.
        others: those that unlearned, by name.
        files: exported files, by name.
        retrained: networks trained without the forget set.
        retrained_files: those of them that were given as files.
    """

    original: SavedRun
    others: dict[str, SavedRun]
    files: dict[str, ExportedFile]
    retrained: list[SavedRun]
    retrained_files: list[ExportedFile]


def audit_folders(arguments: AuditArguments, run: Run, progress: StageListener) -> list[AuditedRequest]:
    """Audit networks of which at least the original is in a folder.

    Raises:
        AuditError: when a network has another role than its place demands, or the request is not known.
    """
    given = _load(arguments)
    refuse_division(arguments.networks[0], arguments.division)
    original, data = given.original.checkpoint, arguments.data
    request = _request(arguments, _named(given.others, given.retrained))
    parts = same_partition(original, data.data_folder, data.data)
    splits = request.splits(parts)
    # Never who: what an audit prints may be kept longer than the request.
    progress.print_line(f"audited request: {newest_in_words(request)}, {len(splits.forget):,} samples")
    key = authenticated(arguments, request, progress)
    images = forgotten_images(splits, arguments.show_forgotten)
    recording = given_recording(arguments, splits, original.blueprint.classes)
    retrained = given.retrained
    if arguments.references:
        require_count(arguments.references)
        require_comparable(
            original, _named(given.others, retrained), splits
        )  # before hours of training, not after
        kept = kept_folder(arguments.networks[0], weights_digest(original.model), request, key, data.arch)
        for line in sweep(kept):
            progress.print_line(line)
        retrained = complete_retrained(
            retrained,
            arguments.references - len(given.retrained_files),
            original,
            splits,
            request,
            run,
            kept,
            progress.stage,
            data.arch,
            key,
        )
    others = _named(given.others, retrained)

    def compare(one: Request, roles: Splits, recording: DeviceRecording | None) -> Audit:
        return compare_runs(
            original,
            others,
            roles,
            run.device,
            given.files,
            one,
            given.retrained_files,
            recording,
            None if one is request else request.digest,
        )

    def context(one: Request) -> ReportContext:
        return report_context(given.original, others, one.selector, images=images if one is request else ())

    progress.stage("auditing")
    newest = AuditedRequest(
        title=newest_in_words(request),
        audit=compare(request, splits, recording),
        context=replace(context(request), request=newest_in_words(request)),
    )
    return [newest, *each_request(arguments, request, parts, progress, compare, context)]


def _load(arguments: AuditArguments) -> AuditedRuns:
    if len(arguments.networks) < 2:
        raise AuditError(
            f"networks to audit: {len(arguments.networks)}; expected the original, then at least one that unlearned"
        )
    first, *rest = arguments.networks
    folders = [path for path in rest if not is_exported_file(path)]
    files = [path for path in rest if is_exported_file(path)]
    original = _in_role("original", first, arguments.data.arch)
    unlearned = [_in_role("unlearned", folder, arguments.data.arch) for folder in folders]
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
    return AuditedRuns(
        original=original,
        others=others,
        files={file.name: open_exported_file(file, arguments.runtime) for file in files},
        retrained=[
            _in_role("retrained", path, arguments.data.arch)
            for path in arguments.retrained
            if not is_exported_file(path)
        ],
        retrained_files=[
            open_exported_file(path, arguments.runtime)
            for path in arguments.retrained
            if is_exported_file(path)
        ],
    )


def _named(others: dict[str, SavedRun], retrained: list[SavedRun]) -> dict[str, SavedRun]:
    """The networks that unlearned and the retrained ones, by name."""
    return others | {retrained_name(number): made for number, made in enumerate(retrained, 1)}


def _in_role(role: str, folder: Path, architecture: str | None) -> SavedRun:
    found = load_run(folder, architecture)
    if found.checkpoint.provenance.role != role:
        raise AuditError(
            f"{folder} holds a network that is {found.checkpoint.provenance.role}; expected {role}"
        )
    return found


def _request(arguments: AuditArguments, others: dict[str, SavedRun]) -> Request:
    """The request that was given, or that is in a folder of a network or of a file."""
    if arguments.request is not None:
        return load_request(arguments.request)
    first = next(iter(others.values()), None)
    if first is not None and first.request is not None:
        return first.request
    nearby = arguments.networks[1].parent / REQUEST_FILE
    if first is None and nearby.exists():
        return load_request(nearby)
    raise AuditError(
        f"{arguments.networks[1]} comes without request.json; expected the request (or --request FILE), since "
        "the audit needs its samples"
    )
