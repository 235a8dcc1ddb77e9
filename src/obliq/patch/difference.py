"""Making a patch: what turns one network's content into another's, and how much of it there is."""

from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy import ndarray

from obliq.errors import PatchError
from obliq.patch.content import Content, Record, digest_of, refusals
from obliq.patch.decoder import PATCH_HEAD, RECORD_HEAD, TABLE, WORDS, read_head
from obliq.patch.encoder import Encoder

FIRST_SEQUENCE, LAST_SEQUENCE = 1, 2**64 - 1
_VERSION = 1
LARGEST_PATCH = 2**31 - 1
LEAK = (
    "Whoever holds the old network and this patch has the new one too, and the difference between them tells "
    "what was forgotten; send it encrypted (--key-file), and only to devices that will drop the old network."
)
"""What a patch gives away, said wherever one is made or shown."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """What a patch says about itself.

    Attributes:
        sequence: its number; a device takes only larger ones than it has confirmed.
        form: digest of the form of the networks that it fits, in hexadecimal.
        base: digest of the content that it was made from.
        result: digest of the content that it leads to.
        changed_records: in how many tensors something changes.
        bytes: of the whole file.
    """

    sequence: int
    form: str
    base: str
    result: str
    changed_records: int
    bytes: int


def make(old: Content, new: Content, sequence: int = FIRST_SEQUENCE) -> bytes:
    """The patch from one content to another of the same form; equal inputs give equal bytes.

    Args:
        old: what devices hold.
        new: what they shall hold.
        sequence: a number that grows with every patch of a fleet.

    Raises:
        PatchError: when the two differ in more than values, or the sequence number is no positive 64-bit integer.
    """
    if not FIRST_SEQUENCE <= sequence <= LAST_SEQUENCE:
        raise PatchError(f"sequence {sequence}; expected {FIRST_SEQUENCE} to {LAST_SEQUENCE}")
    _require_same_form(old, new)
    encoder, last, changed = Encoder(), -1, 0
    for index, (before, after) in enumerate(zip(old, new, strict=True)):
        positions = np.flatnonzero(before.values != after.values)
        if positions.size:
            encoder.number(TABLE, index - last - 1)
            encoder.changes(before.kind, positions, *steps(before, after, positions))
            last, changed = index, changed + 1
    stream = encoder.finished()
    digests = (bytes.fromhex(digest) for digest in (form_of(old), digest_of(old), digest_of(new)))
    patch = PATCH_HEAD.pack(b"OBQP", _VERSION, 0, sequence, *digests, changed, len(stream)) + stream
    return patch + sha256(patch).digest()


def describe(patch: bytes) -> Head:
    """What a patch says about itself, once it is found to be whole.

    Raises:
        PatchError: when it is no patch, cut off, altered or of a newer format.
    """
    with refusals():
        sequence, form, base, result, changed, _ = read_head(patch)
    return Head(
        sequence=sequence, form=form.hex(), base=base.hex(), result=result.hex(), changed_records=changed,
        bytes=len(patch),
    )  # fmt: skip


def form_of(content: Content) -> str:
    """The digest of everything but the values, in hexadecimal."""
    digest = sha256()
    for label, kind, width, elements in (record.form for record in content):
        digest.update(RECORD_HEAD.pack(len(label), kind, width, elements) + label)
    return digest.hexdigest()


def steps(before: Record, after: Record, positions: ndarray) -> tuple[list[int], list[int]]:
    """By how much the values at these positions change, and the codes that they were; words wrap around."""
    old, new = before.values[positions], after.values[positions]
    if before.kind == WORDS:
        return (new - old).view(f"i{old.itemsize}").tolist(), old.tolist()
    return (new.astype(np.int16) - old).tolist(), old.tolist()


def _require_same_form(old: Content, new: Content) -> None:
    if len(old) != len(new):
        raise PatchError(f"the new network has {len(new)} tensors; expected the {len(old)} of the old one")
    for before, after in zip(old, new, strict=True):
        if before.form != after.form:
            raise PatchError(
                f"the new network has {_named(after)} where the old one has {_named(before)}; expected them "
                "to differ in values only"
            )


def _named(record: Record) -> str:
    return record.label.decode(errors="replace").strip()[:200]
