"""Progress for callers of the library."""

import pytest

from obliq.workflow.progress import PrintedProgress


def test_steps_of_parts_with_a_name_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    listen = PrintedProgress("unlearning")
    for stage in ("proxy 1", "proxy 2", "unlearn"):
        listen(stage, 1, 1, {})
    lines = [line.split(": ")[0] for line in capsys.readouterr().err.splitlines()]
    assert lines == ["unlearning, proxy 1", "unlearning, proxy 2", "unlearning"]


def test_a_long_part_has_few_lines_and_no_step_twice(capsys: pytest.CaptureFixture[str]) -> None:
    listen = PrintedProgress("training")
    for step in [*range(1, 101), 100]:
        listen("train", step, 100, {"retain_loss": 0.25, "accuracy": 99.5, "third": 1.0})
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [
        f"training: {step} of 100" for step in range(20, 101, 20)
    ]
    assert lines[0].endswith("retain loss 0.25, accuracy 99.5")
