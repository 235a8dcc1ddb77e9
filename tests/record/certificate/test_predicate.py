"""What a certificate may state, and what it must."""

import contextlib
import dataclasses
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

pytest.importorskip("cryptography", reason="the extra `patch` is not installed")

from obliq.auditing.document import AUDIT_DOCUMENT
from obliq.auditing.verdict import Word
from obliq.errors import CertificateError
from obliq.io.strict_json import encode
from obliq.methods import BUILT_IN, UsedAccess, access_of, used_access
from obliq.record.certificate.certified_audit import PASSING, PUBLISHED, REFUSING, CertifiedVerdict
from obliq.record.certificate.limits import LIMITS
from obliq.record.certificate.make import sign_certificate
from obliq.record.certificate.predicate import CertificateTimes, RetainAccess
from obliq.record.certificate.statement import (
    AUDITOR,
    Subject,
    certificate_payload,
    parse_payload,
    summary_payload,
)
from obliq.workflow.last_audit import REFUSED
from tests.record.certificate.cases import ed25519_key, predicate, subjects

ROOT = Path(__file__).parents[3]
STATED = json.loads(certificate_payload(predicate(), subjects()))


def test_what_is_stated_is_read_back() -> None:
    assert parse_payload(certificate_payload(predicate(), subjects())) == (predicate(), subjects())


def test_no_word_promises_more_than_was_measured() -> None:
    text = (
        json.dumps(encode(LIMITS))
        + json.dumps(STATED)
        + (ROOT / "src/obliq/record/certificate")
        .joinpath("certificate.html.jinja")
        .read_text(encoding="utf-8")
    )
    assert (
        re.findall(r"\b\w*(?:delet|erase|erasure|compli|anonym|irrevers|guarant|proof|prove)\w*", text, re.I)
        == []
    )


def test_verdicts_are_those_of_the_audit() -> None:
    assert get_args(Word) == get_args(CertifiedVerdict)
    assert REFUSED == REFUSING
    assert AUDITOR.endswith(f":v{AUDIT_DOCUMENT.version}")
    assert [word for word in get_args(CertifiedVerdict) if predicate(word).passes] == [PASSING]


def test_a_device_that_remembers_does_not_pass() -> None:
    stated = predicate()
    for device, passes in (
        (PASSING, True),
        ("INCONCLUSIVE", True),
        ("REMEMBERED", False),
        ("DAMAGED", False),
    ):
        audit = dataclasses.replace(stated.audit, device_verdict=device)
        assert dataclasses.replace(stated, audit=audit).passes is passes


