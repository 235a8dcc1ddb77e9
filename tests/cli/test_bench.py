"""The benchmark from the command line: one whole suite, and what can be typed wrongly."""

import getpass
import json
import platform
from collections.abc import Callable
from pathlib import Path

import pytest

from obliq.benchmark.collect import read_rows
from tests.cli.conftest import Said

Obliq = Callable[..., Said]


def folders(folder: Path) -> tuple[str, ...]:
    return "--cache", str(folder / "cache"), "--results", str(folder / "results")


def test_the_smoke_suite(obliq: Obliq, tmp_path: Path) -> None:
    said = obliq("bench", "smoke", "--json", *folders(tmp_path))
    assert said.status == 0, said.err
    folder = Path(json.loads(said.out)["folder"])
    rows = read_rows(folder)
    assert {row.kind for row in rows} == {"original", "retrained", "unlearned"}
    assert {row.scenario for row in rows} == {"random=10%", "subjects=1"}
    words = [str(tmp_path), str(Path.home()), getpass.getuser(), platform.node()]
    texts = [
        file.read_text() for file in folder.rglob("*") if file.suffix in (".csv", ".json", ".md", ".html")
    ]
    assert [word for word in words if len(word) > 4 and any(word in text for text in texts)] == []
    page = (folder / "report.html").read_text()
    (folder / "report.html").unlink()
    again = obliq("bench", "report", "smoke", *folders(tmp_path))
    assert again.status == 0
    assert f"next: obliq bench smoke --resume --results {tmp_path}" in " ".join(again.out.split())
    assert (folder / "report.html").read_text() == page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("smok",), "there is no suite 'smok'; expected smoke, "),
        ((), "expected one suite"),
        (("smoke", "fashion"), "expected one suite"),
        (("smoke", "--jobs", "0"), "jobs 0; expected 1 to 1024"),
        (
            ("smoke", "--methods", "nobody"),
            "smoke: there is no method 'nobody'; expected fine-tune, calibrated",
        ),
        (("report", "smoke"), "expected the rows of a suite that was run"),
        (("writers", "--data-folder", "nowhere"), "the files of mnist are missing"),
    ],
)
def test_mistakes(
    words: tuple[str, ...], message: str, obliq: Obliq, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OBLIQ_DATA", raising=False)
    said = obliq("bench", *words, *folders(tmp_path))
    assert (said.status, said.out) == (1, "")
    assert said.err.startswith("obliq: error: ")
    assert said.err.count("\n") == 1
    assert message in said.err
