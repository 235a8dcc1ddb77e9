"""Progress for callers of the library."""

import io

from obliq.workflow.progress import PrintedProgress


def test_steps_of_parts_with_a_name_are_told_apart() -> None:
    stream = io.StringIO()
    listen = PrintedProgress("unlearning", stream)
    for stage in ("proxy 1", "proxy 2", "unlearn"):
        listen(stage, 1, 1, {})
    lines = [line.split(": ")[0] for line in stream.getvalue().splitlines()]
    assert lines == ["unlearning, proxy 1", "unlearning, proxy 2", "unlearning"]


def test_a_long_part_has_few_lines_and_no_step_twice() -> None:
    stream = io.StringIO()
    listen = PrintedProgress("training", stream)
    for step in [*range(1, 101), 100]:
        listen("train", step, 100, {"retain_loss": 0.25, "accuracy": 99.5, "third": 1.0})
    steps = [line.split(",")[0] for line in stream.getvalue().splitlines()]
    assert steps == [f"training: {step} of 100" for step in (20, 40, 60, 80, 100)]
    assert stream.getvalue().splitlines()[0].endswith("retain loss 0.25, accuracy 99.5")
