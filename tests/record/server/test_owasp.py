"""OWASP's Top 10 of 2025, one check for each entry that shows what keeps it here."""

import asyncio
import threading
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from obliq.data import Partition
from obliq.errors import RecordError
from obliq.record.log import LOG_FILE
from obliq.record.server.accounts import SCRYPT, PasswordHash, new_token
from obliq.record.server.site import Site, Visit
from tests.record.events import begun
from tests.record.server.browser import PASSWORD, Browser, logged_in, new_site, person, written_record
from tests.record.server.test_decisions import accept, somebody

pytest.importorskip("cryptography", reason="requests are encrypted: extra patch")
pytest.importorskip("starlette", reason="the page needs the extra serve")
pytest.importorskip("python_multipart", reason="the page needs the extra serve")

from starlette.responses import Response

from obliq.record.server import login
from obliq.record.server.application import PAGES
from obliq.record.server.decisions import MOST_DRAFTS
from obliq.record.server.serve import allowed_hosts, require_private
from obliq.record.server.sessions import MOST_FAILURES, MOST_FAILURES_OF_ALL

Check = Callable[[Site, Partition, pytest.CaptureFixture[str]], None]


def broken_access_control(site: Site, parts: Partition, printed: pytest.CaptureFixture[str]) -> None:
    auditor, before = logged_in(site, "auditor"), site.record.state().head
    for page in PAGES:
        if page.method == "POST" and page.roles and page.path != "/logout":
            assert auditor.post(page.path, {"case": "C-1"}).status == 403
    assert site.record.state().head == before


def security_misconfiguration(site: Site, parts: Partition, printed: pytest.CaptureFixture[str]) -> None:
    for address in (
        "/none",
        "/docs",
        "/.git/config",
        "/static/../accounts.json",
        "//etc/passwd",
        "/%2e%2e/x",
    ):
        answer = Browser(site).get(address)
        assert answer.status == 404
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert len(answer.body) < 100
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        with pytest.raises(RecordError, match=r"expected 127\.0\.0\.1, or --https-name"):
            require_private(host, None)
        require_private(host, "records.example.org")
    require_private("127.0.0.1", None)
    assert "records.example.org" in allowed_hosts("Records.example.org")
    for name in (
        "",
        "https://records.example.org",
        "records.example.org:443",
        "a b",
        "-a.org",
        "a/b",
        "*.org",
    ):
        with pytest.raises(RecordError, match="expected the name of a host alone"):
            allowed_hosts(name)


def software_supply_chain(site: Site, parts: Partition, printed: pytest.CaptureFixture[str]) -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    bounds = " ".join(project["optional-dependencies"]["serve"])
    for fixed in ("starlette>=1.3.1", "python-multipart>=0.0.27"):  # CVE-2026-54283, CVE-2026-42561
        assert fixed in bounds


def cryptographic_failures(site: Site, parts: Partition, printed: pytest.CaptureFixture[str]) -> None:
    assert SCRYPT >= (2**15, 8, 3)
    assert len({new_token() for _ in range(100)}) == 100
    assert len(new_token()) == 43
    hashes = [PasswordHash.of(PASSWORD, (2, 1, 1)) for _ in range(2)]
    assert hashes[0].hash != hashes[1].hash


def injection(site: Site, parts: Partition, printed: pytest.CaptureFixture[str]) -> None:
    officer = logged_in(site, "officer")
    for case in ("{{ 7 * 7 }}", "<img src=x onerror=alert(1)>", "' OR 1=1 --", "${7*7}", "=1+1"):
        answer = officer.post("/request/reject", {"case": case, "reason": f"because {case}"})
        page = officer.get(answer.headers["location"])
        assert page.status == 200
        assert "<img" not in page.text
        assert "because 49" not in page.text
    for case in ("a\r\nSet-Cookie: x=1", "\x1b[31m", "a\x00b", "\u202e"):
        answer = officer.post("/request/reject", {"case": case, "reason": "r"})
        assert answer.status == 400
        assert "set-cookie" not in answer.headers


def insecure_design(site: Site, parts: Partition, printed: pytest.CaptureFixture[str]) -> None:
    officer = logged_in(site, "officer")
    form = {"kind": "subject", "value": str(somebody(parts))}
    explained = [
        officer.post("/request", {"case": f"C-{number}", **form}) for number in range(MOST_DRAFTS + 2)
    ]
    assert accept(officer, explained[0]).status == 400  # only so many wait in memory
    assert accept(officer, explained[-1]).status == 303
    assert not site.record.state().is_due  # two people must approve it first


