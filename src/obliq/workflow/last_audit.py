"""`verdict.json`: the verdict of the last audit, kept with the network, so that no refused one ships by mistake."""

from dataclasses import dataclass
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
    """

    digest: str
    verdict: Word
    audited: str

    def __post_init__(self) -> None:
        require_digest("digest", self.digest)


LAST_AUDIT_DOCUMENT = DocumentType(
    content=LastAudit, format="obliq-verdict", version=1, title="verdict", error=ModelError
)


def keep_verdicts(audit: Audit, networks: list[Path]) -> list[str]:
    """Write the verdict of each network into its folder; of a file, where its folder has the record of one.

    Args:
        audit: what was measured.
        networks: folders and files that unlearned.

    Returns:
        A warning for each folder that cannot be written.
    """
    verdicts = {}
    for entry in audit.unlearned:
        digest = entry.weights_digest or (entry.artifact.content_digest if entry.artifact else None)
        if entry.verdict is not None and digest is not None:
            verdicts[digest] = entry.verdict.word
    warnings = []
    for network in networks:
        folder, digest = _place(network)
        if folder is None or digest not in verdicts:
            continue
        found = LastAudit(digest=digest, verdict=verdicts[digest], audited=utc_now().isoformat())
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
    folder, digest = _place(network)
    if accept or folder is None:
        return
    found = LAST_AUDIT_DOCUMENT.read_if_present(folder / VERDICT_FILE)
    if found is not None and found.digest == digest and found.verdict in REFUSED:
        raise ModelError(
            f"the last audit of {network} found {found.verdict} ({found.audited[:10]}); expected a network that was "
            "not refused. Unlearn with other settings, or pass --accept to ship it as it is"
        )


def _place(network: Path) -> tuple[Path | None, str | None]:
    """The folder in which the verdict of a network is kept, and the network's digest; None where it has none."""
    if network.is_dir():
        return network, NETWORK_DOCUMENT.read(network / DOCUMENT_FILE).weights_digest
    if not (network.parent / FILE_RECORD).is_file():
        return None, None
    return network.parent, read_exported(network).content_digest
