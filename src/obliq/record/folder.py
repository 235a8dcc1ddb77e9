"""The folder of a record.

log.jsonl        every event; see `obliq.record.log`
original         the network, as it was before all requests
requests         encrypted requests; see `obliq.record.encryption`
withheld         fingerprints of the samples of closed cases; see `obliq.record.withheld`
batches/0        the exported file of the original, which devices run at the beginning
batches/N        networks, files, audit, patches and certificates of batch N
keys.json        where the keys are, if not in the folder RECORD.keys next to the record, where the key is that signs
                 certificates, and where the weights are that training began with; for its owner alone
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from pathlib import Path

from obliq.checkpoints import Checkpoint
from obliq.checkpoints.folder import DOCUMENT_FILE, NETWORK_DOCUMENT, SOURCE_DOCUMENT, SOURCE_FILE
from obliq.checkpoints.metadata import Blueprint
from obliq.checkpoints.run_folder import load_run
from obliq.data import Partition
from obliq.errors import RecordError
from obliq.exporting import format_named
from obliq.io.documents import DocumentType
from obliq.io.strict_json import OMITTED_BY_DEFAULT
from obliq.quantization import weights_digest
from obliq.record.appending import Appending
from obliq.record.cases import Batch, Case
from obliq.record.events import Event
from obliq.record.keys_folder import Keys
from obliq.record.log import LOG_FILE, Entry, read_log
from obliq.record.state import RecordState
from obliq.run import TrainingsFolder
from obliq.workflow.pipeline import recorded_partition

ORIGINAL, REQUESTS, WITHHELD, BATCHES, KEYS_PLACE = "original", "requests", "withheld", "batches", "keys.json"
CERTIFICATES, TRAININGS = "certificates", "trainings"
"""Folders of a batch."""


@dataclass(frozen=True)
class KeysPlace:
    """What keys.json holds: places, and no key.

    Attributes:
        folder: of the keys of requests; empty where it lies next to the record.
        certificate_key: file of the private key that signs certificates; empty without one.
        from_weights: file of the weights that the training of the original began with; empty where it is not needed.
    """

    folder: str = field(default="", metadata=OMITTED_BY_DEFAULT)
    certificate_key: str = field(default="", metadata=OMITTED_BY_DEFAULT)
    from_weights: str = field(default="", metadata=OMITTED_BY_DEFAULT)


KEYS_DOCUMENT = DocumentType(
    content=KeysPlace, format="obliq-record-keys", version=1, title="place of the keys", error=RecordError
)


class Record:
    """The folder of a record, and what may be done in it.

    Attributes:
        folder: the record.
        keys: the keys of its requests.
        certificate_key: where the key that signs certificates was when the record was created; None where no key was
            named.
        from_weights: where the weights were that the training of the original began with; empty likewise.
    """

    def __init__(self, folder: Path, keys: Path | None = None) -> None:
        """Open a record.

        Args:
            folder: as `create_record` wrote it.
            keys: where its keys are; by default where the record states it.

        Raises:
            RecordError: when there is no record.
        """
        self.folder = folder
        if not (folder / LOG_FILE).is_file():
            raise RecordError(
                f"there is no record in {folder}; expected a folder that `obliq record init` created"
            )
        place = KEYS_DOCUMENT.read_if_present(folder / KEYS_PLACE) or KeysPlace()
        stated = Path(place.folder) if place.folder and keys is None else None
        self.keys = Keys(keys or stated or keys_beside(folder), stated=stated is not None)
        self.certificate_key = Path(place.certificate_key) if place.certificate_key else None
        self.from_weights = place.from_weights

    def entries(self) -> list[Entry]:
        """Every entry of the log, after its chain was checked."""
        return read_log(self.folder / LOG_FILE)

    def state(self) -> RecordState:
        """What the log amounts to."""
        return RecordState.of(self.entries())

    def encrypted(self, request: str) -> Path:
        """The encrypted file of a request, by its random name."""
        return self.folder / REQUESTS / f"{request}.encrypted"

    def batch(self, number: int) -> Path:
        """The folder of a batch."""
        return self.folder / BATCHES / str(number)

    def trainings(self, number: int) -> TrainingsFolder:
        """Where long trainings of a batch keep their state until their step is done; its key derives from the batch's.

        Raises:
            RecordError: when the batch has no key, as after its end.
        """
        key = hmac.new(self.keys.read(f"batch-{number}"), b"unfinished trainings", hashlib.sha256).digest()
        return TrainingsFolder(self.batch(number) / TRAININGS, key)

    def released(self, number: int) -> Path:
        """The file that devices run after a batch; of batch 0, that of the original."""
        suffix = format_named(self.state().begun.policy.format).suffix
        return self.batch(number) / "exported" / f"network{suffix}"

    def certificate(self, batch: Batch, case: str) -> Path:
        """The certificate of a case, by its place among the cases of its batch: numbers of cases are no file names."""
        number = batch.planned.cases.index(case) + 1
        return self.batch(batch.number) / CERTIFICATES / f"case-{number}.cert.json"

    def original(self, architecture: str | None = None) -> Checkpoint:
        """The network before all requests.

        Raises:
            RecordError: when it is not the one that the record was created for.
        """
        found = load_run(self.folder / ORIGINAL, architecture).checkpoint
        expected = self.state().begun.network
        if weights_digest(found.model) != expected:
            raise RecordError(
                f"{self.folder / ORIGINAL} holds another network than the log states ({expected[:12]}...); expected "
                "the one that the record was created for"
            )
        return found

    def blueprint(self) -> Blueprint:
        """The form of the original, which runs no code.

        Raises:
            ModelError: when its description cannot be read.
        """
        return NETWORK_DOCUMENT.read(self.folder / ORIGINAL / DOCUMENT_FILE).blueprint

    def source(self) -> str:
        """The name that loads the data of the original, or their label."""
        original = self.folder / ORIGINAL
        known = SOURCE_DOCUMENT.read_if_present(original / SOURCE_FILE)
        return known.data if known else NETWORK_DOCUMENT.read(original / DOCUMENT_FILE).provenance.data

    def partition(self, data_folder: Path | None, trusted: str | None = None) -> Partition:
        """The data of the original and their division, without loading the network.

        Args:
            data_folder: where the files of a built-in set are.
            trusted: see `obliq.workflow.pipeline.same_partition`.

        Raises:
            DataError: when the data are no longer the same, or would run code that the caller has not named.
            RecordError: when they are not those of the record.
        """
        provenance = NETWORK_DOCUMENT.read(self.folder / ORIGINAL / DOCUMENT_FILE).provenance
        if provenance.partition_digest != self.state().begun.partition:
            raise RecordError(
                f"{self.folder / ORIGINAL / DOCUMENT_FILE} names other data than the log; expected it unchanged"
            )
        return recorded_partition(provenance, self.source(), data_folder, trusted)

    def require_whole(self) -> None:
        """Refuse keys that are not those of the record, and a log that is older than they are.

        Raises:
            RecordError: with what to do.
        """
        with self.appending():
            pass

    def append(self, actor: str, *events: Event) -> RecordState:
        """Note events; see `Appending`."""
        with self.appending() as appending:
            return appending.append(actor, *events)

    def lost_key_of(self, case: Case) -> bool:
        """Whether the key of a case that is open is not where it should be."""
        received = case.received
        return (
            received.encrypted is not None
            and not case.closed
            and not self.keys.file(received.request).exists()
        )

    def appending(self, *, lost: bool = False) -> Appending:
        """Hold the lock of the log over several steps.

        Args:
            lost: whether the log may lack entries that its keys know.
        """
        return Appending(self.folder / LOG_FILE, self.keys, lost=lost)


def keys_beside(record: Path) -> Path:
    """Where the keys of a record are by default: next to it, so that a copy of its folder has none."""
    folder = record.resolve()
    return folder.with_name(f"{folder.name}.keys")
