"""Signed patches: only the key's holder makes a signature, and it is for exactly one file."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from obliq.checkpoints import save_checkpoint
from obliq.errors import PatchError
from obliq.patch.signing import SIGNATURE_BYTES, require_signed, sign
from tests.cli.conftest import Said, obliq  # noqa: F401 - a fixture
from tests.patch.networks import saved_pair

pytest.importorskip("cryptography", reason="the extra `patch` is not installed")


Obliq = Callable[..., Said]
PEM, PLAIN = serialization.Encoding.PEM, serialization.NoEncryption()
PKCS8, SPKI = serialization.PrivateFormat.PKCS8, serialization.PublicFormat.SubjectPublicKeyInfo


def pair(number: int) -> tuple[bytes, bytes]:
    """PEM of a private and a public key."""
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes([number] * 32))
    return key.private_bytes(PEM, PKCS8, PLAIN), key.public_key().public_bytes(PEM, SPKI)


PRIVATE, PUBLIC = pair(1)
_OTHER = ec.generate_private_key(ec.SECP256R1())
ELLIPTIC = _OTHER.private_bytes(PEM, PKCS8, PLAIN), _OTHER.public_key().public_bytes(PEM, SPKI)
LOCKED = _OTHER.private_bytes(PEM, PKCS8, serialization.BestAvailableEncryption(b"secret"))


def test_the_known_answer_of_the_standard() -> None:
    """RFC 8032, section 7.1, test 2."""
    seed = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    key = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
    signature = sign(b"\x72", key.private_bytes(PEM, PKCS8, PLAIN))
    assert signature.hex() == (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    require_signed(b"\x72", signature, key.public_key().public_bytes(PEM, SPKI))


def test_every_flipped_byte_and_every_truncation_is_refused() -> None:
    data = b"a short patch"
    signature = sign(data, PRIVATE)
    require_signed(data, signature, PUBLIC)
    wrong = [(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], signature) for at in range(len(data))]
    wrong += [(data[:length], signature) for length in range(len(data))] + [(data + b"\0", signature)]
    wrong += [(data, signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1 :]) for at in range(64)]
    wrong += [(data, signature[:length]) for length in range(SIGNATURE_BYTES)] + [(data, signature + b"\0")]
    for altered, given in wrong:
        with pytest.raises(PatchError, match="this key did not sign"):
            require_signed(altered, given, PUBLIC)
    with pytest.raises(PatchError, match="this key did not sign"):
        require_signed(data, signature, pair(2)[1])


MESSAGE = b"a short patch"
ORDER = 2**252 + 27742317777372353535851937790883648493  # of the base point, L in RFC 8032
SMALL = [  # encodings of points of order 1, 2, 4 and 8, in one case with more than the prime
    "01" + "00" * 31,
    "ec" + "ff" * 30 + "7f",
    "00" * 32,
    "00" * 31 + "80",
    "ed" + "ff" * 30 + "7f",
    "ed" + "ff" * 31,
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ee" + "ff" * 30 + "7f",
]


def crafted() -> dict[str, bytes]:
    """Wrong signatures of a message, of the kinds that public test vectors for Ed25519 have."""
    right = sign(MESSAGE, PRIVATE)
    point, scalar = right[:32], int.from_bytes(right[32:], "little")
    return {
        "scalar plus the order": point + (scalar + ORDER).to_bytes(32, "little"),
        "scalar plus twice the order": point + (scalar + 2 * ORDER).to_bytes(32, "little"),
        "negative scalar": point + (ORDER - scalar).to_bytes(32, "little"),
        "scalar of zero": point + bytes(32),
        "scalar of ones": point + b"\xff" * 32,
        "point of zero": bytes(32) + right[32:],
        "neutral point": b"\x01" + bytes(31) + right[32:],
        "neutral point and zero": b"\x01" + bytes(63),
        "point beyond the prime": b"\xed" + b"\xff" * 30 + b"\x7f" + right[32:],
        "sign of the point": right[:31] + bytes([right[31] ^ 0x80]) + right[32:],
        "halves exchanged": right[32:] + right[:32],
        "of another message": sign(b"another patch", PRIVATE),
        "of a longer message": sign(MESSAGE + b"\0", PRIVATE),
        "of an empty message": sign(b"", PRIVATE),
        "of another key": sign(MESSAGE, pair(2)[0]),
        "nothing": b"",
        "zeros": bytes(64),
        "in hexadecimal": right.hex().encode(),
    }


@pytest.mark.parametrize("name", crafted())
def test_crafted_signatures_are_refused(name: str) -> None:
    with pytest.raises(PatchError, match="this key did not sign"):
        require_signed(MESSAGE, crafted()[name], PUBLIC)


@pytest.mark.parametrize("point", SMALL)
def test_a_key_under_which_anybody_can_sign_is_refused(point: str) -> None:
    """The neutral point with a scalar of zero is valid for any message under such a key, or for one in eight."""
    key = ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(point)).public_bytes(PEM, SPKI)
    with pytest.raises(PatchError, match="small order"):
        require_signed(b"a short patch", b"\x01" + bytes(63), key)


@pytest.mark.parametrize("key", [b"", b"no key", PUBLIC, LOCKED, PRIVATE[:60], ELLIPTIC[0]])
def test_what_is_no_private_key(key: bytes) -> None:
    with pytest.raises(PatchError, match="expected"):
        sign(b"patch", key)


@pytest.mark.parametrize("key", [b"", b"no key", PRIVATE, PUBLIC[:60], ELLIPTIC[1]])
def test_what_is_no_public_key(key: bytes) -> None:
    with pytest.raises(PatchError, match="expected"):
        require_signed(b"patch", sign(b"patch", PRIVATE), key)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two networks, and keys."""
    folder = tmp_path_factory.mktemp("signed")
    for name, saved in zip(("old", "new"), saved_pair(), strict=True):
        save_checkpoint(folder / name, saved)
    for name, key in zip(("key.pem", "public.pem"), (PRIVATE, PUBLIC), strict=True):
        (folder / name).write_bytes(key)
    (folder / "other.pem").write_bytes(pair(2)[1])
    (folder / "seal").write_bytes(bytes(32))
    for file in folder.iterdir():
        file.chmod(0o600)
    return folder


