"""A file of ONNX Runtime's own quantizer forgets, and stays that file but for weights and biases."""

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from obliq.auditing.document import parse_audit
from obliq.checkpoints.run_folder import load_run
from obliq.exporting import read_exported
from obliq.exporting.onnx.reader import weight_constants
from obliq.exporting.qdq.file import QdqFile
from obliq.quantization import Precision, weighted_layers
from tests.cli.conftest import Said, Way
from tests.exporting.qdq_files import SETTINGS, pt2e_file, quantized_file

pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")


Obliq = Callable[..., Said]


@pytest.fixture(scope="module")
def foreign(way: Way, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The original, in floats, as ONNX Runtime's quantizer makes it W8A8."""
    from obliq.cli import main

    folder = tmp_path_factory.mktemp("foreign")
    assert main(["export", str(way.original), "--form", "float", "--out", str(folder / "float.onnx")]) == 0
    inputs = torch.from_numpy(np.load(way.data)["x"][:64])
    data = quantized_file((folder / "float.onnx").read_bytes(), inputs, SETTINGS["uint8"])
    (folder / "quantized.onnx").write_bytes(data)
    return folder / "quantized.onnx"


def words(way: Way, file: Path, out: Path) -> tuple[object, ...]:
    return (
        "unlearn",
        file,
        "--data",
        f"npz:{way.data}",
        "--forget",
        f"request={way.unlearned}/request.json",
        "--threads",
        1,
        "--out",
        out,
        "oeu",
        "--epochs",
        2,
        "--learning-rate",
        0.1,
    )


def test_it_forgets_and_is_the_same_file_but_for_weights_and_biases(
    way: Way, foreign: Path, tmp_path: Path, obliq: Obliq
) -> None:
    said = obliq(*words(way, foreign, tmp_path / "after"))
    assert said.status == 0, said.err
    before_file, after_file = read_exported(foreign), read_exported(tmp_path / "after" / "network.onnx")
    old, new = before_file.contents, after_file.contents
    assert (old.opset, old.nodes, old.kinds) == (new.opset, new.nodes, new.kinds)
    changed = {name for name in old.constants if (old.constants[name] != new.constants[name]).any()}
    biases = {node.inputs[2] for node in old.nodes if node.operator in ("Conv", "Gemm")}
    codes = {node.inputs[0] for node in old.nodes if node.output in biases}
    assert changed & set(weight_constants(old))
    assert changed <= set(weight_constants(old)) | codes
    record = json.loads((tmp_path / "after" / "shipped.json").read_text())
    assert record["provenance"]["base_digest"] == before_file.content_digest
    assert record["content_digest"] == after_file.content_digest
    assert record["agreement_percent"] >= 99
    assert record["agreement_after_percent"] >= 97
    assert record["changed_codes_percent"] > 0


def in_floats(way: Way) -> nn.Module:
    """The original, without its quantizers."""
    saved = load_run(way.original).checkpoint
    model = replace(saved.blueprint, precision=Precision.parse("FP32")).build()
    state = saved.model.state_dict()
    model.load_state_dict({name: state[name] for name in model.state_dict()})
    return model.eval()


def test_a_file_of_pt2e_forgets(way: Way, tmp_path: Path, obliq: Obliq) -> None:
    for package in ("onnxscript", "torchao", "executorch"):
        pytest.importorskip(package, reason="PT2E and its ONNX exporter are not installed")
    inputs = torch.from_numpy(np.load(way.data)["x"][:64])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (tmp_path / "pt2e.onnx").write_bytes(pt2e_file(in_floats(way), inputs))
    said = obliq(*words(way, tmp_path / "pt2e.onnx", tmp_path / "after"))
    assert said.status == 0, said.err
    before_file, after_file = (
        read_exported(tmp_path / "pt2e.onnx"),
        read_exported(tmp_path / "after" / "network.onnx"),
    )
    old, new = before_file.contents, after_file.contents
    assert not old.own
    assert (old.opset, old.nodes, old.kinds) == (new.opset, new.nodes, new.kinds)
    assert any((old.constants[name] != new.constants[name]).any() for name in weight_constants(old))
    record = json.loads((tmp_path / "after" / "shipped.json").read_text())
    assert record["content_digest"] == after_file.content_digest
    assert min(record["agreement_percent"], record["agreement_after_percent"]) >= 97


def test_a_network_that_answers_otherwise_than_its_file_does_not_forget(
    way: Way, foreign: Path, tmp_path: Path, obliq: Obliq, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = QdqFile.rebuild

    def wrong(file: QdqFile) -> nn.Module:
        network = right(file)
        with torch.no_grad():
            for layer in weighted_layers(network).values():
                layer.weight.neg_()
        return network

    monkeypatch.setattr(QdqFile, "rebuild", wrong)
    said = obliq(*words(way, foreign, tmp_path / "after"))
    assert said.status == 1
    assert "the network rebuilt from quantized.onnx predicts the same class on" in said.err
    assert "expected 97 % or more" in said.err
    assert not (tmp_path / "after").exists()


def test_original_and_unlearned_file_are_audited(
    way: Way, foreign: Path, tmp_path: Path, obliq: Obliq
) -> None:
    assert obliq(*words(way, foreign, tmp_path / "after")).status == 0
    said = obliq(
        "audit",
        foreign,
        tmp_path / "after" / "network.onnx",
        "--retrained",
        foreign,
        "--data",
        f"npz:{way.data}",
        "--threads",
        1,
        "--out",
        tmp_path / "audit",
    )
    assert said.status == 0, said.err
    audit = parse_audit((tmp_path / "audit" / "audit.json").read_text())
    unlearned = audit.unlearned[0]
    assert unlearned.artifact is not None
    assert (unlearned.artifact.form, unlearned.artifact.precision) == ("qdq", "W8A8")
    assert audit.original.average_gap == 0  # here the reference is the original's own file
    record = json.loads((tmp_path / "after" / "shipped.json").read_text())
    assert unlearned.changed_codes_percent == pytest.approx(record["changed_codes_percent"], abs=1e-4)
    refused = obliq(
        "audit",
        foreign,
        tmp_path / "after" / "network.onnx",
        "--runtime",
        "interpreter",
        "--data",
        f"npz:{way.data}",
        "--out",
        tmp_path / "again",
    )
    assert "a file of another quantizer is run by onnxruntime alone" in refused.err
