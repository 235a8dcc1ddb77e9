"""Find known flaws, withdrawn releases and abandoned projects among installed packages: `make audit-dependencies`.

    python .ci/known_flaws.py [--accept-unchecked] [NAME==VERSION ...]

It reads the package index that pip is set up to use, with pip's own connection (certificates, proxy, login). For each
package it tries, in this order:

1. the JSON page of the installed version, which lists the flaws of that version;
2. the JSON page of the project, which lists the flaws of its newest release, if that is what is installed.

A package that neither page decides is NOT CHECKED. That is a failure, so that no answer is not taken for a good one;
`--accept-unchecked` lists such packages and goes on. An index that does not know the flaws of a package that has some
is refused. pip-audit reads the first of these pages only, and only from one host; mirrors often lack it.
"""

import argparse
import functools
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import distributions
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import Version

OWN = "obliq"
FLAWED = ("pycrypto", "2.6.1")
"""A release with flaws that will not be fixed: its project ended in 2013."""
SIMPLE = "/simple"
SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"
ENDED = ("archived", "deprecated")
"""States of a project (PEP 792) in which its releases get no more fixes."""
CONNECTIONS = 8

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

    Args:
        name: as the index writes it.
        version: as it is installed; the part that names a local build, such as `+cpu`, is not looked up.
        fetch: reads the index.
    """
    public = Version(version).public
    status = (fetch(f"simple/{name}/") or {}).get("project-status") or {}
    state = str(status.get("status", "active"))
    problems = ["the project is quarantined"] if state == "quarantined" else []
    notes = [f"the project is {state}: {status.get('reason', 'no reason given')}"] if state in ENDED else []
    page, unchecked = fetch(f"pypi/{name}/{public}/json"), ""
    if page is None:
        page, unchecked = fetch(f"pypi/{name}/json"), f"the index has no page of version {public}"
        newest = None if page is None else Version(page["info"]["version"])
        if newest == Version(public):
            unchecked = ""
        elif newest is not None:
            unchecked += f", and the newest is {newest}{_flaws_in_words(page)}"
            page = {"info": _release(page, public)}
        else:
            unchecked += ", and none of the project"
    if not unchecked and "vulnerabilities" not in page:
        unchecked = "the index does not state flaws"
    if not unchecked:
        problems += known_flaws(page)
    if page is not None and page["info"].get("yanked"):
        problems.append(
            f"the release was withdrawn: {page['info'].get('yanked_reason') or 'no reason given'}"
        )
    return Finding(f"{name} {version}", tuple(problems), tuple(notes), unchecked)


def known_flaws(page: Any) -> list[str]:
    """The flaws on a page, each once, although databases have names of their own for it."""
    found: list[str] = []
    seen: set[str] = set()
    for flaw in page.get("vulnerabilities") or []:
        names = {flaw["id"], *flaw.get("aliases", ())}
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
        except (RequestException, ValueError):  # no connection, or a page for people
            return None

    return fetch


def installed() -> list[tuple[str, str]]:
    """Names and versions of what is installed here, without this project."""
    found = {canonicalize_name(one.metadata["Name"]): one.version for one in distributions()}
    return sorted((name, version) for name, version in found.items() if name != OWN)


def report(findings: Iterable[Finding], *, accept_unchecked: bool) -> bool:
    """Print what was found, and return whether that is good enough."""
    listed = list(findings)
    for one in listed:
        lines = [("PROBLEM", problem) for problem in one.problems]
        lines += [("NOT CHECKED", one.unchecked)] if one.unchecked else []
        lines += [("note", note) for note in one.notes]
        for kind, words in lines:
            printable = "".join(letter if letter.isprintable() else "?" for letter in words)
            print(f"{kind:<12} {one.package}: {printable}")
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
    if not look(*FLAWED).problems:
        sys.exit(
            f"the index lists no flaws of {'=='.join(FLAWED)}, which has some, so that its answers mean nothing"
        )
    with ThreadPoolExecutor(CONNECTIONS) as several:
        findings = several.map(lambda pair: look(canonicalize_name(pair[0]), pair[1]), pairs)
        return 0 if report(findings, accept_unchecked=given.accept_unchecked) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
