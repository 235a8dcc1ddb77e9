"""The audit of exported files alone, of which the command line states the data."""

from dataclasses import replace
from pathlib import Path

from obliq.auditing import Audit
from obliq.checkpoints.file_record import (
    FILE_RECORD,
    FILE_RECORD_DOCUMENT,
    read_export_record,
    unlearned_file,
)
from obliq.checkpoints.metadata import present_versions
from obliq.checkpoints.request_tag import require_bound
from obliq.cli.audit import AuditArguments
from obliq.cli.audit_requests import AuditedRequest, each_request, newest_in_words
from obliq.cli.file_inputs import is_exported_file, load_partition, open_exported_file, stated_data
from obliq.cli.nearby_networks import original_of_file
from obliq.cli.patch_files import encryption_key
from obliq.cli.verbs import StageListener
from obliq.data import Partition, Splits
from obliq.data.datasets import data_label
from obliq.data.request_file import REQUEST_FILE, Request, load_request
from obliq.errors import AuditError, DataError
from obliq.report import ReportContext, encode_images
from obliq.workflow.compare_files import GivenFile, compare_files
from obliq.workflow.device_answers import DeviceRecording, load_recording
from obliq.workflow.report_context import kind_of_request, methods_in_words, retain_data_in_words


def audit_files(arguments: AuditArguments, progress: StageListener) -> list[AuditedRequest]:
    """Audit files alone.

    Raises:
        AuditError: when a folder is among them, or an option needs a folder.
        DataError: when the data are not stated.
    """
    first, *rest = arguments.networks
    _require_files_only(arguments, first, rest)
    names = _names(rest)
    original = open_exported_file(first, arguments.runtime)
    unlearned = {name: _with_record(file, arguments.runtime) for name, file in zip(names, rest, strict=True)}
    retrained = [open_exported_file(file, arguments.runtime) for file in arguments.retrained]
    request = _request(arguments, rest[0])
    data = stated_data(first, arguments.data)
    parts = load_partition(data, arguments.data.data_folder, arguments.division)
    splits = request.splits(parts)
    images = forgotten_images(splits, arguments.show_forgotten)
    recording = given_recording(arguments, splits, parts.collection.classes)
    # Never who: what an audit prints may be kept longer than the request.
    progress.print_line(f"audited request: {newest_in_words(request)}, {len(splits.forget):,} samples")
    authenticated(arguments, request, progress)

    record = read_export_record(first, original.file_digest)
    origin = None if record is None else record.network_digest

    def compare(one: Request, roles: Splits, recording: DeviceRecording | None) -> Audit:
        answered = None if one is request else request.digest
        return compare_files(original, unlearned, retrained, roles, one, recording, answered, origin)

    def context(one: Request) -> ReportContext:
        return _context(parts, unlearned, one, images if one is request else [])

    progress.stage("auditing")
    newest = AuditedRequest(
        title=newest_in_words(request),
        audit=compare(request, splits, recording),
        context=replace(context(request), request=newest_in_words(request)),
    )
    return [newest, *each_request(arguments, request, parts, progress, compare, context)]


def authenticated(arguments: AuditArguments, request: Request, progress: StageListener) -> bytes | None:
    """The key by which request and networks were bound, after that was checked; None without one, which is printed.

    Raises:
        ModelError: when a network or the request was not bound by this key.
    """
    key = encryption_key(arguments.request_key)
    if key is None:
        progress.print_line(
            "not authenticated: nothing shows that the request is the one that was filed (--request-key)"
        )
        return None
    for network in (*arguments.networks[1:], *arguments.retrained):
        if network.is_dir() or (network.parent / FILE_RECORD).exists():
            require_bound(network, request, key)
    return key


def forgotten_images(splits: Splits, count: int) -> list[bytes]:
    """The first forgotten samples as images; a report shows them only on request.

    Raises:
        DataError: for a negative number.
    """
    if count < 0:
        raise DataError(f"show_forgotten {count}; expected 0 or more")
    return encode_images(splits.forget, count) if count else []


def given_recording(arguments: AuditArguments, splits: Splits, classes: int) -> DeviceRecording | None:
    """The answers of a device; None where none were given.

    Raises:
        DataError: naming the file and what is wrong with it.
    """
    if arguments.answers is None:
        return None
    unlearned = arguments.networks[1:]
    count = sum(map(is_exported_file, unlearned)) or len(unlearned)
    if count != 1:
        raise AuditError(
            f"--answers with {count} networks; expected one exported file, which the device runs, or one network"
        )
    return load_recording(arguments.answers, splits, classes)


def _require_files_only(arguments: AuditArguments, first: Path, rest: list[Path]) -> None:
    """Raise where a folder, or an option that needs one, comes with an original that is a file.

    Raises:
        AuditError: with the file in such a folder, or the folder of the original where it lies near.
    """
    near = original_of_file(first)
    original = f"the folder of the original first{f', {near.folder}' if near else ''}"
    for path in (*rest, *arguments.retrained):
        if is_exported_file(path):
            continue
        inside = unlearned_file(path)
        raise AuditError(
            f"{path} is not an exported file, but the original {first} is; expected "
            + (
                f"the file {inside}"
                if inside
                else f"files only (`obliq export {path} --out FILE`), or {original}"
            )
        )
    if arguments.references:
        raise AuditError(
            f"no file records the recipe of its network, by which networks are retrained; expected {original}, or "
            "files of retrained networks (--retrained FILE FILE ...) and no --references"
        )


def _names(files: list[Path]) -> list[str]:
    """The files' names; where several have one, those of their folders before them."""
    names = [file.name for file in files]
    if len(set(names)) < len(names):
        names = [f"{file.resolve().parent.name}/{file.name}" for file in files]
    if len(set(names)) < len(names):
        raise AuditError(f"files called {', '.join(names)}; expected names that differ")
    return names


def _with_record(file: Path, runtime: str) -> GivenFile:
    record = FILE_RECORD_DOCUMENT.read_if_present(file.parent / FILE_RECORD)
    return GivenFile(shipped=open_exported_file(file, runtime), record=record)


def _request(arguments: AuditArguments, first: Path) -> Request:
    nearby = first.parent / REQUEST_FILE
    if arguments.request is None and not nearby.exists():
        raise AuditError(
            f"{first} comes without request.json; expected the request (or --request FILE), since the audit needs "
            "its samples"
        )
    return load_request(arguments.request or nearby)


def _context(
    parts: Partition, unlearned: dict[str, GivenFile], request: Request, images: list[bytes]
) -> ReportContext:
    records = {name: given.record.provenance for name, given in unlearned.items() if given.record is not None}
    method, settings = methods_in_words(records)
    return ReportContext(
        request=kind_of_request(request.selector),
        data=data_label(parts.collection.name),
        architecture="the layers of a file",
        method=method,
        method_settings=settings,
        retain_data=retain_data_in_words(records),
        versions=present_versions(),
        images=images,
    )
