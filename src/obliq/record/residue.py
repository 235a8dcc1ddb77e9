"""What below a folder still holds a request, or what a network was before it forgot; listed, and destroyed on demand.

Files are recognised by what they hold, whatever they are called; float weights and models by the names that Obliq gives
them, too. What other programs wrote is never listed: data sets, lists of ids, copies in archives, backups.

What lies in the folder of a record is listed as the record's: its own commands read those files, and its log names
them by their digests.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from obliq.checkpoints.folder import DOCUMENT_FILE, LATENT_FILE, TENSORS_FILE
from obliq.checkpoints.run_folder import TRACE_FILE
from obliq.errors import ObliqError
from obliq.exporting import SUFFIXES
from obliq.io.documents import DocumentType
from obliq.io.drafts import is_draft, is_held
from obliq.io.durable import sync
from obliq.io.ownership import FILES_RECORD, digest_of_file
from obliq.io.strict_json import OMITTED_BY_DEFAULT
from obliq.models.weights_file import SAFETENSORS, TORCH
from obliq.record.folder import BATCHES
from obliq.record.log import LOG_FILE, read_log
from obliq.record.state import RecordState
from obliq.run import utc_now
from obliq.workflow.known_originals import HEAD, KnownOriginals, read_network_document

KINDS = {
    "request": "the ids of the samples to forget",
    "source": "where the data lie, which can be personal",
    "latent": "float weights; integers of a network are rounded from them",
    "weights": "the weights of a network that was trained elsewhere, before it forgot",
    "original": "a network before it forgot; also one between two requests, which remembers the later one",
    "export": "a file that was exported from such a network",
    "patch": "the difference of two networks",
    "images": "a report with images of forgotten samples",
    "draft": "an unfinished result of a run that was killed",
}
"""What a residue is, by its kind."""

_REQUEST = re.compile(rb'"format":\s*"obliq-request"')
_IMAGE = b"data:image/png;base64"
_ENTRY = re.compile(rb'^\{"actor":.*"event":')  # the keys of an entry of the log are sorted
_SOURCE = re.compile(rb'"format":\s*"obliq-source"')


@dataclass(frozen=True, kw_only=True)
class Residue:
    """One file.

    Attributes:
        file: its path below the folder, with `/`.
        kind: a key of `KINDS`.
        bytes: its size.
        digest: SHA-256 of its bytes, in hexadecimal. That of a request reveals nothing, as its salt is hashed, too.
        record: path from the folder to that of the record which holds it; empty where none does.
    """

    file: str
    kind: str
    bytes: int
    digest: str
    record: str = field(default="", metadata=OMITTED_BY_DEFAULT)


@dataclass(frozen=True, kw_only=True)
class Destruction:
    """What a record of a destruction holds.

    Attributes:
        begun: when it began, in UTC and ISO 8601.
        ended: when it ended; empty until then.
        destroyed: the files that were removed; until the end, those that are to be.
        left: the files that could not be removed.
    """

    begun: str
    ended: str = ""
    destroyed: tuple[Residue, ...]
    left: tuple[Residue, ...] = ()


DESTRUCTION_DOCUMENT = DocumentType(
    content=Destruction, format="obliq-destruction", version=1, title="record of a destruction"
)


def find_residue(
    folder: Path, kinds: Sequence[str] = (), *, original: Path | None = None, architecture: str | None = None
) -> list[Residue]:
    """Every file below a folder that still holds what was to be forgotten; links are not followed.

    Args:
        folder: where to look.
        kinds: keys of `KINDS`; all when empty.
        original: folder of the original, where it is elsewhere: its exports are then found, too.
        architecture: see `obliq.checkpoints.load_checkpoint`. Without it, exports of a network of the user's code are
            found only by records.

    Raises:
        ObliqError: when there is no such folder, or a file in it cannot be read.
    """
    if not folder.is_dir():
        raise ObliqError(f"there is no folder {folder}; expected one to look for residue in")
    files = list(_regular_files(folder))
    records = [*_records_around(folder), *filter(_is_record, _folders_of(files, folder))]
    between = {digest for record in records for digest in _between_batches(record)}
    known = KnownOriginals.of(files, original, architecture, between)
    found = []
    for file in files:
        kind = _kind(file, known)
        if kind and (not kinds or kind in kinds):
            found.append(
                Residue(
                    file=file.relative_to(folder).as_posix(),
                    kind=kind,
                    bytes=file.stat().st_size,
                    digest=digest_of_file(file),
                    record=_record_of(file, records, folder),
                )
            )
    return found


def destroy_residue(folder: Path, found: Sequence[Residue], record: Path) -> Destruction:
    """Remove files, and folders that are empty then. The record is written before and completed after.

    Args:
        folder: that the files are below.
        found: as `find_residue` returned it.
        record: new file.

    Raises:
        ObliqError: when the record cannot be written, or files are left, with their names.
    """
    begun = utc_now().isoformat()
    DESTRUCTION_DOCUMENT.write(record, Destruction(begun=begun, destroyed=tuple(found)))
    destroyed, left, reasons = [], [], []
    for one in found:
        try:
            if digest_of_file(folder / one.file) != one.digest:
                left.append(one)
                reasons.append(f"{one.file}: was replaced since it was listed")
                continue
            (folder / one.file).unlink()
            destroyed.append(one)
        except FileNotFoundError:
            continue  # somebody else removed it
        except OSError as error:
            left.append(one)
            reasons.append(f"{one.file}: {error.strerror or error}")
    for above in sorted({(folder / one.file).parent for one in found}, reverse=True):
        _remove_if_empty(above, folder)
    ended = Destruction(
        begun=begun, ended=utc_now().isoformat(), destroyed=tuple(destroyed), left=tuple(left)
    )
    DESTRUCTION_DOCUMENT.write(record, ended, overwrite=True)
    if left:
        raise ObliqError(
            f"{len(left)} of {len(found)} files are left in {folder}: {'; '.join(reasons[:4])}; expected to remove "
            f"them. The record {record} lists what is left"
        )
    return ended


def _kind(file: Path, known: KnownOriginals) -> str:
    """The kind of a residue; empty for any other file."""
    with file.open("rb") as opened:
        head = opened.read(HEAD)
    if _REQUEST.search(head):
        return "request"
    if _SOURCE.search(head):
        return "source"
    if file.name == LATENT_FILE and head[8:9] == b"{":  # a safetensors file
        return "latent"
    parts = (DOCUMENT_FILE, TENSORS_FILE, TRACE_FILE)
    if file.name in parts and known.is_original(read_network_document(file.parent / DOCUMENT_FILE)):
        return "original"
    if head[:4] in (b"OBQP", b"OBQE"):
        return "patch"
    if file.suffix == ".html" and b"Obliq" in head and _has_images(file):
        return "images"
    if known.weights and file.suffix in SAFETENSORS + TORCH and digest_of_file(file) in known.weights:
        return "weights"
    if file.suffix in SUFFIXES and known.exported(file):
        return "export"
    return "draft" if any(is_draft(above) for above in (file, *file.parents)) else ""


def _is_record(folder: Path) -> bool:
    """Whether a folder has the log of a record, even where other parts of the record are lost.

    Other programs write files of that name, too.
    """
    try:
        with (folder / LOG_FILE).open("rb") as log:
            head = log.read(HEAD)
    except OSError:
        return False
    return (folder / BATCHES).is_dir() or _ENTRY.search(head) is not None


def _records_around(folder: Path) -> list[Path]:
    """Records that a folder lies in: what is in them is theirs, wherever the search begins."""
    return [above for above in folder.resolve().parents if _is_record(above)]


def _folders_of(files: Iterable[Path], top: Path) -> set[Path]:
    """The folders that files lie in, up to one that holds them all."""
    found = {top}
    for file in files:
        above = file.parent
        while above not in found:
            found.add(above)
            above = above.parent
    return found


def _record_of(file: Path, records: Iterable[Path], folder: Path) -> str:
    """The path from a folder to the innermost record that a file lies in; empty without one."""
    place = file.resolve()
    around = [one for one in map(Path.resolve, records) if place.is_relative_to(one)]
    if not around:
        return ""
    innermost = max(around, key=lambda one: len(one.parts))
    return Path(os.path.relpath(innermost, folder.resolve())).as_posix()


def _between_batches(record: Path) -> set[str]:
    """Digests of networks and files of batches that answer fewer cases than the newest network, by the log."""
    try:
        batches = RecordState.of(read_log(record / LOG_FILE)).batches
    except ObliqError:  # a damaged log; its files are still held
        return set()
    answered: list[tuple[set[str], set[str]]] = []
    newest: set[str] = set()
    before: set[str] = set()
    for batch in batches:
        cases = before | set(batch.planned.cases)
        digests = {one.network for one in (batch.unlearned, *batch.retrained.values()) if one is not None}
        digests |= {batch.exported.file, batch.exported.content} if batch.exported else set()
        answered.append((cases, digests))
        if not batch.abandoned:
            before = cases
            newest = cases if batch.unlearned else newest
    return {digest for cases, digests in answered if cases < newest for digest in digests}


def _has_images(file: Path) -> bool:
    """Whether a page holds pictures; it is read in parts, since any file can have the name of a page."""
    with file.open("rb") as opened:
        before = b""
        while part := opened.read(2**20):
            if _IMAGE in before + part:
                return True
            before = part[-len(_IMAGE) :]
    return False


def _regular_files(folder: Path) -> Iterator[Path]:
    """Regular files in a folder and below it, in the order of names, without the drafts of living runs."""
    waiting = [folder]  # no recursion, as folders may be nested more deeply than calls
    while waiting:
        path = waiting.pop()
        if path.is_dir():
            inner = sorted(path.iterdir(), reverse=True)
            waiting += [one for one in inner if not one.is_symlink() and not is_held(one)]
        elif path.is_file():
            yield path


def _remove_if_empty(folder: Path, top: Path) -> None:
    """Remove a folder of which only the record of its files is left, and those above it, up to `top`."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else None
    if names is None or folder == top:
        if names is not None:
            sync(folder)
        return
    if names in ([], [FILES_RECORD]):
        (folder / FILES_RECORD).unlink(missing_ok=True)
        folder.rmdir()
        _remove_if_empty(folder.parent, top)
    else:
        sync(folder)