def test_error_rates_are_those_that_are_published() -> None:
    """Each from the table of the networks that came after the rule, in the report of the measurement."""
    assert [rates.retrained for rates in PUBLISHED.values()] == list(PUBLISHED)
    report = (ROOT / "benchmarks/results/auditor-errors.md").read_text()
    for count, rates in PUBLISHED.items():
        section = report.split(f"## With {count} retrained networks")[1]
        table = section.split("### Networks that no constant was chosen on")[1].split("#")[0]
        rows = [
            [cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line[:1] == "|"
        ]
        found = {
            row[0]: [int(cell) for cell in row[1:4]]
            for row in rows[2:]
            if not row[0].startswith(("unlearned:", "a mixture:"))
        }
        samples, passed, refused = found.pop("retrained")
        assert (rates.true_retrainings, rates.passed_percent, rates.refused_percent) == (
            samples,
            passed,
            refused,
        )
        refusals = [row[2] for row in found.values()]
        assert rates.fakes_refused_percent == (min(refusals), max(refusals))
        assert rates.fakes_passed_percent == max(row[1] for row in found.values())


def read(method: str, limit: int) -> UsedAccess | None:
    """What a method with a limit on retained samples read of them."""
    return used_access(method, {"retain_limit": limit})


def test_access_to_retain_data_is_what_methods_declare() -> None:
    stated = set(get_args(RetainAccess))
    assert {access_of(kind) for kind in BUILT_IN.values()} < stated
    assert {*get_args(UsedAccess), "not recorded"} == stated
    assert (read("gradient-ascent", 5), read("unknown", 0)) == ("nothing", None)
    assert (read("oeu", 0), read("oeu", 5)) == ("retain set", "part of the retain set")
    shares = [used_access("lotus", {"retain_share": share}) for share in (0.3, 1.0)]
    assert shares == ["part of the retain set", "retain set"]


def test_a_summary_states_only_what_passed() -> None:
    with pytest.raises(CertificateError, match="a summary states only what passed"):
        summary_payload(predicate("INCONCLUSIVE"), subjects())
    keys = [ed25519_key()]
    assert sign_certificate(predicate("INCONCLUSIVE"), subjects(), keys).summary is None
    assert sign_certificate(predicate(), subjects(), keys).summary is not None


def put(path: str, value: object) -> dict[str, Any]:
    """The statement with another value at a path of names and numbers."""
    changed = json.loads(json.dumps(STATED))
    *above, last = path.split("/")
    inner = changed
    for step in above:
        inner = inner[int(step) if isinstance(inner, list) else step]
    inner[last] = value
    return changed


WRONG = {
    "another statement": (put("_type", "https://in-toto.io/Statement/v0.1"), "_type is"),
    "another predicate": (put("predicateType", "https://slsa.dev/provenance/v1"), "predicateType is"),
    "a later version": (put("predicateType", "urn:obliq:unlearning-certificate:v2"), "predicateType is"),
    "no file": (put("subject", []), "expected one file or more"),
    "a file without a digest": (put("subject/0/digest", {"sha1": "0" * 40}), "has no digest sha256"),
    "a digest in capitals": (put("subject/0/digest", {"sha256": "A" * 64}), "has no digest sha256"),
    "no predicate": ({k: v for k, v in STATED.items() if k != "predicate"}, "no field 'predicate'"),
    "no case": (put("predicate/case", ""), "case is ''"),
    "neither case nor operator": (
        put("predicate", {**STATED["predicate"], "case": "", "operator": ""}),
        r"case is '' and operator is ''; expected one line of 1 to 200 characters each \(--case and --operator\)",
    ),
    "a case of two lines": (put("predicate/case", "a\nb"), "expected one line"),
    "a local time": (put("predicate/times/issued", "2026-01-14T09:30:00+01:00"), "expected UTC"),
    "a short time": (put("predicate/times/issued", "2026-1-14T9:30:00Z"), "expected UTC"),
    "a short digest": (put("predicate/partition", "00"), "expected SHA-256"),
    "no limits": (put("predicate/not_covered", []), "not_covered lacks 'traces'"),
    "a limit without text": (put("predicate/not_covered/0/text", " "), "has no text"),
    "an unknown verdict": (put("predicate/audit/verdict", "FORGOTTEN"), "expected one of INDISTINGUISHABLE"),
    "no base": (put("predicate/base", {}), "a network has no digest"),
    "another patch": (put("predicate/patch/result", "0" * 64), "another network than the result"),
    "a patch before the first": (put("predicate/patch/sequence", 0), "expected 1 or more"),
    "no samples": (put("predicate/request/count", 0), "expected 1 or more"),
    "a value outside that passes": (
        put("predicate/audit/evidence/0/value", 5.0),
        "expected a verdict that fits",
    ),
    "fewer than no networks": (put("predicate/audit/retrained", -1), "-1 retrained networks, 1 candidates"),
    "no candidate": (
        put("predicate/audit/candidates", 0),
        "4 retrained networks, 0 candidates; expected 0 and 1",
    ),
    "one network for what passes": (put("predicate/audit/retrained", 1), "expected two or more networks"),
    "no evidence for what passes": (put("predicate/audit/evidence", []), "expected two or more networks"),
    "one request that was joined": (put("predicate/request/joined", 1), "expected 2 or more"),
    "one earlier request that was joined": (put("predicate/earlier/1/joined", 1), "earlier.joined is 1"),
    "a limit twice": (
        put(
            "predicate/not_covered",
            [*STATED["predicate"]["not_covered"], STATED["predicate"]["not_covered"][0]],
        ),
        "has a code twice",
    ),
    "a long case": (put("predicate/case", "x" * 201), "expected one line of 1 to 200 characters"),
    "a blank case": (put("predicate/case", " "), "expected one line"),
    "an earlier request twice": (put("predicate/earlier/1/digest", "c" * 64), "expected each once"),
    "the request among earlier ones": (put("predicate/earlier/0/digest", "8" * 64), "expected each once"),
    "a text for a number": (put("predicate/audit/retrained", "4"), "expected a whole number"),
}


@pytest.mark.parametrize("strict", [True, False], ids=["strict", "conformant"])
@pytest.mark.parametrize("name", WRONG)
def test_statements_that_are_refused(name: str, strict: bool) -> None:
    changed, message = WRONG[name]
    with pytest.raises(CertificateError, match=message) as caught:
        parse_payload(json.dumps(changed).encode(), strict=strict)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "path", ["more", "subject/0/uri", "predicate/more", "predicate/audit/more", "predicate/patch/more"]
)
def test_unknown_fields_are_refused_unless_the_standard_is_followed(path: str) -> None:
    text = json.dumps(put(path, "x")).encode()
    with pytest.raises(CertificateError, match="unknown field"):
        parse_payload(text)
    assert parse_payload(text, strict=False) == (predicate(), subjects())


