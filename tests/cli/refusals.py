"""What every refusal of the command line has in common."""

from pathlib import Path

from tests.cli.conftest import Said

NOTES = (
    "batch norm: ",
    "learning rate: ",
    "  ",
    "data: ",
    "parts: ",
    "logits: ",
    "to forget: ",
    "audited request: ",
    "not authenticated: ",
    "warning: ",
    "WARNING: ",
)
"""How lines begin that may precede an error: progress, and what was understood so far."""


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def refused(said: Said, *words: str) -> None:
    """One line tells what was wrong, with these words in it; the status is 1; nothing is on standard output."""
    assert "Traceback" not in said.err
    lines = said.err.splitlines()
    assert lines
    assert lines[-1].startswith("obliq: error: ")
    assert sum(line.startswith("obliq:") for line in lines) == 1
    assert all(line.endswith(" ...") or line.startswith(NOTES) for line in lines[:-1])
    assert said.status == 1
    assert said.out == ""
    assert not [word for word in words if word not in lines[-1]], lines[-1]


def nothing_written(folder: Path, *names: str) -> None:
    assert sorted(file.name for file in folder.iterdir()) == sorted(names)
