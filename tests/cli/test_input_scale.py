"""The scale of inputs goes with a file, and a file that is fed with another one is found out."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from obliq.checkpoints.run_folder import load_run
from obliq.data import load_dataset
from obliq.exporting import export_file, read_exported
from tests.cli.conftest import Said
from tests.cli.refusals import refused
from tests.documentation.pages import DOCS, blocks

pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")

Obliq = Callable[..., Said]
TRAINING = ("--epochs", 25, "--batch-size", 32, "--bits", "W8A8", "--threads", 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bytes that mean their brightness, an original that reads them as 0..1, and its files."""
    from obliq.cli import main
    from tests.exporting.qdq_files import SETTINGS, quantized_file

    where = tmp_path_factory.mktemp("scale")
    labels = np.arange(240) % 4
    noise = np.random.default_rng(0).integers(0, 25, (240, 1, 6, 6))
    np.savez(
        where / "bytes.npz", x=(20 + 60 * labels[:, None, None, None] + noise).astype(np.uint8), y=labels
    )
    data = f"npz:{where / 'bytes.npz'},scale=0..1"
    for words in (
        ("train", data, "--out", where / "original", *TRAINING),
        ("export", where / "original", "--out", where / "own.onnx"),
    ):
        assert main([str(word) for word in words]) == 0
    inputs = load_dataset(data).fetch(torch.arange(64))
    saved = load_run(where / "original").checkpoint
    for name, contract in (("foreign", None), ("stated", saved.provenance.inputs)):
        floats = export_file(saved.model, (1, 6, 6), "float", inputs=contract)
        (where / f"{name}.onnx").write_bytes(quantized_file(floats, inputs, SETTINGS["uint8"]))
    return where


def unlearn(obliq: Obliq, folder: Path, file: str, data: str, out: Path, *more: object) -> Said:
    source = f"npz:{folder / 'bytes.npz'}{data}"
    words = (
        "unlearn",
        folder / file,
        "--data",
        source,
        "--forget",
        "random=9",
        "--threads",
        1,
        "--out",
        out,
        *more,
    )
    return obliq(*words, "--json", "oeu", "--epochs", 1)


def test_a_file_that_states_its_scale_refuses_another_one(obliq: Obliq, folder: Path, tmp_path: Path) -> None:
    for file in ("own.onnx", "stated.onnx"):
        said = unlearn(obliq, folder, file, "", tmp_path / "out")
        refused(said, f"read as x / 127.5 - 1; {file} expects bytes, 0 to 255, read as x / 255")
    right = unlearn(obliq, folder, "own.onnx", ",scale=0..1", tmp_path / "out")
    assert right.status == 0, right.err
    values = json.loads(right.out)
    assert values["warnings"] == []
    assert values["accuracy_before"]["holdout"] > 90
    record = json.loads((tmp_path / "out" / "shipped.json").read_text())
    assert record["provenance"]["accuracy"] == values["accuracy_before"]
    new, old = (
        read_exported(file).contents.inputs
        for file in (tmp_path / "out" / "network.onnx", folder / "own.onnx")
    )
    assert new == old is not None


def test_a_file_of_another_quantizer_is_tried_on_its_data(obliq: Obliq, folder: Path, tmp_path: Path) -> None:
    wrong = unlearn(obliq, folder, "foreign.onnx", "", tmp_path / "wrong", "--expect-accuracy", 95)
    assert wrong.status == 0, wrong.err
    warnings = json.loads(wrong.out)["warnings"]
    assert any("expected 95 % (--expect-accuracy)" in warning for warning in warnings)
    assert any(
        "when bytes are scaled to 0..1" in warning and ",scale=0..1" in warning for warning in warnings
    )
    assert wrong.err.index("WARNING: the file answers") < wrong.err.index("forgetting 9 samples")
    right = unlearn(obliq, folder, "foreign.onnx", ",scale=0..1", tmp_path / "right", "--expect-accuracy", 95)
    # This network memorised nothing, so nothing confirms the division; nor does a foreign file have a record.
    division, record = sorted(json.loads(right.out)["warnings"], key=lambda one: "earlier requests" in one)
    assert "no better than the holdout samples" in division
    assert "no record next to this file names earlier requests" in record
    refused(
        unlearn(obliq, folder, "own.onnx", ",scale=0..1", tmp_path / "x", "--expect-accuracy", 0),
        "expected percent",
    )


def test_the_example_runs_a_file_without_obliq(
    obliq: Obliq, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (example,) = (
        code for _, code in blocks((DOCS / "edge-engineer.md").read_text()) if "custom_metadata_map" in code
    )
    monkeypatch.chdir(folder)
    stored = np.load("bytes.npz")["x"]
    lines = [
        line for line in example.replace("unlearned.onnx", "own.onnx").splitlines() if "stored = " not in line
    ]
    assert len(lines) <= 12
    found: dict[str, object] = {"stored": stored}
    exec(compile("\n".join(lines), "edge-engineer.md", "exec"), found)
    file = read_exported(folder / "own.onnx")
    answers = file.predictor.predict(
        load_dataset(f"npz:{folder / 'bytes.npz'},scale=0..1").fetch(torch.arange(240))
    )
    assert torch.equal(torch.from_numpy(found["logits"]), answers)


def test_show_states_it(obliq: Obliq, folder: Path) -> None:
    for path in (folder / "original", folder / "own.onnx"):
        lines = obliq("show", path).out.splitlines()
        assert any(
            line.split() == ["scaling", "x", "/", "255", "for", "a", "stored", "value", "x"] for line in lines
        )
        assert any(line.startswith("inputs ") and line.endswith("bytes, 0 to 255") for line in lines)


def test_a_network_that_learned_nothing_is_no_success(obliq: Obliq, folder: Path, tmp_path: Path) -> None:
    labels = (np.arange(240) % 10 == 0).astype(
        np.int64
    )  # nine in ten are of class 0, and nothing tells them apart
    np.savez(
        tmp_path / "noise.npz",
        x=np.random.default_rng(0).normal(size=(240, 1, 6, 6)).astype(np.float32),
        y=labels,
    )
    out = tmp_path / "original"
    trained = obliq("train", f"npz:{tmp_path / 'noise.npz'}", "--out", out, "--epochs", 2, "--threads", 1)
    said = (trained, obliq("show", out))
    assert all("88.9 % by always answering the most frequent class" in one.out for one in said)
    assert all("WARNING: the network has learned nothing" in one.out for one in said)
    fine = obliq("show", folder / "original").out
    assert "25.0 % by always answering the most frequent class" in fine
    assert "WARNING" not in fine
    obliq("unlearn", out, "--forget", "random=9", "--out", tmp_path / "u", "fine-tune", "--epochs", 1)
    audited = obliq("audit", out, tmp_path / "u", "--out", tmp_path / "audit")
    assert "Answering always with the most frequent class: TA 88.9" in audited.out
    assert "WARNING: original: test accuracy" in audited.out
