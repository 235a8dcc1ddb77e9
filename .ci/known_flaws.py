"""Find known flaws, withdrawn releases and abandoned projects among installed packages: `make audit-dependencies`.

    python .ci/known_flaws.py [--accept-unchecked] [NAME==VERSION ...]

It reads the package index that pip is set up to use, with pip's own connection (certificates, proxy, login). For each
package it tries, in this order:

1. the JSON page of the installed version, which lists the flaws of that version;
2. the JSON page of the project, which lists the flaws of its newest release, if that is what is installed.

A page counts only if it names the project and the release. A package that neither page decides, or whose project has
no page of its state (PEP 792), is NOT CHECKED. That is a failure, so that no answer is not taken for a good one;
`--accept-unchecked` lists such packages and goes on. An index that does not know a flaw of a package that has it is
refused. pip-audit reads the first of these pages only, and only from one host; mirrors often lack it.
"""

import argparse
import functools
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import distributions
from threading import Thread
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import Version

OWN = "obliq"
FLAWED, ITS_FLAW = ("pycrypto", "2.6.1"), "CVE-2013-7459"
"""A release with flaws that will not be fixed, as its project ended in 2013; and one of them."""
SIMPLE = "/simple"
SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"
ACTIVE, QUARANTINED = "active", "quarantined"
"""States of a project (PEP 792); in most others, such as `archived`, its releases get no more fixes."""
CONNECTIONS = 8
LONGEST_ANSWER = 120.0
"""Seconds for one page. pip's own limit is for the next byte, so that a slow server could send forever."""

Fetch = Callable[[str], Any]
"""From an address below that of the index to the JSON there; None where there is none."""


@dataclass(frozen=True)
class Finding:
    """What is known of one package.

    Attributes:
        package: its name and version.
        problems: why it should not be used.
        notes: what to know of it.
        unchecked: why its flaws are not known; empty where they are.
    """

    package: str
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unchecked: str = ""


def examine(name: str, version: str, fetch: Fetch) -> Finding:
    """Look one package up.

    A page counts only if it states that it is of this project: an index may redirect to a page of another one.

    Args:
        name: as the index writes it.
        version: as it is installed; the part that names a local build, such as `+cpu`, is not looked up.
        fetch: reads the index.
    """
    problems: list[str] = []
    notes: list[str] = []
    unchecked: list[str] = []
    for question in (_state, _flaws):
        try:  # what the state of a project shows is kept although the page of its flaws cannot be read
            more = question(canonicalize_name(name, validate=True), Version(version).public, fetch)
        except (TypeError, KeyError, AttributeError, ValueError, RecursionError) as error:
            more = Finding(
                "", unchecked=f"the package or its page is of another form ({type(error).__name__})"
            )
        problems += more.problems
        notes += more.notes
        unchecked += [more.unchecked] if more.unchecked and more.unchecked not in unchecked else []
    return Finding(f"{name} {version}", tuple(problems), tuple(notes), "; ".join(unchecked))


def _state(name: str, version: str, fetch: Fetch) -> Finding:
    """Whether a project is under way, by the page of its files."""
    page = fetch(f"simple/{name}/")
    if page is None or canonicalize_name(page["name"]) != name:
        return Finding(name, unchecked="the state of the project is not known")
    status = page.get("project-status", {})  # indexes without PEP 792 have none
    state = str(status.get("status", ACTIVE)).lower()
    if state == QUARANTINED:
        return Finding(name, problems=(f"the project is {QUARANTINED}",))
    note = f"the project is {state}: {status.get('reason') or 'no reason given'}"
    return Finding(name, notes=() if state == ACTIVE else (note,))


def _flaws(name: str, version: str, fetch: Fetch) -> Finding:
    """The flaws of a release, and whether it was withdrawn, by its own page or that of its project."""
    page, unchecked = fetch(f"pypi/{name}/{version}/json"), ""
    if not _is_of(page, name, version):
        page, unchecked = fetch(f"pypi/{name}/json"), f"the index has no page of version {version}"
        if not _is_of(page, name):
            return Finding(name, unchecked=f"{unchecked}, and none of the project")
        newest = Version(page["info"]["version"])
        if newest == Version(version):
            unchecked = ""
        else:
            unchecked += f", and the newest is {newest}{_flaws_in_words(page)}"
            page = {"info": _release(page, version)}
    if not unchecked and not isinstance(page.get("vulnerabilities"), list):
        unchecked = "the index does not state flaws"
    problems = [] if unchecked else known_flaws(page)
    if page["info"].get("yanked"):
        problems.append(
            f"the release was withdrawn: {page['info'].get('yanked_reason') or 'no reason given'}"
        )
    return Finding(name, tuple(problems), unchecked=unchecked)


def _is_of(page: Any, name: str, version: str | None = None) -> bool:
    """Whether a page is of this project, and of this release where one is given."""
    if page is None or canonicalize_name(page["info"]["name"]) != name:
        return False
    return version is None or Version(page["info"]["version"]) == Version(version)


