"""What the README shows is run."""

import re
import tomllib
from contextlib import chdir
from pathlib import Path

import pytest

from obliq.methods import BUILT_IN
from tests.documentation.test_commands import followed, needs_extras, shortened

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
NAMES = {
    "no unlearning": "original",
    "retrained again (chance alone)": "retrained again",
    "`calibrated`, in rounds (ours)": "calibrated, in rounds",
    "`proxy-matching` (ours)": "proxy-matching",
    "`proxy-matching`, its defaults": "proxy-matching, defaults",
    "`amun`": "amun",
    "`coun`": "coun",
}
"""From a row of the README's table to the row of the measurement."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_python_example_shows_a_network_that_forgets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = blocks("python")
    assert len([line for line in block.splitlines() if line.strip()]) <= 12
    monkeypatch.chdir(tmp_path)
    exec(compile(block.replace("epochs=40", "epochs=20"), "README.md", "exec"), {})  # half of the time
    printed = capsys.readouterr()
    assert printed.err.count("training: ") > 10
    assert "unlearning: " in printed.err
    (shown,) = blocks("text")
    head, *rows = (line.split() for line in printed.out.splitlines()[:4])
    assert head == shown.splitlines()[0].split()
    assert [row[0] for row in rows] == [line.split()[0] for line in shown.splitlines()[1:]]
    area = {name: float(values[4]) for name, *values in rows}
    assert area["original"] > 65
    assert abs(area["unlearned"] - area["retrained"]) < (area["original"] - area["retrained"]) / 2
    assert rows[1][-1] in ("INDISTINGUISHABLE", "INCONCLUSIVE")  # other processors compute other integers
    assert list(tmp_path.iterdir()) == []


def test_the_commands_end_with_a_patch(tmp_path: Path) -> None:
    needs_extras()
    with chdir(tmp_path):
        for block in blocks("console"):
            followed(shortened(block))
    assert (tmp_path / "forget.patch").stat().st_size < (tmp_path / "original.onnx").stat().st_size


def test_results_are_those_of_the_measurement() -> None:
    measured = (ROOT / "benchmarks" / "results" / "mean_over_cells.md").read_text()
    by_name = {cells[0]: cells[1:] for cells in table(measured)}
    shown = table(README)
    assert len(shown) == len(NAMES)
    for name, gap, largest, distance, time in shown:
        assert [gap, largest, distance] == by_name[NAMES[name]][:3], name
        assert time == by_name[NAMES[name]][4], name


def table(text: str) -> list[list[str]]:
    """The cells of a table of numbers, without its head."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [row for row in rows[2:] if len(row) >= 5]


def test_every_method_is_counted() -> None:
    (stated,) = map(int, re.findall(r"more than (\d+) methods", README))
    assert stated < len(BUILT_IN) <= stated + 10


def test_the_picture_is_described_by_its_numbers() -> None:
    drawn = (ROOT / "docs" / "images" / "before-and-after.svg").read_text()
    (description,) = re.findall(r"!\[(.*?)\]", README)
    numbers = re.findall(r"\d+ %", description)
    assert len(numbers) == 3
    assert {number for number in numbers if f">{number}<" not in drawn} == set()


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= 130


def test_the_long_description_has_no_links_that_lead_nowhere() -> None:
    hook = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["metadata"]["hooks"]
    shown = README
    for step in hook["fancy-pypi-readme"]["substitutions"]:
        shown = re.sub(step["pattern"], step["replacement"], shown)
    assert re.findall(r"\]\((?!https?://)[^)]*\)", shown) == []
    assert "Results (`docs/results.md`)" in shown
