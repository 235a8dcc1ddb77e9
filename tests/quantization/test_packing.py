import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from obliq.errors import ModelError
from obliq.quantization import Precision, pack, packed_size, unpack


@settings(max_examples=120)
@given(data=st.data(), bits=st.integers(2, 8), length=st.integers(0, 40))
def test_packing_is_exact(data: st.DataObject, bits: int, length: int) -> None:
    limit = 2 ** (bits - 1)
    values = data.draw(st.lists(st.integers(-limit, limit - 1), min_size=length, max_size=length))
    codes = torch.tensor(values, dtype=torch.int8)
    packed = pack(codes, bits)
    assert packed.numel() == packed_size(length, bits) == (length * bits + 7) // 8
    assert torch.equal(unpack(packed, bits, (length,)), codes)
    stream = sum((value & (2**bits - 1)) << (bits * index) for index, value in enumerate(values))
    assert bytes(packed.tolist()) == stream.to_bytes(packed.numel(), "little"), "the documented bit order"


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 5, 7), (2, 0, 3)])
def test_shapes_come_back(bits: int, shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(bits)
    limit = 2 ** (bits - 1)
    codes = torch.randint(-limit, limit, shape, generator=generator).to(torch.int8)
    assert torch.equal(unpack(pack(codes, bits), bits, shape), codes)


def test_what_cannot_be_packed_is_named() -> None:
    with pytest.raises(ModelError, match=r"expected -8\.\.7 for 4 bits"):
        pack(torch.tensor([8], dtype=torch.int8), 4)
    with pytest.raises(ModelError, match="expected a whole number from 2 to 8"):
        pack(torch.tensor([0], dtype=torch.int8), 9)
    packed = pack(torch.tensor([1, 2, 3], dtype=torch.int8), 3)
    with pytest.raises(ModelError, match="expected 3"):
        unpack(packed, 3, (6,))
    with pytest.raises(ModelError, match="negative"):
        unpack(packed, 3, (-1, -3))
    packed[1] |= 128
    with pytest.raises(ModelError, match="expected zeros"):
        unpack(packed, 3, (3,))


@given(weights=st.integers(2, 8), activations=st.integers(2, 8))
def test_precision_round_trips(weights: int, activations: int) -> None:
    precision = Precision(weights, activations)
    assert Precision.parse(str(precision)) == precision
    assert Precision.parse(str(precision).lower()) == precision
    assert not precision.is_float


def test_float_precision_round_trips() -> None:
    assert Precision.parse("FP32") == Precision(32, 32)
    assert str(Precision(32, 32)) == "FP32"
    assert Precision(32, 32).is_float


@pytest.mark.parametrize("text", ["W1A4", "W4A9", "W4", "", "A4W4", "W32A32x", "FP16", "W4A4 W", "W32A4"])
def test_other_precisions_are_refused(text: str) -> None:
    with pytest.raises(ModelError, match="expected"):
        Precision.parse(text)
