"""What the README shows is run."""

import re
import shlex
from pathlib import Path

import pytest

from obliq.cli.parsing import ParsedWords, parse
from obliq.methods import BUILT_IN

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("block", blocks("python"))
def test_python_runs(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    short = block.replace("epochs=40", "epochs=2").replace("epochs=5", "epochs=1")
    assert short != block, "the example trains for as long as it says; here it is made short"
    exec(compile(short, "README.md", "exec"), {})
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000


def commands() -> list[str]:
    lines = [line.removeprefix("$ ") for block in blocks("console") for line in block.splitlines()]
    return [line.split("  #")[0].strip() for line in lines]


@pytest.mark.parametrize("line", [line for line in commands() if line.startswith("obliq ")])
def test_command_lines_parse(line: str) -> None:
    words = shlex.split(line)[1:]
    assert isinstance(parse(words), ParsedWords)


@pytest.mark.parametrize("line", [line for line in commands() if line.startswith("make ")])
def test_make_targets_exist(line: str) -> None:
    assert re.search(rf"^{line.split()[1]}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def test_every_method_is_in_the_table() -> None:
    assert {name for name in BUILT_IN if f"`{name}`" not in README} == set()


def test_links_point_to_files() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
