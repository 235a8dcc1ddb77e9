"""`verdict.json`: the verdict of the last audit, kept with the network, so that no refused one ships by mistake."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from obliq.auditing import Audit
from obliq.auditing.verdict import Word
from obliq.checkpoints.file_record import FILE_RECORD
from obliq.checkpoints.folder import DOCUMENT_FILE, NETWORK_DOCUMENT
from obliq.checkpoints.metadata import require_digest
from obliq.errors import ModelError, ObliqError
from obliq.exporting import read_exported
from obliq.io.documents import DocumentType
from obliq.io.ownership import record_file
from obliq.io.strict_json import OMITTED_BY_DEFAULT
from obliq.run import utc_now

VERDICT_FILE = "verdict.json"
REFUSED = ("REMEMBERED", "OVER-FORGOTTEN", "DAMAGED")
"""Verdicts with which a network ships only if that is accepted in words."""


@dataclass(frozen=True, kw_only=True)
class LastAudit:
    """What verdict.json holds.

    Attributes:
        digest: content digest of the audited network.
        verdict: the word.
        audited: when, in UTC and ISO 8601.
        exposure: what the old network and a patch to this one reveal together, in words, where it was measured.
    """

    digest: str
    verdict: Word
    audited: str
    exposure: str | None = field(default=None, metadata=OMITTED_BY_DEFAULT)

    def __post_init__(self) -> None:
        require_digest("digest", self.digest)


LAST_AUDIT_DOCUMENT = DocumentType(
    content=LastAudit, format="obliq-verdict", version=1, title="verdict", error=ModelError
)


def keep_verdicts(audits: Sequence[Audit], networks: list[Path]) -> list[str]:
    """Write the verdict of each network into its folder; of a file, where its folder has the record of one.

    Args:
        audits: what was measured: of the newest request, then of others that the networks answer. A verdict that
            refuses a network counts wherever it was found.
        networks: folders and files that unlearned.

    Returns:
        A warning for each folder that cannot be written.
    """
    verdicts = dict[str, LastAudit]()
    for entry in (entry for audit in audits for entry in audit.unlearned):
        digest = entry.weights_digest or (entry.artifact.content_digest if entry.artifact else None)
        if entry.verdict is None or digest is None:
            continue
        word, known = entry.verdict.word, verdicts.get(digest)
        if known is None or (word in REFUSED and known.verdict not in REFUSED):
            exposure = None if entry.exposure is None else str(entry.exposure)
            verdicts[digest] = LastAudit(
                digest=digest, verdict=word, audited=utc_now().isoformat(), exposure=exposure
            )
    warnings = []
    for network in networks:
        folder, digest = _place(network)
        if folder is None or digest not in verdicts:
            continue
        found = verdicts[digest]
        text = LAST_AUDIT_DOCUMENT.to_text(found)
        try:
            record_file(folder, VERDICT_FILE, text.encode())
            LAST_AUDIT_DOCUMENT.write(folder / VERDICT_FILE, found, overwrite=True)
        except (ObliqError, OSError) as error:
            warnings.append(f"the verdict could not be kept in {folder}: {error}")
    return warnings


def require_not_refused(network: Path, *, accept: bool) -> None:
    """Refuse to ship a network whose last audit found that it had not forgotten, or was damaged.

    Args:
        network: a folder, or a file in a folder with its record.
        accept: whether that was accepted in words.

    Raises:
        ModelError: with the verdict, unless it was accepted.
    """
    found = None if accept else _last_audit(network)
    if found is not None and found.verdict in REFUSED:
        raise ModelError(
            f"the last audit of {network} found {found.verdict} ({found.audited[:10]}); expected a network that was "
            "not refused. Unlearn with other settings, or pass --accept to ship it as it is"
        )


def last_exposure(network: Path) -> str | None:
    """What the last audit found the old network and a patch to this one to reveal, in words; None if not measured."""
    found = _last_audit(network)
    return None if found is None else found.exposure


def _last_audit(network: Path) -> LastAudit | None:
    folder, digest = _place(network)
    found = None if folder is None else LAST_AUDIT_DOCUMENT.read_if_present(folder / VERDICT_FILE)
    return found if found is not None and found.digest == digest else None


def _place(network: Path) -> tuple[Path | None, str | None]:
    """The folder in which the verdict of a network is kept, and the network's digest; None where it has none."""
    if network.is_dir():
        return network, NETWORK_DOCUMENT.read(network / DOCUMENT_FILE).weights_digest
    if not (network.parent / FILE_RECORD).is_file():
        return None, None
    return network.parent, read_exported(network).content_digest
