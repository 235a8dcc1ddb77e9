"""Each promise names tests that exist, and none is left out."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "promises.md").read_text()
ROWS = re.findall(r"^\| (\d+) \| (.+?) \| (kept|in part|not kept) \| (.+) \|$", PAGE, re.MULTILINE)
NAMED = re.findall(r"`((?:tests|benchmarks|\.ci|c)/[\w./-]+)(?:::(\w+))?`", PAGE)


def test_all_31_are_listed_in_their_order() -> None:
    assert [int(number) for number, *_ in ROWS] == list(range(1, 32))


def test_every_named_file_and_test_exists() -> None:
    assert len(NAMED) > 40
    missing = []
    for name, test in NAMED:
        file = ROOT / name
        if not file.is_file():
            missing.append(name)
        elif test and test not in {
            node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)
        }:
            missing.append(f"{name}::{test}")
    assert missing == []


def test_what_is_kept_names_what_keeps_it() -> None:
    for number, _, state, text in ROWS:
        assert state == "not kept" or re.search(r"`(tests|\.ci)/", text), number
