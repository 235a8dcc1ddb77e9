"""The signed envelope: one exact encoding, and no other text that stands for the same certificate."""

import base64
import json
from typing import Any

import pytest

pytest.importorskip("cryptography", reason="the extra `patch` is not installed")

from obliq.errors import CertificateError
from obliq.io.keys import PublicKey
from obliq.record.certificate.envelope import (
    LARGEST_ENVELOPE,
    PAYLOAD_TYPE,
    Envelope,
    encode_before_signing,
    parse_envelope,
    require_signatures,
    sign_payload,
)
from tests.record.certificate.cases import KEYS, ed25519_key, elliptic_key

PAYLOAD = b'{"a": "b"}'
ONE = sign_payload(PAYLOAD, [ed25519_key()]).to_text().encode()


def opened(text: bytes, *keys: PublicKey, strict: bool = True) -> Envelope:
    """The envelope, once it is found to be signed with these keys."""
    envelope = parse_envelope(text, strict=strict)
    require_signatures(envelope, keys or [ed25519_key().public], strict=strict)
    return envelope


def changed(**fields: Any) -> bytes:
    """The envelope with other fields."""
    return json.dumps({**json.loads(ONE), **fields}).encode()


def with_signature(**fields: Any) -> bytes:
    return changed(signatures=[{**json.loads(ONE)["signatures"][0], **fields}])


def test_the_vector_of_the_standard() -> None:
    """secure-systems-lab/dsse, protocol.md: the test vector of the pre-authentication encoding."""
    encoded = encode_before_signing("http://example.com/HelloWorld", b"hello world")
    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert encode_before_signing("\N{EURO SIGN}", b"") == b"DSSEv1 3 \xe2\x82\xac 0 "  # lengths are in bytes


@pytest.mark.parametrize("kind", KEYS)
def test_what_was_signed_is_read_back_and_nothing_else(kind: str) -> None:
    text = sign_payload(PAYLOAD, [KEYS[kind]]).to_text().encode()
    assert opened(text, KEYS[kind].public).payload == PAYLOAD
    with pytest.raises(CertificateError, match="did not sign this"):
        opened(text, ed25519_key(9).public)
    with pytest.raises(CertificateError, match="no key was given"):
        require_signatures(parse_envelope(text), [])


@pytest.mark.parametrize("kind", KEYS)
def test_every_flipped_bit_and_every_truncation_is_refused(kind: str) -> None:
    text = sign_payload(PAYLOAD, [KEYS[kind]]).to_text().encode()
    flipped = [
        text[:at] + bytes([text[at] ^ 1 << bit]) + text[at + 1 :]
        for at in range(len(text))
        for bit in range(8)
    ]
    for altered in [*flipped, *(text[:length] for length in range(len(text.rstrip())))]:
        with pytest.raises(CertificateError):
            opened(altered, KEYS[kind].public)


def test_several_signers_are_all_checked() -> None:
    keys = [ed25519_key(), elliptic_key()]
    both = sign_payload(PAYLOAD, keys).to_text().encode()
    assert opened(both, *(key.public for key in keys)).payload == PAYLOAD
    with pytest.raises(CertificateError, match="was not checked; expected the public keys of all 2 signers"):
        opened(both, keys[0].public)
    assert opened(both, keys[0].public, strict=False).payload == PAYLOAD
    with pytest.raises(CertificateError, match="did not sign this"):
        opened(ONE, *(key.public for key in keys))
    with pytest.raises(CertificateError, match="was not checked"):
        require_signatures(parse_envelope(both), [keys[0].public])
    most = [ed25519_key(number) for number in range(1, 9)]
    opened(sign_payload(PAYLOAD, most).to_text().encode(), *(key.public for key in most))
    for wrong in ([], [keys[0], keys[0]], [*most, ed25519_key(9)]):
        with pytest.raises(CertificateError, match="expected 1 to 8 different keys"):
            sign_payload(PAYLOAD, wrong)


SIGNATURE = json.loads(ONE)["signatures"][0]
URL_SAFE = base64.urlsafe_b64encode(base64.b64decode(SIGNATURE["sig"])).decode()
STRICT = {
    "unknown field": (changed(more=1), "unknown field 'more'"),
    "unknown field of a signature": (with_signature(more=1), "unknown field 'more'"),
    "no keyid": (changed(signatures=[{"sig": SIGNATURE["sig"]}]), "no field 'keyid'"),
    "an empty keyid": (with_signature(keyid=""), "expected the key's fingerprint"),
    "a keyid of null": (with_signature(keyid=None), "expected the key's fingerprint"),
    "another keyid": (with_signature(keyid="0" * 64), "did not sign this"),
    "a second signature of anybody": (
        changed(signatures=[SIGNATURE, {"keyid": "0" * 64, "sig": SIGNATURE["sig"]}]),
        "was not checked",
    ),
    "one signature twice": (changed(signatures=[SIGNATURE] * 2), "the same keyid"),
    "the other alphabet": (with_signature(sig=URL_SAFE), "sig is not base64"),
}
"""What the standard lets a verifier accept, and the strict profile refuses."""