@pytest.mark.parametrize("sealed", [False, True], ids=["plain", "encrypted"])
def test_on_the_command_line(sealed: bool, folder: Path, tmp_path: Path, obliq: Obliq) -> None:  # noqa: F811
    patch, out = tmp_path / "patch", tmp_path / "patched"
    key = ("--key-file", folder / "seal") if sealed else ()
    make = ("patch", "make", folder / "old", folder / "new", "--out", patch, "--sign", folder / "key.pem")
    result = obliq(*make, *(key or ("--plain",)))
    assert (result.status, result.err) == (0, "")
    assert f"its signature, which travels with it, in {patch}.sig" in result.out
    assert "--verify PUBLIC.pem --floor N" in result.out.splitlines()[-1]
    assert sign(patch.read_bytes(), PRIVATE) == (tmp_path / "patch.sig").read_bytes()
    apply = ("patch", "apply", folder / "old", patch, "--out", out, *key, "--verify")
    info = ("patch", "info", patch, *key, "--verify")
    for words in (info, apply):
        assert "this key did not sign" in obliq(*words, folder / "other.pem").err
        assert "this is a private key, which stays with the signer" in obliq(*words, folder / "key.pem").err
    known = obliq(*info, folder / "public.pem")
    assert f"signed by the holder of {folder / 'public.pem'}" in known.out
    assert known.out.splitlines()[-1].startswith(f"next: obliq patch apply OLD {patch} --out NEW ")
    for said in (result, known):
        assert f"{patch.stat().st_size:,} bytes" in said.out
        assert ("Encrypt the patch" in said.out) == (not sealed)
        assert ("anyone who holds the key and the old network" in said.out) == sealed
    assert obliq(*apply, folder / "public.pem").status == 0
    assert out.is_dir()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda patch, signature: signature.unlink(), "its signature patch.sig: cannot be read"),
        (lambda patch, signature: signature.write_bytes(bytes(65)), "65 bytes; expected at most 64"),
        (lambda patch, signature: patch.write_bytes(b"OBQP"), "this key did not sign"),
    ],
    ids=["no signature", "too long", "another patch"],
)
def test_refusals_leave_nothing(
    damage: Callable[[Path, Path], object],
    message: str,
    folder: Path,
    tmp_path: Path,
    obliq: Obliq,  # noqa: F811
) -> None:
    patch = tmp_path / "patch"
    words = (
        "patch",
        "make",
        "--plain",
        folder / "old",
        folder / "new",
        "--out",
        patch,
        "--sign",
        folder / "key.pem",
    )
    assert obliq(*words).status == 0
    assert "exists already" in obliq(*words).err
    damage(patch, tmp_path / "patch.sig")
    verify = ("--verify", folder / "public.pem")
    result = obliq("patch", "apply", folder / "old", patch, "--out", tmp_path / "patched", *verify)
    assert (result.status, result.err.count("\n")) == (1, 1)
    assert message in result.err
    assert not (tmp_path / "patched").exists()


def test_a_key_that_is_none_leaves_nothing(folder: Path, tmp_path: Path, obliq: Obliq) -> None:  # noqa: F811
    words = ("patch", "make", "--plain", folder / "old", folder / "new", "--out", tmp_path / "patch")
    result = obliq(*words, "--sign", folder / "public.pem")
    assert (result.status, f"{folder / 'public.pem'}: this is a public key" in result.err) == (
        1,
        True,
    )
    assert list(tmp_path.iterdir()) == []


def test_openssl_agrees(tmp_path: Path) -> None:
    """The command in the documentation, with a tool that knows nothing of this package."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    patch, signature, public = (tmp_path / name for name in ("patch", "patch.sig", "public.pem"))
    patch.write_bytes(b"OBQP and more")
    signature.write_bytes(sign(patch.read_bytes(), PRIVATE))
    public.write_bytes(PUBLIC)
    command = [openssl, "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-in", patch]
    command += ["-sigfile", signature]
    assert subprocess.run(command, capture_output=True, timeout=60).returncode == 0
    patch.write_bytes(b"OBQP and less")
    assert subprocess.run(command, capture_output=True, timeout=60).returncode != 0
