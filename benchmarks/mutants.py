"""Do the tests notice a mistake? Small mistakes are put into a module one by one, and tests that reach them run.

    python benchmarks/mutants.py [--only TEXT] [--again] [--kept FILE]

A *mutant* is the module with one comparison, number, operator, condition or statement changed. It is *killed* if a test
fails, or takes ten times as long as without the mistake, and *survives* otherwise. Each is a mistake that no test would
notice, or a change that makes no difference: `benchmarks/equivalent_mutants.toml` has the reasons of the latter.

Every mutant runs in a child of one process that has collected the tests. So it meets only tests in that process, but
for those of the command line, and of these the quickest that reach its line. Results are kept as they come, and a run
that was cut off goes on. Needs Linux.
"""

import argparse
import contextlib
import hashlib
import json
import os
import resource
import signal
import sys
import tempfile
import time
import types
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from _pytest.runner import runtestprotocol

from mutant_changes import Mutant, mutants_of, put_into
from mutant_results import ROOT, UNREADABLE, entries_of, reasons_of_equivalence, results, write_table

LIMITS = "tests/documentation/test_limits.py"
TESTS = {
    "obliq/auditing/verdict_rules.py": (
        "tests/auditing/test_verdict_rules.py",
        "tests/auditing/test_verdict.py::test_fewer_than_two_retrained_networks_never_pass_anything",
        "tests/auditing/test_verdict.py::test_with_one_retrained_network_five_points_decide",
        "tests/auditing/test_verdict.py::test_without_any_the_auc_is_compared_with_50",
        "tests/auditing/test_verdict.py::test_too_few_samples_settle_nothing",
    ),
    "obliq/auditing/verdict.py": ("tests/auditing/test_reference_comparison.py",),
    "obliq/auditing/reference_comparison.py": (
        "tests/auditing/test_reference_comparison.py",
        "tests/auditing/test_verdict.py::test_one_retrained_network_has_no_spread",
        "tests/auditing/test_verdict.py::test_a_verdict_advises",
        "tests/auditing/test_verdict.py::test_constant_answers_are_nothing_to_measure",
    ),
    "obliq/auditing/variation.py": ("tests/auditing/test_variation.py",),
    "obliq/io/strict_json.py": ("tests/io/test_strict_json.py", "tests/io/test_documents.py"),
    "obliq/io/document_text.py": ("tests/io/test_documents.py", LIMITS),
    "obliq/io/regular_file.py": ("tests/io/test_regular_file.py",),
    "obliq/io/ownership.py": ("tests/io/test_ownership.py",),
    "obliq/io/archive.py": ("tests/io/test_archive.py", LIMITS),
    "obliq/io/pickle_check.py": ("tests/io/test_pickle_check.py",),
    "obliq/io/budget.py": ("tests/io/test_budget.py", LIMITS),
    "obliq/io/keys.py": ("tests/io/test_keys.py", "tests/patch/test_signing.py", LIMITS),
    "obliq/checkpoints/tensors.py": ("tests/checkpoints/test_tensors.py",),
    "obliq/patch/encryption.py": ("tests/patch/test_encryption.py",),
    "obliq/patch/signing.py": ("tests/patch/test_signing.py",),
    "obliq/patch/decoder.py": (
        "tests/patch/test_refusals.py",
        "tests/patch/test_round_trip.py",
        "tests/patch/test_expiry.py",
        LIMITS,
    ),
    "obliq/record/certificate/envelope.py": ("tests/record/certificate/test_envelope.py", LIMITS),
    "obliq/record/certificate/statement.py": ("tests/record/certificate/test_predicate.py",),
    "obliq/record/certificate/predicate.py": ("tests/record/certificate/test_predicate.py",),
    "obliq/record/certificate/certified_audit.py": ("tests/record/certificate/test_predicate.py",),
    "obliq/record/certificate/verify.py": ("tests/record/certificate/test_verify.py", LIMITS),
    "obliq/record/log.py": ("tests/record/test_log.py", LIMITS),
}
"""Modules, and the tests that should notice mistakes in them."""

SLOWER = 10
"""Times as long as without a mistake after which a mutant counts as noticed."""
SECONDS = 5.0
"""Of tests that a mutant meets, as long as these take without a mistake."""
MOST_MEMORY = 6 * 2**30
"""Bytes that the tests of a mutant may take."""


