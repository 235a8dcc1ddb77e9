import dataclasses
from pathlib import Path

import pytest
import torch

from obliq.checkpoints import Blueprint, Checkpoint
from obliq.cli.output import release_lines
from obliq.data import Partition
from obliq.errors import ModelError, ObliqError
from obliq.exporting import read_parity_record, sha256_of
from obliq.patch import decode_patch, read_patch_head
from obliq.report import PatchSize, Shipment
from obliq.run import Run
from obliq.training.loop import Recipe
from obliq.workflow import release
from obliq.workflow.patch_targets import Folder as NetworkFolder
from obliq.workflow.patch_targets import find_artifact
from obliq.workflow.pipeline import train_original
from obliq.workflow.release import PATCH, write_release

FORM = Blueprint(architecture="convnet", input_shape=(1, 6, 6), classes=3)


@pytest.fixture(scope="module")
def networks(parts: Partition) -> tuple[Checkpoint, Checkpoint]:
    """Two networks of one form; for what ships it matters only that they differ."""
    return tuple(train_original(parts, FORM, Recipe(epochs=1), Run(seed=seed)).checkpoint for seed in (1, 2))


def test_with_onnx_the_patch_leads_to_the_file_whose_parity_was_measured(
    networks: tuple[Checkpoint, Checkpoint], parts: Partition, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime", reason="exports: extra onnx")
    inputs = parts.collection.fetch(parts.test.indices)
    shipped = write_release(tmp_path, *networks, "toy", inputs)
    shipment, file = shipped.shipment, tmp_path / "unlearned.onnx"
    assert shipped.missing == ""
    assert (shipment.file, shipment.bytes) == (file.name, file.stat().st_size)
    patch = (tmp_path / PATCH).read_bytes()
    old, new = (find_artifact(tmp_path / name).content for name in ("original.onnx", "unlearned.onnx"))
    assert [one.form for one in decode_patch(patch, old)] == [one.form for one in new]
    assert read_patch_head(patch).result == shipment.content_digest
    record = read_parity_record(tmp_path / "unlearned.onnx.parity.json")
    assert record.file_digest == sha256_of(file.read_bytes())
    assert record.checks == {"toy": shipment.parity}
    assert shipment.parity is not None
    assert shipment.parity.samples == len(inputs)
    assert shipment.parity.activations.equal == 1
    counted = [(a, b) for a, b in zip(old, new, strict=True) if a.bits]
    changed = sum(int((a.values != b.values).sum()) for a, b in counted)
    total = sum(len(a.values) for a, _ in counted)
    assert shipment.patch is not None
    assert (shipment.patch.changed_codes, shipment.patch.codes) == (changed, total)
    assert shipment.patch.bytes == len(patch)
    lines = release_lines(shipped, tmp_path)
    assert str(file) in lines[0]
    assert f"  100 % of {shipment.parity.activations.compared:,} integer activations are equal" in lines
    assert f"  changes {changed:,} of {total:,} integer weights" in lines


def test_without_onnx_the_folder_ships_and_one_line_says_what_to_install(
    networks: tuple[Checkpoint, Checkpoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise ModelError("onnx is not installed; expected the extra onnx: pip install '.[onnx]'")

    monkeypatch.setattr(release, "import_onnx", missing)
    shipped = write_release(tmp_path, *networks, "toy", torch.zeros(0))
    shipment = shipped.shipment
    assert "pip install '.[onnx]'" in shipped.missing
    assert "\n" not in shipped.missing
    assert f"no ONNX file: {shipped.missing}" in release_lines(shipped, tmp_path)
    assert shipment.parity is None
    assert sorted(file.name for file in tmp_path.iterdir()) == [PATCH, "shipped"]
    assert not (tmp_path / "shipped" / "latent.safetensors").exists()
    found = find_artifact(tmp_path / shipment.file)
    old = NetworkFolder(networks[0]).content
    result = decode_patch((tmp_path / PATCH).read_bytes(), old)
    assert all((a.values == b.values).all() for a, b in zip(result, found.content, strict=True))


def test_shipments_that_cannot_be_are_refused() -> None:
    patch = PatchSize(bytes=40, codes=10, changed_codes=3, changed_words=0)
    shipment = Shipment(file="a.onnx", form="f", precision="W4A4", bytes=80, content_digest="d", patch=patch)
    assert shipment.patch_share == 50
    for changes in ({"bytes": 0}, {"changed_codes": 11}, {"changed_words": -1}):
        with pytest.raises(ObliqError, match="expected a size above 0"):
            dataclasses.replace(patch, **changes)
    with pytest.raises(ObliqError, match="has 0 bytes"):
        dataclasses.replace(shipment, bytes=0)
