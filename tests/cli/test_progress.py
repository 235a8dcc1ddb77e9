import io

from rich.console import Console

from obliq.cli.progress import LINES_A_STAGE, Narrator


def told(terminal: bool, of: int = 100, label: str = "training [red]") -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=60, _environ={})
    with Narrator(console) as narrator:
        narrator("early", 1, 2, {})
        narrator.stage(label)
        for step in range(1, of + 1):
            narrator("train", step, of, {"loss": 1 / step} if step % 2 == 0 else {})
        narrator.stage("auditing")
        narrator.say("a line")
    return file.getvalue()


def test_plain_lines_where_there_is_no_terminal() -> None:
    lines = told(False).splitlines()
    assert "\x1b" not in "".join(lines)
    assert "training [red] ..." in lines
    steps = [line for line in lines if line.startswith("  training [red]: ")]
    assert len(steps) == LINES_A_STAGE
    assert steps[0].startswith("  training [red]: 20 of 100, 0 s, about 0 s left  loss 0.050")
    assert lines[-2:] == ["auditing ...", "a line"]


def test_a_long_line_is_one_line() -> None:
    assert told(False, label="x" * 200).splitlines()[1] == "x" * 200 + " ..."


def test_few_steps_have_a_line_each() -> None:
    assert sum(line.startswith("  training") for line in told(False, of=3).splitlines()) == 3


def test_bars_on_a_terminal() -> None:
    text = told(True)
    assert "\x1b[" in text
    assert "100/100" in text
    assert "loss 0.010" in text
    assert "auditing" in text
