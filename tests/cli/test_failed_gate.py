"""A network that a method ruined is kept apart, with an exit status of its own, and does not ship by accident."""

import json
from collections.abc import Callable
from pathlib import Path

from obliq.checkpoints import load_checkpoint
from tests.cli.conftest import Said, Way

Obliq = Callable[..., Said]

RUIN = ("gradient-ascent", "--learning-rate", 1)


def test_a_ruined_network_is_kept_apart_until_it_is_accepted(way: Way, tmp_path: Path, obliq: Obliq) -> None:
    out, failed = tmp_path / "u", tmp_path / "u.failed"
    request = ("unlearn", way.original, "--forget", "class=1", "--threads", 1, "--out", out)
    said = obliq(*request, *RUIN)
    assert said.status == 3
    assert "FAILED: one class is the answer" in said.out
    assert "not met: the unlearned network failed its gate" in said.err
    assert not out.exists()
    gate = load_checkpoint(failed).provenance.gate
    assert gate is not None
    assert gate.failures
    assert gate.after["retain"] < gate.before["retain"] - 5

    for target in (("--out", tmp_path / "x.onnx"), ("--to", "network", "--out", tmp_path / "x")):
        said = obliq("export", failed, *target)
        assert said.status == 1
        assert "failed its gate" in said.err
        assert "--accept" in said.err
    assert obliq("export", failed, "--out", tmp_path / "x.onnx", "--accept").status == 0
    patch = ("patch", "make", "--plain", way.original, failed, "--out", tmp_path / "p")
    said = obliq(*patch)
    assert (said.status, (tmp_path / "p").exists()) == (1, False)
    assert "failed its gate" in said.err
    assert obliq(*patch, "--accept").status == 0

    said = obliq(*request, "--accept", "--json", *RUIN)
    assert said.status == 0, said.err
    values = json.loads(said.out)
    assert (values["folder"], values["gate"]["passed"], values["gate"]["accepted"]) == (str(out), False, True)
    assert obliq("patch", "make", "--plain", way.original, out, "--out", tmp_path / "q").status == 0


def test_a_file_that_was_ruined_is_kept_apart_too(way: Way, tmp_path: Path, obliq: Obliq) -> None:
    file = tmp_path / "original.onnx"
    assert obliq("export", way.original, "--out", file).status == 0
    request = ("--forget", "class=1", "--data", f"npz:{way.data}", "--threads", 1)
    ruin = ("oeu", "--learning-rate", 1, "--clip", 0, "--forget-weight", 5)
    said = obliq("unlearn", file, *request, "--out", tmp_path / "u", *ruin)
    assert said.status == 3, said.err
    ruined = tmp_path / "u.failed" / "network.onnx"
    said = obliq("patch", "make", "--plain", file, ruined, "--out", tmp_path / "p")
    assert said.status == 1
    assert "failed its gate" in said.err
