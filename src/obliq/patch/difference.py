"""Patches between the contents of two networks: created, described, and applied through the reference decoder."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from obliq.errors import PatchError
from obliq.io.regular_file import open_regular_file
from obliq.patch.content import (
    Content,
    TensorRecord,
    content_digest,
    decoder_refusals,
    from_device_image,
    to_device_image,
)
from obliq.patch.decoder import EXPIRY, PATCH_HEAD, RECORD_HEAD, TABLE, WORDS, apply_to_image, read_head
from obliq.patch.encoder import Encoder
from obliq.patch.encryption import is_sealed

NO_FLOOR, FIRST_SEQUENCE, LAST_SEQUENCE = 0, 1, 2**32 - 1
"""The format has room for 2^64 - 1. A patch with the highest number would be the last that a device accepts, so that a
typing error must not come near it."""

LARGEST_PATCH = 2**31 - 1
"""Bytes."""

_LARGE = 2**26
"""Bytes from which a file must begin as a patch before it is read."""

LEAK_WARNING = (
    "Anyone who holds the old network and this patch has the new network, too, and the difference between the two "
    "reveals what was forgotten; `obliq audit` measures how well. Encrypt the patch (--new-key or --key-file), and "
    "send it only to devices that will drop the old network."
)
"""What a patch reveals; shown wherever a patch is created or described."""

_SECOND = timedelta(seconds=1)
_VERSION, _VERSION_THAT_EXPIRES = 1, 2


@dataclass(frozen=True, kw_only=True)
class PatchHead:
    """The header of a patch.

    Attributes:
        sequence: number of the patch; a device accepts only larger ones than the one that it has confirmed.
        form: digest of the form of the networks that it fits, in hexadecimal.
        base: digest of the content that it starts from.
        result: digest of the content that it leads to.
        changed_records: in how many tensors something changes.
        bytes: of the whole file.
        expires: from when on a device with a clock refuses it, in UTC; None for a patch that does not expire.
    """

    sequence: int
    form: str
    base: str
    result: str
    changed_records: int
    bytes: int
    expires: datetime | None = None

    def has_expired(self, now: datetime) -> bool:
        """Whether a device whose clock shows `now` refuses it; in the second of `expires` it does.

        Raises:
            PatchError: for a time without a time zone.
        """
        _since_1970(now, "the time", "a time")
        return self.expires is not None and now >= self.expires


def encode_patch(
    old: Content, new: Content, sequence: int = FIRST_SEQUENCE, expires: datetime | None = None
) -> bytes:
    """The patch from one content to another of the same form; equal inputs give equal bytes.

    Args:
        old: what devices hold.
        new: what they are to hold.
        sequence: a number that grows with every patch of a fleet.
        expires: from when on devices with a clock refuse it, to the second. None for a patch that does not expire,
            which is of version 1 of the format, and which older decoders read, too.

    Raises:
        PatchError: when the two differ in more than values, the sequence number is not from 1 to 2^32 - 1, or for a
            time that `expiry_seconds` refuses.
    """
    if not FIRST_SEQUENCE <= sequence <= LAST_SEQUENCE:
        raise PatchError(f"sequence {sequence}; expected {FIRST_SEQUENCE} to {LAST_SEQUENCE}")
    _require_same_form(old, new)
    encoder, last, changed = Encoder(), -1, 0
    for index, (before, after) in enumerate(zip(old, new, strict=True)):
        positions = np.flatnonzero(before.values != after.values)
        if positions.size:
            encoder.number(TABLE, index - last - 1)  # records that are skipped
            encoder.changes(before.kind, positions, *_steps_and_old_values(before, after, positions))
            last, changed = index, changed + 1
    expiry = b"" if expires is None else EXPIRY.pack(expiry_seconds(expires))
    version, rest = _VERSION_THAT_EXPIRES if expiry else _VERSION, expiry + encoder.finished()
    digests = (bytes.fromhex(text) for text in (form_digest(old), content_digest(old), content_digest(new)))
    patch = PATCH_HEAD.pack(b"OBQP", version, 0, sequence, *digests, changed, len(rest)) + rest
    return patch + sha256(patch).digest()


def expiry_seconds(expires: datetime) -> int:
    """A time as the format counts it: seconds since 1970 (UTC).

    Raises:
        PatchError: when it is not in whole seconds after 1970 and before the year 10000 with a time zone. The last can
            be in another year by the clock of its time zone.
    """
    expected = "whole seconds after 1970 and before the year 10000 (UTC)"
    since = _since_1970(expires, "the expiry of the patch", expected)
    end = datetime.max.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    if since % _SECOND or not timedelta() < since <= end:  # offsets can have microseconds, too
        raise PatchError(f"the patch expires {expires.isoformat()}; expected {expected} with a time zone")
    return since // _SECOND


def read_patch_head(patch: bytes) -> PatchHead:
    """The header of a patch, once the patch is found to be whole.

    Raises:
        PatchError: when it is no patch, cut off, altered, of a newer format, or expires after the year 9999.
    """
    with decoder_refusals():
        head = read_head(patch)
    try:
        expires = None if head.expires is None else datetime.fromtimestamp(head.expires, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise PatchError(
            f"patch refused: it expires {head.expires} s after 1970; expected a time before the year 10000"
        ) from error
    return PatchHead(
        sequence=head.sequence,
        form=head.form.hex(),
        base=head.base.hex(),
        result=head.result.hex(),
        changed_records=head.changed,
        bytes=len(patch),
        expires=expires,
    )


def read_patch_file(file: Path) -> bytes:
    """The bytes of a patch, encrypted or not.

    A large file that cannot be a patch is refused before it is read: a sparse file takes no room on a disk.

    Raises:
        ObliqError: when it is no regular file, too large, or large without the head of a patch.
    """
    with open_regular_file(file, LARGEST_PATCH) as (opened, size):
        head = opened.read(PATCH_HEAD.size)
        length = PATCH_HEAD.unpack(head)[-1] if len(head) == PATCH_HEAD.size and head[:4] == b"OBQP" else -1
        if size > _LARGE and size != PATCH_HEAD.size + length + 32 and not is_sealed(head):
            raise PatchError(f"patch refused: {size} bytes that do not begin as a patch of that size")
        opened.seek(0)
        return opened.read(size)


def decode_patch(patch: bytes, base: Content, floor: int = NO_FLOOR, now: datetime | None = None) -> Content:
    """What a patch makes of a network, whose digest is then the one that the patch promises.

    Args:
        patch: the bytes of the file.
        base: the network that it was created for; it does not change.
        floor: the sequence number of the newest network that was confirmed; the patch's must be larger.
        now: the time, with a time zone. None where there is no clock: then no patch counts as expired.

    Raises:
        PatchError: when the time has no time zone, or the patch is cut off, altered, of a newer format, at or below the
            floor, expired, for another network or another base, or does not lead to what it promises.
    """
    seconds = None if now is None else _since_1970(now, "the time", "a time") // _SECOND
    image = to_device_image(base)
    with decoder_refusals():
        result = apply_to_image(patch, image, floor, seconds)
    return from_device_image(result)


def form_digest(content: Content) -> str:
    """SHA-256 of everything but the values, in hexadecimal: two networks with one digest differ in values only."""
    digest = sha256()
    for label, kind, width, elements in (record.form for record in content):
        digest.update(RECORD_HEAD.pack(len(label), kind, width, elements) + label)
    return digest.hexdigest()


def _since_1970(time: datetime, what: str, expected: str) -> timedelta:
    """From the first second of 1970 (UTC); a time without a time zone would be read in that of this computer."""
    if not isinstance(time, datetime) or time.utcoffset() is None:
        raise PatchError(f"{what} is {str(time)[:40]!r}; expected {expected} with a time zone, as a datetime")
    return time - datetime(1970, 1, 1, tzinfo=UTC)


def _steps_and_old_values(
    before: TensorRecord, after: TensorRecord, positions: Int[ndarray, " changes"]
) -> tuple[list[int], list[int]]:
    """By how much the values at these positions change, and what they were; words wrap around."""
    old, new = before.values[positions], after.values[positions]
    if before.kind == WORDS:  # the shorter way around: the difference of unsigned words, read as signed
        return (new - old).view(f"i{old.itemsize}").tolist(), old.tolist()
    return (new.astype(np.int16) - old).tolist(), old.tolist()


def _require_same_form(old: Content, new: Content) -> None:
    if len(old) != len(new):
        raise PatchError(f"the new network has {len(new)} tensors; expected {len(old)}, as the old one has")
    for before, after in zip(old, new, strict=True):
        if before.form != after.form:
            raise PatchError(
                f"the new network has {_in_message(after)} where the old one has {_in_message(before)}; expected "
                "them to differ in values only"
            )


def _in_message(record: TensorRecord) -> str:
    return record.label.decode(errors="replace").strip()[:200]
