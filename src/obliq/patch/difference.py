"""Applying a patch to a network's content, through the reference decoder."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from obliq.errors import PatchError
from obliq.patch.content import (
    Content,
    TensorRecord,
    content_digest,
    decoder_refusals,
    from_device_image,
    to_device_image,
)
from obliq.patch.decoder import PATCH_HEAD, RECORD_HEAD, TABLE, WORDS, read_head
from obliq.patch.decoder import apply_to_image as apply_to_image
from obliq.patch.encoder import Encoder


@dataclass(frozen=True, kw_only=True)
class PatchBound:
    """The least bits under this model.

    Of a tensor of n codes, k of which change, by steps of empirical entropy H: log2 C(n, k) bits say
    which, and k H bits say by how much. The histogram of steps and the number k come for free. Of
    words (scales, biases, batch norm) log2 C(n, k) bits say which, and each new word counts in full,
    since distinct values have no meaningful histogram.

    Attributes:
        code_bits: of all changed codes.
        word_bits: of all changed words.
        codes: how many there are.
        changed_codes: how many of them change.
        changed_words: how many words change.
    """

    code_bits: float
    word_bits: float
    codes: int
    changed_codes: int
    changed_words: int


def patch_bound(old: Content, new: Content) -> PatchBound:
    """The bound on a patch between two contents of one form."""
    codes = [pair for pair in zip(old, new, strict=True) if pair[0].kind != WORDS]
    words = [pair for pair in zip(old, new, strict=True) if pair[0].kind == WORDS]
    changed = list(_changes(codes))
    return PatchBound(
        code_bits=sum(
            _positions(len(before.values), len(steps)) + len(steps) * order_0_entropy(steps)
            for before, steps in changed
        ),
        word_bits=sum(
            _positions(len(before.values), len(steps)) + len(steps) * before.values.itemsize * 8
            for before, steps in _changes(words)
        ),
        codes=sum(len(before.values) for before, _ in codes),
        changed_codes=sum(len(steps) for _, steps in changed),
        changed_words=sum(len(steps) for _, steps in _changes(words)),
    )


def order_0_entropy(symbols: Int[ndarray, " symbols"]) -> float:
    """The bits a symbol that their own histogram asks for; 0 for none."""
    _, counts = np.unique(symbols, return_counts=True)
    shares = counts / max(1, len(symbols))
    return float(-(shares * np.log2(shares)).sum()) if len(symbols) else 0.0


def _changes(pairs: list[tuple[TensorRecord, TensorRecord]]) -> Iterator[tuple[TensorRecord, ndarray]]:
    for before, after in pairs:
        steps = after.values.astype(np.int64) - before.values.astype(np.int64)
        yield before, steps[steps != 0]


def _positions(count: int, chosen: int) -> float:
    """The logarithm to base 2 of the number of ways to choose."""
    from scipy.special import gammaln  # here, as importing scipy.special takes a third of a second

    natural = gammaln(count + 1) - gammaln(chosen + 1) - gammaln(count - chosen + 1)
    return float(natural / np.log(2))


FIRST_SEQUENCE, LAST_SEQUENCE = 1, 2**64 - 1
_VERSION = 1
LARGEST_PATCH = 2**31 - 1
LEAK = (
    "Whoever holds the old network and this patch has the new one too, and the difference between them tells "
    "what was forgotten; send it encrypted (--key-file), and only to devices that will drop the old network."
)
"""What a patch gives away, said wherever one is made or shown."""


@dataclass(frozen=True, kw_only=True)
class PatchHead:
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


def make_patch(old: Content, new: Content, sequence: int = FIRST_SEQUENCE) -> bytes:
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
            encoder.changes(before.kind, positions, *value_steps(before, after, positions))
            last, changed = index, changed + 1
    stream = encoder.finished()
    digests = (
        bytes.fromhex(digest) for digest in (form_digest(old), content_digest(old), content_digest(new))
    )
    patch = PATCH_HEAD.pack(b"OBQP", _VERSION, 0, sequence, *digests, changed, len(stream)) + stream
    return patch + sha256(patch).digest()


def read_patch_head(patch: bytes) -> PatchHead:
    """What a patch says about itself, once it is found to be whole.

    Raises:
        PatchError: when it is no patch, cut off, altered or of a newer format.
    """
    with decoder_refusals():
        sequence, form, base, result, changed, _ = read_head(patch)
    return PatchHead(
        sequence=sequence, form=form.hex(), base=base.hex(), result=result.hex(), changed_records=changed,
        bytes=len(patch),
    )  # fmt: skip


def form_digest(content: Content) -> str:
    """The digest of everything but the values, in hexadecimal."""
    digest = sha256()
    for label, kind, width, elements in (record.form for record in content):
        digest.update(RECORD_HEAD.pack(len(label), kind, width, elements) + label)
    return digest.hexdigest()


def value_steps(before: TensorRecord, after: TensorRecord, positions: ndarray) -> tuple[list[int], list[int]]:
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


def _named(record: TensorRecord) -> str:
    return record.label.decode(errors="replace").strip()[:200]


NO_FLOOR = 0


def apply_patch(patch: bytes, base: Content, floor: int = NO_FLOOR) -> Content:
    """What a patch makes of a network, whose digest is then the one that the patch promises.

    Args:
        patch: the bytes of the file.
        base: the network that it was made for; left as it is.
        floor: the sequence number of the newest network that was confirmed; the patch's must be larger.

    Raises:
        PatchError: when the patch is cut off, altered, of a newer format, at or below the floor, for
            another network or another base, or does not lead to what it promises.
    """
    image = to_device_image(base)
    with decoder_refusals():
        result = apply_to_image(patch, image, floor)
    return from_device_image(result)
