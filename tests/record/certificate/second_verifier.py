"""securesystemslib as a second verifier of the envelopes that ours reads, on mutated texts."""

import base64
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from securesystemslib.dsse import Envelope as OtherEnvelope
from securesystemslib.exceptions import FormatError, VerificationError
from securesystemslib.signer import SSlibKey

from obliq.errors import CertificateError
from obliq.io.keys import PrivateKey, PublicKey
from obliq.record.certificate.envelope import PAYLOAD_TYPE, parse_envelope, require_signatures, sign_payload


def ours(text: bytes, key: PublicKey, *, strict: bool) -> bytes | None:
    """The payload that our verifier accepts; None when it refuses."""
    try:
        envelope = parse_envelope(text, strict=strict)
        require_signatures(envelope, [key], strict=strict)
    except CertificateError:
        return None
    return envelope.payload


def theirs(text: bytes, key: PublicKey) -> bytes | None:
    """The same of the other one, which decides by the bytes signed alone and not by the type of the payload."""
    try:
        envelope = OtherEnvelope.from_dict(json.loads(text))
        other = SSlibKey.from_crypto(key.key, keyid=key.fingerprint)
        envelope.verify([other], 1)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, FormatError, VerificationError):
        return None
    payload: bytes = envelope.payload
    return payload if envelope.payload_type == PAYLOAD_TYPE else None


@dataclass
class Tally:
    """How many envelopes were accepted by whom, and those on which the answers contradict each other."""

    envelopes: int = 0
    strict: int = 0
    conformant: int = 0
    other: int = 0
    contradictions: list[str] = field(default_factory=list)


def compare_verifiers(key: PrivateKey, payload: bytes, count: int, seed: int) -> Tally:
    """Mutate an envelope and compare what the verifiers answer.

    What ours accepts strictly, the other one must accept, with the same payload. What the other one accepts and ours
    refuses must be outside the standard. Nobody may accept another payload.
    """
    original = sign_payload(payload, [key]).to_text().encode()
    public, tally, draw = key.public, Tally(), random.Random(seed)
    assert ours(original, public, strict=True) == theirs(original, public) == payload
    for _ in range(count):
        text = MUTATIONS[draw.randrange(len(MUTATIONS))](original, draw)
        strict, conformant = (ours(text, public, strict=one) for one in (True, False))
        other = theirs(text, public)
        tally.envelopes += 1
        tally.strict += strict is not None
        tally.conformant += conformant is not None
        tally.other += other is not None
        forged = {strict, conformant, other} - {None, payload}
        missed = strict is not None and (other is None or conformant is None)
        if (
            forged
            or missed
            or (other is not None and conformant is None and not _is_outside_the_standard(text))
        ):
            tally.contradictions.append(repr(text[:200]))
    return tally


def _is_outside_the_standard(text: bytes) -> bool:
    """Whether a text is outside the standard, although the other one reads it: base64 with other letters or without
    padding, or a name twice."""
    pairs: list[list[str]] = []
    values = json.loads(
        text, object_pairs_hook=lambda items: pairs.append([k for k, _ in items]) or dict(items)
    )
    if any(len(set(names)) != len(names) for names in pairs):
        return True
    texts = [values["payload"], *(one["sig"] for one in values["signatures"])]
    try:
        for one in texts:
            base64.b64decode(one.replace("-", "+").replace("_", "/").encode("ascii"), validate=True)
    except ValueError:
        return True
    return len(values["signatures"]) > 8


def _flip(text: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(text))
    return text[:at] + bytes([text[at] ^ 1 << draw.randrange(8)]) + text[at + 1 :]


def _cut(text: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(text))
    return text[:start] + text[start + draw.randrange(1, 20) :]


def _insert(text: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(text))
    return text[:at] + draw.choice([b" ", b"\n", b"A", b"=", b'"', b"\\u0041", b"-", b"\0"]) + text[at:]


def _double(text: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(text))
    piece = text[start : start + draw.randrange(1, 40)]
    return text[:start] + piece + text[start:]


def _restructured(
    change: Callable[[dict[str, Any], random.Random], None],
) -> Callable[[bytes, random.Random], bytes]:
    def mutated(text: bytes, draw: random.Random) -> bytes:
        values = json.loads(text)
        change(values, draw)
        return json.dumps(values, indent=draw.choice([None, 1, 4])).encode()

    return mutated


def _other_values(values: dict[str, Any], draw: random.Random) -> None:
    where = draw.choice([values, values["signatures"][0]])
    name = draw.choice(list(where))
    where[name] = draw.choice(
        [None, 1, "", [], {}, "AAAA", where[name], [where[name]], str(where[name]) + "A"]
    )


def _spare_bits(values: dict[str, Any], draw: random.Random) -> None:
    where, name = draw.choice([(values, "payload"), (values["signatures"][0], "sig")])
    at = draw.randrange(len(where[name]))
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_="
    where[name] = where[name][:at] + draw.choice(letters) + where[name][at + 1 :]


def _more_signatures(values: dict[str, Any], draw: random.Random) -> None:
    mine = values["signatures"][0]
    other = {"keyid": draw.choice(["", "0" * 64, mine["keyid"]]), "sig": draw.choice(["AAAA", mine["sig"]])}
    values["signatures"] = draw.choice([[mine, other], [other, mine], [other], [mine] * 3])


def _more_fields(values: dict[str, Any], draw: random.Random) -> None:
    draw.choice([values, values["signatures"][0]])[draw.choice(["x", "cert", "Payload", "payload "])] = "AAAA"


def _url_safe(values: dict[str, Any], draw: random.Random) -> None:
    for where, name in ((values, "payload"), (values["signatures"][0], "sig")):
        where[name] = where[name].replace("+", "-").replace("/", "_")


MUTATIONS = [
    _flip,
    _cut,
    _insert,
    _double,
    *map(_restructured, (_other_values, _spare_bits, _more_signatures, _more_fields, _url_safe)),
]
