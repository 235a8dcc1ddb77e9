"""The network that computes in PyTorch what the file does, and what is written about it."""

import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from obliq.errors import ModelError
from obliq.exporting import (
    CodeAgreement,
    ParityRecord,
    check,
    deployed,
    export_file,
    graph_of,
    read_parity_record,
    sha256_of,
    write_parity_record,
)
from obliq.exporting.device_biases import largest_bias_rounding
from obliq.quantization import integer_state, weights_digest
from tests.exporting.networks import CASES, made

pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")


@pytest.mark.parametrize("precision", ["W8A8", "W4A4"])
@pytest.mark.parametrize("name", CASES)
def test_a_deployed_network_keeps_its_integers_and_its_file_and_stays_as_it_is(
    name: str, precision: str
) -> None:
    model, inputs = made(name, precision)
    once = deployed(model, inputs.shape[1:])
    before, after = integer_state(model), integer_state(once)
    for key, tensor in before.items():
        assert torch.equal(tensor.scale, after[key].scale)
        assert tensor.codes is None or torch.equal(tensor.codes, after[key].codes)
    assert export_file(model, inputs.shape[1:]) == export_file(once, inputs.shape[1:])
    assert largest_bias_rounding(graph_of(model, inputs.shape[1:])) > 1e-3
    assert largest_bias_rounding(graph_of(once, inputs.shape[1:])) < 1e-4
    assert weights_digest(deployed(once, inputs.shape[1:])) == weights_digest(once) != weights_digest(model)


def without_norm_parameters() -> nn.Module:
    """Batch norm that has statistics alone, so that only they can take up a shift."""
    from obliq.quantization import calibrate_steps, quantize

    net = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4, affine=False),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )
    model = quantize(net, "W8A8")
    inputs = torch.randn(64, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    calibrate_steps(model, inputs)
    model(inputs)
    return model.eval()


def test_batch_norm_without_parameters_is_shifted_by_its_mean() -> None:
    model = without_norm_parameters()
    once = deployed(model, (1, 6, 6))
    assert largest_bias_rounding(graph_of(once, (1, 6, 6))) < 1e-4
    assert weights_digest(deployed(once, (1, 6, 6))) == weights_digest(once)


def test_parity_of_a_deployed_network_is_all_but_perfect() -> None:
    model, inputs = made("residual blocks", "W4A4")
    once = deployed(model, inputs.shape[1:])
    found = check(once, export_file(model, inputs.shape[1:]), inputs)
    assert found.network == found.deployed_network
    assert found.network.same_top1 == 1
    assert found.activations == CodeAgreement(compared=found.activations.compared, equal=1.0, largest_step=0)
    assert found.deployed_activations.equal > 0.999
    assert found.exact_activations == found.activations
    assert check(model, export_file(model, inputs.shape[1:]), inputs).network.mean_difference > 0


def test_activations_of_another_network_are_noticed() -> None:
    model, inputs = made("convnet", "W8A8")
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.get_submodule("features.1").bias += 0.5
    found = check(other, export_file(model, (1, 8, 8)), inputs)
    assert found.activations.equal < 0.9
    assert found.activations.largest_step > 1
    assert found.exact_activations.equal == 1
    assert found.deployed_activations.equal > 0.999


def record() -> ParityRecord:
    model, inputs = made("convnet", "W8A8")
    content = export_file(model, (1, 8, 8))
    return ParityRecord(
        form="integer",
        file_digest=sha256_of(content),
        file_bytes=len(content),
        network_digest=weights_digest(model),
        deployed_digest=weights_digest(deployed(model, (1, 8, 8))),
        checks={"noise": check(model, content, inputs)},
    )


def test_a_record_reads_back_as_it_was_written(tmp_path: Path) -> None:
    made_record = record()
    (tmp_path / "parity.json").write_text(write_parity_record(made_record))
    assert read_parity_record(tmp_path / "parity.json") == made_record
    assert made_record.audited == "as trained"
    assert dataclasses.replace(made_record, network_digest=made_record.deployed_digest).audited == "deployed"
    assert np.isfinite(made_record.checks["noise"].reference.mean_difference)


@pytest.mark.parametrize("change", [("obliq-parity", "obliq-patch"), ('"version": 2', '"version": 1')])
def test_another_record_is_refused(tmp_path: Path, change: tuple[str, str]) -> None:
    (tmp_path / "parity.json").write_text(write_parity_record(record()).replace(*change))
    with pytest.raises(ModelError, match=r"parity\.json: .*expected"):
        read_parity_record(tmp_path / "parity.json")
