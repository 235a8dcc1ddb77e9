"""The audit where only files are left: nothing in them names their data, so the command line does."""

from pathlib import Path

import torch

from obliq.auditing import Audit
from obliq.checkpoints.file_record import FILE_RECORD, FILE_RECORD_DOCUMENT
from obliq.checkpoints.metadata import present_versions
from obliq.cli.arguments import AuditVerb, Division
from obliq.data import Partition, PartitionRule, Splits, load_dataset, partition
from obliq.data.request_file import REQUEST_FILE, Request, load_request
from obliq.errors import AuditError, DataError
from obliq.exporting import Shipped, open_shipped
from obliq.exporting.exported_file import SUFFIXES
from obliq.report import ReportContext, encode_images
from obliq.workflow.compare_files import GivenFile, compare_files
from obliq.workflow.pipeline import kind_of_request, methods_in_words


def is_file(path: Path) -> bool:
    """Whether a path is meant as an exported file."""
    return path.suffix in SUFFIXES and not path.is_dir()


def audit_files(arguments: AuditVerb) -> tuple[Audit, ReportContext]:
    """Audit files alone.

    Raises:
        AuditError: when a folder is among them, or something is asked for that needs a folder.
        DataError: when the data are not named.
    """
    first, *rest = arguments.networks
    every = [*rest, *([arguments.retrained] if arguments.retrained else [])]
    folders = [path for path in every if not is_file(path)]
    if folders:
        raise AuditError(
            f"{folders[0]} is no file, and the original {first} is one; expected files only, or the folder of the "
            "original first"
        )
    if arguments.references:
        raise AuditError(
            "no file says by what recipe its network was trained, and reference networks are trained by it; expected "
            "the folder of the original first, or no --references"
        )
    names = _names(rest)
    original = opened(first, arguments)
    unlearned = {name: _given_files(file, arguments) for name, file in zip(names, rest, strict=True)}
    retrained = opened(arguments.retrained, arguments) if arguments.retrained else None
    request = _request_for_files(arguments, rest[0])
    parts = partition(
        load_dataset(data_of(first, arguments.data), arguments.data_folder), rule_of(arguments.division)
    )
    splits = request.splits(parts)
    images = images_of(splits, arguments.show_forgotten)
    measured = compare_files(original, unlearned, retrained, splits, request)
    return measured, _story(parts, unlearned, request, images)


def images_of(splits: Splits, count: int) -> list[bytes]:
    """So many forgotten samples as pictures, which a report shows only when it was asked to.

    Raises:
        DataError: for a negative number.
    """
    if count < 0:
        raise DataError(f"show_forgotten {count}; expected 0 or more")
    return encode_images(splits.forget, count) if count else []


def data_of(file: Path, said: str | None) -> str:
    """The data that a file was trained on, which the command line says.

    Raises:
        DataError: when it does not.
    """
    if said is None:
        raise DataError(
            f"{file} does not say what it was trained on; expected --data and, where they are not the usual ones, "
            "--division-seed, --holdout, --test and --limit as they were then"
        )
    return said


def rule_of(division: Division) -> PartitionRule:
    """How the data of a file were divided, as the command line says."""
    return PartitionRule(
        seed=division.division_seed, holdout=division.holdout, test=division.test, limit=division.limit
    )


def opened(file: Path, arguments: AuditVerb) -> Shipped:
    """A file in the wanted runtime."""
    return open_shipped(file, arguments.runtime, threads=torch.get_num_threads())


def _names(files: list[Path]) -> list[str]:
    """The files' names; where several have one, those of their folders before them."""
    names = [file.name for file in files]
    if len(set(names)) < len(names):
        names = [f"{file.resolve().parent.name}/{file.name}" for file in files]
    if len(set(names)) < len(names):
        raise AuditError(f"files called {', '.join(names)}; expected names that differ")
    return names


def _given_files(file: Path, arguments: AuditVerb) -> GivenFile:
    record = FILE_RECORD_DOCUMENT.read_if_present(file.parent / FILE_RECORD)
    return GivenFile(shipped=opened(file, arguments), record=record)


def _request_for_files(arguments: AuditVerb, first: Path) -> Request:
    beside = first.parent / REQUEST_FILE
    if arguments.request is None and not beside.exists():
        raise AuditError(
            f"{first} comes without request.json; expected the request (or --request FILE), since the audit needs "
            "its samples"
        )
    return load_request(arguments.request or beside)


def _story(
    parts: Partition, unlearned: dict[str, GivenFile], request: Request, images: list[bytes]
) -> ReportContext:
    records = {name: given.record.provenance for name, given in unlearned.items() if given.record is not None}
    method, settings = methods_in_words(records)
    return ReportContext(
        request=kind_of_request(request.selector), data=parts.collection.name,
        architecture="the layers of a file", method=method, method_settings=settings, versions=present_versions(),
        images=images,
    )  # fmt: skip
