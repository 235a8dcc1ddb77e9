"""Who may see which page, and what a stranger, another site or a hostile form gets from it."""

import hashlib
from pathlib import Path

import pytest

from obliq.io.ownership import record_files
from obliq.record.events import Accepted, Approved
from obliq.record.folder import Record
from obliq.record.server.accounts import Account, token_digest
from obliq.record.server.site import Site
from tests.record.events import DIGEST, audited, begun, exported, patched, planned, received, unlearned
from tests.record.server.browser import Browser, logged_in, new_site, person, written_record

pytest.importorskip("starlette", reason="the page needs the extra serve")
pytest.importorskip("python_multipart", reason="the page needs the extra serve")

from obliq.record.server.application import PAGES, Page
from obliq.record.server.sessions import MOST_FAILURES

HOSTILE = '<script>alert(1)</script>"/../../etc/passwd?a=b#c'
AUDIT = b"{}"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A record with one case that was answered, and one with a hostile number that waits."""
    digest = hashlib.sha256(AUDIT).hexdigest()
    found = audited()
    found = type(found)(batch=1, verdict=found.verdict, audit=digest)
    record = written_record(
        tmp_path / "record",
        begun(),
        received(),
        Accepted(case="C-1"),
        Approved(case="C-1", digest=DIGEST),
        planned(),
        unlearned(),
        exported(),
        found,
        patched(),
        received(HOSTILE, "2020-01-01"),
        Accepted(case=HOSTILE),
    )
    folder = record.batch(1) / "audit"
    folder.mkdir(parents=True)
    (folder / "audit.json").write_bytes(AUDIT)
    (folder / "report.html").write_text("<!DOCTYPE html><title>report</title>")
    record_files(folder)
    return new_site(record)


ADDRESSES = {"/case": "/case?number=C-1", "/report": "/report?batch=1", "/audit.json": "/audit.json?batch=1"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.method} {page.path}")
def test_each_page_is_for_its_roles_alone(page: Page, site: Site) -> None:
    address = ADDRESSES.get(page.path, page.path)
    browsers = {
        "": Browser(site),
        **{role: logged_in(site, role) for role in ("officer", "engineer", "auditor")},
    }
    for role, browser in browsers.items():
        answer = browser.get(address) if page.method == "GET" else browser.post(address)
        if page.roles is None:
            assert answer.status in (200, 303, 401), role
        elif not role:
            assert (answer.status, answer.headers["location"]) == (303, "/login")
        elif role not in page.roles:
            assert answer.status == 403
        else:
            assert answer.status in (200, 303, 400), role  # 400: the form or the address names nothing
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "script-src 'unsafe-inline'" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == ("no-cache" if page.path in STATIC else "no-store")
        assert "server" not in answer.headers
    assert Browser(site).send("DELETE", address).status == 405


STATIC = ("/style.css", "/progress.js")


def test_cases_are_listed_with_what_is_overdue_first_and_nothing_unescaped(site: Site) -> None:
    browser = logged_in(site, "auditor")
    text = browser.get("/").text
    assert text.index("overdue by") < text.index("/case?number=C-1")
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    link = text.split('href="/case?number=')[1].split('"')[0]
    one = browser.get(f"/case?number={link}")
    assert one.status == 200
    assert "waiting for approval" in one.text
    assert "<script>" not in one.text
    assert "INDISTINGUISHABLE" in browser.get("/case?number=C-1").text
    assert "0 of 10" in browser.get("/devices").text
    assert browser.get("/report?batch=1").headers["content-security-policy"].endswith("sandbox")


@pytest.mark.parametrize(
    "address",
    [
        "/case",
        "/case?number=C-2",
        "/case?number=../../etc/passwd",
        "/report?batch=../1",
        "/report?batch=2",
        "/report?batch=0",
        "/report?batch=%00",
        "/audit.json?batch=%2e%2e%2f1",
    ],
)
def test_what_is_not_in_the_record_is_refused_without_a_path(address: str, site: Site) -> None:
    answer = logged_in(site, "officer").get(address)
    assert answer.status == 400
    assert str(site.record.folder.parent) not in answer.text


def test_a_document_that_was_exchanged_or_linked_is_not_served(site: Site, tmp_path: Path) -> None:
    browser = logged_in(site, "officer")
    assert browser.get("/audit.json?batch=1").body == AUDIT
    folder = site.record.batch(1) / "audit"
    (folder / "audit.json").write_bytes(b"other")
    assert browser.get("/audit.json?batch=1").status == 400
    report = (folder / "report.html").read_bytes()
    (folder / "report.html").write_bytes(report + b"planted")
    assert "planted" not in browser.get("/report?batch=1").text
    (folder / "report.html").write_bytes(report)
    assert browser.get("/report?batch=1").body == report
    folder.rename(tmp_path / "outside")
    folder.symlink_to(tmp_path / "outside")
    assert browser.get("/report?batch=1").status == 400
    folder.unlink()
    (tmp_path / "outside").rename(folder)
    (folder / "report.html").unlink()
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (folder / "report.html").symlink_to(secret)
    answer = browser.get("/report?batch=1")
    assert answer.status == 400
    assert "secret" not in answer.text


@pytest.mark.parametrize("name", ["record", ".", "nested/record"])
def test_messages_lose_the_folders_of_the_server_and_no_words(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nested").mkdir()
    written_record(tmp_path / ("here" if name == "." else name), begun())
    monkeypatch.chdir(tmp_path / ("here" if name == "." else ""))
    site = new_site(Record(Path(name)))
    plain = "the record states 3.5 devices of record 1. Expected another record"
    assert site.without_paths(plain) == plain
    for path in (Path(name), Path(name).resolve()):
        shown = site.without_paths(f"{path / 'networks' / 'x.bin'}: it is missing")
        assert str(tmp_path) not in shown
        assert "nested" not in shown
        assert shown.endswith("x.bin: it is missing") or shown == "(a file of the server): it is missing"


def test_a_session_is_bound_to_its_account_and_ends_with_it(site: Site) -> None:
    browser = logged_in(site, "officer")
    cookie = browser.cookies[site.cookie]
    assert len(cookie) >= 43
    assert browser.post("/logout").status == 303
    browser.cookies = {site.cookie: cookie}
    assert browser.get("/").headers["location"] == "/login"
    for change in (
        lambda: site.accounts.put(person("officer", "auditor")),
        lambda: site.accounts.put(person("officer", "auditor")),
        lambda: site.accounts.remove("officer"),
    ):
        browser = logged_in(site, "officer")
        assert browser.get("/").status == 200
        change()
        assert browser.get("/").headers["location"] == "/login"


def test_the_cookie_is_for_this_server_alone(site: Site) -> None:
    flags = logged_in(site, "officer")
    answer = flags.log_in("officer")
    for flag in ("HttpOnly", "SameSite=strict", "Path=/"):
        assert flag in answer.headers["set-cookie"]
    assert "Secure" not in answer.headers["set-cookie"]
    behind = Site(site.record, site.accounts, hosts=frozenset({"records.example.org"}), secure=True)
    browser = Browser(behind, host="records.example.org")
    answer = browser.log_in("officer")
    assert answer.headers["set-cookie"].startswith("__Host-obliq-")
    assert "Secure" in answer.headers["set-cookie"]
    assert "max-age" in answer.headers["strict-transport-security"]


def test_guessing_a_password_is_slowed_down_and_names_are_not_shown(site: Site) -> None:
    browser = Browser(site)
    site.accounts.put(Account(name="fleet", role="device", password=None, token=token_digest("t" * 43)))
    texts = {
        browser.log_in(name, "wrong password wrong").text.replace(name, "") for name in ("officer", "who")
    }
    assert len(texts) == 1
    assert browser.log_in("fleet", "t" * 43).status == 401  # a token is no password
    for _ in range(MOST_FAILURES - 1):
        assert browser.log_in("officer", "wrong password wrong").status == 401
    refused = browser.log_in("Officer ")
    assert refused.status == 429
    assert int(refused.headers["retry-after"]) <= 301
    assert browser.log_in("auditor").status == 303
    site.sessions.end(browser.cookies[site.cookie])
    site.failures._clock.now += 301  # type: ignore[attr-defined]
    assert browser.log_in("officer").status == 303


def test_forms_of_other_sites_and_other_sessions_are_refused(site: Site) -> None:
    browser = logged_in(site, "officer")
    for headers in (
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "", "origin": "http://evil.example"},
        {"sec-fetch-site": "", "origin": "null"},
        {"sec-fetch-site": "none", "origin": "http://evil.example"},
    ):
        assert browser.post("/logout", **headers).status == 403
        assert Browser(site).post("/login", {"name": "officer"}, **headers).status == 403
    other = logged_in(site, "officer")
    for csrf in ("", "x", other.csrf, "é"):
        assert browser.post("/logout", {"csrf": csrf}).status == 403
    assert browser.get("/").status == 200
    assert browser.post("/logout", **{"sec-fetch-site": "", "origin": "http://127.0.0.1:8017"}).status == 303


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example:8017",
        "",
        "127.0.0.1@evil.example",
        "[::1]evil.example",
        "127.0.0.1:evil",
        "localhost:1:2",
    ],
)
def test_other_host_names_are_refused(host: str, site: Site) -> None:
    assert Browser(site, host=host).get("/login").status == 421


@pytest.mark.parametrize("length", ["65537", "99999999999999999999", "-1", "1e3", ""])
def test_large_bodies_are_refused(length: str, site: Site) -> None:
    """Also those that state a small length, or none."""
    body = b"x" * (2**16 + 1) if length in ("65537", "") else b""
    headers = {"content-length": length, "content-type": "application/x-www-form-urlencoded"}
    assert Browser(site).send("POST", "/login", body, headers, pieces=7).status == 413


FIELD = b'--e\r\nContent-Disposition: form-data; name="name"\r\n\r\n' + b"\\ud800" * 9999 + b"\r\n--e--\r\n"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded", b"&".join(b"a%d=1" % number for number in range(31))),
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=e", b"--e\r\n\r\n\r\nx\r\n--e--\r\n"),
        ("multipart/form-data; boundary=e", b'--e\r\nContent-Disposition: form-data; filename="x"\r\n\r\nx'),
        ("multipart/form-data; boundary=e", b"\x00" * 100),
        (
            "multipart/form-data; boundary=e",
            b'--e\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\nx\r\n' * 2 + b"--e--\r\n",
        ),
        *(
            (f"multipart/form-data; boundary=e; charset={charset}", FIELD)
            for charset in ("punycode", "unicode_escape", "idna", "utf-7", "none")
        ),
    ],
)
def test_forms_that_are_none_are_refused(kind: str, body: bytes, site: Site) -> None:
    answer = Browser(site).send("POST", "/login", body, {"content-type": kind})
    assert answer.status in (400, 401)


def test_a_failure_of_the_server_shows_its_place_and_no_data(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = logged_in(site, "officer")

    def fail() -> None:
        raise RuntimeError("sample 4711 in /home/somebody")

    monkeypatch.setattr(site.reader, "read", fail)
    answer = browser.get("/")
    assert answer.status == 500
    printed = capsys.readouterr().err
    for text in (answer.text, printed):
        assert "4711" not in text
        assert "somebody" not in text
    assert "RuntimeError in " in printed
