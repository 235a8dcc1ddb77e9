"""Encrypted patches: nothing of the patch is visible, and nothing of it can be changed."""

import pytest

from obliq.errors import PatchError
from obliq.patch.encryption import is_sealed, seal, unseal
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


@pytest.mark.parametrize("key", [b"", KEY[:-1], KEY + b"\0"])
def test_keys_have_one_length(key: bytes) -> None:
    with pytest.raises(PatchError, match="bytes; expected 32"):
        seal(b"patch", key)
