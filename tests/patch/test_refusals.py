"""What is not exactly the right patch for exactly this network is refused, with one kind of error."""

import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from obliq.errors import PatchError
from obliq.patch import TensorRecord, decode_patch, encode_patch, from_device_image, read_patch_head
from obliq.patch.decoder import IMAGE_HEAD, PATCH_HEAD, RECORD_HEAD
from obliq.patch.encoder import Encoder
from tests.patch.plain import decoder
from tests.patch.samples import certified, damaged, sample_pair, sample_patch, small_patch

PATCH, BASE, RESULT = sample_patch()
SMALL, SMALL_BASE, SMALL_RESULT = small_patch()
LONGEST = 1.0
"""Seconds of this process, whatever the machine does meanwhile."""
MANY = settings(max_examples=500, database=None, suppress_health_check=list(HealthCheck), derandomize=True)


def answer(patch: bytes, base: bytes = BASE, floor: int = 0) -> int | bytes:
    """The new image or the reason of a refusal; any other exception is a failure, and so is a second's work."""
    started = time.process_time()
    found: int | bytes
    try:
        found = decoder.apply_to_image(patch, base, floor, None)
    except decoder.Refused as refused:
        found = int(refused.args[0])
    assert time.process_time() - started < LONGEST
    return found


def test_every_truncation_and_every_flipped_bit() -> None:
    assert answer(PATCH) == RESULT
    assert {answer(wrong) for wrong in damaged(PATCH)} == {decoder.DAMAGED}


def test_reasons_have_the_numbers_of_the_format() -> None:
    """docs/patch-format.md and the port in C name them by these."""
    names = "DAMAGED NEWER_FORMAT BELOW_FLOOR OTHER_NETWORK WRONG_BASE BAD_IMAGE BAD_STREAM WRONG_RESULT"
    assert [getattr(decoder, name) for name in [*names.split(), "EXPIRED"]] == [*range(1, 9), 12]


def test_errors_are_of_the_package() -> None:
    old, new = sample_pair()
    for patch in (b"", PATCH[:-1], PATCH[:40] + b"\0" + PATCH[41:]):
        with pytest.raises(PatchError, match="patch refused: "):
            decode_patch(patch, old)
        with pytest.raises(PatchError, match="patch refused: "):
            read_patch_head(patch)
    with pytest.raises(PatchError, match="other values"):
        decode_patch(PATCH, new)
    with pytest.raises(PatchError, match="another form"):
        decode_patch(PATCH, (TensorRecord(b"renamed", old[0].bits, old[0].values), *old[1:]))


@pytest.mark.parametrize("floor", [7, 8, 2**64 - 1])
def test_no_way_back(floor: int) -> None:
    """Once a network with a sequence number is confirmed, neither it nor an older one is applied again."""
    old, new = sample_pair()
    with pytest.raises(PatchError, match=f"sequence 7; expected more than {floor}"):
        decode_patch(encode_patch(old, new, 7), old, floor)
    with pytest.raises(PatchError, match="expected more than"):
        decode_patch(encode_patch(new, old, 7), new, floor)


def test_a_newer_format_is_told_apart() -> None:
    newer = PATCH[:4] + b"\3" + PATCH[5:-32]
    assert answer(newer + sha256(newer).digest()) == decoder.NEWER_FORMAT


def test_a_result_that_was_not_promised() -> None:
    fields = [*PATCH_HEAD.unpack(PATCH[: PATCH_HEAD.size])]
    fields[6] = bytes(32)
    assert answer(certified(PATCH_HEAD.pack(*fields), PATCH[PATCH_HEAD.size : -32])) == decoder.WRONG_RESULT


def image_of(*records: tuple[int, int, int, int, int], count: int | None = None) -> bytes:
    """An image of zeros: of each record the length of its label, kind, width, elements and bytes of values."""
    body = b"".join(
        RECORD_HEAD.pack(label, kind, width, elements) + bytes(label + size)
        for label, kind, width, elements, size in records
    )
    number = len(records) if count is None else count
    return IMAGE_HEAD.pack(b"OBQN", 1, 0, number, IMAGE_HEAD.size + len(body)) + body


def reads(image: bytes) -> bool:
    """Whether an image is not refused as one that is none."""
    try:
        decoder.read_records(image)
    except decoder.Refused as refused:
        return bool(refused.args[0] != decoder.BAD_IMAGE)
    return True


