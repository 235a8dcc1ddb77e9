"""Which result of an audit ships: a file belongs to an audited network if exporting that network gives its content.

Nothing is taken on trust where it can be computed, and networks are found by their digests.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from obliq.auditing import Audit, Measurement
from obliq.checkpoints import Provenance, load_checkpoint
from obliq.checkpoints.file_record import FILE_RECORD, FILE_RECORD_DOCUMENT
from obliq.checkpoints.folder import DOCUMENT_FILE, NETWORK_DOCUMENT
from obliq.errors import CertificateError, ObliqError
from obliq.exporting import ExportedFile, read_exported
from obliq.record.certificate.predicate import NetworkDigests


@dataclass(frozen=True)
class ShippedResult:
    """What ships, and what is known of it.

    Attributes:
        entry: of the audit, which judged it.
        digests: of it.
        provenance: how it came about; None where there is no record.
        folder: of the network in PyTorch, if it was found.
    """

    entry: Measurement
    digests: NetworkDigests
    provenance: Provenance | None
    folder: Path | None


def find_result(audit: Audit, shipped: Path, near: Sequence[Path], architecture: str | None) -> ShippedResult:
    """What ships, as the audit judged it; where it judged both a file and its network, as the file.

    Args:
        audit: what was measured.
        shipped: an exported file, or a folder of a saved network.
        near: folders of saved networks, or folders in which these lie.
        architecture: see `obliq.checkpoints.load_checkpoint`.

    Raises:
        CertificateError: when the audit did not judge what ships, or answers another request.
        ObliqError: when a file cannot be read.
    """
    result = _result_of(audit, shipped, near, architecture)
    _require_same_request(result, audit)
    return result


def _result_of(audit: Audit, shipped: Path, near: Sequence[Path], architecture: str | None) -> ShippedResult:
    networks = {
        entry.weights_digest: entry for entry in audit.unlearned if entry.weights_digest and not entry.device
    }
    if shipped.is_dir():
        saved = load_checkpoint(shipped, architecture)
        digest = NETWORK_DOCUMENT.read(shipped / DOCUMENT_FILE).weights_digest
        if digest not in networks:
            raise _not_audited(audit, shipped, digest)
        return ShippedResult(networks[digest], NetworkDigests(weights=digest), saved.provenance, shipped)
    file = read_exported(shipped)
    entry = next(
        (
            one
            for one in audit.artifacts
            if one.artifact and one.artifact.content_digest == file.content_digest
        ),
        None,
    )
    name = entry.artifact.network if entry is not None and entry.artifact is not None else None
    wanted = {digest: one for digest, one in networks.items() if entry is None or one.name == name}
    folder = _folder_of(file, _with_digest(near, list(wanted)), architecture)
    if folder is None and (wanted or entry is None):
        raise _not_audited(audit, shipped, file.content_digest)
    digests = NetworkDigests(content=file.content_digest, file=file.file_digest)
    if folder is None:
        assert entry is not None
        return ShippedResult(entry, digests, _recorded(shipped, file.file_digest), None)
    document = NETWORK_DOCUMENT.read(folder / DOCUMENT_FILE)
    digests = replace(digests, weights=document.weights_digest)
    return ShippedResult(entry or networks[document.weights_digest], digests, document.provenance, folder)


def _with_digest(near: Sequence[Path], digests: Sequence[str]) -> Iterator[Path]:
    """Folders of saved networks with one of these digests: the given ones, and those in them.

    What else lies there is not ours to judge: it is passed over, whether it can be read or not.
    """
    seen: set[Path] = set()
    for folder in (folder for place in near for folder in (place, *_folders_in(place))):
        with contextlib.suppress(OSError, ObliqError):
            if folder.resolve() not in seen and (folder / DOCUMENT_FILE).is_file():
                seen.add(folder.resolve())
                if NETWORK_DOCUMENT.read(folder / DOCUMENT_FILE).weights_digest in digests:
                    yield folder


def _folders_in(place: Path) -> list[Path]:
    try:
        return sorted(path for path in place.iterdir() if path.is_dir())
    except OSError:
        return []


def _folder_of(file: ExportedFile, folders: Iterable[Path], architecture: str | None) -> Path | None:
    """The first network that exports to this file."""
    for folder in folders:
        saved = load_checkpoint(folder, architecture)
        if file.exported_from(saved.model, saved.blueprint.input_shape) is not None:
            return folder
    return None


def _not_audited(audit: Audit, shipped: Path, digest: str) -> CertificateError:
    names = ", ".join(entry.name for entry in audit.unlearned) or "none"
    return CertificateError(
        f"{shipped} ({digest[:12]}...) is no result of this audit ({names}), or its network was not found next to it; "
        "expected the file that was audited or exported from an audited network, whose folder --network names"
    )


def _recorded(shipped: Path, digest: str) -> Provenance | None:
    """The provenance in the record next to a file, where it is the record of this file."""
    record = FILE_RECORD_DOCUMENT.read_if_present(shipped.parent / FILE_RECORD)
    return None if record is None or record.file_digest != digest else record.provenance


def _require_same_request(result: ShippedResult, audit: Audit) -> None:
    """Refuse the record of a network that answers another request than the audit."""
    provenance = result.provenance
    if provenance is None or provenance.splits_digest is None:
        return
    for name, digest in (("splits", provenance.splits_digest), ("partition", provenance.partition_digest)):
        if audit.digests[name] != digest:
            raise CertificateError(
                f"the {name} digest of the network is {digest[:12]}..., and that of the audit "
                f"{audit.digests[name][:12]}...; expected the network that the audit is about"
            )
