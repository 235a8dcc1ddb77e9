"""Each command proposes the one that leads on, and a wrong turn names the right one."""

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from obliq.auditing.document import parse_audit
from obliq.checkpoints.run_folder import load_run
from obliq.cli.audit import AuditArguments
from obliq.cli.next_steps import after_audit
from obliq.cli.options import DataOptions
from obliq.workflow.pipeline import same_partition
from tests.cli.conftest import SHORT, Said, Way, pictures

Obliq = Callable[..., Said]


def proposed(said: Said) -> list[str]:
    assert said.status == 0, said.err
    return shlex.split(said.out.splitlines()[-1].removeprefix("next: obliq "))


def test_from_a_file_that_forgot_to_a_verdict(
    obliq: Obliq, way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(way.original, "runs/original")
    assert obliq("export", "runs/original", "--out", "before.onnx").status == 0
    data = ("--data", f"npz:{way.data}")
    train = same_partition(load_run(way.original).checkpoint, None).train
    assert train.collection.subjects is not None
    first, second, *_ = sorted(set(train.collection.subjects[train.indices].tolist()))
    request = f"subject={first},{second}"  # enough samples for a verdict
    words = ("unlearn", "before.onnx", *data, "--forget", request, "--accept", "--threads", 1)
    audit = proposed(obliq(*words, "--out", "after", "oeu", "--epochs", 1))
    assert " ".join(audit) == "audit runs/original after/network.onnx --references 4 --out audit"

    wrong = {
        "retrain before.onnx --forget request=after/request.json": "was exported from, runs/original",
        "audit runs/original after": "after holds a network as an exported file; expected that file",
        "show after": "expected that file, after/network.onnx",
        "audit before.onnx after": "expected the file after/network.onnx",
        "audit before.onnx after/network.onnx --references 4": "the original first, runs/original",
        "audit before.onnx after/network.onnx --retrained runs/original": "`obliq export runs/original --out FILE`",
    }
    for command, remedy in wrong.items():
        out = () if command.startswith("show") else ("--out", "new")
        said = obliq(*command.split(), *out)
        assert (said.status, said.err.count("\n")) == (1, 1)
        assert remedy in said.err, command

    again = proposed(obliq("audit", "before.onnx", "after/network.onnx", *data, "--out", "alone"))
    assert again == audit, "an audit of files alone finds the folder, too"
    shutil.rmtree("runs")
    arguments = AuditArguments(
        networks=(Path("before.onnx"), Path("after/network.onnx")),
        out=Path("files"),
        data=DataOptions(data=data[1]),
    )
    alone = after_audit(arguments, parse_audit(Path("alone/audit.json").read_text()))
    assert alone[3:8] == ["--retrained", "FILE", "FILE", "FILE", "FILE"]


def test_training_states_its_parts_and_proposes_a_person(obliq: Obliq, tmp_path: Path) -> None:
    arrays = pictures()
    arrays["subject"] = np.array(["anna", "ben", "cara", "dan", "eva", "finn"])[arrays["subject"] % 6]
    np.savez(tmp_path / "six.npz", **arrays)  # type: ignore[arg-type]
    said = obliq(
        "train", f"npz:{tmp_path}/six.npz", "--out", tmp_path / "original", *SHORT[2:], "--epochs", 1
    )
    person = proposed(said)[3]
    assert person.startswith("subject=")
    assert "nobody is in two parts" in " ".join(said.err.split())
    assert "training samples of 4 people" in " ".join(said.err.split())
    assert "steps are too few for running statistics" in " ".join(said.err.split())


def test_statistics_are_written_once_and_take_the_place_of_the_retain_set(
    obliq: Obliq, way: Way, tmp_path: Path
) -> None:
    file = tmp_path / "statistics.safetensors"
    words = ("statistics", way.original, "--out", file, "--threads", 1)
    unlearn = proposed(obliq(*words))
    assert file.stat().st_mode & 0o077 == 0
    assert "exists" in obliq(*words).err
    unlearn[unlearn.index("--out") + 1] = str(tmp_path / "unlearned")
    assert unlearn[-3:] == ["ficabu", "--statistics", str(file)]
    assert obliq(*unlearn, "--accept").status in (0, 2)
    refused = obliq("statistics", way.unlearned, "--out", tmp_path / "other")
    assert "is unlearned; expected an original" in refused.err
