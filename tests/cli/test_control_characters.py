"""Names of files and labels may hold anything; none of it controls a terminal or a page."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from obliq.io.visible_text import visible_line, visible_text
from tests.cli.conftest import Said

EVIL = "a\x1b]0;owned\x07\u202eb\r\x9b2Jc"
"""Sets the title of a terminal, turns text around, and clears the screen."""

VERBS: tuple[tuple[str, ...], ...] = (
    ("data", "npz:EVIL.npz"),
    ("data", "folder:EVIL"),
    ("data", "EVIL"),
    ("data", "mnist", "--data-folder", "EVIL"),
    ("train", "npz:EVIL.npz", "--out", "out"),
    ("train", "digits", "--arch", "EVIL", "--out", "out"),
    ("adopt", "digits", "--arch", "EVIL", "--weights", "EVIL.pt", "--trained-on", "all", "--out", "out"),
    ("unlearn", "EVIL", "--forget", "class=1", "--out", "out"),
    ("unlearn", "EVIL.onnx", "--forget", "class=1", "--out", "out.onnx"),
    ("retrain", "EVIL", "--out", "out"),
    ("audit", "EVIL", "EVIL"),
    ("audit", "EVIL.onnx", "EVIL.onnx"),
    ("show", "EVIL"),
    ("show", "EVIL.onnx"),
    ("export", "EVIL", "--out", "EVIL.onnx"),
    ("patch", "make", "EVIL", "EVIL", "--out", "out"),
    ("patch", "apply", "EVIL", "EVIL", "--out", "out"),
    ("patch", "info", "EVIL"),
    ("patch", "info", "EVIL", "--key-file", "EVIL"),
    ("bench", "EVIL"),
    ("EVIL",),
    ("show", "--EVIL"),
)


def seen(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


@pytest.mark.parametrize("words", VERBS, ids=lambda words: " ".join(words[:2]))
def test_no_error_controls_the_terminal(
    words: tuple[str, ...], obliq: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = obliq(*(word.replace("EVIL", EVIL) for word in words))
    assert said.status in (1, 2)
    assert seen(said.err)
    assert seen(said.out)


def test_nor_does_a_result(
    obliq: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = np.array([EVIL, "other"] * 8)
    np.savez(f"{EVIL}.npz", x=np.zeros((16, 1, 4, 4), np.float32), y=names, subject=names)
    said = obliq("data", f"npz:{EVIL}.npz")
    assert said.status == 0
    assert seen(said.out)
    assert r"\x1b]0;owned\x07\u202eb\r\x9b2J" in said.out


def test_what_can_be_seen_stays_as_it_is() -> None:
    for text in ("cats/ä b.png", "日本語", "1\u202f000\xa0%", "🐈", ""):  # with spaces of every width
        assert visible_line(text) == text
    assert visible_line("a\nb\udcff") == r"a\nb\udcff"
    assert visible_text("a\nb\x07") == "a\nb\\x07"