def test_images_are_read_up_to_their_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for width in range(12):
        assert reads(image_of((1, decoder.CODES, width, 5, (5 * width + 7) // 8))) == (2 <= width <= 8)
        assert reads(image_of((1, decoder.WORDS, width, 5, 5 * width))) == (width in (1, 2, 4, 8))
        assert not reads(image_of((1, 2, width, 5, 5 * width)))
    words = (1, decoder.WORDS, 4, 3)
    for size in range(8, 17):  # too few bytes, as many as there are, too many
        assert reads(image_of((*words, size))) == (size == 12)
    with pytest.raises(decoder.Refused, match="of no known kind, or cut off"):
        decoder.read_records(image_of((*words, 11)))
    for last in ((0, decoder.WORDS, 4, 0, 0), (3, decoder.WORDS, 4, 0, 0)):
        image = image_of((*words, 12), last)
        assert reads(image)
        assert not any(reads(image[:length]) for length in range(len(image)))
        for length in range(IMAGE_HEAD.size, len(image)):  # cut off, with a head that fits
            assert not reads(image[:12] + length.to_bytes(4, "little") + image[16:length])
        assert not reads(image + b"\0")
    assert reads(image_of((4096, decoder.WORDS, 1, 0, 0)))
    assert not reads(image_of((4097, decoder.WORDS, 1, 0, 0)))
    assert reads(image_of())
    two = image_of((*words, 12), (*words, 12))
    for name, most in (("MOST_RECORDS", 2), ("LARGEST_IMAGE", len(two))):
        for limit in (most, most - 1):
            with monkeypatch.context() as patched:
                patched.setattr(decoder, name, limit)
                assert reads(two) == (limit == most)


def test_heads_that_are_not_those_of_the_format() -> None:
    """Each byte of both heads: nothing but the counts and digests may differ, and these have reasons of their own."""
    for place in (0, 4, 6, 8, 12):  # magic, version, zero, records, length
        image = bytearray(SMALL_BASE)
        image[place] ^= 1
        assert answer(SMALL, bytes(image)) == decoder.BAD_IMAGE
    reasons = {
        0: "DAMAGED",
        4: "NEWER_FORMAT",
        6: "NEWER_FORMAT",
        16: "OTHER_NETWORK",
        48: "WRONG_BASE",
        80: "WRONG_RESULT",
    }
    for place, name in reasons.items():
        patch = bytearray(SMALL[:-32])
        patch[place] ^= 1
        assert answer(bytes(patch) + sha256(patch).digest(), SMALL_BASE) == getattr(decoder, name)
    fields = [*PATCH_HEAD.unpack(SMALL[: PATCH_HEAD.size])]
    with pytest.raises(decoder.Refused, match="no room for the time"):
        decoder.read_head(certified(PATCH_HEAD.pack(fields[0], 2, *fields[2:]), bytes(7)))
    assert decoder.read_head(certified(PATCH_HEAD.pack(fields[0], 2, *fields[2:]), bytes(8))).stream == b""
    for stream, changed in itertools.product((b"", b"123"), (0, 1)):
        fields[7] = changed
        with pytest.raises(decoder.Refused, match="the stream ends early"):
            decoder.apply_to_image(certified(PATCH_HEAD.pack(*fields), stream), SMALL_BASE, 0, None)


def refusal(changed: int, write: Callable[[Encoder], object], more: bytes = b"") -> str:
    """Why a whole patch of so many changed records is refused, whose stream somebody wrote."""
    encoder = Encoder()
    write(encoder)
    fields = [*PATCH_HEAD.unpack(SMALL[: PATCH_HEAD.size])]
    fields[7] = changed
    with pytest.raises(decoder.Refused) as refused:
        decoder.apply_to_image(
            certified(PATCH_HEAD.pack(*fields), encoder.finished() + more), SMALL_BASE, 0, None
        )
    reason, message = refused.value.args
    assert reason == (decoder.WRONG_RESULT if "another network" in message else decoder.BAD_STREAM)
    return str(message)


def numbers(*values: int) -> Callable[[Encoder], None]:
    """Numbers in the family of indices and counts, and a shift of 0."""

    def write(encoder: Encoder) -> None:
        for value in values:
            encoder.number(decoder.TABLE, value)
        encoder.plain(0, 5)

    return write


FIRST = from_device_image(SMALL_BASE)[0].values.tolist()  # twelve codes of 4 bits


def codes(
    positions: Sequence[int], steps: Sequence[int], old: Sequence[int] | None = None
) -> Callable[[Encoder], None]:
    """Changes of the first record."""
    before = [FIRST[position] for position in positions] if old is None else old

    def write(encoder: Encoder) -> None:
        encoder.number(0, 0)
        encoder.changes(decoder.CODES, np.array(positions), steps, before)

    return write


def test_streams_that_change_what_is_not_there() -> None:
    sound = "the result is another network"
    for code in (-9, -8, 7, 8, 200):
        message = refusal(1, codes([0], [code - FIRST[0]]))
        assert message == sound if -8 <= code < 8 else "does not fit its bits" in message
    assert "does not fit its bits" in refusal(1, codes([0], [255]))
    assert "too large" in refusal(1, codes([0], [256]))
    towards_zero = [1 if code < 0 else -1 for code in FIRST]
    assert refusal(1, codes([11], towards_zero[11:])) == sound
    assert refusal(1, codes(range(12), towards_zero)) == sound
    assert "an element that is not there" in refusal(1, codes([12], [1], [0]))
    assert "more elements than there are" in refusal(1, numbers(0, 12))
    for index in (2, 3, 2**63 - 2, 2**64 - 2):
        assert "a record that is not there" in refusal(1, numbers(index))
    assert "goes on" in refusal(1, codes([11], towards_zero[11:]), b"\0")
    assert "ends early" in refusal(2, codes([11], towards_zero[11:]))


@pytest.mark.parametrize(
    ("before", "family", "distinct", "count", "message"),
    [
        ((), decoder.TABLE, 63, 63, "ends early"),  # as its 63 bits are missing
        ((), decoder.TABLE, 63, 64, "too large"),
        ((0, 0), decoder.GAP + 10, 3, 12, "an element that is not there"),
        ((0, 0), decoder.GAP + 10, 3, 13, "too large"),
    ],
)
def test_numbers_have_an_end(
    before: tuple[int, ...], family: int, distinct: int, count: int, message: str
) -> None:
    """The length of an index, and the quotient of a gap, as so many ones."""

    def write(encoder: Encoder) -> None:
        if before:
            numbers(*before)(encoder)
        for index in range(count):
            encoder.bit(family + min(index, distinct), 1)
        encoder.bit(family + min(count, distinct), 0)

    assert message in refusal(1, write)


def test_known_answers_of_streams() -> None:
    """Bits of any bytes, also of those that no encoder writes, to the last unit of the 32-bit integers."""

    def values(data: bytes, calls: Sequence[tuple[str, int]]) -> list[object]:
        stream, found = decoder.Stream(data), []
        for name, number in calls:
            try:
                found.append(getattr(stream, name)(number))
            except decoder.Refused:
                return [*found, "end"]
        return found

    one_of_each = [("bit", which) for which in range(decoder.BITS)]
    found = [values(b"\xff" * number + sha256(bytes([number])).digest(), one_of_each) for number in range(12)]
    found.append(values(b"\xff" * 40, [("plain", 31)] * 40))
    found.append(values(b"\x00" * 40 + b"\xff" * 40, [("bit", 0)] * 2000))
    found.append(values(sha256(b"").digest() * 4, [("bit", 0)] * 2000))
    assert sha256(repr(found).encode()).hexdigest()[:16] == "a37c19be52200182"


WATCHED = """
import importlib.util, sys
specification = importlib.util.spec_from_file_location("decoder", sys.argv[1])
decoder = importlib.util.module_from_spec(specification)
specification.loader.exec_module(decoder)
base, *patches = [bytes.fromhex(line) for line in sys.stdin.read().split("\\n")]
events, reasons = set(), set()
sys.addaudithook(lambda event, _: events.add(event))
for patch in patches:
    try:
        reasons.add(len(decoder.apply_to_image(patch, base, 0, None)))
    except decoder.Refused as refused:
        reasons.add(refused.args[0])
print(sorted(events), sorted(reasons))
"""


def test_refusing_touches_nothing_else() -> None:
    """No file is opened, nothing is imported, run or asked over a network, whatever the patch says."""
    wrong = [SMALL[:-1], *[*damaged(SMALL)][::7]]
    wrong += [certified(SMALL, bytes(range(length))) for length in range(0, 60, 3)]
    lines = "\n".join(data.hex() for data in [SMALL_BASE, *wrong])
    words = [sys.executable, "-I", "-c", WATCHED, decoder.__file__]
    done = subprocess.run(words, input=lines, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == f"[] {[decoder.DAMAGED, decoder.BAD_STREAM, decoder.WRONG_RESULT]}\n"


@MANY
@given(start=st.integers(0, len(SMALL)), removed=st.integers(0, 4), inserted=st.binary(max_size=4))
def test_mutated_files(start: int, removed: int, inserted: bytes) -> None:
    """Bytes replaced, removed and inserted anywhere: 5,000 files."""
    for shift in range(10):
        patch = bytearray(SMALL)
        place = (start + 17 * shift) % len(SMALL)
        patch[place : place + removed] = inserted
        assert bytes(patch) == SMALL or answer(bytes(patch), SMALL_BASE) == decoder.DAMAGED


@MANY
@given(stream=st.binary(max_size=24), keep=st.integers(0, 40))
def test_forged_streams(stream: bytes, keep: int) -> None:
    """Whole files by somebody who can compute checksums: any stream, any number of records; 5,000 files."""
    fields = [*PATCH_HEAD.unpack(SMALL[: PATCH_HEAD.size])]
    for changed in (0, 1, 2, 3, 2**32 - 1):
        fields[7] = changed
        for kept in (keep, keep // 2):
            forged = certified(PATCH_HEAD.pack(*fields), SMALL[PATCH_HEAD.size : -32][:kept] + stream)
            assert answer(forged, SMALL_BASE) in (decoder.BAD_STREAM, decoder.WRONG_RESULT, SMALL_RESULT)


@MANY
@given(
    place=st.integers(0, len(SMALL_BASE) - 1), new=st.binary(min_size=1, max_size=4), cut=st.integers(0, 30)
)
def test_mutated_images(place: int, new: bytes, cut: int) -> None:
    image = bytearray(SMALL_BASE)
    image[place : place + len(new)] = new
    given = bytes(image[: len(image) - max(0, cut - 10)])
    expected = (decoder.BAD_IMAGE, decoder.OTHER_NETWORK, decoder.WRONG_BASE, SMALL_RESULT)
    assert answer(SMALL, given) in expected
