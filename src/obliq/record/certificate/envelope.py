"""DSSE 1.0.2: bytes of a stated type with signatures over both, as JSON.

Source: secure-systems-lab/dsse, protocol.md and envelope.md. An envelope is read in one of two ways. The strict one is
the default and refuses what the standard tolerates, so that no other text stands for the same signed bytes: unknown
fields, base64 in other alphabets or with spare bits, several signatures of one key, and signatures of keys that are not
checked. The conformant one accepts all that a verifier must accept by the standard.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

from obliq.errors import CertificateError, ObliqError
from obliq.io.keys import PrivateKey, PublicKey
from obliq.io.sha256 import is_sha256
from obliq.io.strict_json import in_message, parse_json, render_json

PAYLOAD_TYPE = "application/vnd.in-toto+json"
LARGEST_ENVELOPE = 2**18
"""Bytes; a certificate takes about 10,000."""
MOST_SIGNATURES = 8
_FIELDS, _SIGNATURE_FIELDS = ("payload", "payloadType", "signatures"), ("keyid", "sig")


@final
@dataclass(frozen=True)
class EnvelopeSignature:
    """One signature.

    Attributes:
        keyid: fingerprint of the key. It is a hint, which nothing protects: the key decides, never this text.
        signature: its bytes.
    """

    keyid: str
    signature: bytes


@final
@dataclass(frozen=True)
class Envelope:
    """Bytes and their signatures.

    Attributes:
        payload: what is signed.
        payload_type: of these bytes; it is signed, too.
        signatures: one of each key.
    """

    payload: bytes = field(repr=False)
    payload_type: str
    signatures: tuple[EnvelopeSignature, ...]

    def to_text(self) -> str:
        """The envelope as JSON."""
        return render_json(
            {
                "payload": base64.b64encode(self.payload).decode(),
                "payloadType": self.payload_type,
                "signatures": [
                    {"keyid": one.keyid, "sig": base64.b64encode(one.signature).decode()}
                    for one in self.signatures
                ],
            }
        )


def encode_before_signing(payload_type: str, payload: bytes) -> bytes:
    """PAE, the bytes that are signed: type and payload, each after its length in bytes as a decimal number."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign_payload(payload: bytes, keys: Sequence[PrivateKey]) -> Envelope:
    """An envelope with a statement of in-toto, signed with each key.

    Raises:
        CertificateError: without a key, with more than `MOST_SIGNATURES`, or with one twice.
    """
    prints = [key.public.fingerprint for key in keys]
    if not 1 <= len(keys) <= MOST_SIGNATURES or len(set(prints)) != len(prints):
        raise CertificateError(
            f"{len(keys)} keys, {len(set(prints))} of them different; expected 1 to {MOST_SIGNATURES} different keys"
        )
    signed = encode_before_signing(PAYLOAD_TYPE, payload)
    signatures = (EnvelopeSignature(keyid, key.sign(signed)) for keyid, key in zip(prints, keys, strict=True))
    envelope = Envelope(payload, PAYLOAD_TYPE, tuple(signatures))
    if (size := len(envelope.to_text())) > LARGEST_ENVELOPE:
        raise CertificateError(f"the envelope has {size} bytes; expected at most {LARGEST_ENVELOPE}")
    return envelope


