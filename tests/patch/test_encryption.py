"""Encrypted patches: nothing of the patch is visible, and nothing of it can be changed."""

import io

import pytest

from obliq.errors import PatchError
from obliq.patch.encryption import is_sealed, seal, unseal, unseal_from
from tests.patch.samples import sample_patch

pytest.importorskip("cryptography", reason="the extra `patch` is not installed")

KEY = bytes(range(32))


def test_there_and_back() -> None:
    patch, *_ = sample_patch()
    first, second = seal(patch, KEY), seal(patch, KEY)
    assert unseal(first, KEY) == unseal(second, KEY) == patch
    assert first != second
    assert is_sealed(first)
    assert not is_sealed(patch)
    assert len(first) == len(patch) + 36


def test_every_truncation_and_every_flipped_byte() -> None:
    sealed = seal(b"a short patch", KEY)
    wrong = [sealed[:length] for length in range(len(sealed))] + [sealed + b"\0"]
    wrong += [sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] for at in range(len(sealed))]
    for data in wrong:
        with pytest.raises(PatchError):
            unseal(data, KEY)


class Watched(io.BytesIO):
    """A file that notes how much is read at once."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.most = 0

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(size)
        self.most = max(self.most, len(piece))
        return piece


@pytest.mark.parametrize("length", [0, 1, 2**20, 2**20 + 1, 2**21 + 5])
def test_a_file_is_read_in_pieces_wherever_it_stands(length: int) -> None:
    patch = bytes(length)
    sealed = Watched(seal(patch, KEY))
    sealed.seek(7)
    assert unseal_from(sealed, length + 36, KEY) == patch
    assert sealed.most == max(20, min(length, 2**20))  # head and nonce, or a piece


@pytest.mark.parametrize("key", [b"", KEY[:-1], KEY + b"\0"])
def test_keys_have_one_length(key: bytes) -> None:
    with pytest.raises(PatchError, match="bytes; expected 32"):
        seal(b"patch", key)
