"""The reference decoder of a patch: docs/patch-format.md as code, to be ported line by line.

It needs NumPy and nothing else of this package, so that the file can be copied elsewhere. `c/obliq_patch.c` is its
port. Integers are not negative and below 2^64 unless a comment states otherwise. All state is one array of numbers.
"""

import hashlib
import struct
from typing import NamedTuple, no_type_check

import numpy as np

# Reasons to refuse a patch; the port has the same numbers.
DAMAGED, NEWER_FORMAT, BELOW_FLOOR, OTHER_NETWORK = 1, 2, 3, 4
WRONG_BASE, BAD_IMAGE, BAD_STREAM, WRONG_RESULT = 5, 6, 7, 8
EXPIRED = 12  # 9 to 11 are the port's alone
WORDS, CODES = 0, 1  # kinds of records
IMAGE_HEAD, RECORD_HEAD = struct.Struct("<4sHHII"), struct.Struct("<HBBI")
PATCH_HEAD, EXPIRY = struct.Struct("<4sHHQ32s32s32sII"), struct.Struct("<Q")
LONGEST_LABEL, MOST_RECORDS, LARGEST_IMAGE = 4096, 100_000, 2**31 - 1  # bytes, records, bytes

# Where each family of adaptive bits begins.
TABLE, DISTANCE = 0, 256  # numbers: 64 bits for the length, and 3 for each length below the leading one
GAP = 512  # gaps: 4 bits for the quotient and 6 for the remainder, for words and then for codes
SIGN = 532  # signs: 5 by the old code, which is limited to -2..2, and 1 for words
SIZE = 538  # sizes of steps of codes: 16 for each absolute value of the old code, which is limited to 2
BITS = 586  # of all families together


class Refused(Exception):  # noqa: N818 - it is an answer, and not a failure
    """Why a patch is not applied: one of the reasons above, as in the port, and a message."""


class ImageRecord(NamedTuple):
    """Where one tensor of an image lies."""

    kind: int
    width: int  # bits of a code, bytes of a word
    elements: int
    label: bytes
    start: int  # position of the first byte of its values
    size: int  # bytes of its values


class DecodedHead(NamedTuple):
    """What a whole patch states, and its stream."""

    sequence: int
    expires: int | None  # seconds since 1970, UTC; None in version 1, which has no such field
    form: bytes  # digests: of the form, of the content of the base, and of that of the result
    base: bytes
    result: bytes
    changed: int  # number of changed records
    stream: bytes


def read_head(patch: bytes) -> DecodedHead:
    """What a patch states, once it is found to be whole."""
    _require(len(patch) >= PATCH_HEAD.size + 32 and patch[:4] == b"OBQP", DAMAGED, "not a patch, or cut off")
    _, version, zero, sequence, form, base, result, changed, length = PATCH_HEAD.unpack_from(patch)
    whole = len(patch) == PATCH_HEAD.size + length + 32
    _require(
        whole and hashlib.sha256(memoryview(patch)[:-32]).digest() == patch[-32:],
        DAMAGED,
        "cut off or altered",
    )
    _require(version in (1, 2) and not zero, NEWER_FORMAT, f"format version {version}; expected 1 or 2")
    expires, start = None, PATCH_HEAD.size
    if version == 2:  # the same file with a time before the stream, which counts towards the stream's length
        _require(length >= EXPIRY.size, DAMAGED, "no room for the time at which it expires")
        (expires,), start = EXPIRY.unpack_from(patch, start), start + EXPIRY.size
    return DecodedHead(sequence, expires, form, base, result, changed, patch[start:-32])


def read_records(image: bytes) -> list[ImageRecord]:
    """Where the tensors of an image lie."""
    _require(len(image) >= IMAGE_HEAD.size, BAD_IMAGE, "the image has no head")
    magic, version, zero, count, length = IMAGE_HEAD.unpack_from(image)
    known = (magic, version, zero, length) == (b"OBQN", 1, 0, len(image)) and length <= LARGEST_IMAGE
    _require(known and count <= MOST_RECORDS, BAD_IMAGE, "the image has a head that does not fit it")
    at, found = IMAGE_HEAD.size, []
    for _ in range(count):
        _require(at + RECORD_HEAD.size <= length, BAD_IMAGE, "a record of the image is cut off")
        label, kind, width, elements = RECORD_HEAD.unpack_from(image, at)
        known = 2 <= width <= 8 if kind == CODES else kind == WORDS and width in (1, 2, 4, 8)
        size = (elements * width + 7) // 8 if kind == CODES else elements * width
        start = at + RECORD_HEAD.size + label
        fits = label <= LONGEST_LABEL and start + size <= length
        _require(known and fits, BAD_IMAGE, "a record of the image is of no known kind, or cut off")
        found.append(ImageRecord(kind, width, elements, image[start - label : start], start, size))
        at = start + size
    _require(at == length, BAD_IMAGE, "the image has bytes after its last record")
    return found


