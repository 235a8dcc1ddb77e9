"""The verb that writes what a device runs."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from obliq.checkpoints.file_record import read_export_record
from obliq.checkpoints.run_folder import load_run
from obliq.exporting import export_file, parse_exported, read_parity_record, sha256_of
from obliq.quantization import weights_digest
from tests.cli.conftest import Said, Way

pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")

Obliq = Callable[..., Said]


def test_a_file_and_its_parity(way: Way, tmp_path: Path, obliq: Obliq) -> None:
    out = tmp_path / "new" / "network.onnx"
    said = obliq(
        "export", way.unlearned, "--to", "onnx", "--out", out, "--check", f"npz:{way.data}", "--json"
    )
    assert said.status == 0
    saved = load_run(way.unlearned).checkpoint
    contract = saved.provenance.inputs
    assert contract is not None
    assert out.read_bytes() == export_file(saved.model, (1, 6, 6), inputs=contract)
    record = read_parity_record(out.with_name("network.onnx.parity.json"))
    assert record.file_digest == sha256_of(out.read_bytes())
    assert record.network_digest == weights_digest(saved.model) != record.deployed_digest
    found = record.checks["own data (npz)"]
    assert found.samples == saved.provenance.counts["test"]
    assert found.activations.equal == found.deployed_network.same_top1 == 1
    values = json.loads(said.out)
    assert values["checks"]["own data (npz)"]["activations"]["compared"] > 0
    assert sorted(file.name for file in out.parent.iterdir()) == [
        "network.onnx",
        "network.onnx.parity.json",
        "network.onnx.provenance.json",
    ]
    origin = read_export_record(out, record.file_digest)
    assert origin is not None
    assert origin.network_digest == record.network_digest
    assert origin.content_digest == parse_exported(out.read_bytes()).content_digest
    assert origin.provenance == saved.provenance.as_saved()
    assert read_export_record(out, "0" * 64) is None  # a record of other bytes is none of this file


def test_what_is_printed(way: Way, tmp_path: Path, obliq: Obliq) -> None:
    said = obliq(
        "export",
        way.original,
        "--out",
        tmp_path / "a.onnx",
        "--parity-out",
        tmp_path / "b.json",
        "--check",
        f"npz:{way.data}",
        "--check-samples",
        7,
        "--form",
        "compact",
    )
    assert said.status == 0
    for words in (
        "compact ONNX file",
        "7 samples of own data (npz)",
        "run by onnxruntime",
        "network as trained",
        "deployed network",
        "integer interpreter",
        "100.0000 %",
        "b.json",
    ):
        assert words in said.out
    assert {file.name for file in tmp_path.iterdir()} == {"a.onnx", "a.onnx.provenance.json", "b.json"}


@pytest.mark.parametrize("form", ["integer", "compact", "float"])
def test_equal_networks_give_equal_files(way: Way, tmp_path: Path, obliq: Obliq, form: str) -> None:
    files = tmp_path / "a.onnx", tmp_path / "b.onnx"
    for file in files:
        assert obliq("export", way.original, "--form", form, "--out", file).status == 0
    assert files[0].read_bytes() == files[1].read_bytes()
    assert not list(tmp_path.glob("*.parity.json"))


def test_the_deployed_network_is_a_folder_that_is_audited_and_exports_to_the_same_file(
    way: Way, tmp_path: Path, obliq: Obliq
) -> None:
    said = obliq("export", way.unlearned, "--to", "network", "--out", tmp_path / "deployed")
    assert said.status == 0
    digests = []
    for folder in (way.unlearned, tmp_path / "deployed"):
        file = tmp_path / f"{folder.name}.onnx"
        said = obliq("export", folder, "--out", file, "--check", f"npz:{way.data}", "--json")
        digests.append(json.loads(said.out))
    assert digests[0]["file_digest"] == digests[1]["file_digest"]
    assert digests[0]["deployed_digest"] == digests[1]["network_digest"] == digests[1]["deployed_digest"]
    assert digests[1]["checks"]["own data (npz)"]["network"]["same_top1"] == 1
    audited = obliq(
        "audit",
        way.original,
        tmp_path / "deployed",
        "--retrained",
        way.retrained,
        "--request",
        way.unlearned / "request.json",
        "--out",
        tmp_path / "audit",
    )
    assert (audited.status, audited.err.count("error")) == (0, 0), audited.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--check", "npz:nowhere.npz"), "nowhere.npz"),
        (("--check", "digits"), "digits has samples of shape (1, 8, 8); expected (1, 6, 6)"),
        (("--check", "digits", "--check-samples", "-1"), "check_samples -1; expected 0 (all) or more"),
        (("--to", "network", "--check", "digits"), "expected it with --to onnx or executorch"),
        (
            ("--to", "network", "--form", "compact"),
            "--form compact is a form of files; expected it with --to onnx",
        ),
        (("--to", "executorch", "--form", "compact"), "expected integer: codes are bytes there"),
    ],
)
def test_what_cannot_be(way: Way, tmp_path: Path, obliq: Obliq, words: tuple[str, ...], message: str) -> None:
    said = obliq("export", way.original, "--out", tmp_path / "out", *words)
    assert said.status == 1
    assert message in said.err
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_replaced_unasked(way: Way, tmp_path: Path, obliq: Obliq) -> None:
    out = tmp_path / "a.onnx"
    out.write_bytes(b"mine")
    said = obliq("export", way.original, "--out", out)
    assert "a.onnx exists already; choose another --out or pass --overwrite" in said.err
    assert out.read_bytes() == b"mine"
    assert obliq("export", way.original, "--out", out, "--overwrite").status == 0
    assert len(out.read_bytes()) > 100
    (tmp_path / "folder").mkdir()
    said = obliq("export", way.original, "--out", tmp_path / "folder", "--overwrite")
    assert "is not a regular file" in said.err


def test_a_network_of_floats_has_no_integer_form(way: Way, tmp_path: Path, obliq: Obliq) -> None:
    original = tmp_path / "original"
    assert obliq("train", f"npz:{way.data}", "--bits", "FP32", "--epochs", 1, "--out", original).status == 0
    said = obliq("export", original, "--out", tmp_path / "a.onnx")
    assert said.status == 1
    assert "expected" in said.err
    shutil.rmtree(original)
    assert list(tmp_path.iterdir()) == []


def test_a_c_file_is_written_and_not_read(way: Way, tmp_path: Path, obliq: Obliq) -> None:
    out = tmp_path / "network.c"
    said = obliq("export", way.unlearned, "--to", "c", "--out", out)
    assert said.status == 0
    assert said.out.splitlines()[0] == f"integer C file {out}, {out.stat().st_size:,} bytes"
    assert "next: " not in said.out, "no verb reads it"
    for words in (
        ("show", out),
        ("audit", way.original, out, "--retrained", way.retrained, "--out", tmp_path / "audit"),
        ("patch", "make", "--plain", out, out, "--out", tmp_path / "patch"),
    ):
        refused = obliq(*words)
        assert refused.status == 1
        assert "C files are written and not read; expected the folder" in refused.err
    checked = obliq(
        "export", way.unlearned, "--to", "c", "--out", tmp_path / "n.c", "--check", f"npz:{way.data}"
    )
    assert checked.status == 1
    assert "C files are not run here" in checked.err
