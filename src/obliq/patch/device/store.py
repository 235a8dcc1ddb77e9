"""A device's store of networks: two slots and a journal, safe against power cuts and against rollback.

    boot      the network to run: the old or the new one, whole, and after `confirm` only the new one
    install   write the new network into the other slot; it is booted on trial from then on
    reject    return to the old network; only possible before `confirm`
    confirm   keep the new network, raise the floor, and erase the old one completely

What holds after a power cut at any moment:

- The slot that the journal names as active holds a whole network: `install` writes the other slot and reads it back
  before it appends the record that makes it active.
- The floor never falls, and rises only in the record that also forbids the old network (`CONFIRMED`).
- After `confirm`, the old network is erased before a record is `STABLE` again. The next boot repeats an erasure that
  was cut from its beginning, since a block that was erased in part may look erased.

The patch itself must stay in working memory: stored next to the new network, it would give back the old one. This is
the reference for firmware; it runs on a model of flash memory (`obliq.patch.device.flash`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import final

from obliq.errors import PatchError
from obliq.patch.content import decoder_refusals
from obliq.patch.decoder import Refused, image_content_digest, read_head, read_records
from obliq.patch.decoder import apply_to_image as apply_to_image
from obliq.patch.device import journal
from obliq.patch.device.flash import Flash
from obliq.patch.device.journal import JournalEntry, UpdateState

NO_CLOCK = None
"""For a device without a clock that it trusts: it states so, and installs patches that have expired, too."""


@final
@dataclass(frozen=True)
class DeviceStore:
    """The networks on one device. Only the memory holds state."""

    flash: Flash = field(repr=False)

    @classmethod
    def create(cls, flash: Flash, image: bytes, sequence: int = 0) -> "DeviceStore":
        """Write the first network onto an empty device, in the factory.

        Args:
            flash: the memory.
            image: of the network; see `obliq.patch.to_device_image`.
            sequence: the number that later patches must exceed.

        Raises:
            PatchError: when the bytes are no image or do not fit into a slot.
        """
        store = cls(flash)
        digest = _digest(image)
        if digest is None or len(image) > store.slot_bytes:
            raise PatchError(f"{len(image)} bytes; expected an image of at most {store.slot_bytes} bytes")
        store._write_slot(0, image)
        first = JournalEntry(
            number=1,
            state=UpdateState.STABLE,
            active=0,
            length=len(image),
            floor=sequence,
            sequence=sequence,
            digest=digest,
        )
        journal.append(flash, first)
        return store

    @property
    def slot_bytes(self) -> int:
        """Bytes of a slot, in whole blocks."""
        blocks = len(self.flash.data) // self.flash.block - journal.blocks(self.flash)
        return blocks // 2 * self.flash.block

    @property
    def entry(self) -> JournalEntry:
        """The current record of the journal.

        Raises:
            PatchError: when there is none.
        """
        entry = journal.latest(self.flash)
        if entry is None:
            raise PatchError("the device has no journal; expected one that `DeviceStore.create` wrote")
        return entry

    def boot(self) -> bytes:
        """Complete what a power cut interrupted, and return the image of the network to run.

        Raises:
            PatchError: when the network is damaged, which a power cut alone cannot do.
        """
        entry = self.entry
        if entry.state is UpdateState.CONFIRMED:
            self._erase_old(entry)
        image = self._read_slot(entry.active, entry.length)
        if _digest(image) == entry.digest:
            return image
        if entry.state is UpdateState.TRIAL:
            return self.reject()
        raise PatchError("the network on the device is damaged; expected one with the digest in the journal")

    def install(
        self, patch: bytes, require_signed: Callable[[bytes], object] | None = None, *, now: int | None
    ) -> None:
        """Write the network that a patch makes of the current one, and boot it on trial from now on.

        Args:
            patch: the file as it travelled.
            require_signed: is given the patch before anything reads it, and raises `PatchError` unless it is signed. A
                device that leaves this out trusts whoever can hand it a patch.
            now: seconds since 1970 (UTC), from a clock that can be trusted: a patch that has expired is refused. None
                (`NO_CLOCK`) where there is no such clock; then no patch counts as expired.

        Raises:
            PatchError: when the patch is refused, or the current network is itself on trial.
        """
        if require_signed is not None:
            require_signed(patch)
        entry = self.entry
        if entry.state is not UpdateState.STABLE:
            raise PatchError(
                f"an update is {entry.state.name.lower()}; expected it to be confirmed or rejected first"
            )
        with decoder_refusals():
            image = apply_to_image(patch, self.boot(), entry.floor, now)
            head = read_head(patch)
        self._write_slot(1 - entry.active, image)
        if _digest(self._read_slot(1 - entry.active, entry.length)) != head.result:
            raise PatchError("the memory does not hold what was written; the current network stays active")
        self._record(
            state=UpdateState.TRIAL,
            active=1 - entry.active,
            sequence=head.sequence,
            digest=head.result,
            fallback=entry.digest,
        )

    def reject(self) -> bytes:
        """Return to the network before the one on trial; its image.

        Raises:
            PatchError: when no network is on trial.
        """
        entry = self._require_trial()
        self._record(
            state=UpdateState.STABLE,
            active=1 - entry.active,
            sequence=entry.floor,
            digest=entry.fallback,
            fallback=bytes(32),
        )
        return self.boot()

    def confirm(self) -> None:
        """Keep the network on trial for good, and erase the old one.

        Raises:
            PatchError: when no network is on trial.
        """
        entry = self._require_trial()
        self._record(state=UpdateState.CONFIRMED, floor=entry.sequence, fallback=bytes(32))
        self._erase_old(self.entry)

    def _require_trial(self) -> JournalEntry:
        entry = self.entry
        if entry.state is not UpdateState.TRIAL:
            raise PatchError(f"the network is {entry.state.name.lower()}; expected one on trial")
        return entry

    def _erase_old(self, entry: JournalEntry) -> None:
        self._erase_slot(1 - entry.active)
        self._record(state=UpdateState.STABLE)  # now neither copy of the journal allows the old network

    def _record(self, **changes: object) -> None:
        entry = self.entry
        journal.append(self.flash, replace(entry, number=entry.number + 1, **changes))  # type: ignore[arg-type]

    def _slot(self, slot: int) -> int:
        return journal.blocks(self.flash) * self.flash.block + slot * self.slot_bytes

    def _erase_slot(self, slot: int) -> None:
        for at in range(0, self.slot_bytes, self.flash.block):
            self.flash.erase(self._slot(slot) + at)

    def _write_slot(self, slot: int, image: bytes) -> None:
        self._erase_slot(slot)
        for at in range(0, len(image), self.flash.page):
            self.flash.write(self._slot(slot) + at, image[at : at + self.flash.page])

    def _read_slot(self, slot: int, length: int) -> bytes:
        return self.flash.read(self._slot(slot), length)


def _digest(image: bytes) -> bytes | None:
    """The content digest of an image, None when the bytes are no image."""
    try:
        return image_content_digest(image, read_records(image))
    except Refused:
        return None
