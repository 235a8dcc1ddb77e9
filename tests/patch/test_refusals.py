"""What is not exactly the right patch for exactly this network is refused, with one kind of error."""

import subprocess
import sys
import time
from hashlib import sha256

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from obliq.errors import PatchError
from obliq.patch import TensorRecord, decode_patch, encode_patch, read_patch_head
from obliq.patch.decoder import PATCH_HEAD
from tests.patch.plain import decoder
from tests.patch.samples import certified, damaged, sample_pair, sample_patch, small_patch

PATCH, BASE, RESULT = sample_patch()
SMALL, SMALL_BASE, SMALL_RESULT = small_patch()
LONGEST = 1.0
"""Seconds of this process, whatever the machine does meanwhile."""
MANY = settings(
    max_examples=500, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True
)


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
    assert [getattr(decoder, name) for name in names.split()] == [*range(1, 9)]


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
