"""in-toto Statement v1: which files, by digest, a predicate is about; and the summary that generic tools read.

Source: in-toto/attestation, spec/v1/statement.md, and spec/predicates/svr.md for the Simple Verification Result (SVR).
"""

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from obliq.errors import CertificateError, ObliqError
from obliq.io.strict_json import decode, encode, in_message, parse_json, render_json
from obliq.record.certificate.certified_audit import PASSING
from obliq.record.certificate.predicate import PREDICATE_TYPE, Predicate

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
SUMMARY_TYPE = "https://in-toto.io/attestation/svr/v0.2"
AUDITOR = "urn:obliq:auditor:v5"
"""Who verified, in a summary. The number is that of audit.json's format, which changes with the rule of the verdict."""
SUMMARY_PROPERTY = f"OBLIQ_{PASSING}"


@final
@dataclass(frozen=True)
class Subject:
    """A file that a statement is about.

    Attributes:
        name: of the file, for people; the digest alone decides.
        digest: by algorithm, in hexadecimal; `sha256` is always there.
    """

    name: str
    digest: dict[str, str]

    def __post_init__(self) -> None:
        sha256 = self.digest.get("sha256", "")
        if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
            raise CertificateError(
                f"subject {self.name[:80]!r} has no digest sha256 of 64 hexadecimal digits; expected one"
            )

    @property
    def sha256(self) -> str:
        """SHA-256 of the file."""
        return self.digest["sha256"]


def certificate_payload(predicate: Predicate, subjects: Sequence[Subject]) -> bytes:
    """The statement that is signed: what is stated about which files.

    Raises:
        CertificateError: without a file, or with one twice.
    """
    _require_subjects(subjects)
    return _payload(PREDICATE_TYPE, encode(predicate), subjects)


def summary_payload(predicate: Predicate, subjects: Sequence[Subject]) -> bytes:
    """The same in one word for generic tools, as a Simple Verification Result.

    Raises:
        CertificateError: when the verdict does not pass, since a summary states only what passed.
    """
    if not predicate.passes:
        raise CertificateError(
            f"the verdict is {predicate.audit.verdict}; expected {PASSING}, as a summary states only what passed"
        )
    _require_subjects(subjects)
    result = {
        "verifier": {"id": AUDITOR, "policies": []},
        "timeCreated": predicate.times.audited or predicate.times.issued,
        "properties": [SUMMARY_PROPERTY],
    }
    return _payload(SUMMARY_TYPE, result, subjects)


def parse_payload(payload: bytes, *, strict: bool = True) -> tuple[Predicate, tuple[Subject, ...]]:
    """What a certificate states about which files; the inverse of `certificate_payload`.

    Args:
        payload: bytes whose signature was verified.
        strict: whether unknown fields are refused. The framework of in-toto ignores them.

    Raises:
        CertificateError: for a statement of another type, and for missing, unknown or mistyped fields.
    """
    try:
        values = parse_json(payload)
        _require_type(values, "_type", STATEMENT_TYPE)
        _require_type(values, "predicateType", PREDICATE_TYPE)
        content = {name: value for name, value in values.items() if name not in ("_type", "predicateType")}
        found = decode(_Statement, content if strict else _known_fields(_Statement, content), "the statement")
    except CertificateError:
        raise
    except ObliqError as error:
        raise CertificateError(str(error)) from error
    _require_subjects(found.subject)
    return found.predicate, found.subject


@dataclass(frozen=True)
class _Statement:
    """What a statement holds besides its types."""

    subject: tuple[Subject, ...]
    predicate: Predicate


def _payload(kind: str, predicate: Mapping[str, object], subjects: Sequence[Subject]) -> bytes:
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [encode(subject) for subject in subjects],
        "predicateType": kind,
        "predicate": predicate,
    }
    return render_json(statement).encode()


def _require_subjects(subjects: Sequence[Subject]) -> None:
    if not subjects or len({one.name for one in subjects}) != len(subjects):
        raise CertificateError(
            f"subject: {', '.join(one.name[:80] for one in subjects) or 'none'}; expected one file or more, with "
            "different names"
        )


def _require_type(values: Mapping[str, Any], name: str, wanted: str) -> None:
    if values.get(name) != wanted:
        raise CertificateError(f"{name} is {in_message(values.get(name))}; expected {in_message(wanted)}")


def _known_fields(kind: Any, value: Any) -> Any:
    """A parsed value without the fields that its kind does not have."""
    inner = typing.get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        kinds = typing.get_type_hints(kind)
        names = {field.name for field in dataclasses.fields(kind)}
        return {name: _known_fields(kinds[name], one) for name, one in value.items() if name in names}
    if typing.get_origin(kind) is tuple and isinstance(value, list):
        return [_known_fields(inner[0], one) for one in value]
    optional = next((one for one in inner if dataclasses.is_dataclass(one)), None)
    return value if optional is None else _known_fields(optional, value)
