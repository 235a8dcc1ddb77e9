import io

import pytest
from rich.console import Console

from obliq.cli import progress
from obliq.cli.progress import LINES_PER_STAGE, ProgressReporter


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def console(terminal: bool = False, width: int = 80) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=width, _environ={})


def text_of(shown: Console) -> str:
    assert isinstance(shown.file, io.StringIO)
    return shown.file.getvalue()


def shown(terminal: bool, of: int = 100, label: str = "training [red]", verbose: bool = False) -> str:
    where = console(terminal)
    with ProgressReporter(where, verbose=verbose) as display:
        display("early", 1, 2, {})
        display.stage(label)
        for step in range(1, of + 1):
            display("train", step, of, {"loss": 1 / step} if step % 2 == 0 else {})
        display.stage("auditing")
        display.print_line("a line")
    return text_of(where)


def test_plain_lines_where_there_is_no_terminal() -> None:
    lines = shown(False).splitlines()
    assert "\x1b" not in "".join(lines)
    assert "training [red] ..." in lines
    steps = [line for line in lines if line.startswith("  training [red]: ")]
    assert len(steps) == LINES_PER_STAGE
    assert steps[0] == "  training [red]: 20 of 100, 0 s so far, about 0 s left, loss 0.050"
    assert lines[-2:] == ["auditing ...", "a line"]


def test_a_long_line_is_one_line() -> None:
    assert "x" * 200 + " ..." in shown(False, label="x" * 200).splitlines()


def test_few_steps_have_a_line_each() -> None:
    assert sum(line.startswith("  training") for line in shown(False, of=3).splitlines()) == 3


def test_every_step_has_a_line_where_that_is_asked_for() -> None:
    lines = shown(False, verbose=True).splitlines()
    assert sum(line.startswith("  training") for line in lines) == 100


def test_bars_on_a_terminal() -> None:
    text = shown(True)
    assert "\x1b[" in text
    assert "100/100" in text
    assert "loss 0.010" in text
    assert "auditing" in text
    assert "/?" not in text


def test_bars_fit_a_narrow_terminal_and_break_no_word() -> None:
    where = console(terminal=True)
    with ProgressReporter(where) as display:
        display.stage("training 4 reference networks on halves of everything that was there to be trained on")
        display("train", 17, 1000, {"retain_loss": 0.25})
        assert display._bars is not None
        table = display._bars.make_tasks_table(display._bars.tasks)
        drawn = console()
        drawn.print(table)
    (line,) = text_of(drawn).splitlines()
    assert line.startswith("training 4 reference")
    assert "17/1,000" in line


def test_rounds_are_counted_apart_and_the_time_left_is_that_of_a_round(clock: Clock) -> None:
    """A method in rounds goes on counting, and announces the end of the next round when it comes to it."""
    where = console()
    with ProgressReporter(where) as display:
        display.stage("forgetting")
        clock.now += 50  # targets are computed before the first step
        for end in (100, 200):
            for step in range(end - 99, end + 1):
                display("unlearn", step, end, {})
                clock.now += 1
            display("unlearn", end, end, {"distance_left": 0.5})
    lines = text_of(where).splitlines()
    assert lines[1] == "  forgetting: 20 of 100, 1 min 9 s so far, about 1 min 20 s left"
    assert lines[5] == "  forgetting: 100 of 100, 2 min 29 s so far"
    assert lines[6].startswith("  forgetting, round 2: 20 of 100, ")
    assert lines[6].endswith("about 1 min 20 s left")
    assert lines[-1].startswith("  forgetting, round 2: 100 of 100, ")
    assert len(lines) == 1 + 2 * LINES_PER_STAGE


def test_parts_of_other_names_are_named(clock: Clock) -> None:
    where = console()
    with ProgressReporter(where) as display:
        display.stage("forgetting")
        for name in ("proxy 1", "proxy 2", "unlearn", "unlearn"):
            for step in (1, 2):
                display(name, step, 2, {})
        display.stage("retraining")
        display("train", 1, 1, {})
    lines = [line.split(": ")[0] for line in text_of(where).splitlines() if line.startswith("  ")]
    parts = ["forgetting, proxy 1", "forgetting, proxy 2", "forgetting", "forgetting, round 2"]
    short = [f"  {part}" for part in parts]  # the clock stands still: one line each, after those of the first
    assert lines == [short[0], *short, "  retraining"]


def test_steps_that_begin_again_are_another_training(clock: Clock) -> None:
    where = console()
    with ProgressReporter(where) as display:
        display.stage("training 2 reference networks")
        for _ in range(2):
            for step in (1, 2):
                display("train", step, 2, {})
                clock.now += 30
    assert text_of(where).splitlines() == [
        "training 2 reference networks ...",
        "  training 2 reference networks: 1 of 2, 0 s so far",
        "  training 2 reference networks: 2 of 2, 30 s so far",
        "  training 2 reference networks, training 2: 1 of 2, 1 min 0 s so far",
        "  training 2 reference networks, training 2: 2 of 2, 1 min 30 s so far",
    ]


def test_a_measurement_before_the_first_step_is_no_step() -> None:
    """Some methods report what they measured before they begin, as step 0."""
    where = console()
    with ProgressReporter(where) as display:
        display.stage("forgetting")
        display("unlearn", 0, 5, {"share": 0.5})
    assert text_of(where).splitlines() == ["forgetting ..."]


def test_a_quiet_console_shows_warnings_alone() -> None:
    where = Console(file=io.StringIO(), force_terminal=False, quiet=True, _environ={})
    with ProgressReporter(where) as display:
        display.stage("forgetting")
        display("unlearn", 1, 5, {})
        display.print_warning("this will cost more than retraining")
        display.print_line("done")
    assert text_of(where) == "WARNING: this will cost more than retraining\n"
    assert where.quiet
