"""The folder of a record.

log.jsonl        every event; see `obliq.record.log`
original         the network, as it was before all requests
requests         encrypted requests; see `obliq.record.encryption`
withheld         fingerprints of the samples of closed cases; see `obliq.record.withheld`
batches/0        the exported file of the original, which devices run at the beginning
batches/N        networks, files, audit, patches and certificates of batch N
keys.json        where the keys are, if not in the folder RECORD.keys next to the record, and where the key is that
                 signs certificates; for its owner alone
"""

import secrets
from dataclasses import dataclass, field, replace
from pathlib import Path

from obliq.checkpoints import Checkpoint
from obliq.checkpoints.folder import DOCUMENT_FILE, NETWORK_DOCUMENT, SOURCE_DOCUMENT, SOURCE_FILE
from obliq.checkpoints.metadata import Blueprint
from obliq.checkpoints.run_folder import load_run, save_run
from obliq.data import Partition
from obliq.errors import RecordError
from obliq.exporting import export_file, format_named, sha256_of
from obliq.io.atomic import new_folder, refuse_existing_folder
from obliq.io.documents import DocumentType
from obliq.io.strict_json import OMITTED_BY_DEFAULT
from obliq.quantization import weights_digest
from obliq.record.cases import Batch
from obliq.record.certificate.make import read_private_key
from obliq.record.encryption import Keys, require_cryptography
from obliq.record.events import Begun, Event
from obliq.record.log import LOG_FILE, Entry, LogWriter, read_log, writing
from obliq.record.method_settings import method_of
from obliq.record.policy import Policy
from obliq.record.state import RecordState
from obliq.run import utc_now
from obliq.workflow.pipeline import recipe_of, recorded_partition

ORIGINAL, REQUESTS, WITHHELD, BATCHES, KEYS_PLACE = "original", "requests", "withheld", "batches", "keys.json"
CERTIFICATES = "certificates"
"""Folder of a batch."""


@dataclass(frozen=True)
class KeysPlace:
    """What keys.json holds: places, and no key.

    Attributes:
        folder: of the keys of requests; empty where it lies next to the record.
        certificate_key: file of the private key that signs certificates; empty without one.
    """

    folder: str = field(default="", metadata=OMITTED_BY_DEFAULT)
    certificate_key: str = field(default="", metadata=OMITTED_BY_DEFAULT)


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
        self.keys = Keys(keys or (Path(place.folder) if place.folder else keys_beside(folder)))
        self.certificate_key = Path(place.certificate_key) if place.certificate_key else None

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

    def append(self, actor: str, *events: Event) -> RecordState:
        """Note events; see `Appending`."""
        with self.appending() as appending:
            return appending.append(actor, *events)

    def appending(self) -> "Appending":
        """Hold the lock of the log over several steps."""
        return Appending(self)


class Appending:
    """The lock of a log, with what the log states meanwhile; use as a context manager.

    Attributes:
        state: what the log amounts to.
    """

    state: RecordState

    def __init__(self, record: Record) -> None:
        self._held = writing(record.folder / LOG_FILE)

    def __enter__(self) -> "Appending":
        self._log: LogWriter = self._held.__enter__()
        self.state = RecordState.of(self._log.entries)
        return self

    def __exit__(self, *given: object) -> None:
        self._held.__exit__(*given)  # type: ignore[arg-type]

    def append(self, actor: str, *events: Event) -> RecordState:
        """Note events, which are on the disk when this returns.

        Raises:
            RecordError: when one may not follow what the log states; nothing is noted then.
        """
        time = utc_now().isoformat()
        last = self._log.entries[-1]
        tried = RecordState.of(self._log.entries)
        for event in events:
            last = Entry.after(last, time, actor, event)
            tried.apply(last)
        self._log.append(time, actor, events)
        self.state = tried
        return tried


def keys_beside(record: Path) -> Path:
    """Where the keys of a record are by default: next to it, so that a copy of its folder has none."""
    folder = record.resolve()
    return folder.with_name(f"{folder.name}.keys")


def create_record(
    out: Path,
    original: Path,
    policy: Policy,
    actor: str,
    *,
    keys: Path | None = None,
    certificate_key: Path | None = None,
    architecture: str | None = None,
) -> RecordState:
    """Create a record for a network. It appears when it is complete.

    Args:
        out: new folder.
        original: folder of the network, as `obliq train` or `obliq adopt` wrote it; it is copied.
        policy: the rules.
        actor: who creates it.
        keys: where keys will be; next to the record when left out.
        certificate_key: file of a private key that signs certificates; its place is kept for `obliq record run`, and
            the rules get its fingerprint.
        architecture: see `obliq.checkpoints.load_checkpoint`.

    Raises:
        RecordError: when the network is no original, or the rules do not fit it.
        ModelError: when it cannot be exported.
    """
    if out.exists() or out.is_symlink():
        raise RecordError(f"{out} exists already; expected the name of a new folder (--out)")
    refuse_existing_folder(out, overwrite=False)
    require_cryptography()
    method_of(policy.method, policy.settings)
    if certificate_key is not None:
        fingerprint = read_private_key(certificate_key).public.fingerprint
        policy = replace(policy, certificate_key=fingerprint)
    kind = format_named(policy.format)
    kind.require_packages(runs=True)
    _require_recipe(original, policy)
    run = load_run(original, architecture)
    saved = run.checkpoint
    if saved.provenance.role != "original":
        raise RecordError(f"{original} holds a network that is {saved.provenance.role}; expected an original")
    if policy.references:
        recipe_of(saved)
    content = export_file(
        saved.model, saved.blueprint.input_shape, to=policy.format, inputs=saved.provenance.inputs
    )
    begun = Begun(
        record=secrets.token_hex(16),
        network=weights_digest(saved.model),
        partition=saved.provenance.partition_digest,
        data=saved.provenance.data,
        released=sha256_of(content),
        policy=policy,
    )
    with new_folder(out) as draft:
        save_run(draft / ORIGINAL, run)
        with new_folder(draft / BATCHES / "0" / "exported") as exported:
            (exported / f"network{kind.suffix}").write_bytes(content)
        (draft / REQUESTS).mkdir()
        place = KeysPlace(
            *("" if given is None else str(given.resolve()) for given in (keys, certificate_key))
        )
        if place != KeysPlace():
            KEYS_DOCUMENT.write(draft / KEYS_PLACE, place, private=True)
        with writing(draft / LOG_FILE) as log:
            entries = log.append(utc_now().isoformat(), actor, [begun])
    return RecordState.of(entries)


def _require_recipe(original: Path, policy: Policy) -> None:
    """Refuse references of a network that was trained elsewhere before it is loaded, which may take minutes."""
    file = original / DOCUMENT_FILE
    if policy.references and file.is_file() and NETWORK_DOCUMENT.read(file).provenance.recipe is None:
        raise RecordError(
            f"{original} was trained elsewhere, so that references cannot be retrained by its recipe; expected "
            "--references 0, with which audits reach no verdict, or a network that `obliq train` wrote"
        )
