"""What `make audit-dependencies` makes of an index: no answer is never taken for a good one."""

import importlib.util
import sys
from pathlib import Path
from threading import Event
from types import ModuleType
from typing import Any

import pytest


def _script() -> ModuleType:
    file = Path(__file__).parents[1] / ".ci" / "known_flaws.py"
    specification = importlib.util.spec_from_file_location("known_flaws", file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["known_flaws"] = module  # where its dataclass looks for its annotations
    specification.loader.exec_module(module)
    return module


script: Any = _script()
FLAW = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fixed_in": ["1.2"], "withdrawn": None}
SAME = {"id": "GHSA-1", "aliases": ["CVE-1"], "fixed_in": ["1.2"]}
GONE = {"id": "PYSEC-2", "aliases": ["CVE-1"], "withdrawn": "2026-01-01T00:00:00Z"}
FLAWS = ("CVE-1, PYSEC-1: fixed in 1.2",)
STATE = {"simple/a/": {"name": "A"}}
QUARANTINED = ("the project is quarantined",)


def page(version: str, *flaws: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"info": {"name": "A", "version": version} | more, "vulnerabilities": list(flaws)}


def status(state: Any) -> dict[str, Any]:
    return {"simple/a/": {"name": "a", "project-status": state}}


def deep() -> list[Any]:
    """As a parser builds it of JSON that is nested too deeply."""
    raise RecursionError


@pytest.mark.parametrize(
    ("pages", "problems", "unchecked"),
    [
        ({"pypi/a/1.1/json": page("1.1")}, (), ""),
        ({"pypi/a/1.1/json": page("1.1", GONE, FLAW, SAME)}, FLAWS, ""),
        ({"pypi/a/1.1/json": page("1.1"), "pypi/a/json": page("1.2", FLAW)}, (), ""),
        ({"pypi/a/json": page("1.1.0")}, (), ""),
        ({"pypi/a/json": page("1.1", FLAW)}, FLAWS, ""),
        ({"pypi/a/json": page("1.2")}, (), "no page of version 1.1, and the newest is 1.2"),
        ({"pypi/a/json": page("1.2", FLAW)}, (), "the newest is 1.2 (known flaws: 1)"),
        *(
            ({"pypi/a/json": page("1.1") | {"vulnerabilities": none}}, (), "does not state flaws")
            for none in (None, False, {}, "")
        ),
        ({"pypi/a/1.1/json": {"info": page("1.1")["info"]}}, (), "does not state flaws"),
        ({}, (), "no page of version 1.1, and none of the project"),
        *(
            ({f"pypi/a/{path}json": other}, (), "no page of version 1.1, and none of the project")
            for path, other in (
                ("1.1/", page("9.0")),
                ("1.1/", page("1.1", name="b")),
                ("", page("1.1", name="b")),
            )
        ),
        *(
            ({"pypi/a/1.1/json": odd}, (), "of another form (")
            for odd in (
                *({}, [], "page", 1, {"info": []}, page("no version"), page("1.1", name=None)),
                *(page("1.1", {"id": ["a"]}), page("1.1", {})),
            )
        ),
        ({"pypi/a/1.1/json": page("1.1", FLAW | {"aliases": None})}, ("PYSEC-1: fixed in 1.2",), ""),
        (
            {"simple/a/": None, "pypi/a/1.1/json": page("1.1", FLAW)},
            FLAWS,
            "state of the project is not known",
        ),
        (
            {"simple/a/": {"name": "b"}, "pypi/a/1.1/json": page("1.1")},
            (),
            "state of the project is not known",
        ),
        (status("quarantined") | {"pypi/a/1.1/json": page("1.1")}, (), "of another form (AttributeError)"),
        (
            status({"status": "Quarantined"}) | {"pypi/a/1.1/json": []},
            QUARANTINED,
            "of another form (TypeError)",
        ),
        ({"pypi/a/1.1/json": page("1.1", yanked=True)}, ("the release was withdrawn: no reason given",), ""),
        (
            {"pypi/a/json": page("1.2") | {"releases": {"1.1": [{"yanked": True, "yanked_reason": "bad"}]}}},
            ("the release was withdrawn: bad",),
            "the newest is 1.2",
        ),
        (
            status({"status": "quarantined"}) | {"pypi/a/1.1/json": page("1.1")},
            QUARANTINED,
            "",
        ),
    ],
)
def test_what_an_index_answers(
    pages: dict[str, Any], problems: tuple[str, ...], unchecked: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = script.examine("a", "1.1+cpu", (STATE | pages).get)
    assert (found.problems, bool(found.unchecked)) == (problems, bool(unchecked))
    assert unchecked in found.unchecked
    assert script.report([found], accept_unchecked=False) == (not problems and not unchecked)
    assert script.report([found], accept_unchecked=True) == (not problems)
    printed = capsys.readouterr().out
    assert ("PROBLEM      a 1.1+cpu: " in printed) == bool(problems)
    assert ("NOT CHECKED  a 1.1+cpu: " in printed) == bool(unchecked)


def test_what_no_index_can_know_is_not_checked(capsys: pytest.CaptureFixture[str]) -> None:
    """Names and versions that no index has, such as those of damaged installations; and a page without an end."""
    asked: list[str] = []
    odd = [("a/../b", "1.1"), ("a?", "1.1"), ("(no name, in \x1b[2J)", "1.1"), ("a", "(no version)")]
    found = [script.examine(*pair, asked.append) for pair in odd]
    found.append(script.examine("a", "1.1", lambda path: deep()))
    assert not asked
    assert all("of another form" in one.unchecked for one in found)
    assert not script.report(found, accept_unchecked=False)
    assert "(no name, in ?[2J)" in capsys.readouterr().out
    never = Event()
    assert script.within(0.01, lambda path: never.wait(5), "simple/a/") is None
    assert script.within(5, str.upper, "a") == "A"


def test_an_ended_project_is_noted_and_prints_no_control_characters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    state = status({"status": "archived", "reason": "\x1b[2J"})
    found = script.examine("a", "1.1", (state | {"pypi/a/1.1/json": page("1.1")}).get)
    assert script.report([found], accept_unchecked=False)
    assert "note         a 1.1: the project is archived: ?[2J\n" in capsys.readouterr().out


def test_an_index_that_does_not_know_the_flaws_of_a_release_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = {"pypi/pycrypto/json": page("2.6.1", FLAW | {"id": script.ITS_FLAW}, name="pycrypto")}
    pages = STATE | {"pypi/a/json": page("1.1")}
    monkeypatch.setattr(script, "index_of_pip", lambda: pages.get)
    for wrong in (page("2.6.1", name="pycrypto"), page("2.6.1", FLAW, name="pycrypto", yanked=True)):
        pages["pypi/pycrypto/json"] = wrong
        with pytest.raises(SystemExit, match="its answers mean nothing"):
            script.main(["a==1.1"])
    pages |= known
    assert [script.main(["a==1.1"]), script.main(["a==1.0"])] == [0, 1]


def test_all_that_is_installed_is_looked_up_but_this_project(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of two copies, both: Python imports the first. Also what has no name."""
    names = [name for name, _ in script.installed()]
    assert "obliq" not in names
    assert {"torch", "numpy"} <= set(names)
    for folder, metadata in (
        ("one/A-1.0", "Name: A\nVersion: 1.0"),
        ("two/A-2.0", "Name: a\nVersion: 2.0"),
        ("B", ""),
    ):
        (tmp_path / f"{folder}.dist-info").mkdir(parents=True)
        (tmp_path / f"{folder}.dist-info" / "METADATA").write_text(f"{metadata}\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path / part) for part in ("one", "two", "")])
    nameless = (f"(no name, in {tmp_path})", "(no version)")
    assert script.installed() == [nameless, ("a", "1.0"), ("a", "2.0")]
