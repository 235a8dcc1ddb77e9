"""From a network that was trained elsewhere to what a device gets: unlearn, audit, export, patch."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import obliq
from obliq.data import Partition, Splits
from obliq.errors import DataError, ModelError, ObliqError, PatchError
from obliq.exporting.parity_record import read_parity_record
from obliq.patch import encode_patch, network_content
from obliq.quantization import float_state, integer_state, quantize, weights_digest
from tests.workflow.networks_and_sets import FORMS, ROLES, SHAPE, sets, trained_elsewhere

PAIRS = FORMS["pairs of tensors"]


@pytest.fixture(scope="module")
def pair(parts: Partition, splits: Splits) -> tuple[nn.Module, nn.Module]:
    network = obliq.calibrate(
        quantize(trained_elsewhere(parts.train), "W8A8", input_shape=SHAPE), PAIRS(parts.train)
    )
    given = sets(splits, PAIRS, "forget", "retain")
    return network, obliq.unlearn(network, **given, method="sfron", device="cpu", progress=False)


def test_a_network_trained_elsewhere_goes_the_whole_way(
    pair: tuple[nn.Module, nn.Module], splits: Splits, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime", reason="exports: extra onnx")
    original, unlearned = pair
    given = sets(splits, PAIRS, *ROLES)
    audited = obliq.audit(original, unlearned, **given)
    assert audited.precision == "W8A8"
    assert audited.unlearned[0].changed_codes_percent > 0
    before, after = tmp_path / "original.onnx", tmp_path / "unlearned.onnx"
    obliq.export(original, before, given["test"][0])
    record = obliq.export(unlearned, str(after), given["test"], check_on=given["test"])
    assert record.file_bytes == after.stat().st_size
    assert read_parity_record(tmp_path / "unlearned.onnx.parity.json") == record
    (parity,) = record.checks.values()
    assert parity.samples == len(splits.test)
    head = obliq.make_patch(before, after, tmp_path / "forget.patch", key=None, sequence=2)
    assert head.sequence == 2
    assert head.bytes == (tmp_path / "forget.patch").stat().st_size < after.stat().st_size


def test_a_patch_leads_from_one_network_to_the_other(
    pair: tuple[nn.Module, nn.Module], tmp_path: Path
) -> None:
    original, unlearned = pair
    digest = weights_digest(original)
    head = obliq.make_patch(original, unlearned, tmp_path / "forget.patch", key=None)
    patched = obliq.apply_patch(original, tmp_path / "forget.patch", key=None)
    assert weights_digest(patched) == weights_digest(unlearned) == head.result
    assert weights_digest(original) == digest == head.base
    with pytest.raises(PatchError, match="sequence 1; expected more than 1"):
        obliq.apply_patch(original, tmp_path / "forget.patch", floor=1)
    with pytest.raises(PatchError):
        obliq.apply_patch(unlearned, tmp_path / "forget.patch", key=None)


def test_a_patch_can_be_encrypted(pair: tuple[nn.Module, nn.Module], tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="encryption: extra patch")
    file, key = tmp_path / "forget.patch", bytes(range(32))
    obliq.make_patch(*pair, file, key=key)
    assert weights_digest(obliq.apply_patch(pair[0], file, key=key)) == weights_digest(pair[1])
    with pytest.raises(PatchError, match="is encrypted; expected key="):
        obliq.apply_patch(pair[0], file)


@pytest.mark.usefixtures("without_type_checks")
def test_a_patch_that_has_expired_is_applied_only_if_allowed(
    pair: tuple[nn.Module, nn.Module], tmp_path: Path
) -> None:
    file, past, future = tmp_path / "patch", *(datetime(year, 1, 31, tzinfo=UTC) for year in (2020, 9999))
    with pytest.raises(PatchError, match="has passed; expected a time in the future"):
        obliq.make_patch(*pair, file, key=None, expires=past)
    for wrong in (datetime(9999, 12, 31, 12, tzinfo=timezone(-timedelta(hours=14))), "2030-01-31"):
        with pytest.raises(PatchError, match="before the year 10000"):
            obliq.make_patch(*pair, file, key=None, expires=wrong)  # type: ignore[arg-type]
    assert not file.exists()
    assert obliq.make_patch(*pair, file, key=None, expires=future).expires == future
    assert weights_digest(obliq.apply_patch(pair[0], file)) == weights_digest(pair[1])
    old, new = (network_content(integer_state(network), float_state(network)) for network in pair)
    file.write_bytes(encode_patch(old, new, expires=past))
    with pytest.raises(PatchError, match=r"expired at 2020-01-31T00:00:00Z.*or allow_expired=True"):
        obliq.apply_patch(pair[0], file)
    assert weights_digest(obliq.apply_patch(pair[0], file, allow_expired=True)) == weights_digest(pair[1])


def test_files_are_not_replaced_unasked(pair: tuple[nn.Module, nn.Module], tmp_path: Path) -> None:
    file = tmp_path / "forget.patch"
    obliq.make_patch(*pair, file, key=None)
    with pytest.raises(ObliqError, match="exists"):
        obliq.make_patch(*pair, file, key=None)
    obliq.make_patch(*pair, file, key=None, overwrite=True)


def test_what_cannot_be_shipped_is_refused(
    pair: tuple[nn.Module, nn.Module], parts: Partition, tmp_path: Path
) -> None:
    example = torch.zeros(1, 1, 6, 6)
    with pytest.raises(ModelError, match=r"ends in '\.tflite'; expected one of \.c, \.onnx, \.pte"):
        obliq.export(pair[0], tmp_path / "network.tflite", example)
    with pytest.raises(ModelError, match="form 'compact' for ExecuTorch"):
        obliq.export(pair[0], tmp_path / "network.pte", example, form="compact")
    with pytest.raises(ModelError):
        obliq.export(trained_elsewhere(parts.train), tmp_path / "float.onnx", example)
    with pytest.raises(PatchError, match="expected two of one kind"):
        obliq.make_patch(pair[0], tmp_path / "unlearned.onnx", tmp_path / "forget.patch", key=None)
    with pytest.raises(PatchError, match="sequence 0"):
        obliq.make_patch(*pair, tmp_path / "forget.patch", key=None, sequence=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("without_type_checks")
def test_an_example_must_have_a_shape(pair: tuple[nn.Module, nn.Module], tmp_path: Path) -> None:
    wrong: Any = "1x6x6"
    with pytest.raises(DataError, match="example is a str"):
        obliq.export(pair[0], tmp_path / "network.onnx", wrong)
