"""What a device remembers across power cuts: one small record, in two blocks that take turns."""

import struct
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256

from obliq.patch.device.flash import Flash

_RECORD = struct.Struct("<4sQBBIQQ32s32s")
_CHECK = 8
RECORD_BYTES = _RECORD.size + _CHECK
_MAGIC = b"OBQJ"


class UpdateState(IntEnum):
    """Where an update stands."""

    STABLE = 1
    """One network; the other slot holds nothing that counts."""
    TRIAL = 2
    """The new network runs, and the old one is kept to fall back to."""
    CONFIRMED = 3
    """Only the new network may run; the old one is being erased."""


@dataclass(frozen=True, kw_only=True)
class JournalEntry:
    """One record.

    Attributes:
        number: grows with every record; the largest that is whole counts.
        state: where the update stands.
        active: the slot that is booted, 0 or 1.
        length: bytes of an image; both have as many.
        floor: sequence number of the newest network that was confirmed.
        sequence: that of the network in the active slot.
        digest: of the content in the active slot.
        fallback: of the content in the other slot while in `TRIAL`, else zeros.
    """

    number: int
    state: UpdateState
    active: int
    length: int
    floor: int
    sequence: int
    digest: bytes
    fallback: bytes = bytes(32)

    def packed(self) -> bytes:
        """As it is stored, with a checksum behind it."""
        body = _RECORD.pack(
            _MAGIC, self.number, self.state, self.active, self.length, self.floor, self.sequence, self.digest,
            self.fallback,
        )  # fmt: skip
        return body + sha256(body).digest()[:_CHECK]


def blocks(flash: Flash) -> int:
    """How many blocks the journal takes: two copies, in whole blocks each."""
    return 2 * _copy_blocks(flash)


def latest(flash: Flash) -> JournalEntry | None:
    """The newest record that is whole, None when there is none."""
    found = [entry for copy in (0, 1) if (entry := _read(flash, copy)) is not None]
    return max(found, key=lambda entry: entry.number, default=None)


def append(flash: Flash, entry: JournalEntry) -> None:
    """Write a record over the older copy; until it is whole, the newer one counts.

    The caller gives it the number after that of `latest`.
    """
    copy = entry.number % 2
    start = copy * _copy_blocks(flash) * flash.block
    for block in range(_copy_blocks(flash)):
        flash.erase(start + block * flash.block)
    packed = entry.packed()
    for at in range(0, len(packed), flash.page):
        flash.write(start + at, packed[at : at + flash.page])


def _copy_blocks(flash: Flash) -> int:
    return -(-RECORD_BYTES // flash.block)


def _read(flash: Flash, copy: int) -> JournalEntry | None:
    packed = flash.read(copy * _copy_blocks(flash) * flash.block, RECORD_BYTES)
    body, check = packed[:-_CHECK], packed[-_CHECK:]
    if body[:4] != _MAGIC or sha256(body).digest()[:_CHECK] != check:
        return None
    _, number, state, active, length, floor, sequence, digest, fallback = _RECORD.unpack(body)
    return JournalEntry(
        number=number, state=UpdateState(state), active=active, length=length, floor=floor, sequence=sequence,
        digest=digest, fallback=fallback,
    )  # fmt: skip
