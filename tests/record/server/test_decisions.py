"""From a request that is typed or uploaded to a closed case, in a browser; and work that is started from it."""

import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from obliq.data import Partition
from obliq.record.cases import Case
from obliq.record.server.site import Site
from tests.record.events import audited, begun, exported, patched, planned, unlearned
from tests.record.server.browser import Answer, Browser, logged_in, new_site, person, written_record

pytest.importorskip("cryptography", reason="requests are encrypted: extra patch")
pytest.importorskip("starlette", reason="the page needs the extra serve")
pytest.importorskip("python_multipart", reason="the page needs the extra serve")

from obliq.record.server import background


@pytest.fixture
def site(tmp_path: Path, parts: Partition) -> Site:
    """A record of data in memory, with no case, where two people approve and three devices run the network."""
    start = replace(begun(approvals=2, devices=3), partition=parts.digest)
    site = new_site(written_record(tmp_path / "record", start), load=lambda: parts)
    site.accounts.put(person("second officer", "officer"))
    return site


@pytest.fixture
def officer(site: Site) -> Browser:
    return logged_in(site, "officer")


def somebody(parts: Partition) -> int:
    assert parts.collection.subjects is not None
    return int(parts.collection.subjects[parts.train.indices[0]])


def accepted(browser: Browser, case: str, **form: str) -> Answer:
    explained = browser.post("/request", {"case": case, **form})
    assert explained.status == 200, explained.text
    return accept(browser, explained)


def accept(browser: Browser, explained: Answer) -> Answer:
    return browser.post(
        "/request/accept", {"draft": explained.text.split('name="draft" value="')[1].split('"')[0]}
    )


def case_of(site: Site, number: str = "C-1") -> Case:
    return site.record.state().case(number)


def test_a_request_is_explained_before_it_is_accepted_and_then_approved_by_two(
    site: Site, officer: Browser, parts: Partition
) -> None:
    who = somebody(parts)
    explained = officer.post("/request", {"case": "C-1", "kind": "subject", "value": str(who)})
    assert "samples) of the training part" in explained.text
    assert site.record.state().cases == {}
    other = logged_in(site, "second officer")
    secret = explained.text.split('name="draft" value="')[1].split('"')[0]
    assert other.post("/request/accept", {"draft": secret}).status == 400  # a draft is of its session
    answer = accept(officer, explained)
    assert (answer.status, answer.headers["location"]) == (303, "/case?number=C-1")
    assert accept(officer, explained).status == 400
    assert case_of(site).accepted
    assert f"subject={who}" in officer.post("/case/reveal", {"case": "C-1"}).text
    assert officer.post("/case/approve", {"case": "C-1"}).status == 303
    assert "Approve this request" not in officer.get("/case?number=C-1").text
    assert officer.post("/case/approve", {"case": "C-1"}).status == 303
    assert case_of(site).approvals == ["officer"]
    assert other.post("/case/approve", {"case": "C-1"}).status == 303
    assert [case.number for case in site.record.state().waiting()] == ["C-1"]
    assert [entry.actor for entry in site.record.entries()][1:] == ["officer"] * 3 + ["second officer"]
    again = officer.post("/request", {"case": "C-2", "kind": "subject", "value": str(who)})
    assert "are in the open case C-1, too" in again.text
    # nothing that the page shows to others, or that lies on the disk in plain, names the person
    for address in ("/", "/case?number=C-1", "/work", "/record.json"):
        assert f"subject={who}" not in logged_in(site, "auditor").get(address).text


def test_ids_are_uploaded_and_read_as_strictly_as_a_file(
    site: Site, officer: Browser, parts: Partition
) -> None:
    some = parts.train.indices[:3].tolist()
    form = {"case": "C-1", "kind": "ids"}
    for content, words in {
        b"": "no ids were given",
        b"a\n": "the uploaded list, line 1: &#39;a&#39; is not an id",
        b"999999\n": "not in the data (line 1: 999999)",
        b"%d\n%d\n" % (some[0], some[0]): "expected each once",
        b"\xff\xfe": "is not a text file",
        b"/etc/passwd\n": "is not an id",
    }.items():
        answer = officer.upload("/request", form, content)
        assert answer.status == 400
        assert words in answer.text.replace("\n", " "), answer.text
    explained = officer.upload("/request", form, "\n".join(map(str, some)).encode(), name="../../etc/passwd")
    assert "3 listed samples" in explained.text
    assert accept(officer, explained).status == 303
    assert "ids=the uploaded list (" not in officer.get("/case?number=C-1").text
    revealed = officer.post("/case/reveal", {"case": "C-1"}).text
    assert "3 samples" in revealed
    assert ", ".join(map(str, sorted(some))) in revealed
    for file in site.record.folder.parent.rglob("*"):
        assert not file.is_file() or b"the uploaded list" not in file.read_bytes()