def known_flaws(page: Any) -> list[str]:
    """The flaws on a page, each once, although databases have names of their own for it."""
    found: list[str] = []
    seen: set[str] = set()
    for flaw in page.get("vulnerabilities") or []:
        names = {flaw["id"], *(flaw.get("aliases") or ())}
        if flaw.get("withdrawn"):
            continue
        if not names & seen:
            fixed = ", ".join(flaw.get("fixed_in") or ()) or "no release"
            found.append(f"{', '.join(sorted(names))}: fixed in {fixed}")
        seen |= names
    return found


def _flaws_in_words(page: Any) -> str:
    count = len(known_flaws(page))
    return f" (known flaws: {count})" if count else ""


def _release(page: Any, version: str) -> dict[str, Any]:
    """Whether an older release was withdrawn: all of its files were."""
    files = (page.get("releases") or {}).get(version) or []
    return {
        "yanked": bool(files) and all(one.get("yanked") for one in files),
        "yanked_reason": next((one["yanked_reason"] for one in files if one.get("yanked_reason")), None),
    }


def index_of_pip() -> Fetch:
    """A reader of the index that pip would install from.

    Raises:
        SystemExit: for an index whose other pages cannot be derived from its address.
    """
    # pip has no public interface for what it is set up with, and this is how its own commands find it
    from pip._internal.commands import create_command
    from pip._vendor.requests.exceptions import RequestException

    command = create_command("download")
    options, _ = command.parse_args([])
    address = options.index_url.rstrip("/")
    if not address.endswith(SIMPLE):
        sys.exit(f"the address of pip's index does not end in {SIMPLE}, so that its JSON pages are not known")
    session = command._build_session(options)  # type: ignore[attr-defined]

    def fetch(path: str) -> Any:
        accepted = SIMPLE_JSON if path.startswith("simple/") else "application/json"
        try:
            answer = session.get(f"{address.removesuffix(SIMPLE)}/{path}", headers={"Accept": accepted})
            return answer.json() if answer.status_code == 200 else None
        except (RequestException, ValueError, RecursionError):  # no connection, or a page for people
            return None

    return functools.partial(within, LONGEST_ANSWER, fetch)


def within(seconds: float, fetch: Fetch, path: str) -> Any:
    """What `fetch` reads, or None if that takes longer; the thread that still reads does not keep the program."""
    answers: list[Any] = []
    reader = Thread(target=lambda: answers.append(fetch(path)), daemon=True)
    reader.start()
    reader.join(seconds)
    return answers[0] if answers else None


def installed() -> list[tuple[str, str]]:
    """Names and versions of what is installed here, without this project; of two copies, both.

    What has no name or no version is listed, too: `examine` does not find it.
    """
    found: set[tuple[str, str]] = set()
    for one in distributions():
        name = one.metadata.get("Name")
        label = canonicalize_name(name) if name else f"(no name, in {one.locate_file('')})"
        found.add((label, one.metadata.get("Version") or "(no version)"))
    return sorted(pair for pair in found if pair[0] != OWN)


def report(findings: Iterable[Finding], *, accept_unchecked: bool) -> bool:
    """Print what was found, and return whether that is good enough."""
    listed = list(findings)
    for one in listed:
        lines = [("PROBLEM", problem) for problem in one.problems]
        lines += [("NOT CHECKED", one.unchecked)] if one.unchecked else []
        lines += [("note", note) for note in one.notes]
        for kind, words in lines:
            line = f"{kind:<12} {one.package}: {words}"
            print("".join(letter if letter.isprintable() else "?" for letter in line))
    bad, unchecked = sum(bool(one.problems) for one in listed), sum(bool(one.unchecked) for one in listed)
    print(f"{len(listed)} packages: {bad} with problems, {unchecked} not checked")
    return not bad and (accept_unchecked or not unchecked)


def main(words: Sequence[str]) -> int:
    """Check what is installed, or the packages that are named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accept-unchecked", action="store_true")
    parser.add_argument("packages", nargs="*", metavar="NAME==VERSION")
    given = parser.parse_args(words)
    pairs = [tuple(one.split("==", 1)) for one in given.packages] or installed()
    if any(len(pair) != 2 for pair in pairs):
        parser.error("expected NAME==VERSION")
    look = functools.partial(examine, fetch=index_of_pip())
    if not any(ITS_FLAW in problem for problem in look(*FLAWED).problems):
        sys.exit(
            f"the index does not list {ITS_FLAW} of {'=='.join(FLAWED)}, so that its answers mean nothing"
        )
    with ThreadPoolExecutor(CONNECTIONS) as several:
        findings = several.map(lambda pair: look(*pair), pairs)
        return 0 if report(findings, accept_unchecked=given.accept_unchecked) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
