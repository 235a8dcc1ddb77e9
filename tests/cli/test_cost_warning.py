"""`obliq unlearn` warns before it starts where retraining is cheaper or better; without a method, it stops."""

import json
from collections.abc import Callable
from pathlib import Path

from obliq.cli.next_command import typed
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


def test_the_command_that_retrains_repeats_earlier_requests_and_what_follows_it_ships(
    obliq: Callable[..., Said], way: Way, tmp_path: Path
) -> None:
    stopped = obliq(
        "unlearn", way.unlearned, "--forget", "class=0", "--out", tmp_path / "none", "--threads", 1
    )
    earlier = f"--forget requests={way.unlearned / 'request.json'} --forget class=0"
    command = f"obliq retrain {way.original} {earlier} --out {tmp_path / 'retrained'}"
    refused(stopped, f"Retraining: {command}")
    said = obliq(*command.split()[1:], "--threads", 1)
    assert said.status == 0, said.err
    assert f"next: obliq export {tmp_path / 'retrained'}" in said.out


def test_without_holdout_samples_it_names_a_method_that_needs_none(
    obliq: Callable[..., Said], way: Way, tmp_path: Path
) -> None:
    words = ("--threads", 1, "--out")
    assert (
        obliq("train", f"npz:{way.data}", "--holdout", 0, "--epochs", 1, *words, tmp_path / "o").status == 0
    )
    stopped = obliq("unlearn", tmp_path / "o", "--forget", "random=5", *words, tmp_path / "u")
    refused(stopped, "the network was trained without any", "for instance oeu")


def test_a_path_that_begins_with_a_hyphen_is_no_option() -> None:
    assert [typed(word) for word in (Path("./-d/orig"), Path("d"), "--out")] == ["./-d/orig", "d", "--out"]