@pytest.mark.parametrize(
    "form",
    [
        {"kind": "subject", "value": "7 + ids=/etc/passwd"},
        {"kind": "subject", "value": "7 + request=/etc/passwd"},
        {"kind": "ids=/etc/passwd", "value": "7"},
        {"kind": "request", "value": "/etc/passwd"},
        {"kind": "ids", "value": "/etc/passwd"},
        {"kind": "random", "value": "1"},
        {"kind": "subject", "value": ""},
        {"kind": "subject", "value": "<script>"},
        {"kind": "class", "value": "0,1,2"},
        {"case": "", "kind": "class", "value": "0"},
        {"case": "x" * 201, "kind": "class", "value": "0"},
        {"case": "a\nb", "kind": "class", "value": "0"},
        {"case": " C-1", "kind": "class", "value": "0"},
        {"kind": "class", "value": "0", "received": "2999-01-01"},
        {"kind": "class", "value": "0", "received": "yesterday"},
    ],
)
def test_what_names_nothing_or_a_file_of_the_server_is_refused(
    form: dict[str, str], site: Site, officer: Browser
) -> None:
    answer = officer.post("/request", {"case": "C-1", **form})
    assert answer.status == 400
    assert "root:" not in answer.text
    assert "<script>" not in answer.text
    assert site.record.state().cases == {}


def test_a_case_is_rejected_and_closed_with_a_reason(site: Site, officer: Browser) -> None:
    number = 'C-1 "/.."'
    reject = {"case": number, "reason": "not in the data", "received": "2026-01-31"}
    assert logged_in(site, "engineer").post("/request/reject", reject).status == 403
    assert officer.post("/request/reject", {**reject, "reason": " "}).status == 400
    answer = officer.post("/request/reject", reject)
    assert answer.headers["location"] == f"/case?number={quote(number, safe='')}"
    assert "Rejected: not in the data" in officer.get(answer.headers["location"]).text
    assert officer.post("/case/close", {"case": number}).status == 400
    assert officer.post("/case/close", {"case": number, "understood": "yes"}).status == 303
    assert case_of(site, number).closed is not None
    for spelled in (
        f" {number}",
        f"{number} ",
        number.lower(),
    ):  # a form never turns it into the number of another
        for address in ("/request/reject", "/case/approve", "/case/reveal", "/case/close"):
            refused = officer.post(address, {**reject, "case": spelled, "understood": "yes"})
            assert refused.status == 400, address
    assert officer.post("/case/reveal", {"case": number}).status == 400


def test_devices_confirm_and_the_case_is_closed_without_its_key(
    site: Site, officer: Browser, parts: Partition
) -> None:
    accepted(officer, "C-1", kind="subject", value=str(somebody(parts)))
    for name in ("officer", "second officer"):
        assert logged_in(site, name).post("/case/approve", {"case": "C-1"}).status == 303
    site.record.append("engineer", planned(), unlearned(), exported(), audited(), patched())
    close = {"case": "C-1", "understood": "yes"}
    refused = officer.post("/case/close", close)
    assert (
        "0 of 3 devices have confirmed batch 1; expected all, or a reason to close the case before"
        in refused.text
    )
    for floor, devices in (("1", "4"), ("2", "1"), ("1", "-1"), ("1", "1e9"), ("", "")):
        assert officer.post("/devices", {"floor": floor, "devices": devices}).status == 400
    engineer = logged_in(site, "engineer")
    assert engineer.post("/devices", {"floor": "1", "devices": "3"}).status == 303
    assert logged_in(site, "auditor").post("/devices", {"floor": "1", "devices": "3"}).status == 403
    assert "3 of 3" in engineer.get("/devices").text
    keys = site.record.keys
    assert case_of(site).received.request in keys.names()
    assert officer.post("/case/close", close).status == 303
    assert case_of(site).received.request not in keys.names()
    again = officer.post("/request", {"case": "C-2", "kind": "subject", "value": str(somebody(parts))})
    assert "forgotten before (closed cases), so that nothing remains to unlearn" in again.text
    assert "rejecting it notes it" in again.text


