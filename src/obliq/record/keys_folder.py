"""The folder with the keys of a record: it belongs to one record, and states how far the log of that had come.

The keys lie apart from the record, so that a backup of the record holds only ciphertext. `record.json` next to them
names the record, so that no key of anything else is ever destroyed. It also holds the head of the log as it was after
the last event: a log that was restored from an older copy, or cut at its end, lacks that entry.
"""

import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from obliq.errors import ObliqError, RecordError
from obliq.io.atomic import write_file
from obliq.io.documents import DocumentType
from obliq.io.durable import sync
from obliq.io.regular_file import read_secret_file
from obliq.record.log import Entry
from obliq.record.state import RecordState
from obliq.record.withheld import KEY_NAME

KEY_BYTES = 32
FLEET_KEY = "fleet"
"""Name of the key of all patches of a record."""
OWNER_FILE = "record.json"
_DRAWN = re.compile(r"[0-9a-f]{16}|batch-[0-9]+")
"""Names of keys that are destroyed in time: those of requests and of batches."""


@dataclass(frozen=True, kw_only=True)
class KeysOwner:
    """What record.json holds.

    Attributes:
        record: random name of the record whose keys lie in the folder.
        head: digest of the last entry of its log, when an event was last noted.
        entries: how many entries the log had.
    """

    record: str
    head: str
    entries: int


OWNER_DOCUMENT = DocumentType(
    content=KeysOwner,
    format="obliq-record-keys-owner",
    version=1,
    title="owner of the keys",
    error=RecordError,
)


class Keys:
    """The folder with the keys of a record; only its owner may read it.

    Attributes:
        folder: where.
        stated: whether keys.json in the record names the folder, and nobody else does.
    """

    def __init__(self, folder: Path, *, stated: bool = False) -> None:
        self.folder, self.stated = folder, stated

    def file(self, name: str) -> Path:
        """Where the key of this name lies."""
        return self.folder / f"{name}.key"

    def owner(self) -> KeysOwner | None:
        """Whose keys these are; None where the folder does not state it.

        Raises:
            RecordError: when that cannot be read.
        """
        return OWNER_DOCUMENT.read_if_present(self.folder / OWNER_FILE)

    def bind(self, owner: KeysOwner) -> None:
        """State whose keys these are, in a folder that is created where there is none."""
        if not self.folder.exists():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync(self.folder.parent)
        OWNER_DOCUMENT.write(self.folder / OWNER_FILE, owner, overwrite=True, private=True)

    def create(self, name: str) -> bytes:
        """Draw a key and write it.

        Raises:
            RecordError: when the folder is not that of a record.
        """
        if not (self.folder / OWNER_FILE).is_file():
            raise RecordError(
                f"{self.folder} holds no keys of this record, so none is added; expected the folder with its keys "
                "(--keys FOLDER)"
            )
        key = secrets.token_bytes(KEY_BYTES)
        write_file(self.file(name), key, overwrite=True, private=True)
        return key

    def read(self, name: str) -> bytes:
        """The key of this name.

        Raises:
            RecordError: when it is not there, or others may read it.
        """
        file = self.file(name)
        try:
            key = read_secret_file(file, KEY_BYTES)
        except ObliqError as error:
            raise RecordError(
                f"key {file}: {error}. Without its key a request cannot be read; pass --keys if the keys were moved, "
                "or close its case with --reason if the key is lost"
            ) from error
        if len(key) != KEY_BYTES:
            raise RecordError(f"key {file} has {len(key)} bytes; expected {KEY_BYTES}")
        return key

    def read_or_create(self, name: str) -> bytes:
        """The key of this name, which is drawn when it is first needed."""
        return self.read(name) if self.file(name).exists() else self.create(name)

    def names(self) -> set[str]:
        """The keys that are there."""
        return {file.stem for file in self.folder.glob("*.key")}

    def drawn(self) -> set[str]:
        """The keys that are there, of requests and batches."""
        return {name for name in self.names() if _DRAWN.fullmatch(name)}

    def destroy(self, name: str) -> None:
        """Overwrite a key and remove its file; one that is gone already is left so.

        Raises:
            RecordError: when that is not possible, since the request could then still be read.
        """
        file = self.file(name)
        try:
            if file.is_file() and not file.is_symlink():
                with file.open("r+b") as opened:
                    opened.write(bytes(KEY_BYTES))
                    opened.flush()
                    os.fsync(opened.fileno())
            file.unlink(missing_ok=True)
            if self.folder.is_dir():
                sync(self.folder)
        except OSError as error:
            raise RecordError(
                f"the key {file} cannot be destroyed: {error.strerror or error}; remove it by hand"
            ) from error


