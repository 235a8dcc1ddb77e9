"""Keys that sign and verify, from PEM files: Ed25519 (RFC 8032), and ECDSA on P-256 with SHA-256 (FIPS 186-5).

Creating and protecting keys is the work of the user. Everything here needs `cryptography` (extra `patch`), and neither
NumPy nor torch.
"""

import hashlib
import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, final, get_args

from obliq.errors import ObliqError

LARGEST_KEY = 2**14
"""Bytes of a PEM file; one key takes less than 300."""

Algorithm = Literal["Ed25519", "ECDSA P-256"]
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)

_SMALL_ORDER = frozenset(
    bytes.fromhex(key)
    for key in (
        "00" * 32,
        "01" + "00" * 31,
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
    )
)
"""Encodings of the points of order 1 to 8, without the sign of x: under such a key, anybody can sign."""


@final
@dataclass(frozen=True)
class PublicKey:
    """A key that verifies.

    Attributes:
        algorithm: what it verifies.
        key: of `cryptography`.
    """

    algorithm: Algorithm
    key: Any = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the key as SubjectPublicKeyInfo (RFC 5280) in DER, in hexadecimal."""
        form = _serialization()
        encoded: bytes = self.key.public_bytes(form.Encoding.DER, form.PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(encoded).hexdigest()

    @property
    def pem(self) -> bytes:
        """The key as a PEM file."""
        form = _serialization()
        encoded: bytes = self.key.public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
        return encoded

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Whether the holder of the private key signed exactly these bytes."""
        try:
            self.key.verify(signature, data, *_hash_of(self.algorithm))
        except importlib.import_module("cryptography.exceptions").InvalidSignature:
            return False
        return True


@final
@dataclass(frozen=True)
class PrivateKey:
    """A key that signs.

    Attributes:
        algorithm: how it signs.
        key: of `cryptography`.
    """

    algorithm: Algorithm
    key: Any = field(repr=False)

    @property
    def public(self) -> PublicKey:
        """The key that verifies what this one signs."""
        return PublicKey(self.algorithm, self.key.public_key())

    def sign(self, data: bytes) -> bytes:
        """A signature: 64 bytes for Ed25519, and DER for ECDSA, which differs each time."""
        signature: bytes = self.key.sign(data, *_hash_of(self.algorithm))
        return signature


def create_private_key() -> PrivateKey:
    """A new Ed25519 key from the system's random numbers.

    Raises:
        ObliqError: when the extra `patch` is not installed.
    """
    _serialization()
    return PrivateKey("Ed25519", _asymmetric("ed25519").Ed25519PrivateKey.generate())


def parse_private_key(pem: bytes, accepted: Sequence[Algorithm] = ALGORITHMS) -> PrivateKey:
    """The private key in a PEM file (PKCS #8) without a passphrase.

    Raises:
        ObliqError: for any other key, or when the extra `patch` is not installed.
    """
    form = _serialization()
    try:
        key = form.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, _unsupported()) as error:
        if b"PUBLIC KEY-----" in pem:
            raise ObliqError("this is a public key; expected the private key that signs") from error
        raise ObliqError(
            "not readable as a private key; expected PEM (PKCS #8) without a passphrase"
        ) from error
    algorithm = _algorithm_of(key, "PrivateKey")
    if algorithm is None or algorithm not in accepted:
        raise ObliqError(f"the private key is of another kind; expected {' or '.join(accepted)}")
    return PrivateKey(algorithm, key)


def parse_public_key(pem: bytes, accepted: Sequence[Algorithm] = ALGORITHMS) -> PublicKey:
    """The public key in a PEM file.

    Raises:
        ObliqError: for any other key, one under which anybody can sign, or when the extra `patch` is not installed.
    """
    form = _serialization()
    try:
        key = form.load_pem_public_key(pem)
    except (ValueError, _unsupported()) as error:
        if b"PRIVATE KEY-----" in pem:
            raise ObliqError(
                "this is a private key, which stays with the signer; expected its public key "
                "(openssl pkey -in PRIVATE.pem -pubout -out PUBLIC.pem)"
            ) from error
        raise ObliqError("not readable as a public key; expected PEM") from error
    algorithm = _algorithm_of(key, "PublicKey")
    if algorithm is None or algorithm not in accepted:
        raise ObliqError(f"the public key is of another kind; expected {' or '.join(accepted)}")
    if algorithm == "Ed25519":
        point = key.public_bytes(form.Encoding.Raw, form.PublicFormat.Raw)
        if point[:31] + bytes([point[31] & 0x7F]) in _SMALL_ORDER:
            raise ObliqError(
                "the public key is a point of small order, under which anybody can sign; expected another"
            )
    return PublicKey(algorithm, key)


def _algorithm_of(key: Any, part: Literal["PrivateKey", "PublicKey"]) -> Algorithm | None:
    elliptic = _asymmetric("ec")
    if isinstance(key, getattr(_asymmetric("ed25519"), f"Ed25519{part}")):
        return "Ed25519"
    if isinstance(key, getattr(elliptic, f"EllipticCurve{part}")) and isinstance(
        key.curve, elliptic.SECP256R1
    ):
        return "ECDSA P-256"
    return None


def _hash_of(algorithm: Algorithm) -> tuple[Any, ...]:
    """What ECDSA signs with besides the data; Ed25519 has its hash built in."""
    if algorithm == "Ed25519":
        return ()
    hashes = importlib.import_module("cryptography.hazmat.primitives.hashes")
    return (_asymmetric("ec").ECDSA(hashes.SHA256()),)


def _asymmetric(name: str) -> Any:
    return importlib.import_module(f"cryptography.hazmat.primitives.asymmetric.{name}")


def _unsupported() -> type[Exception]:
    found: type[Exception] = importlib.import_module("cryptography.exceptions").UnsupportedAlgorithm
    return found


def _serialization() -> Any:
    return cryptographic("serialization", ObliqError)


def cryptographic(name: str, refusal: type[ObliqError]) -> Any:
    """A module of the primitives of `cryptography`, such as `ciphers.aead`.

    Args:
        name: of the module.
        refusal: the error to raise where the extra `patch` is not installed.
    """
    try:
        return importlib.import_module(f"cryptography.hazmat.primitives.{name}")
    except ImportError as error:
        raise refusal(
            f"cryptography is not installed ({error}); expected the extra patch: "
            "pip install '.[patch]' in a checkout of obliq"
        ) from error
