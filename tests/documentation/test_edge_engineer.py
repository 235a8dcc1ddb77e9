"""Every command on the page for edge engineers is run, in its order, and says what the page says it says."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from obliq.cli import main

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "edge-engineer.md").read_text()
LONG = {"--epochs 40": "--epochs 2", "--epochs 5": "--epochs 1"}
BLOCK = re.compile(r"```(python|console)\n(.*?)```", flags=re.DOTALL)
"""Files to write and commands to run, in the order of the page."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_page_runs_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime", reason="the page exports: extra onnx")
    pytest.importorskip("cryptography", reason="the page encrypts: extra patch")
    monkeypatch.chdir(tmp_path)
    said = ""
    for language, block in BLOCK.findall(short(PAGE)):
        if language == "python":
            Path("mynet.py").write_text(block)
            continue
        for line, expected in commands(block):
            refused = expected.startswith("obliq: error:")
            capsys.readouterr()
            status = run(line)
            answer = capsys.readouterr()
            assert status == (1 if refused else 0), (line, answer)
            if expected:
                shown = answer.err if refused else answer.out
                assert as_shown(expected).fullmatch(shown.strip()), (line, shown)
            said += answer.out
    assert Path("device.onnx").read_bytes() == Path("unlearned.onnx").read_bytes()
    assert not Path("again.onnx").exists()
    promised = re.search(r"^to network   (\w{64})$", said, flags=re.MULTILINE)
    assert promised is not None
    assert f"patched network {promised.group(1)} in device.onnx" in said


def test_links_point_to_files() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (DOCS / target).exists(), target


def short(page: str) -> str:
    """The page with less training."""
    for long, less in LONG.items():
        assert long in page
        page = page.replace(long, less)
    return page


def commands(block: str) -> list[tuple[str, str]]:
    """What is typed, and what the page shows as the answer."""
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [(line, answer.strip()) for line, _, answer in (part.partition("\n") for part in parts)]


def run(line: str) -> int:
    """The exit status; commands of ours run in this process."""
    if not line.startswith("obliq "):
        return subprocess.run(line, shell=True, check=False).returncode
    return main(shlex.split(line)[1:])


def as_shown(answer: str) -> re.Pattern[str]:
    """A pattern in which three dots stand for anything."""
    return re.compile(re.escape(answer).replace(r"\.\.\.", ".*"), flags=re.DOTALL)
