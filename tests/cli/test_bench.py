"""The benchmark from the command line: one whole suite, and what can be typed wrongly."""

import dataclasses
import getpass
import json
import platform
from collections.abc import Callable
from pathlib import Path

import pytest

from obliq.benchmark.collect import read_rows
from obliq.benchmark.run import BenchmarkResult
from obliq.benchmark.suite import RESULTS
from obliq.cli.bench import failure_text
from tests.cli.conftest import Said
from tests.cli.refusals import refused

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
    access = {"calibrated": "retain set", "fine-tune": "retain set"}
    assert json.loads((folder / "about.json").read_text())["access"] == access
    page = (folder / "report.html").read_text()
    (folder / "report.html").unlink()
    again = obliq("bench", "report", "smoke", *folders(tmp_path))
    assert again.status == 0
    assert "next:" not in again.out  # every row is there
    assert (folder / "report.html").read_text() == page
    lines = (folder / "rows.csv").read_text().splitlines(keepends=True)
    fewer = [line for line in lines if ",subjects=1," not in line]
    (folder / "rows.csv").write_text("".join(fewer))
    refused(
        obliq("bench", "report", "smoke", *folders(tmp_path)), "rows.csv", "expected the same rows in both"
    )
    (cell,) = folder.glob("*subjects-1.json")
    cell.unlink()  # now the cell is not there yet
    again = obliq("bench", "report", "smoke", *folders(tmp_path))
    assert f"next: obliq bench smoke --resume --results {tmp_path}" in " ".join(again.out.split())


def test_a_run_that_is_not_complete_in_its_time_has_a_status_of_its_own(
    obliq: Obliq, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torn = BenchmarkResult(tmp_path / "smoke", [], [], complete=False)
    monkeypatch.setattr("obliq.benchmark.run.run_suite", lambda suite, options: torn)
    said = obliq("bench", "smoke", "--minutes", "0.5", *folders(tmp_path))
    assert said.status == 3
    assert "not met: smoke is not complete after 0.5 min; --resume continues it" in " ".join(said.err.split())


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


def test_an_error_counts_failed_rows_apart_from_failed_trials(tmp_path: Path) -> None:
    rows = read_rows(RESULTS / "cifar10-small")
    lost = [dataclasses.replace(row, kind="failed", error="it diverged") for row in rows[-1:]]
    some = BenchmarkResult(tmp_path / "toy", [*rows[:-1], *lost], ["it diverged"])
    assert failure_text(some).startswith(f"toy: 1 of {len(rows)} rows failed, the first error: it diverged; ")
    none = BenchmarkResult(tmp_path / "toy", rows, ["it diverged"])
    assert failure_text(none).startswith(
        f"toy: all {len(rows)} rows were computed, but 1 other tasks failed, "
    )
