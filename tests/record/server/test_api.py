"""The HTTP API: its description, its tokens, and what a program may do with them."""

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from obliq.data import Partition
from obliq.record.batch_events import Certified, IssuedCertificate
from obliq.record.certificate.make import sign_certificate, write_certificate
from obliq.record.certificate.page import require_own_page
from obliq.record.events import Accepted, Approved
from obliq.record.server.accounts import Account, Role, new_token, token_digest
from obliq.record.server.site import Site
from tests.record.certificate.cases import ed25519_key, predicate, subjects
from tests.record.events import DIGEST, begun, exported, patched, planned, received, unlearned
from tests.record.events import audited as audited_batch
from tests.record.server.browser import Answer, Browser, logged_in, new_site, written_record
from tests.record.server.test_decisions import somebody

pytest.importorskip("cryptography", reason="requests are encrypted: extra patch")
pytest.importorskip("starlette", reason="the page needs the extra serve")
pytest.importorskip("python_multipart", reason="the page needs the extra serve")

from obliq.record.server.api import OPERATIONS


class Program:
    """A program with a token."""

    def __init__(self, site: Site, role: Role) -> None:
        token = new_token()
        site.accounts.put(
            Account(name=f"program {role}", role=role, password=None, token=token_digest(token))
        )
        self._browser, self._token = Browser(site), token

    def __call__(self, method: str, address: str, body: object = None, **headers: str) -> Answer:
        given = {"authorization": f"Bearer {self._token}", **headers}
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._browser.send(method, address, content, given)


@pytest.fixture
def site(tmp_path: Path, parts: Partition) -> Site:
    start = replace(begun(devices=3), partition=parts.digest)
    return new_site(written_record(tmp_path / "record", start), load=lambda: parts)


def described(site: Site) -> dict[str, Any]:
    return dict(json.loads(Browser(site).get("/openapi.json").body))


def test_the_description_names_every_operation_and_every_field(site: Site) -> None:
    document = described(site)
    assert {(path, method.upper()) for path, methods in document["paths"].items() for method in methods} == {
        (one.path, one.method) for one in OPERATIONS
    }
    kinds = document["components"]["schemas"]
    for name in re.findall(r"#/components/schemas/(\w+)", json.dumps(document)):
        assert name in kinds
    for kind in kinds.values():
        assert set(kind["required"]) <= set(kind["properties"])
        assert all(one.get("description") or kind is kinds["Refusal"] for one in kind["properties"].values())


def test_each_operation_is_for_its_roles_and_only_with_a_token(site: Site) -> None:
    programs = {role: Program(site, role) for role in ("officer", "engineer", "auditor", "device")}  # type: ignore[arg-type]
    for one in OPERATIONS:
        address = one.path.replace("{case}", "C-1").replace("{floor}", "1")
        for role, program in programs.items():
            assert (program(one.method, address, {}).status == 403) is (role not in one.roles)
        for headers in (
            {},
            {"authorization": ""},
            {"authorization": "Bearer "},
            {"authorization": "Basic eA=="},
        ):
            answer = Browser(site).send(one.method, address, b"{}", headers)
            assert answer.status == 401
            assert answer.headers["www-authenticate"] == "Bearer"
        # the cookie of a browser is no token, so that no other site can use it
        assert logged_in(site, "officer").send(one.method, address, b"{}").status == 401
    assert programs["officer"]("GET", "/").status == 303  # and a token opens no page


def fits(value: Any, schema: dict[str, Any], kinds: dict[str, Any]) -> bool:
    """Whether an answer is as the description states it."""
    if "$ref" in schema:
        kind = kinds[schema["$ref"].rpartition("/")[2]]
        return set(kind["required"]) <= set(value) <= set(kind["properties"]) and all(
            fits(inner, kind["properties"][name], kinds) for name, inner in value.items()
        )
    if "anyOf" in schema:
        return any(
            fits(value, one, kinds) for one in schema["anyOf"] if not (value is None and "$ref" in one)
        )
    if schema["type"] == "array":
        return all(fits(one, schema["items"], kinds) for one in value)
    known = {"string": str, "integer": int, "boolean": bool, "null": type(None)}
    return type(value) is known[schema["type"]]


