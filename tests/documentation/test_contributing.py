"""The recipes of CONTRIBUTING.md, followed word for word in a copy of the repository, end with passing tests."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.documentation.pages import ROOT, blocks, commands

TESTS = {
    "Add a method": (
        "tests/methods/test_contract.py",
        "tests/methods/test_quantized_parts.py",
        "tests/methods/test_noisy_fine_tune.py",
        "tests/benchmark/test_canaries.py",
        "tests/documentation/test_tables.py",
        "tests/documentation/test_readme.py",
    ),
    "Add a data set": (
        "tests/data/test_datasets.py",
        "tests/data/test_stripes.py",
        "tests/documentation/test_tables.py",
    ),
    "Add a metric": (
        "tests/auditing/test_metrics.py",
        "tests/auditing/test_document.py",
        "tests/auditing/test_sure_forget_accuracy.py",
    ),
    "Add a layer type": ("tests/quantization/test_layers.py",),
}
"""The files of tests that each recipe touches."""
NEW = (
    *("noisy", "NoisyFineTune", "stripes", "sure_forget", "Conv3d"),
    *("test_every_method", "test_every_row", "test_every_built_in_method", "test_every_data_set"),
    *("test_every_audit", "test_entries", "test_the_page_on", "test_every_field", "test_round_trip"),
)
"""Tests of the new parts, and tests that all parts are in a table; others would take long."""
COPIED = (
    *("src", "tests", "docs"),
    *("pyproject.toml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"),
)


def recipes() -> dict[str, str]:
    """The sections that have blocks to follow, by heading."""
    sections = re.split(r"^## ", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.MULTILINE)[1:]
    parts = (section.partition("\n") for section in sections)
    return {heading: text for heading, _, text in parts if blocks(text)}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository in which every recipe has been followed."""
    folder = tmp_path_factory.mktemp("repository")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    for text in recipes().values():
        follow(text, folder)
    return folder


@pytest.fixture(scope="module")
def results(tree: Path) -> dict[str, list[str]]:
    """The outcomes of all tests of new parts, by file."""
    files = sorted({file for several in TESTS.values() for file in several})
    run(
        [sys.executable, "-m", "pytest", "-q", "-k", " or ".join(NEW), "--junitxml=results.xml", *files], tree
    )
    found: dict[str, list[str]] = {}
    for case in ElementTree.parse(tree / "results.xml").iter("testcase"):
        outcome = "failed" if case.find("failure") is not None or case.find("error") is not None else "passed"
        file = case.attrib["classname"].replace(".", "/") + ".py"
        found.setdefault(file, []).append(f"{case.attrib['name']} {outcome}")
    return found


def test_every_recipe_is_followed() -> None:
    assert set(recipes()) == set(TESTS)


@pytest.mark.parametrize("recipe", TESTS)
def test_a_recipe_ends_with_passing_tests(recipe: str, results: dict[str, list[str]]) -> None:
    for file in TESTS[recipe]:
        assert results.get(file), f"no test of {file} looks at the new part"
        assert [line for line in results[file] if line.endswith("failed")] == [], file


def test_new_and_changed_files_are_linted_and_formatted(tree: Path) -> None:
    if not Path(program("ruff")).exists():
        pytest.skip("ruff is not installed")
    files = [str(path) for path in touched_files(tree)]
    assert {"src/obliq/methods/noisy_fine_tune.py", "src/obliq/methods/__init__.py"} < set(files)
    for words in (["check"], ["format", "--check"]):
        outcome = run([program("ruff"), *words, *files], tree)
        assert outcome.returncode == 0, outcome.stdout


def test_import_rules_cover_a_new_method(tree: Path) -> None:
    assert run([program("lint-imports")], tree).returncode == 0
    file = tree / "src" / "obliq" / "methods" / "noisy_fine_tune.py"
    text = file.read_text()
    file.write_text(f"{text}\nfrom obliq.methods.fine_tune import FineTune\n")
    outcome = run([program("lint-imports")], tree)
    file.write_text(text)
    assert "obliq.methods.noisy_fine_tune is not allowed to import obliq.methods.fine_tune" in outcome.stdout


def follow(text: str, folder: Path) -> None:
    """Do what a section shows: write its new files, change existing ones, run its commands."""
    for language, block in blocks(text):
        name, _, content = block.removeprefix("# ").partition("\n")
        file = folder / name
        if language == "python":
            assert not file.exists(), f"{name} exists; expected a new file"
            file.write_text(content)
        elif language == "diff":
            file.write_text(changed(file.read_text(), content.splitlines()))
        elif language == "console":
            for command in commands(block):
                outcome = run([sys.executable, *shlex.split(command.line)[1:]], folder)
                assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def changed(text: str, diff: Sequence[str]) -> str:
    """A file after a change: lines are found in the order of the diff, and new ones go where they are shown."""
    lines, place, following = text.splitlines(), 0, ""
    pending: list[str] = []  # new lines at the start of a diff stand before the line that follows them
    for line in diff:
        sign, content = line[:1], line[1:]
        if sign == "+":
            pending.append(content.replace("N+1", following))
            continue
        if place:
            lines[place:place] = pending
            place, pending = place + len(pending), []
        if content.strip(" .") == "":
            continue
        number, version = next(
            (index, found)
            for index, known in enumerate(lines)
            if index >= place and (found := as_shown(content).fullmatch(known))
        )
        lines[number:number] = pending
        place, pending = number + len(pending) + 1, []
        if sign == "-":
            place -= 1
            del lines[place]
            following = str(int(version.group("N")) + 1)
    lines[place:place] = pending
    return "\n".join(lines) + "\n"


def as_shown(line: str) -> re.Pattern[str]:
    """What matches a line of a diff: three dots stand for any text, N for a number."""
    return re.compile(re.sub(r"\bN\b", r"(?P<N>\\d+)", re.escape(line).replace(r"\.\.\.", ".*")))


def touched_files(tree: Path) -> list[Path]:
    """The Python files that the recipes wrote or changed."""
    found = [
        path.relative_to(tree)
        for folder in ("src", "tests")
        for path in sorted((tree / folder).rglob("*.py"))
    ]
    return [
        path
        for path in found
        if not (ROOT / path).exists() or (ROOT / path).read_text() != (tree / path).read_text()
    ]


def program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def run(words: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
