"""Keys from PEM files: the two kinds that are known, and one line of error for everything else."""

import hashlib
import sys

import pytest

pytest.importorskip("cryptography", reason="the extra `patch` is not installed")

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519

from obliq.errors import ObliqError
from obliq.io.keys import ALGORITHMS, create_private_key, parse_private_key, parse_public_key

PEM, PLAIN = serialization.Encoding.PEM, serialization.NoEncryption()
PKCS8, SPKI = serialization.PrivateFormat.PKCS8, serialization.PublicFormat.SubjectPublicKeyInfo
KINDS = {
    "Ed25519": ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)),
    "ECDSA P-256": ec.derive_private_key(1, ec.SECP256R1()),
    "another curve": ec.derive_private_key(1, ec.SECP384R1()),
    "another kind": ed448.Ed448PrivateKey.from_private_bytes(bytes(57)),
}
PRIVATE = {name: key.private_bytes(PEM, PKCS8, PLAIN) for name, key in KINDS.items()}
PUBLIC = {name: key.public_key().public_bytes(PEM, SPKI) for name, key in KINDS.items()}
LOCKED = KINDS["Ed25519"].private_bytes(PEM, PKCS8, serialization.BestAvailableEncryption(b"secret"))


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_a_key_is_its_file(kind: str) -> None:
    private, public = parse_private_key(PRIVATE[kind]), parse_public_key(PUBLIC[kind])
    assert private.algorithm == public.algorithm == private.public.algorithm == kind
    assert private.public.pem == public.pem == PUBLIC[kind]
    der = KINDS[kind].public_key().public_bytes(serialization.Encoding.DER, SPKI)
    assert public.fingerprint == hashlib.sha256(der).hexdigest()
    assert public.verifies(private.sign(b"data"), b"data")
    assert not public.verifies(private.sign(b"data"), b"other")
    assert (repr(private), repr(public)) == tuple(
        f"{name}(algorithm='{kind}')" for name in ("PrivateKey", "PublicKey")
    )


def test_new_keys_are_new() -> None:
    first, second = create_private_key(), create_private_key()
    assert first.algorithm == "Ed25519"
    assert first.public.fingerprint != second.public.fingerprint


OTHER = "is of another kind; expected "
NO_KEY = "not readable as a {} key; expected PEM"


@pytest.mark.parametrize(
    ("pem", "message"),
    [
        (b"", NO_KEY),
        (b"no key", NO_KEY),
        (PRIVATE["Ed25519"][:60], NO_KEY),
        (LOCKED, NO_KEY),
        (PUBLIC["Ed25519"], "this is a public key; expected the private key"),
        (PRIVATE["another curve"], OTHER + "Ed25519 or ECDSA P-256"),
        (PRIVATE["another kind"], OTHER + "Ed25519 or ECDSA P-256"),
    ],
)
def test_what_is_no_private_key(pem: bytes, message: str) -> None:
    with pytest.raises(ObliqError, match=message.format("private")):
        parse_private_key(pem)


@pytest.mark.parametrize(
    ("pem", "message"),
    [
        (b"", NO_KEY),
        (b"no key", NO_KEY),
        (PUBLIC["Ed25519"][:60], NO_KEY),
        (PRIVATE["Ed25519"], "this is a private key, which stays with the signer"),
        (LOCKED.replace(b"ENCRYPTED ", b""), "this is a private key, which stays with the signer"),
        (PUBLIC["another curve"], OTHER + "Ed25519 or ECDSA P-256"),
        (PUBLIC["another kind"], OTHER + "Ed25519 or ECDSA P-256"),
    ],
)
def test_what_is_no_public_key(pem: bytes, message: str) -> None:
    with pytest.raises(ObliqError, match=message.format("public")):
        parse_public_key(pem)


@pytest.mark.parametrize("accepted", ALGORITHMS)
def test_a_known_kind_that_is_not_accepted(accepted: str) -> None:
    (other,) = set(ALGORITHMS) - {accepted}
    for parse, files in ((parse_private_key, PRIVATE), (parse_public_key, PUBLIC)):
        assert parse(files[accepted], [accepted]).algorithm == accepted  # type: ignore[list-item]
        with pytest.raises(ObliqError, match=f"{OTHER}{accepted}$"):
            parse(files[other], [accepted])  # type: ignore[list-item]


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.serialization", None)
    with pytest.raises(ObliqError, match="expected the extra patch"):
        create_private_key()
