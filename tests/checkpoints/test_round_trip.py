import dataclasses
import json
import stat
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from obliq.checkpoints import Blueprint, Checkpoint, load_checkpoint, save_checkpoint, write_checkpoint
from obliq.checkpoints.summary import summarise_checkpoint
from obliq.errors import ModelError, ObliqError
from obliq.quantization import Precision, changed_codes, integer_state, weights_digest
from tests.checkpoints.conftest import SHAPES, make, provenance, settled


def logits(model: nn.Module, shape: tuple[int, ...]) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.randn(5, *shape, generator=torch.Generator().manual_seed(9)))


@pytest.mark.parametrize(
    ("architecture", "precision", "fields", "latent"),
    [
        ("convnet", "W4A4", {}, False),
        ("signal-convnet", "W3A2", {}, False),
        ("resnet20", "W4A4", {}, False),
        ("convnet", "W4A4", {}, True),
        ("convnet", "W2A3", {"weight_grid": "per_tensor"}, True),
        ("convnet", "W4A4", {"preset": "paper"}, True),
        ("convnet", "W3A8", {"edge_bits": 4}, True),
        ("convnet", "FP32", {}, True),
        ("signal-convnet", "W2A2", {}, True),
        ("signal-convnet", "FP32", {}, True),
        ("resnet20", "W4A4", {}, True),
        ("resnet20", "W5A7", {"preset": "paper"}, True),
        ("resnet18", "W4A4", {}, True),
        ("mobilenetv2", "W8A8", {}, True),
    ],
)
def test_a_network_comes_back_bit_for_bit(
    tmp_path: Path, architecture: str, precision: str, fields: dict[str, object], latent: bool
) -> None:
    saved = make(architecture, precision, **fields)
    save_checkpoint(tmp_path / "network", saved, latent=latent)
    random_state = torch.random.get_rng_state()
    loaded = load_checkpoint(tmp_path / "network")
    assert torch.equal(torch.random.get_rng_state(), random_state)
    assert loaded.blueprint == saved.blueprint
    assert loaded.provenance == saved.provenance.as_saved()
    assert not loaded.model.training
    shape = SHAPES[architecture]
    assert torch.equal(logits(loaded.model, shape), logits(saved.model, shape))
    assert weights_digest(loaded.model) == weights_digest(saved.model)
    if latent or precision == "FP32":
        before, after = saved.model.state_dict(), loaded.model.state_dict()
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)
    save_checkpoint(tmp_path / "again", loaded, latent=latent)
    for file in ("model.safetensors", "model.json"):
        assert (tmp_path / "again" / file).read_bytes() == (tmp_path / "network" / file).read_bytes()


def test_what_is_loaded_trains_on(tmp_path: Path) -> None:
    saved = make("convnet", "W2A2")
    save_checkpoint(tmp_path / "network", saved, latent=False)
    model = load_checkpoint(tmp_path / "network").model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    inputs, labels = torch.randn(8, 1, 8, 8), torch.arange(8) % 3
    for _ in range(5):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert changed_codes(saved.model, model) > 0


def test_which_files_there_are_and_what_they_hold(saved: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "network", saved, created="2026-01-01")
    assert sorted(file.name for file in (tmp_path / "network").iterdir()) == [
        "files.json",
        "latent.safetensors",
        "model.json",
        "model.safetensors",
    ]
    values = json.loads((tmp_path / "network" / "model.json").read_text())
    assert list(values) == sorted(values)
    assert values["created"] == "2026-01-01"
    assert values["blueprint"]["precision"] == "W4A4"
    assert values["weights_digest"] == weights_digest(saved.model)
    middle = values["quantization"]["features.4.weight"]
    assert middle == {"bits": 4, "shape": [32, 16, 3, 3], "channel_axis": 0, "signed": True, "zero_point": 0}
    codes = {name for name, entry in values["quantization"].items() if entry["shape"] is not None}
    assert codes == {name for name, tensor in integer_state(saved.model).items() if tensor.codes is not None}
    assert not any(word in values["provenance"] for word in ("ids", "selector", "subject", "salt"))
    size = (tmp_path / "network" / "model.safetensors").stat().st_size
    assert size < 0.25 * 4 * sum(parameter.numel() for parameter in saved.model.parameters())


def test_a_float_network_has_no_latent_file(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "network", make(precision="FP32"))
    assert not (tmp_path / "network" / "latent.safetensors").exists()


def test_other_files_in_the_folder_are_ignored(stored: Path) -> None:
    (stored / "request.json").write_text("{}")
    (stored / "model.pkl").write_bytes(b"cos\nsystem\n")
    load_checkpoint(stored)


def test_nothing_is_replaced_unasked(saved: Checkpoint, stored: Path) -> None:
    before = (stored / "model.safetensors").read_bytes()
    with pytest.raises(ObliqError, match="exists already"):
        save_checkpoint(stored, make("signal-convnet"))
    assert (stored / "model.safetensors").read_bytes() == before
    save_checkpoint(stored, make("signal-convnet"), overwrite=True)
    assert load_checkpoint(stored).blueprint.architecture == "signal-convnet"


