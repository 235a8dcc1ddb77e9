"""Old and patch give new, in every form that a network has, and a patch is as small as what changed."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from obliq.errors import PatchError
from obliq.patch import (
    TensorRecord,
    content_digest,
    decode_patch,
    encode_patch,
    from_device_image,
    network_content,
    network_state,
    patch_bound,
    read_patch_head,
    to_device_image,
)
from obliq.patch.bound import order_0_entropy
from obliq.quantization import float_state, integer_state, state_digest, weights_digest
from tests.patch import plain
from tests.patch.networks import saved_pair
from tests.patch.samples import changed, random_codes, sample_pair


def as_records(tensors: list[plain.Tensor]) -> tuple[TensorRecord, ...]:
    kinds = {1: lambda width: np.int8, 0: lambda width: f"u{width}"}
    return tuple(
        TensorRecord(t.label, t.width if t.kind else None, np.array(t.values, kinds[t.kind](t.width)))
        for t in tensors
    )


def test_bytes_are_those_of_the_format() -> None:
    """Images, digests and patches are equal to what the obvious implementation writes."""
    draw = np.random.default_rng(0)
    for number in range(100):
        pair = plain.random_pair(draw, most=30)
        old, new = map(as_records, pair)
        expires = None if number % 2 else 10**9 + number
        time = None if expires is None else datetime.fromtimestamp(expires, UTC)
        patch = encode_patch(old, new, number + 1, time)
        assert patch == plain.patch(*pair, number + 1, expires)
        assert to_device_image(old) == plain.image(pair[0])
        assert content_digest(old) == plain.content(pair[0]).hex()
        assert to_device_image(from_device_image(to_device_image(new))) == to_device_image(new)
        assert to_device_image(decode_patch(patch, old, number)) == to_device_image(new)


def test_a_networks_content_has_its_weights_digest() -> None:
    for saved in saved_pair():
        integers, floats = integer_state(saved.model), float_state(saved.model)
        assert content_digest(network_content(integers, floats)) == weights_digest(saved.model)


def test_old_and_patch_are_the_audited_network() -> None:
    old, new = (
        network_content(integer_state(saved.model), float_state(saved.model)) for saved in saved_pair()
    )
    patch = encode_patch(old, new, 5)
    model = saved_pair()[0].model
    state = network_state(decode_patch(patch, old, 4), integer_state(model), float_state(model))
    assert state_digest(*state) == weights_digest(saved_pair()[1].model) == read_patch_head(patch).result
    assert read_patch_head(patch).base == weights_digest(model)
    assert read_patch_head(patch).sequence == 5
    assert len(patch) < len(to_device_image(old)) / 20


def test_nothing_changed_is_a_patch_too() -> None:
    old, _ = sample_pair()
    patch = encode_patch(old, old)
    assert read_patch_head(patch).changed_records == 0
    assert len(patch) == 156
    assert content_digest(decode_patch(patch, old)) == content_digest(old)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 1.0])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_size_is_near_the_entropy(bits: int, share: float) -> None:
    draw = np.random.default_rng(bits)
    old = tuple(TensorRecord(b"%d" % number, bits, random_codes(draw, bits, 2000)) for number in range(4))
    new = tuple(changed(draw, record, share) for record in old)
    least = patch_bound(old, new)
    assert len(encode_patch(old, new)) <= 1.05 * (least.code_bits + least.word_bits) / 8 + 1024


def test_entropy_of_known_things() -> None:
    assert order_0_entropy(np.array([1, -1, 1, -1])) == pytest.approx(1)
    assert order_0_entropy(np.array([], np.int64)) == 0
    zeros, words = np.zeros(8, np.int8), np.zeros(4, np.uint32)
    ones = zeros.copy()
    ones[[1, 2]] = [1, -1]
    old = TensorRecord(b"codes", 4, zeros), TensorRecord(b"words", None, words)
    new = (
        TensorRecord(b"codes", 4, ones),
        TensorRecord(b"words", None, words + np.array([5, 0, 0, 0], np.uint32)),
    )
    least = patch_bound(old, new)
    assert least.code_bits == pytest.approx(np.log2(28) + 2)
    assert least.word_bits == pytest.approx(2 + 32)
    assert (least.codes, least.changed_codes, least.changed_words) == (8, 2, 1)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (TensorRecord(b"codes 2", None, np.zeros(60, np.uint8)), "differ in values only"),
        (TensorRecord(b"other", 2, np.zeros(60, np.int8)), "differ in values only"),
        (TensorRecord(b"codes 2", 2, np.zeros(61, np.int8)), "differ in values only"),
        (None, "expected 8"),
    ],
    ids=["kind", "label", "length", "missing"],
)
def test_only_values_may_differ(record: TensorRecord | None, message: str) -> None:
    old, new = sample_pair()
    other = new[1:] if record is None else (record, *new[1:])
    with pytest.raises(PatchError, match=message):
        encode_patch(old, other)


def test_codes_may_be_packed_in_any_bits() -> None:
    """A patch made from networks in bytes fits a device that packs them, as long as what results fits."""
    draw = np.random.default_rng(0)
    old, new = ((TensorRecord(b"codes", 8, random_codes(draw, 4, 500)),) for _ in range(2))
    patch = encode_patch(old, new)
    for bits in (4, 5, 8):
        (found,) = decode_patch(patch, tuple(replace(record, bits=bits) for record in old))
        assert np.array_equal(found.values, new[0].values)
        assert found.bits == bits
    wide = (TensorRecord(b"codes", 8, 2 * new[0].values),)
    with pytest.raises(PatchError, match="does not fit its bits"):
        decode_patch(encode_patch(old, wide), tuple(replace(record, bits=4) for record in old))


@pytest.mark.parametrize("sequence", [0, -1, 2**32, 2**64 - 1, 2**64])
def test_sequence_numbers_are_positive_and_fit(sequence: int) -> None:
    with pytest.raises(PatchError, match=f"sequence {sequence}"):
        encode_patch(*sample_pair(), sequence)


def test_records_are_checked() -> None:
    for bits, values in (
        (None, np.zeros(3, np.int8)),
        (4, np.zeros(3, np.uint8)),
        (4, np.zeros((3, 1), np.int8)),
    ):
        with pytest.raises(PatchError, match="expected"):
            TensorRecord(b"label", bits, values)
    with pytest.raises(PatchError, match="label"):
        TensorRecord(b"", 4, np.zeros(3, np.int8))
