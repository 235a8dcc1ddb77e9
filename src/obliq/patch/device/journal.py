"""What a device remembers across power cuts: one small record, in two copies that take turns.

A record is written over the older copy, so that a cut while writing spoils that copy alone. A copy counts only if its
checksum fits, and of two that count, the one with the larger number is current. So at any moment exactly one record is
current: the old one until the last byte of the new one is written, and the new one from then on.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256

from obliq.patch.device.flash import Flash

_RECORD = struct.Struct("<4sQBBIQQ32s32s")
_CHECK_BYTES = 8
RECORD_BYTES = _RECORD.size + _CHECK_BYTES
_MAGIC = b"OBQJ"


class UpdateState(IntEnum):
    """How far an update has come."""

    STABLE = 1
    """There is one network; nothing in the other slot counts."""
    TRIAL = 2
    """The new network runs, and the old one is kept as a fallback."""
    CONFIRMED = 3
    """Only the new network may run; the old one is being erased."""


@dataclass(frozen=True, kw_only=True)
class JournalEntry:
    """One record.

    Attributes:
        number: grows with every record.
        state: how far the update has come.
        active: the slot that is booted, 0 or 1.
        length: bytes of an image; both slots have the same.
        floor: sequence number of the newest network that was confirmed.
        sequence: sequence number of the network in the active slot.
        digest: content digest of the network in the active slot.
        fallback: content digest of the network in the other slot while in `TRIAL`, else zeros.
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
        """The record as it is stored, with its checksum at the end."""
        body = _RECORD.pack(
            _MAGIC,
            self.number,
            self.state,
            self.active,
            self.length,
            self.floor,
            self.sequence,
            self.digest,
            self.fallback,
        )
        return body + _checksum(body)


def blocks(flash: Flash) -> int:
    """How many blocks the journal takes: two copies, in whole blocks each."""
    return 2 * _copy_blocks(flash)


def latest(flash: Flash) -> JournalEntry | None:
    """The current record, None when there is none."""
    found = [entry for copy in (0, 1) if (entry := _read(flash, copy)) is not None]
    return max(found, key=lambda entry: entry.number, default=None)


def append(flash: Flash, entry: JournalEntry) -> None:
    """Write a record over the older copy; until it is whole, the other one counts.

    The number of `entry` must be the one after that of `latest`: its parity selects the copy.
    """
    copy = entry.number % 2
    start = copy * _copy_blocks(flash) * flash.block
    for block in range(_copy_blocks(flash)):
        flash.erase(start + block * flash.block)
    packed = entry.packed()
    for at in range(0, len(packed), flash.page):
        flash.write(start + at, packed[at : at + flash.page])


def _checksum(body: bytes) -> bytes:
    return sha256(body).digest()[:_CHECK_BYTES]


def _copy_blocks(flash: Flash) -> int:
    return -(-RECORD_BYTES // flash.block)  # rounded up


def _read(flash: Flash, copy: int) -> JournalEntry | None:
    packed = flash.read(copy * _copy_blocks(flash) * flash.block, RECORD_BYTES)
    body, check = packed[:-_CHECK_BYTES], packed[-_CHECK_BYTES:]
    if body[:4] != _MAGIC or _checksum(body) != check:
        return None
    _, number, state, active, length, floor, sequence, digest, fallback = _RECORD.unpack(body)
    return JournalEntry(
        number=number,
        state=UpdateState(state),
        active=active,
        length=length,
        floor=floor,
        sequence=sequence,
        digest=digest,
        fallback=fallback,
    )