def test_a_network_can_be_written_beside_other_files(saved: Checkpoint, tmp_path: Path) -> None:
    write_checkpoint(tmp_path, saved, latent=False)
    load_checkpoint(tmp_path)


def test_what_could_not_be_read_back_is_not_written(saved: Checkpoint, tmp_path: Path) -> None:
    other = make(precision="W3A3")
    with pytest.raises(ModelError, match="does not have the form of its Blueprint"):
        save_checkpoint(tmp_path / "network", Checkpoint(other.model, saved.blueprint, saved.provenance))
    endless = provenance(recipe={"learning_rate": float("inf")})
    with pytest.raises(ModelError, match=r"the network to save: .*JSON"):
        save_checkpoint(tmp_path / "network", Checkpoint(saved.model, saved.blueprint, endless))
    fresh = saved.blueprint.build()
    with pytest.raises(ModelError, match="expected a call of calibrate_steps"):
        save_checkpoint(tmp_path / "network", Checkpoint(fresh, saved.blueprint, saved.provenance))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"role": "stolen"}, "role 'stolen'; expected original, retrained, unlearned"),
        ({"base_digest": "xyz"}, "base_digest is 'xyz'; expected 64 hexadecimal digits"),
        ({"threads": 0}, "expected 0 or more and 1 or more"),
        ({"seconds": float("nan")}, "expected 0 or more"),
        ({"counts": {"subject 7": 3}}, "a count of 'subject 7'"),
    ],
)
def test_provenance_is_checked(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        provenance(**fields)


@pytest.mark.parametrize("fields", [{"input_shape": ()}, {"input_shape": (1, 0, 8)}, {"classes": 1}])
def test_a_blueprint_is_checked(fields: dict[str, object]) -> None:
    with pytest.raises(ModelError, match="expected"):
        Blueprint(**({"architecture": "convnet", "input_shape": (1, 8, 8), "classes": 3} | fields))  # type: ignore[arg-type]


def test_a_network_of_ones_own_is_imported_with_consent_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = tmp_path / "canary"
    (tmp_path / "my_network.py").write_text(
        f"open({str(canary)!r}, 'w').close()\n"
        "from torch import nn\n"
        "def tiny(input_shape, classes):\n"
        "    return nn.Sequential(nn.Conv1d(input_shape[0], 4, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1),\n"
        "                         nn.Flatten(), nn.Linear(4, classes))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    name = "my_network:tiny"
    blueprint = Blueprint(architecture=name, input_shape=(2, 9), classes=3, precision=Precision(4, 4))
    saved = Checkpoint(settled(blueprint.build(), (2, 9)), blueprint, provenance())
    function = sys.modules.pop("my_network").tiny
    save_checkpoint(tmp_path / "network", saved)
    canary.unlink()

    with pytest.raises(ModelError, match=r"is code outside obliq.*expected --arch my_network:tiny"):
        load_checkpoint(tmp_path / "network")
    with pytest.raises(ModelError, match="but 'other:function' was given"):
        load_checkpoint(tmp_path / "network", architecture="other:function")
    assert "my_network" not in sys.modules
    assert not canary.exists()

    expected = logits(saved.model, (2, 9))
    assert torch.equal(
        logits(load_checkpoint(tmp_path / "network", architecture=function).model, (2, 9)), expected
    )
    assert not canary.exists()
    assert torch.equal(
        logits(load_checkpoint(tmp_path / "network", architecture=name).model, (2, 9)), expected
    )
    assert canary.exists()
    sys.modules.pop("my_network")


def test_a_built_in_network_is_not_replaced_by_the_callers(stored: Path) -> None:
    load_checkpoint(stored, architecture="convnet")
    with pytest.raises(ModelError, match="its architecture is 'convnet', but 'resnet20' was given"):
        load_checkpoint(stored, architecture="resnet20")


def test_files_can_be_read_by_others_as_usual(stored: Path) -> None:
    assert stat.S_IMODE(stored.stat().st_mode) == 0o755


def test_the_inventory_adds_up(saved: Checkpoint, stored: Path) -> None:
    found = summarise_checkpoint(dataclasses.replace(saved, provenance=saved.provenance.as_saved()))
    assert found == summarise_checkpoint(load_checkpoint(stored))
    json.dumps(found.as_json(), allow_nan=False)
    assert found.weights_digest == weights_digest(saved.model)
    rows = {row.name: row for row in found.rows}
    assert rows["features.4.weight"].bytes == 32 * 16 * 9 // 2 + 4 * 32
    assert rows["features.4.weight"].float_bytes == 4 * 32 * 16 * 9
    assert rows["features.0.weight"].bits == 8
    assert found.total_bytes == sum(row.bytes for row in found.rows)
    plain = make(precision="FP32")
    assert found.unquantized_bytes == summarise_checkpoint(plain).total_bytes
    assert summarise_checkpoint(plain).code_bytes == summarise_checkpoint(plain).scale_bytes == 0
    assert {row.kind for row in found.rows} == {"weight", "activation", "float"}
