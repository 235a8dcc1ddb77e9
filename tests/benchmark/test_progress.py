"""What is shown of a benchmark while it runs."""

import contextlib
import time
from collections import Counter
from io import StringIO

import pytest
from rich.console import Console

from obliq.benchmark.progress import Board, table
from obliq.benchmark.schedule import State
from obliq.benchmark.workers import Outcome


def half_done() -> State:
    return State(
        total=Counter(audit=1234, original=6, unlearned=1200), done=Counter(original=6, unlearned=600),
        failed=Counter(unlearned=2), running={"k": ("unlearned", time.monotonic() - 3725)},
        seconds={"original": [61.0], "unlearned": [12.0, 14.0]}, workers=2,
    )  # fmt: skip


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_a_terminal(width: int) -> None:
    file = StringIO()
    Console(file=file, width=width).print(table("tuning fashion-small-ablations", half_done()))
    lines = file.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    assert lines[0].startswith("tuning fashion-small-ablations: 608 of 2440 tasks, ")
    rows = [line.split() for line in lines if line.strip()[:1].isalpha()][2:]
    assert rows[0] == ["original", "6", "6", "61.0", "s"]
    assert rows[1] == ["unlearned", "600", "1200", "2", "1", "1", "h", "02", "min", "13.0", "s"]
    assert rows[2] == ["audit", "0", "1234"]


def test_without_a_terminal_there_are_plain_lines_and_failures_in_full() -> None:
    file = StringIO()
    with Board(Console(file=file, width=40), "toy") as board:
        for _ in range(3):
            board.watch(half_done(), None)
        board.watch(half_done(), Outcome("k", "what happened here: " + 50 * "x", what="audit of a network"))
    first, second = file.getvalue().splitlines()
    assert first.startswith("  toy: 608 of 2440 tasks, ")
    assert second == "  failed: audit of a network: what happened here: " + 50 * "x"


@pytest.mark.parametrize("terminal", [True, False])
def test_who_interrupts_is_told_how_far_it_came_and_how_to_go_on(terminal: bool) -> None:
    file = StringIO()
    console = Console(file=file, force_terminal=terminal, width=80, color_system=None)
    with contextlib.suppress(KeyboardInterrupt), Board(console, "toy") as board:
        board.watch(half_done(), None)
        raise KeyboardInterrupt
    last = file.getvalue().splitlines()[-1]
    assert last.endswith("toy: stopped after 608 of 2440 tasks; --resume goes on from there")


def test_on_a_terminal_durations_go_on_between_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=StringIO(), force_terminal=True, width=80, color_system=None)
    state = half_done()
    with Board(console, "toy") as board:
        board.watch(state, None)
        state.running.clear()
        assert board._live is not None
        shown = StringIO()
        Console(file=shown, width=80).print(board._live.get_renderable())
    assert "1 h 02 min" in shown.getvalue()  # as it was when it was told, not as it is being changed