def image_form_digest(records: list[ImageRecord]) -> bytes:
    """SHA-256 of what the network is without its values: heads, in which codes of any width have 0, and labels."""
    heads = (RECORD_HEAD.pack(len(r.label), r.kind, 0 if r.kind else r.width, r.elements) for r in records)
    return hashlib.sha256(b"".join(h + r.label for h, r in zip(heads, records, strict=True))).digest()


def image_content_digest(image: bytes | bytearray, records: list[ImageRecord]) -> bytes:
    """SHA-256 of every record's label and values, each code as one byte however narrow it is stored."""
    digest = hashlib.sha256()
    for record in records:
        data, width = np.frombuffer(image, np.uint8, record.size, record.start), record.width
        if record.kind == CODES and width < 8:
            bits = np.unpackbits(data, bitorder="little", count=record.elements * width).reshape(-1, width)
            signs = np.repeat(bits[:, -1:], 8 - width, axis=1)  # the top bit of a code fills its byte
            data = np.packbits(np.hstack([bits, signs]), bitorder="little")
        digest.update(record.label + data.tobytes())
    return digest.digest()


def apply_to_image(patch: bytes, base: bytes, floor: int, now: int | None) -> bytes:
    """The image that a patch makes of the base's.

    Args:
        patch: the file.
        base: the image of the network that the device has.
        floor: the sequence number that was last confirmed.
        now: seconds since 1970 (UTC), from a clock that can be trusted. None where there is no such clock: then no
            patch counts as expired.

    Raises:
        Refused: when the patch is damaged, at or below the floor, expired, or for another base.
    """
    head = read_head(patch)
    _require(head.sequence > floor, BELOW_FLOOR, f"sequence {head.sequence}; expected more than {floor}")
    in_time = head.expires is None or now is None or 0 <= now < head.expires
    _require(in_time, EXPIRED, f"expired {head.expires} s after 1970; the clock shows {now} s")
    records = read_records(base)
    _require(image_form_digest(records) == head.form, OTHER_NETWORK, "made for a network of another form")
    _require(
        image_content_digest(base, records) == head.base, WRONG_BASE, "made from a network of other values"
    )
    image, stream, index = bytearray(base), Stream(head.stream), -1
    for _ in range(head.changed):
        index += 1 + stream.number(TABLE)
        _require(index < len(records), BAD_STREAM, "the stream names a record that is not there")
        _change(image, records[index], stream)
    _require(stream.at == len(head.stream), BAD_STREAM, "the stream goes on after its last change")
    _require(
        image_content_digest(image, records) == head.result, WRONG_RESULT, "the result is another network"
    )
    return bytes(image)


def _change(image: bytearray, record: ImageRecord, stream: "Stream") -> None:
    """Change the elements of one record as the stream states, in ascending order."""
    left, shift, position = 1 + stream.number(TABLE), stream.plain(5), -1
    _require(left <= record.elements, BAD_STREAM, "the stream changes more elements than there are")
    for _ in range(left):
        position += 1 + stream.gap(GAP + 10 * record.kind, shift, record.elements)
        _require(position < record.elements, BAD_STREAM, "the stream names an element that is not there")
        if record.kind == CODES:
            # A code has 8 bits at most, so it lies in one byte or in two, the second of which must be the record's.
            at, bit = record.start + position * record.width // 8, position * record.width % 8
            half, both = 1 << (record.width - 1), 1 + (at + 1 < record.start + record.size)
            pair = int.from_bytes(image[at : at + both], "little")
            old = (((pair >> bit) & (2 * half - 1)) ^ half) - half  # two's complement: signed
            new = old + stream.code_step(old)
            _require(-half <= new < half, BAD_STREAM, "the stream makes a code that does not fit its bits")
            pair ^= (
                (new ^ old) & (2 * half - 1)
            ) << bit  # flips the bits of this code that differ, and no others
            image[at : at + both] = pair.to_bytes(both, "little")
        else:
            at, end = record.start + position * record.width, record.start + (position + 1) * record.width
            down, size = stream.bit(SIGN + 5), 1 + stream.number(DISTANCE)
            word = int.from_bytes(image[at:end], "little") + (-size if down else size)
            image[at:end] = (word % (1 << 8 * record.width)).to_bytes(record.width, "little")