def test_a_request_goes_its_way_by_the_api_alone(site: Site, parts: Partition) -> None:
    document = described(site)
    kinds = document["components"]["schemas"]
    officer, device = Program(site, "officer"), Program(site, "device")

    def done(program: Program, method: str, address: str, path: str, body: object = None) -> dict[str, Any]:
        answer = program(method, address, body)
        assert answer.status == 200, answer.text
        found = json.loads(answer.body)
        response = document["paths"][path][method.lower()]["responses"]["200"]
        assert fits(found, response["content"]["application/json"]["schema"], kinds)
        return dict(found)

    body = {"case": "C/1", "kind": "subject", "value": str(somebody(parts))}
    explained = done(officer, "POST", "/api/requests", "/api/requests", {**body, "dry_run": True})
    assert explained["case"] is None
    assert site.record.state().cases == {}
    noted = done(officer, "POST", "/api/requests", "/api/requests", body)
    assert noted["case"]["state"] == "waiting for approval"
    assert done(officer, "POST", "/api/requests", "/api/requests", body)["head"] == noted["head"]
    assert done(officer, "GET", "/api/cases/C/1", "/api/cases/{case}")["case"] == "C/1"
    assert len(done(officer, "GET", "/api/cases", "/api/cases")["cases"]) == 1
    logged_in(site, "officer").post("/case/approve", {"case": "C/1"})
    site.record.append("e", planned(1, "C/1"), unlearned(), exported(), audited_batch(), patched())
    path, address = "/api/devices/{floor}/confirm", "/api/devices/1/confirm"
    confirmed = done(device, "POST", address, path, {"devices": 2})
    assert (confirmed["devices"], confirmed["of"]) == (2, 3)
    assert done(device, "POST", address, path, {"devices": 2})["head"] == confirmed["head"]
    assert site.record.entries()[-1].actor == "program device"
    assert (
        device("POST", address, {"devices": 1}).status == 400
    )  # a device that was taken over undoes nothing
    assert done(officer, "POST", address, path, {"devices": 1})["devices"] == 1


def test_a_certificate_is_read_and_downloaded_as_it_was_signed(site: Site) -> None:
    key = ed25519_key()
    signed = sign_certificate(predicate(), subjects(), [key])
    approved = [
        replace(received("C/1"), digest=DIGEST),
        Accepted(case="C/1"),
        Approved(case="C/1", digest=DIGEST),
    ]
    site.record.append("A", *approved, planned(1, "C/1"), unlearned(), exported(), audited_batch(), patched())
    program, auditor = Program(site, "auditor"), logged_in(site, "auditor")
    address = "/certificate?number=C%2F1"
    assert "has no certificate" in auditor.get(address).text
    file = site.record.certificate(site.record.state().batch(1), "C/1")
    file.parent.mkdir(parents=True)
    write_certificate(signed, file)
    text = file.read_bytes()
    issued = IssuedCertificate(case="C/1", file=hashlib.sha256(text).hexdigest())
    site.record.append("A", Certified(batch=1, key=key.public.fingerprint, certificates=(issued,)))
    assert "Read the certificate" in auditor.get("/case?number=C%2F1").text
    assert program("GET", "/api/certificates/C/1").body == text
    assert auditor.get(f"{address}&as=json").body == text
    page = auditor.get(f"{address}&as=html")
    assert page.headers["content-disposition"] == 'attachment; filename="certificate-C-1.html"'
    assert json.loads(require_own_page(page.body)) == json.loads(text)
    assert "sandbox" in auditor.get(address).headers["content-security-policy"]
    file.write_bytes(text + b" ")
    assert "is not the file that the log states" in auditor.get(address).text
    assert program("GET", "/api/certificates/C/1").status == 400


@pytest.mark.parametrize(
    ("address", "body"),
    [
        ("/api/requests", b""),
        ("/api/requests", b"["),
        ("/api/requests", b"[" * 100_000),
        ("/api/requests", b'{"case": "1", "case": "2", "kind": "class", "value": "0"}'),
        ("/api/requests", {"case": "C-1", "kind": "class", "value": 0}),
        ("/api/requests", {"case": "C-1", "kind": "class", "value": "0", "more": 1}),
        ("/api/requests", {"case": "C-1", "kind": "ids=/etc/passwd", "value": "0"}),
        ("/api/requests", {"case": "C-1", "kind": "class", "value": "0 + ids=/etc/passwd"}),
        ("/api/devices/1/confirm", {"devices": 1}),
        ("/api/devices/-1/confirm", {"devices": 1}),
        ("/api/devices/1/confirm", {"devices": 10**20}),
        ("/api/devices/1/confirm", {"devices": True}),
        ("/api/devices/..%2f1/confirm", {"devices": 1}),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(address: str, body: object, site: Site) -> None:
    answer = Program(site, "officer")("POST", address, body)
    assert answer.status in (400, 404), answer.text
    if answer.status == 400:
        assert list(json.loads(answer.body)) == ["error"]
    assert "root:" not in answer.text
    assert str(site.record.folder.parent) not in answer.text
    assert site.record.state().cases == {}