class Session:
    """A run of pytest that tries mutants in place of running what was collected.

    Args:
        modules: to try.
        kept: file of results so far.
        again: whether to try survivors again.
    """

    def __init__(self, modules: Sequence[str], kept: Path, again: bool) -> None:
        self.modules, self.kept, self.again = modules, kept, again

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try the mutants of each module, and write the table."""
        if session.testsfailed:
            pytest.exit("the tests cannot be collected", 1)
        for module in self.modules:
            items = [
                one
                for one in session.items
                if one.nodeid.startswith(TESTS[module]) and "obliq" not in one.fixturenames
            ]
            self._try_all(module, items)
            write_table(TESTS, self.kept, SECONDS)
        return True

    def _try_all(self, module: str, items: list[pytest.Item]) -> None:
        source = (ROOT / "src" / module).read_text()
        before = results(self.kept, module)
        reasons = reasons_of_equivalence()
        wanted = []
        for one in mutants_of(source):
            key = one.part, one.change, one.text
            survived = key in before and before[key] is None
            explained = (module, one.text, one.change) in reasons
            if key not in before or (self.again and survived and not explained):
                wanted.append(one)
        if not wanted:
            return
        sound = self._sound(module, source, items)
        for mutant in wanted:
            chosen, seconds = [], 0.0
            for item in sorted(items, key=lambda item: sound["seconds"][item.nodeid]):
                if item.nodeid not in sound["lines"].get(str(mutant.line), sound["seconds"]):
                    continue
                seconds += sound["seconds"][item.nodeid]
                if not chosen or seconds <= SECONDS:
                    chosen.append(item)
            found = in_child(partial(_killer, module, source, mutant, chosen), 2 + SLOWER * seconds)
            killer = "ended" if found is None else found["killer"]
            entry = {"module": module, "part": mutant.part, "change": mutant.change, "text": mutant.text}
            self._keep(entry | {"killer": killer})
            if killer is None:
                print(f"{module}:{mutant.line}: {mutant.change}: {mutant.text}", flush=True)

    def _sound(self, module: str, source: str, items: list[pytest.Item]) -> dict[str, Any]:
        """Which tests reach which lines, and how long they take, measured where a file changed since the last time."""
        texts = [source, *((ROOT / name.split("::")[0]).read_text() for name in TESTS[module])]
        digest = hashlib.sha256("".join(texts).encode()).hexdigest()
        entries = entries_of(self.kept, module, "sound")
        found = entries[-1] if entries and entries[-1]["digest"] == digest else None
        if found is None:
            found = in_child(partial(_sound, module, source, items), 3600)
            if found is None or "failed" in found:
                pytest.exit(f"{module}: without a mistake, its tests fail: {found}")
            self._keep({"module": module, "digest": digest, "sound": found})
        else:
            found = found["sound"]
        return found

    def _keep(self, entry: dict[str, Any]) -> None:
        with self.kept.open("a") as opened:
            opened.write(json.dumps(entry) + "\n")


def in_child(work: Callable[[], dict[str, Any]], limit: float) -> dict[str, Any] | None:
    """What `work` returns in a child process; None where it takes more than `limit` seconds of its processor."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os.setpgid(0, 0)
            nothing = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nothing, stream)
            resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))
            signal.setitimer(signal.ITIMER_PROF, limit)  # its signal ends the process
            signal.alarm(60 + int(20 * limit))  # where it waits
            os.write(writing, json.dumps(work()).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as opened:
        text = opened.read()
    os.waitpid(child, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what the tests left running
    return json.loads(text) if text else None


def _sound(module: str, source: str, items: list[pytest.Item]) -> dict[str, Any]:
    """Which tests reach each line of the module, and how long each takes."""
    put_into(ROOT / "src" / module, source, None)
    name, reached, seconds = str(ROOT / "src" / module), defaultdict(set), {}
    for place, item in enumerate(items):

        def trace(frame: types.FrameType, event: str, _: object, test: str = item.nodeid) -> Any:
            if frame.f_code.co_filename != name:
                return None
            reached[frame.f_lineno].add(test)
            return trace

        started = time.process_time()
        sys.settrace(trace)
        failed = _fails(item, items[place + 1] if place + 1 < len(items) else None)
        sys.settrace(None)
        if failed:
            return {"failed": item.nodeid}
        seconds[item.nodeid] = time.process_time() - started
    return {"lines": {line: sorted(tests) for line, tests in reached.items()}, "seconds": seconds}


def _killer(module: str, source: str, mutant: Mutant, items: list[pytest.Item]) -> dict[str, Any]:
    try:
        put_into(ROOT / "src" / module, source, mutant)
    except Exception:
        return {"killer": UNREADABLE}
    for place, item in enumerate(items):
        if _fails(item, items[place + 1] if place + 1 < len(items) else None):
            return {"killer": item.nodeid}
    return {"killer": None}


def _fails(item: pytest.Item, following: pytest.Item | None) -> bool:
    return any(report.failed for report in runtestprotocol(item, log=False, nextitem=following))


def main() -> None:
    """Try the mutants of each module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="Only modules whose path contains this.")
    parser.add_argument("--again", action="store_true", help="Try survivors without a reason again.")
    parser.add_argument(
        "--kept", type=Path, default=ROOT / "build" / "mutants.jsonl", help="File of results so far."
    )
    arguments = parser.parse_args()
    arguments.kept.parent.mkdir(exist_ok=True)
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT / "src"))
    hypothesis.settings.register_profile(
        "mutants",
        deadline=None,
        database=None,
        derandomize=True,
        phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
    )
    modules = [module for module in TESTS if arguments.only in module]
    files = sorted({file for module in modules for file in TESTS[module]})
    # without the options of the project: the checks of shapes would take most of the time
    options = ["-s", "-q", "-o", "addopts=", "-o", "timeout=0", "--assert=plain", "--tb=no"]
    options.append("--hypothesis-profile=mutants")  # loaded after that of tests/conftest.py
    for plugin in ("cacheprovider", "xdist", "faulthandler"):
        options += ["-p", f"no:{plugin}"]
    with tempfile.TemporaryDirectory() as place:
        options.append(f"--basetemp={place}/tests")
        raise SystemExit(pytest.main([*options, *files], [Session(modules, arguments.kept, arguments.again)]))


if __name__ == "__main__":
    main()