def parse_envelope(text: bytes, *, strict: bool = True) -> Envelope:
    """The envelope in a text; nothing is verified yet, and the payload is not looked into.

    Raises:
        CertificateError: for a text that is no envelope, and for another type of payload.
    """
    if len(text) > LARGEST_ENVELOPE:
        raise CertificateError(f"{len(text)} bytes; expected at most {LARGEST_ENVELOPE}")
    try:
        values = parse_json(text)
    except ObliqError as error:
        raise CertificateError(str(error)) from error
    _require_fields(values, _FIELDS, "the envelope", strict=strict)
    if values["payloadType"] != PAYLOAD_TYPE:
        raise CertificateError(
            f"payloadType is {in_message(values['payloadType'])}; expected {in_message(PAYLOAD_TYPE)}"
        )
    found = values["signatures"]
    if not isinstance(found, list) or not 1 <= len(found) <= MOST_SIGNATURES:
        given = f"{len(found)} of them" if isinstance(found, list) else in_message(found)
        raise CertificateError(f"signatures: {given}; expected a list of 1 to {MOST_SIGNATURES}")
    envelope = Envelope(
        _from_base64(values["payload"], "payload", strict=strict),
        PAYLOAD_TYPE,
        tuple(_signature(one, f"signatures[{index}]", strict=strict) for index, one in enumerate(found)),
    )
    if strict and len({one.keyid for one in envelope.signatures}) != len(found):
        raise CertificateError("two signatures have the same keyid; expected one signature of each key")
    return envelope


def require_signatures(envelope: Envelope, keys: Sequence[PublicKey], *, strict: bool = True) -> None:
    """Raise unless the holder of each key signed the envelope; strictly, also unless nobody else did.

    Raises:
        CertificateError: naming the key whose signature is missing or wrong.
    """
    if not keys:
        raise CertificateError("no key was given; expected the public key of the signer")
    signed = encode_before_signing(envelope.payload_type, envelope.payload)
    for key in keys:
        candidates = [one for one in envelope.signatures if not strict or one.keyid == key.fingerprint]
        if not any(key.verifies(one.signature, signed) for one in candidates):
            raise CertificateError(
                f"the key {key.fingerprint[:16]}... did not sign this; expected the public key of the signer, and the "
                "certificate as it was signed"
            )
    known = {key.fingerprint for key in keys}
    others = [one.keyid for one in envelope.signatures if one.keyid not in known]
    if strict and others:
        raise CertificateError(
            f"it also has a signature of the key {others[0][:16]}..., which was not checked; expected the public keys "
            f"of all {len(envelope.signatures)} signers"
        )


def _signature(value: Any, where: str, *, strict: bool) -> EnvelopeSignature:
    if not isinstance(value, dict):
        raise CertificateError(f"{where} is {in_message(value)}; expected an object")
    if not strict:
        value = {"keyid": "", **value}
        value["keyid"] = "" if value["keyid"] is None else value["keyid"]
    _require_fields(value, _SIGNATURE_FIELDS, where, strict=strict)
    keyid = value["keyid"]
    if not isinstance(keyid, str) or (strict and not is_sha256(keyid)):
        raise CertificateError(
            f"{where}.keyid is {in_message(keyid)}; expected the key's fingerprint (64 hexadecimal digits)"
        )
    return EnvelopeSignature(keyid, _from_base64(value["sig"], f"{where}.sig", strict=strict))


def _require_fields(values: dict[str, Any], names: Sequence[str], where: str, *, strict: bool) -> None:
    if missing := [name for name in names if name not in values]:
        raise CertificateError(f"{where} has no field {missing[0]!r}; expected {', '.join(names)}")
    if strict and (unknown := sorted(set(values) - set(names))):
        raise CertificateError(
            f"{where} has an unknown field {unknown[0][:80]!r}; expected {', '.join(names)}"
        )


def _from_base64(text: Any, where: str, *, strict: bool) -> bytes:
    """The bytes; strictly, only from the one text that `base64.b64encode` makes of them."""
    if not isinstance(text, str):
        raise CertificateError(f"{where} is {in_message(text)}; expected a text in base64")
    try:
        standard = text if strict else text.replace("-", "+").replace("_", "/")
        found = base64.b64decode(standard.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise CertificateError(f"{where} is not base64; expected base64 with padding") from error
    if strict and base64.b64encode(found).decode() != text:
        raise CertificateError(f"{where} is not the base64 that its bytes have; expected no spare bits in it")
    return found
