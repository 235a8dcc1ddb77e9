"""What the page on export says is so."""

import re
import shlex
from pathlib import Path

import pytest

from obliq.cli.arguments import VERBS
from obliq.cli.main import parse
from obliq.exporting import FORMS, SUPPORTED
from obliq.exporting.onnx.contents import LARGEST_FILE, OPSETS

PAGE = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
COMMANDS = re.findall(r"(?:^\$ |`)(obliq [^`\n]+)", PAGE, flags=re.MULTILINE)


@pytest.mark.parametrize("line", [line for line in COMMANDS if "--out" in line])
def test_command_lines_parse(line: str) -> None:
    words = shlex.split(line)[1:]
    assert isinstance(parse(words), VERBS[words[0]])


def test_every_supported_layer_is_listed() -> None:
    words = set(re.findall(r"[A-Za-z0-9]+", SUPPORTED)) - {"each", "two", "values"}
    assert words - set(re.findall(r"[A-Za-z0-9]+", PAGE)) - {"additions", "average", "max"} <= {"flattening"}


def test_forms_and_operator_sets_are_those_of_the_table() -> None:
    rows = dict(re.findall(r"^\| `(\w+)`[^|]*\|[^|]*\| ([^|]*) \|", PAGE, flags=re.MULTILINE))
    assert tuple(rows) == FORMS
    numbers = re.sub(r"\([^)]*\)", "", " ".join(rows.values()))
    assert {int(number) for number in re.findall(r"\d+", numbers)} == set(OPSETS)
    assert f"{LARGEST_FILE // 2**20} MiB" in PAGE


def test_links_point_to_files() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (Path(__file__).parents[2] / "docs" / target).exists(), target