RUNS = """
import json, sys, time
words = json.load(sys.stdin.buffer)
print("unlearning 5 samples ...", file=sys.stderr)
print("  unlearning 5 samples: 2 of 4, 3 s so far, about 3 s left", file=sys.stderr, flush=True)
time.sleep(float(words[-1]))
print("obliq: error: /somewhere/secret: no", file=sys.stderr)
"""


def test_work_runs_in_a_process_of_its_own_which_the_next_server_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "PROGRAM", RUNS)
    first = background.BackgroundRun(tmp_path / "record.serve")
    assert not first.status().running
    first.start(["0.6"])
    with pytest.raises(Exception, match="going on already"):
        first.start(["0"])
    second = background.BackgroundRun(tmp_path / "record.serve")
    while (status := second.status()).step is None:
        time.sleep(0.02)
    assert status == background.RunStatus(
        running=True, stage="unlearning 5 samples", step=2, of=4, note="3 s so far, about 3 s left"
    )
    with pytest.raises(Exception, match="going on already"):
        second.start(["0"])
    first.wait(20)
    assert not second.status().running
    assert second.status().error == "/somewhere/secret: no"
    assert (tmp_path / "record.serve" / "run.log").stat().st_mode & 0o777 == 0o600
    second.start(["0"])
    second.wait(20)
    monkeypatch.setattr(background, "PROGRAM", "import os; os.abort()")
    second.start([])
    second.wait(20)
    assert first.status().error == background.UNEXPECTED
    assert background.status_from(["unlearning ...", "obliq: ended"], running=False).error == ""


def test_work_imports_nothing_from_the_folder_in_which_the_server_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("torch", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken')")
    monkeypatch.chdir(tmp_path)
    program = "import importlib.util, json; print('obliq: error:', importlib.util.find_spec('torch').origin)"
    monkeypatch.setattr(background, "PROGRAM", f"import sys; sys.stdout = sys.stderr; {program}")
    run = background.BackgroundRun(tmp_path / "record.serve")
    run.start([])
    run.wait(20)
    assert run.status().error.endswith("__init__.py")
    assert str(tmp_path) not in run.status().error


def test_who_may_start_which_work(
    site: Site, officer: Browser, parts: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(site.run, "start", started.append)
    engineer = logged_in(site, "engineer")
    assert "nothing is due" in engineer.post("/work").text
    accepted(officer, "C-1", kind="subject", value=str(somebody(parts)))
    for name in ("officer", "second officer"):
        logged_in(site, name).post("/case/approve", {"case": "C-1"})
    assert "Do what is due" in engineer.get("/work").text
    assert engineer.post("/work", {"again": "r"}).status == 400  # no batch is refused
    assert officer.post("/work", {"accept": "r"}).status == 400
    assert officer.post("/work").status == 400
    assert engineer.post("/work").status == 303
    assert started.pop()[-1] == "--by=engineer"
    site.record.append("engineer", planned(), unlearned(1, "too little was forgotten"))
    assert "Try again" in engineer.get("/work").text
    assert engineer.post("/work", {"accept": "--plain"}).status == 400
    assert officer.post("/work", {"again": "why not"}).status == 400
    wrong = [{"settings": "--plain"}, {"settings": "epochs"}, {"method": "--plain"}, {"settings": "epochs=x"}]
    for form in wrong:
        assert engineer.post("/work", {"again": "r", "method": "oeu", **form}).status == 400
    assert engineer.post("/work", {"again": "-r", "method": "oeu", "settings": "epochs=3"}).status == 303
    assert started.pop()[-5:] == ["--by=engineer", "--again=-r", "--method=oeu", "--settings", "epochs=3"]
    assert officer.post("/work", {"accept": "--plain"}).status == 303
    assert started.pop()[-2:] == ["--by=officer", "--accept=--plain"]
    assert not started