def authentication_failures(site: Site, parts: Partition, printed: pytest.CaptureFixture[str]) -> None:
    browser = Browser(site)
    browser.cookies = {site.cookie: "chosen-by-somebody-else"}
    assert browser.log_in("officer").status == 303
    assert browser.cookies[site.cookie] != "chosen-by-somebody-else"
    for _ in range(MOST_FAILURES):
        browser.log_in("engineer", "wrong password wrong")
    assert browser.log_in("engineer").status == 429
    for _ in range(
        MOST_FAILURES_OF_ALL
    ):  # a stranger cannot keep out a browser in which somebody logged in before
        site.all_failures.count("")
        site.failures.count("officer")
    assert browser.log_in("officer").status == 303
    assert browser.log_in("auditor").status == 429  # the cookie is of one account
    for _ in range(MOST_FAILURES):
        browser.log_in("officer", "wrong password wrong")
    assert browser.log_in("officer").status == 429
    site.failures._clock.now += 301  # type: ignore[attr-defined]
    assert Browser(site).log_in("officer").status == 303
    assert site.all_failures.seconds_to_wait("") == 0
    site.accounts.put(person("officer", "officer"))  # a new password ends the cookie
    assert not login._known_device(site.accounts.named("officer"), browser.cookies[site.device_cookie])


def data_integrity_failures(site: Site, parts: Partition, printed: pytest.CaptureFixture[str]) -> None:
    officer, log = logged_in(site, "officer"), site.record.folder / LOG_FILE
    assert officer.get("/").status == 200
    log.write_bytes(log.read_bytes().replace(b"A. Example", b"B. Example"))
    answer = officer.get("/")
    assert answer.status == 400
    assert "it was changed" in answer.text


def logging_failures(site: Site, parts: Partition, printed: pytest.CaptureFixture[str]) -> None:
    logged_in(site, "officer").post("/request/reject", {"case": "C-1", "reason": "not ours"})
    entry = site.record.entries()[-1]
    assert (entry.actor, entry.event.kind) == ("officer", "rejected")
    printed.readouterr()
    Browser(site).log_in("typed my password here", "wrong password wrong")
    line = printed.readouterr().err
    assert "a login failed" in line
    assert "typed my password" not in line


def exceptional_conditions(site: Site, parts: Partition, printed: pytest.CaptureFixture[str]) -> None:
    officer = logged_in(site, "officer")
    log = site.record.folder / LOG_FILE
    moved = log.rename(log.with_name("moved"))
    assert officer.get("/").status in (400, 500)
    assert str(site.record.folder) not in printed.readouterr().err
    moved.rename(log)
    assert officer.get("/").status == 200


@pytest.mark.parametrize(
    "check",
    [
        broken_access_control,
        security_misconfiguration,
        software_supply_chain,
        cryptographic_failures,
        injection,
        insecure_design,
        authentication_failures,
        data_integrity_failures,
        logging_failures,
        exceptional_conditions,
    ],
    ids=lambda check: check.__name__,
)
def test_an_entry_of_the_list(
    check: Check, tmp_path: Path, parts: Partition, capsys: pytest.CaptureFixture[str]
) -> None:
    start = replace(begun(approvals=2, devices=3), partition=parts.digest)
    check(new_site(written_record(tmp_path / "record", start), load=lambda: parts), parts, capsys)


def test_logins_that_wait_hold_up_nobody_else_and_are_refused_when_many_wait(tmp_path: Path) -> None:
    going_on = threading.Event()
    site = new_site(written_record(tmp_path / "record", begun()))
    queue, visit = login.LoginQueue(1, 3), Visit(site=site, account=None, session=None, secret="", query={})

    def slow(visit: Visit) -> Response:
        going_on.wait(10)
        return Response("in")

    async def attempts() -> list[int]:
        tasks = [asyncio.create_task(queue.answer(slow, visit)) for _ in range(50)]
        done, _ = await asyncio.wait(tasks, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        while len(done) < 47:
            done, _ = await asyncio.wait(tasks, timeout=0.02)
        going_on.set()
        return [answer.status_code for answer in await asyncio.gather(*tasks)]

    assert asyncio.run(attempts()) == [200] * 3 + [503] * 47
    assert asyncio.run(queue.answer(slow, visit)).status_code == 200
