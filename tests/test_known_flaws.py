"""What `make audit-dependencies` makes of an index: no answer is never taken for a good one."""

import importlib.util
import sys
from pathlib import Path
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


def page(version: str, *flaws: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"info": {"version": version, **more}, "vulnerabilities": list(flaws)}


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
        ({"pypi/a/json": {"info": {"version": "1.1"}}}, (), "does not state flaws"),
        ({"pypi/a/1.1/json": {"info": {}}}, (), "does not state flaws"),
        ({}, (), "no page of version 1.1, and none of the project"),
        ({"pypi/a/1.1/json": page("1.1", yanked=True)}, ("the release was withdrawn: no reason given",), ""),
        (
            {"pypi/a/json": page("1.2") | {"releases": {"1.1": [{"yanked": True, "yanked_reason": "bad"}]}}},
            ("the release was withdrawn: bad",),
            "the newest is 1.2",
        ),
        (
            {"simple/a/": {"project-status": {"status": "quarantined"}}, "pypi/a/1.1/json": page("1.1")},
            ("the project is quarantined",),
            "",
        ),
    ],
)
def test_what_an_index_answers(
    pages: dict[str, Any], problems: tuple[str, ...], unchecked: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = script.examine("a", "1.1+cpu", pages.get)
    assert (found.problems, bool(found.unchecked)) == (problems, bool(unchecked))
    assert unchecked in found.unchecked
    assert script.report([found], accept_unchecked=False) == (not problems and not unchecked)
    assert script.report([found], accept_unchecked=True) == (not problems)
    printed = capsys.readouterr().out
    assert ("PROBLEM      a 1.1+cpu: " in printed) == bool(problems)
    assert ("NOT CHECKED  a 1.1+cpu: " in printed) == bool(unchecked)


def test_an_ended_project_is_noted_and_prints_no_control_characters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    state = {"simple/a/": {"project-status": {"status": "archived", "reason": "\x1b[2J"}}}
    found = script.examine("a", "1.1", (state | {"pypi/a/1.1/json": page("1.1")}).get)
    assert script.report([found], accept_unchecked=False)
    assert "note         a 1.1: the project is archived: ?[2J\n" in capsys.readouterr().out


def test_an_index_that_knows_no_flaws_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {"pypi/pycrypto/json": page("2.6.1"), "pypi/a/json": page("1.1")}
    monkeypatch.setattr(script, "index_of_pip", lambda: pages.get)
    with pytest.raises(SystemExit, match="its answers mean nothing"):
        script.main(["a==1.1"])
    pages["pypi/pycrypto/json"] = page("2.6.1", FLAW)
    assert [script.main(["a==1.1"]), script.main(["a==1.0"])] == [0, 1]


def test_this_project_is_not_looked_up() -> None:
    names = [name for name, _ in script.installed()]
    assert "obliq" not in names
    assert {"torch", "numpy"} <= set(names)
