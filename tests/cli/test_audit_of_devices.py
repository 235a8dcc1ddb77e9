"""Inputs go to a device, its answers come back, and the audit speaks of the device."""

import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from obliq.auditing import parse_audit
from obliq.cli import main
from obliq.exporting import sha256_of
from tests.cli.conftest import Said, Way

Obliq = Callable[..., Said]


@pytest.fixture(scope="module")
def file(way: Way, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    file = tmp_path_factory.mktemp("device") / "unlearned.onnx"
    assert main(["export", str(way.unlearned), "--out", str(file)]) == 0
    return file


def run_on_device(file: Path, inputs: Path) -> tuple[np.ndarray, np.ndarray]:
    """What docs/edge-engineer.md shows: nothing of Obliq in it."""
    import onnxruntime

    given = np.load(inputs)
    session = onnxruntime.InferenceSession(file)
    return given["id"], np.concatenate([session.run(None, {"input": x[None]})[0] for x in given["x"]])


def test_a_recording_stands_beside_its_file(way: Way, file: Path, tmp_path: Path, obliq: Obliq) -> None:
    inputs, request = tmp_path / "inputs.npz", way.unlearned / "request.json"
    said = obliq("inputs", way.original, "--request", request, "--out", inputs, "--json")
    assert said.status == 0, said.err
    assert stat.S_IMODE(inputs.stat().st_mode) == 0o600
    ids, logits = run_on_device(file, inputs)
    assert json.loads(said.out)["samples"] == len(ids)
    answers = tmp_path / "answers.npz"
    np.savez(answers, id=ids[::-1], logits=logits[::-1])
    words = ("audit", way.original, way.unlearned, file, "--retrained", way.retrained, "--answers", answers)
    said = obliq(*words, "--out", tmp_path / "a", "--json", "--require", "retain_accuracy>=0")
    assert said.status == 0, said.err
    audit = parse_audit((tmp_path / "a" / "audit.json").read_text())
    assert [entry.name for entry in audit.entries] == [
        "original",
        "unlearned",
        file.name,
        "device",
        "retrained",
    ]
    device = audit.devices[0]
    assert device.device is not None
    assert (device.device.network, device.device.same_classes) == (file.name, 100.0)
    assert device.device.file_digest == sha256_of(answers.read_bytes())
    assert device.values == audit.artifacts[0].values
    assert "every network was measured on these alone" in audit.settings["recorded on a device"]
    printed = json.loads(said.out)
    assert printed["entries"][3]["device"]["recorded"] == "logits"
    assert [one["network"] for one in printed["requirements"]] == ["unlearned", "device"]
    page = (tmp_path / "a" / "report.html").read_text()
    assert "What the device answered" in page
    assert device.device.file_digest in page

    alone = tmp_path / "classes.csv"
    alone.write_text(
        "id,class\n" + "".join(f"{i},{row.argmax()}\n" for i, row in zip(ids, logits, strict=True))
    )
    said = obliq(*words[:-1], alone, "--out", tmp_path / "b")
    assert said.status == 0, said.err
    assert "device: classes recorded; 100.00 % same classes as unlearned.onnx" in said.out
    assert "WARNING: only classes were recorded" in said.out


def test_files_alone_have_recordings_too(way: Way, file: Path, tmp_path: Path, obliq: Obliq) -> None:
    original, inputs = tmp_path / "original.onnx", tmp_path / "inputs.npz"
    assert obliq("export", way.original, "--out", original).status == 0
    known = ("--request", way.unlearned / "request.json", "--data", f"npz:{way.data}")
    assert obliq("inputs", original, *known, "--out", inputs, "--samples", 30).status == 0
    ids, logits = run_on_device(file, inputs)
    answers = tmp_path / "answers.npz"
    np.savez(answers, id=ids, logits=logits)
    said = obliq("audit", original, file, *known, "--answers", answers, "--out", tmp_path / "a")
    assert said.status == 0, said.err
    assert "device: logits recorded; 100.00 % same classes" in said.out


def test_wrong_recordings_and_places_are_refused_before_work(
    way: Way, file: Path, tmp_path: Path, obliq: Obliq
) -> None:
    request, answers = way.unlearned / "request.json", tmp_path / "answers.npz"
    np.savez(answers, id=[0, 1], logits=np.zeros((2, 4)))
    other = shutil.copy(file, tmp_path / "other.onnx")
    words = ("audit", way.original, way.unlearned, "--out", tmp_path / "a", "--answers", answers)
    for given, message in (
        (words, "logits of 4 classes; expected 3"),
        (("inputs", way.original, "--request", request, "--out", tmp_path / "x.csv"), "ends in .npz"),
        (
            ("inputs", way.original, "--request", request, "--out", tmp_path / "x.npz", "--samples", 0),
            "expected 1 or",
        ),
        (("inputs", file, "--request", request, "--out", tmp_path / "x.npz"), "expected --data"),
        (("audit", way.original, file, other, "--request", request, *words[3:]), "--answers with 2 networks"),
    ):
        said = obliq(*given)
        assert (said.status, said.out) == (1, ""), given
        assert message in said.err
        assert len(said.err.splitlines()) <= 3  # what was audited, and that nothing authenticates the request
    assert not (tmp_path / "a").exists()