@pytest.mark.parametrize("name", STRICT)
def test_the_strict_profile_refuses_what_the_standard_tolerates(name: str) -> None:
    text, message = STRICT[name]
    with pytest.raises(CertificateError, match=message):
        opened(text)
    assert opened(text, strict=False).payload == PAYLOAD


WRONG = {
    "nothing": (b"", "not readable as JSON"),
    "a list": (b"[]", "a list; expected a JSON object"),
    "a name twice": (ONE.replace(b'"payload":', b'"payload": "", "payload":', 1), "a name occurs twice"),
    "more after it": (ONE + b"{}", "not readable as JSON"),
    "another encoding": (ONE.decode().encode("utf-16"), "not readable as JSON"),
    "deep": (b'{"payload": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", "not readable as JSON"),
    "too large": (ONE + b" " * LARGEST_ENVELOPE, f"expected at most {LARGEST_ENVELOPE}"),
    "no payload": (b'{"payloadType": "", "signatures": []}', "no field 'payload'"),
    "another type": (changed(payloadType=PAYLOAD_TYPE + "x"), "payloadType is"),
    "no signature": (changed(signatures=[]), "0 of them"),
    "many signatures": (changed(signatures=[SIGNATURE] * 9), "9 of them"),
    "signatures as a text": (changed(signatures="x"), 'signatures: "x"; expected a list'),
    "a signature as a text": (changed(signatures=["x"]), "expected an object"),
    "payload as a number": (changed(payload=1), "payload is 1; expected a text in base64"),
    "payload without padding": (changed(payload="e30"), "payload is not base64"),
    "payload with a line feed": (changed(payload="e30=\n"), "payload is not base64"),
    "payload beyond ASCII": (changed(payload="é30="), "payload is not base64"),
    "another payload": (changed(payload="e30="), "did not sign this"),
    "no bytes": (with_signature(sig=""), "did not sign this"),
    "zeros": (with_signature(sig=base64.b64encode(bytes(64)).decode()), "did not sign this"),
}


@pytest.mark.parametrize("strict", [True, False], ids=["strict", "conformant"])
@pytest.mark.parametrize("name", WRONG)
def test_what_is_refused_in_one_line(name: str, strict: bool) -> None:
    text, message = WRONG[name]
    with pytest.raises(CertificateError, match=message) as caught:
        opened(text, strict=strict)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_the_largest_envelope_is_written_and_read() -> None:
    room = (LARGEST_ENVELOPE - len(ONE)) // 4 * 3
    text = sign_payload(PAYLOAD + bytes(room), [ed25519_key()]).to_text().encode()
    assert LARGEST_ENVELOPE - 4 < len(text) <= LARGEST_ENVELOPE
    padded = text + b" " * (LARGEST_ENVELOPE - len(text))
    assert opened(padded) == opened(padded, strict=False) == parse_envelope(text)
    assert "payload=" not in repr(opened(padded))
    with pytest.raises(CertificateError, match=f"bytes; expected at most {LARGEST_ENVELOPE}"):
        sign_payload(PAYLOAD + bytes(room + 4), [ed25519_key()])
    with pytest.raises(CertificateError, match=f"bytes; expected at most {LARGEST_ENVELOPE}"):
        parse_envelope(padded + b" ")


def test_spare_bits_in_base64_are_refused() -> None:
    """`e31=` has other spare bits than `e30=`, and stands for the same bytes."""
    with pytest.raises(CertificateError, match="no spare bits"):
        parse_envelope(changed(payload="e31="))
    assert parse_envelope(changed(payload="e31="), strict=False).payload == b"{}"


@pytest.mark.parametrize("kind", KEYS)
def test_a_second_verifier_agrees_on_mutated_envelopes(kind: str) -> None:
    pytest.importorskip("securesystemslib", reason="a second verifier: extra dev")
    from tests.record.certificate.second_verifier import compare_verifiers

    tally = compare_verifiers(KEYS[kind], PAYLOAD, count=300, seed=1)
    assert tally.contradictions == []
    assert 0 < tally.strict < tally.conformant < tally.envelopes
