"""A process goes on without its words in its command line."""

import subprocess
import sys
from pathlib import Path

import pytest

from obliq.cli import main

WORDS = ["record", "run", "record", "--by=A. Example", "--accept=\udce4", "--ray", "auto"]
AGAIN = """
import sys
from obliq.io import hidden_words
hidden_words.PROGRAM = (
    "import json, os, subprocess, sys; print(sys.orig_argv[1:3], os.getpid(), json.load(sys.stdin.buffer)); sys.exit(3)"
)
hidden_words.go_on_hidden(sys.argv[1:])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there, it is another process")
def test_the_same_process_goes_on_with_its_words_from_standard_input(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", AGAIN, *WORDS],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    printed, _ = process.communicate(timeout=60)
    assert (printed.strip(), process.returncode) == (f"['-P', '-c'] {process.pid} {WORDS}", 3)


def test_a_command_that_joins_a_cluster_goes_on_so_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden: list[list[str]] = []

    def go_on(words: list[str]) -> None:
        hidden.append(words)
        sys.exit(0)

    monkeypatch.setattr(sys.modules["obliq.cli.main"], "go_on_hidden", go_on)
    for words in (WORDS, WORDS[:-2], ["record", "list", "missing"]):
        monkeypatch.setattr(sys, "argv", ["obliq", *words])
        if words is WORDS:
            with pytest.raises(SystemExit):
                main()
        else:
            assert main() == 1
    assert main(WORDS) == 1, "its words were not typed"
    assert hidden == [WORDS]
