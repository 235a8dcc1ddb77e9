"""Statements of the page on export that the code can confirm."""

import re
from pathlib import Path

from obliq.exporting import FORMS, SUPPORTED
from obliq.exporting.onnx.contents import LARGEST_FILE, OPSETS

PAGE = (Path(__file__).parents[2] / "docs" / "export.md").read_text()


def test_every_supported_layer_is_listed() -> None:
    words = set(re.findall(r"[A-Za-z0-9]+", SUPPORTED)) - {"each", "two", "values"}
    assert words - set(re.findall(r"[A-Za-z0-9]+", PAGE)) - {"additions", "average", "max"} <= {"flattening"}


def test_forms_and_operator_sets_are_those_of_the_table() -> None:
    rows = dict(re.findall(r"^\| `(\w+)`[^|]*\|[^|]*\| ([^|]*) \|", PAGE, flags=re.MULTILINE))
    assert tuple(rows) == FORMS
    numbers = re.sub(r"\([^)]*\)", "", " ".join(rows.values()))
    assert {int(number) for number in re.findall(r"\d+", numbers)} == set(OPSETS)
    assert f"{LARGEST_FILE // 2**20} MiB" in PAGE