def require_own_keys(keys: Keys, entries: Sequence[Entry], state: RecordState) -> bool:
    """Refuse a folder of keys that is not that of this record, and a log that is older than its keys.

    A folder that states nothing comes from an earlier version: it is bound to the record if the log knows every key in
    it.

    Args:
        keys: the folder.
        entries: of the log.
        state: what they amount to.

    Returns:
        Whether the folder is bound to the record. If not, its keys are elsewhere, and nothing may be added or removed.

    Raises:
        RecordError: naming what does not fit, and what to do.
    """
    owner = keys.owner()
    if owner is not None:
        if problem := misfit(owner, entries, state):
            raise RecordError(f"{keys.folder} {problem}")
        return True
    known, needed = keys_of(state), keys_of(state, needed=True)
    present = keys.names() if keys.folder.is_dir() else set()
    if needed and not present & {*known, FLEET_KEY}:
        return False
    if foreign := sorted(present - known - {FLEET_KEY}):
        raise RecordError(
            f"{keys.folder} holds {foreign[0]}.key, which the log of this record does not know; expected a folder with "
            "the keys of this record alone (--keys FOLDER)"
        )
    if not present and keys.folder.exists() and any(keys.folder.iterdir()):
        raise RecordError(f"{keys.folder} holds other files; expected a new or an empty folder for the keys")
    if keys.stated and present:
        raise RecordError(
            f"{keys.folder} does not state whose keys it holds, and only keys.json in the record names it; pass it as "
            "--keys once if it is the folder with the keys of this record"
        )
    keys.bind(KeysOwner(record=state.begun.record, head=state.head, entries=len(entries)))
    return True


def require_owner(keys: Keys, state: RecordState) -> None:
    """Refuse a folder that states another record; one that states nothing is accepted.

    Raises:
        RecordError: when it is of another record.
    """
    owner = keys.owner()
    if owner is not None and owner.record != state.begun.record:
        raise RecordError(f"{keys.folder} {_of_another(owner)}")


def misfit(owner: KeysOwner, entries: Sequence[Entry], state: RecordState) -> str:
    """Why keys do not belong to a record with this log, in words; empty where they do."""
    if owner.record != state.begun.record:
        return _of_another(owner)
    if owner.head not in {entry.digest for entry in entries}:
        return (
            f"was last used with a log of {owner.entries} entries, and the log lacks the last of these: entries are "
            "missing at its end, or it was restored from an older copy. Expected the newest log; if it is lost, "
            "`obliq record recover` goes on from this one"
        )
    return ""


def _of_another(owner: KeysOwner) -> str:
    return (
        f"holds the keys of another record ({owner.record[:12]}...); expected the folder with the keys of this one "
        "(--keys FOLDER)"
    )


def keys_of(state: RecordState, *, needed: bool = False) -> set[str]:
    """Names of the keys that a log knows; or of those alone without which the record cannot go on."""
    cases = [case for case in state.cases.values() if case.received.encrypted is not None]
    names = {case.received.request for case in cases if not (needed and case.closed)}
    if state.withheld:
        names.add(KEY_NAME)
    return names if needed else names | {f"batch-{batch.number}" for batch in state.batches}