@no_type_check  # a check of types for each bit would take most of the time of the tests
class Stream:
    """A binary range decoder: arithmetic coding, one bit at a time, by 32-bit integers.

    The encoder narrowed an interval of numbers for each bit, by the probability of that bit. `range` is the width of
    the interval, and `code` the distance of the encoded number from its lower end, so `code < range` throughout.
    Each adaptive bit has an estimate `zero` of the probability that it is 0, in units of 2^-24.
    """

    def __init__(self, data: bytes) -> None:
        _require(len(data) >= 4, BAD_STREAM, "the stream ends early")
        self.data, self.at, self.range, self.code = data, 4, 2**32 - 1, int.from_bytes(data[:4], "big")
        self.zero, self.seen = [1 << 23] * BITS, [0] * BITS

    def bit(self, which: int) -> int:
        """One adaptive bit."""
        zero, seen = self.zero[which], self.seen[which]
        # The upper 16 bits of each factor, so that the product fits into 32 bits.
        bound = (self.range >> 16) * (zero >> 8)
        one = self.code >= bound
        # After n bits, k of them 0, the estimate is (k + 1/4) / (n + 1/2). Rounding keeps it at 256 or more from both
        # ends, so that 0 < bound < range and each bit can always be coded.
        if one:
            self.range, self.code = self.range - bound, self.code - bound
            self.zero[which] = zero - 2 * zero // (2 * seen + 3)
        else:
            self.range = bound
            self.zero[which] = zero + 2 * ((1 << 24) - zero) // (2 * seen + 3)
        self.seen[which] = min(seen + 1, 255)  # from here on, old bits count less and less
        self._refill()
        return int(one)

    def plain(self, count: int) -> int:
        """A number of `count` bits that are 0 or 1 with equal probability, the highest first."""
        value = 0
        for _ in range(count):
            self.range >>= 1
            one = self.code >= self.range
            self.code -= self.range if one else 0
            value = 2 * value + one
            self._refill()
        return value

    def number(self, family: int) -> int:
        """A number as in Elias's gamma code: its length in ones, and the bits below the leading one."""
        length = self._ones(family, 63, 63)
        return self._below_leading_one(family + 64 + 3 * length, length) - 1

    def gap(self, family: int, shift: int, most: int) -> int:
        """How many elements are skipped, as a Rice code: a quotient in ones, and a remainder of `shift` bits."""
        quotient = self._ones(family, 3, most)
        return (quotient - 1 << shift) + self._below_leading_one(family + 4 + 3 * min(quotient, 1), shift)

    def code_step(self, old: int) -> int:
        """By how much a code changes: signed, and never 0."""
        down = self.bit(SIGN + 2 + max(-2, min(2, old)))
        size = 1 + self._ones(SIZE + 16 * min(abs(old), 2), 15, 254)
        return -size if down else size

    def _ones(self, family: int, distinct: int, most: int) -> int:
        """How many ones precede the next 0; from the `distinct`-th on, all are the same adaptive bit."""
        count = 0
        while self.bit(family + min(count, distinct)):
            count += 1
            _require(count <= most, BAD_STREAM, "the stream holds a number that is too large")
        return count

    def _below_leading_one(self, family: int, count: int) -> int:
        """A leading 1 and `count` bits below it, of which the first two are adaptive and depend on those above."""
        value = 1
        for _ in range(min(count, 2)):
            value = 2 * value + self.bit(family + value - 1)
        return value << max(count - 2, 0) | self.plain(max(count - 2, 0))

    def _refill(self) -> None:
        """Keep at least 24 bits of precision."""
        while self.range < 1 << 24:
            _require(self.at < len(self.data), BAD_STREAM, "the stream ends early")
            self.range, self.code = self.range << 8, (self.code << 8 | self.data[self.at]) % 2**32
            self.at += 1


def _require(condition: bool, reason: int, message: str) -> None:
    if not condition:
        raise Refused(reason, message)
