"""Where only files are left: original, unlearned and retrained network as files; and a retrained file alone."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from obliq.auditing.document import parse_audit
from obliq.cli import main
from obliq.exporting import sha256_of
from tests.cli.conftest import Said, Way

pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")

Obliq = Callable[..., Said]
NUMBERS = ("forget_accuracy", "retain_accuracy", "test_accuracy", "mia_svc_confidence", "auc_forget_vs_test")


@dataclass(frozen=True)
class Files:
    """Files of the three networks; the unlearned one was made from the original's file."""

    original: Path
    unlearned: Path
    retrained: Path


@pytest.fixture(scope="module")
def files(way: Way, tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("files")
    for role in ("original", "retrained"):
        assert main(["export", str(getattr(way, role)), "--out", str(folder / f"{role}.onnx")]) == 0
    request = f"request={way.unlearned}/request.json"
    words = [
        "--data",
        f"npz:{way.data}",
        "--forget",
        request,
        "--threads",
        "1",
        "--out",
        str(folder / "after"),
    ]
    assert main(["unlearn", str(folder / "original.onnx"), *words, "oeu", "--epochs", "2"]) == 0
    return Files(folder / "original.onnx", folder / "after" / "network.onnx", folder / "retrained.onnx")


def test_three_files_are_audited(way: Way, files: Files, tmp_path: Path, obliq: Obliq) -> None:
    data = ("--data", f"npz:{way.data}", "--threads", 1)
    said = obliq(
        "audit",
        files.original,
        files.unlearned,
        "--retrained",
        files.retrained,
        *data,
        "--out",
        tmp_path / "a",
    )
    assert said.status == 0, said.err
    audit = parse_audit((tmp_path / "a" / "audit.json").read_text())
    assert [entry.name for entry in audit.entries] == ["original", "network.onnx", "retrained"]
    unlearned = audit.unlearned[0]
    assert unlearned.average_gap is not None
    assert unlearned.verdict is not None
    assert unlearned.artifact is not None
    assert unlearned.artifact.file_digest == sha256_of(files.unlearned.read_bytes())
    assert audit.digests["file, original"] == sha256_of(files.original.read_bytes())
    assert audit.digests["file, retrained"] == sha256_of(files.retrained.read_bytes())
    record = json.loads((files.unlearned.parent / "shipped.json").read_text())
    assert unlearned.changed_codes_percent == pytest.approx(record["changed_codes_percent"], abs=1e-4)
    assert unlearned.seconds == pytest.approx(record["provenance"]["seconds"], abs=1e-4)
    page = (tmp_path / "a" / "report.html").read_text()
    assert "oeu" in page
    assert audit.digests["file, original"] in page

    beside = obliq(
        "audit", way.original, files.unlearned, "--retrained", files.retrained, "--out", tmp_path / "beside"
    )
    assert beside.status == 0, beside.err
    other = parse_audit((tmp_path / "beside" / "audit.json").read_text())
    assert other.digests["file, retrained"] == audit.digests["file, retrained"]
    for number in NUMBERS:  # the same bytes answer the same samples
        assert getattr(other.unlearned[0], number) == getattr(unlearned, number)
    assert other.unlearned[0].average_gap == unlearned.average_gap


def test_what_does_not_belong_together_is_refused(
    way: Way, files: Files, tmp_path: Path, obliq: Obliq
) -> None:
    data, out = ("--data", f"npz:{way.data}"), ("--out", tmp_path / "a")
    said = obliq("audit", files.original, files.unlearned, *out)
    assert "original.onnx does not record its training data; expected --data" in said.err
    said = obliq("audit", files.original, files.unlearned, "--data", "digits", *out)
    assert said.status == 1
    said = obliq("audit", files.original, files.retrained, *data, *out)
    assert "retrained.onnx comes without request.json" in said.err
    said = obliq("audit", files.retrained, files.unlearned, *data, *out)
    assert "according to the record next to it; expected retrained.onnx (" in said.err
    said = obliq("audit", files.original, files.unlearned, *data, "--references", 2, *out)
    assert "no file records the recipe of its network" in said.err
    said = obliq("audit", way.original, files.unlearned, "--division-seed", 3, *out)
    assert "is a folder, which records how its data were divided" in said.err
    folder = Path(shutil.copytree(files.unlearned.parent, tmp_path / "copied"))
    shutil.copy(files.original, folder / "network.onnx")
    said = obliq("audit", files.original, folder / "network.onnx", *data, *out)
    assert "expected the file that the record was written for" in said.err
    record = json.loads((folder / "shipped.json").read_text())
    shutil.copy(files.unlearned, folder / "network.onnx")
    record["provenance"]["splits_digest"] = "0" * 64
    (folder / "shipped.json").write_text(json.dumps(record))
    said = obliq("audit", files.original, folder / "network.onnx", *data, *out)
    assert "network.onnx was unlearned for another request, according to the record next to it" in said.err
    (folder / "shipped.json").write_text("{}")
    said = obliq("audit", files.original, folder / "network.onnx", *data, *out)
    assert 'shipped.json: format is null; expected "obliq-shipped"' in said.err
    assert not (tmp_path / "a").exists()


OTHER_LAYERS = """
from torch import nn

def build(shape, classes):
    return nn.Sequential(nn.Conv2d(shape[0], 4, 3), nn.ReLU(), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(4, classes))
"""


def test_files_of_another_form_are_refused(
    way: Way, files: Files, tmp_path: Path, obliq: Obliq, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "compact.onnx"
    assert obliq("export", way.unlearned, "--form", "compact", "--out", other).status == 0
    request = ("--request", way.unlearned / "request.json", "--out", tmp_path / "a")
    said = obliq("audit", files.original, other, "--data", f"npz:{way.data}", *request)
    assert "compact.onnx has other layers than original.onnx" in said.err
    (tmp_path / "other_layers.py").write_text(OTHER_LAYERS)
    monkeypatch.syspath_prepend(tmp_path)
    arch = ("--arch", "other_layers:build")
    words = ("--epochs", 1, "--threads", 1, "--out", tmp_path / "other")
    assert obliq("train", f"npz:{way.data}", *arch, *words).status == 0
    assert obliq("export", tmp_path / "other", *arch, "--out", tmp_path / "other.onnx").status == 0
    said = obliq("audit", way.original, way.unlearned, "--retrained", tmp_path / "other.onnx", *request)
    assert "other.onnx has other layers; expected a file of the original's form" in said.err
