"""`obliq unlearn` warns before it starts where retraining costs less or is the better answer; without a method, it stops."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import Said, Way
from tests.cli.refusals import refused


def test_a_method_that_costs_more_than_retraining_is_announced(
    obliq: Callable[..., Said], way: Way, tmp_path: Path
) -> None:
    """The original was trained for two epochs."""
    words = (
        "unlearn",
        way.original,
        "--forget",
        f"subject={way.person}",
        "--threads",
        1,
        "--seed",
        3,
        "--json",
    )
    said = obliq(*words, "--out", tmp_path / "more", "fine-tune", "--epochs", 3)
    assert said.status == 0, said.err
    cost = json.loads(said.out)["cost"]
    assert cost["least"] == cost["most"] == 3 * cost["retraining"] / 2
    assert cost["warning"] in said.err
    assert "this will cost more than retraining" in cost["warning"]
    command = f"Retraining: obliq retrain {way.original} --forget subject={way.person} --out {tmp_path / 'retrained'}"
    assert f"{command} --seed 3" in said.err
    assert said.err.index("WARNING") < said.err.index("forgetting")
    said = obliq(*words, "--out", tmp_path / "less", "fine-tune", "--epochs", 1)
    assert json.loads(said.out)["cost"]["warning"] == ""
    assert "retraining" not in said.err


def test_a_class_is_better_retrained(obliq: Callable[..., Said], way: Way, tmp_path: Path) -> None:
    """The command that the warning names retrains for the same request."""
    out = tmp_path / "unlearned"
    request = ("--forget", "class=0", "--threads", 1)
    said = obliq("unlearn", way.original, *request, "--json", "--out", out, "gradient-ascent", "--epochs", 1)
    advice = json.loads(said.out)["advice"]
    assert (
        "after a whole class was forgotten, `proxy-matching` passed the audit's verdict in one of our three runs"
        in advice
    )
    command = f"obliq retrain {way.original} --forget class=0 --out {tmp_path / 'retrained'}"
    assert f"WARNING: {advice}. Retraining: {command}\n" in said.err

    stopped = obliq("unlearn", way.original, *request, "--out", tmp_path / "none")
    refused(stopped, "no method was named", advice, command, "for instance proxy-matching")
    assert not (tmp_path / "none").exists()
