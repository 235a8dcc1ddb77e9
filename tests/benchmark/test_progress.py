"""What is shown of a benchmark while it runs."""

import contextlib
from collections import Counter
from io import StringIO

import pytest
from rich.console import Console

from obliq.benchmark.progress import ProgressDisplay, heading, progress_table
from obliq.benchmark.schedule import Progress, TimeLeft
from obliq.benchmark.suites import SUITES
from obliq.benchmark.workers import TaskOutcome

NOW = 10_000.0


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: NOW)


def half_done() -> Progress:
    return Progress(
        total=Counter(audit=1234, original=6, unlearned=1200),
        done=Counter(original=6, unlearned=600),
        failed=Counter(unlearned=2),
        running={"k": ("unlearned", NOW - 3725)},
        seconds={"original": [61.0], "unlearned": [12.0, 14.0]},
        workers=2,
    )


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_a_terminal_and_has_whole_numbers(width: int) -> None:
    file = StringIO()
    Console(file=file, width=width).print(progress_table(half_done()))
    lines = file.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    rows = [line.split() for line in lines if line.strip()[:1].isalpha()][1:]
    assert rows[0] == ["original", "6", "6", "1", "min", "1", "s"]
    assert rows[1] == ["unlearned", "600", "1200", "2", "1", "1", "h", "2", "min", "13", "s"]
    assert rows[2] == ["audit", "0", "1234"]


def test_the_heading_of_every_suite_fits_a_terminal() -> None:
    longest = max(SUITES, key=len)
    assert len(heading(f"tuning {longest}", half_done())) <= 80
    assert heading("toy", half_done()) == "toy: 608 of 2440 tasks, more than 1 h 4 min left"


def test_the_time_left_is_about_the_means_while_every_kind_was_measured() -> None:
    progress = half_done()
    progress.seconds["audit"] = [1.0]
    progress.running = {"k": ("unlearned", NOW - 3), "l": ("audit", NOW - 0.5)}
    #          597 networks and 1233 audits wait; 10 s and half a second of the running ones
    expected = (597 * 13 + 1233 * 1 + 10 + 0.5) / 2
    assert progress.time_left(NOW) == TimeLeft(expected, at_least=False)
    progress.running = {"k": ("unlearned", NOW - 20)}
    assert progress.time_left(NOW) == TimeLeft((597 * 13 + 1234) / 2, at_least=True)


def test_the_last_task_is_not_shared_out_among_workers() -> None:
    progress = Progress(Counter(original=2), Counter(original=1), seconds={"original": [60.0]}, workers=8)
    progress.running = {"k": ("original", NOW - 15)}
    assert heading("toy", progress) == "toy: 1 of 2 tasks, about 45 s left"


def test_nothing_is_estimated_before_the_first_task_or_after_the_last() -> None:
    assert heading("toy", Progress(Counter(audit=1))) == "toy: 0 of 1 tasks, time left unknown"
    assert heading("toy", Progress(Counter(audit=1), Counter(audit=1))) == "toy: 1 of 1 tasks"


def test_without_a_terminal_there_are_plain_lines_and_failures_in_full() -> None:
    file = StringIO()
    with ProgressDisplay(Console(file=file, width=40), "toy") as display:
        for _ in range(3):
            display.watch(half_done(), None)
        display.watch(
            half_done(), TaskOutcome("k", "what happened here: " + 50 * "x", description="audit of a network")
        )
    first, second = file.getvalue().splitlines()
    assert first.startswith("  toy: 608 of 2440 tasks, ")
    assert second == "  failed: audit of a network: what happened here: " + 50 * "x"


@pytest.mark.parametrize("terminal", [True, False])
def test_an_interrupt_prints_the_progress_and_how_to_continue(terminal: bool) -> None:
    file = StringIO()
    console = Console(file=file, force_terminal=terminal, width=80, color_system=None)
    with contextlib.suppress(KeyboardInterrupt), ProgressDisplay(console, "toy") as display:
        display.watch(half_done(), None)
        raise KeyboardInterrupt
    last = file.getvalue().splitlines()[-1]
    assert last.endswith("toy: stopped after 608 of 2440 tasks; pass --resume to continue")


def test_on_a_terminal_durations_advance_during_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=StringIO(), force_terminal=True, width=80, color_system=None)
    progress = half_done()
    with ProgressDisplay(console, "toy") as display:
        display.watch(progress, None)
        progress.running.clear()
        assert display._live is not None
        shown = StringIO()
        Console(file=shown, width=80).print(display._live.get_renderable())
    assert (
        "1 h 2 min" in shown.getvalue()
    )  # a copy from the last change, not what the tasks' thread changes meanwhile