def test_every_other_value_anywhere_is_read_or_refused() -> None:
    """Signed by somebody, but not by our program: nothing but `CertificateError` comes out."""
    draw = random.Random(0)
    values = [None, True, -1, 2**70, 1e308, "", "x" * 500, "\x00", [], {}, [1], {"a": 1}]
    for _ in range(200):
        changed, inner = json.loads(json.dumps(STATED)), None
        place = changed
        while isinstance(place, dict | list) and place:
            inner, name = place, draw.choice(list(place) if isinstance(place, dict) else range(len(place)))
            place = place[name]
            if draw.random() < 0.3:
                break
        assert inner is not None
        inner[name] = draw.choice(values)
        for strict in (True, False):
            with contextlib.suppress(CertificateError):
                parse_payload(json.dumps(changed).encode(), strict=strict)


def digests_in(value: Any, path: str) -> Iterator[str]:
    """Where a statement has a text of 64 hexadecimal digits."""
    if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value):
        yield path
    for key, inner in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from digests_in(inner, f"{path}/{key}")


def test_every_digest_is_one() -> None:
    paths = list(digests_in(STATED["predicate"], "predicate"))
    assert len(paths) == 16
    for path in paths:
        for wrong in ("00", "A" * 64, "0" * 63, "0" * 65):
            with pytest.raises(CertificateError, match="SHA-256"):
                parse_payload(json.dumps(put(path, wrong)).encode())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("predicate/patch/sequence", 1),
        ("predicate/request/count", 1),
        ("predicate/request/joined", 2),
        ("predicate/case", "x" * 200),
        ("predicate/operator", "x"),
        ("predicate/audit/retrained", 2),
        ("predicate/audit/evidence/0/value", -0.1),  # the ends of its interval
        ("predicate/audit/evidence/0/value", 0.5),
    ],
)
def test_the_smallest_and_largest_values_are_read(path: str, value: object) -> None:
    read, _ = parse_payload(json.dumps(put(path, value)).encode())
    assert encode(read) == put(path, value)["predicate"]


def test_without_retrained_networks_the_verdict_may_be_open() -> None:
    alone = dataclasses.replace(predicate("INCONCLUSIVE").audit, retrained=0, evidence=())
    stated = dataclasses.replace(predicate("INCONCLUSIVE"), audit=alone, error_rates=None)
    assert parse_payload(certificate_payload(stated, subjects()))[0] == stated


def test_each_of_several_joined_requests_counts() -> None:
    assert predicate().earlier_requests == 1 + 3


def test_names_of_files_are_unique() -> None:
    one = Subject("a", {"sha256": "0" * 64})
    for make in (certificate_payload, summary_payload):
        with pytest.raises(CertificateError, match="different names"):
            make(predicate(), [one, one])


def test_a_summary_has_the_time_of_the_audit_where_it_is_known() -> None:
    times = CertificateTimes(
        issued="2026-01-14T09:30:00Z", requested=None, unlearned=None, audited="2026-01-13T09:30:00Z"
    )
    for audited, expected in ((times.audited, times.audited), (None, times.issued)):
        stated = dataclasses.replace(predicate(), times=dataclasses.replace(times, audited=audited))
        assert json.loads(summary_payload(stated, subjects()))["predicate"]["timeCreated"] == expected
