"""Weights that were trained elsewhere."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from obliq.errors import ModelError
from obliq.models.weights_file import load_weights, read_weights


def network(outputs: int = 2) -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(1, 3, 2), nn.BatchNorm1d(3), nn.ReLU(), nn.Flatten(), nn.Linear(6, outputs)
    )


def loaded(file: Path) -> tuple[nn.Module, tuple[str, ...]]:
    model = network()
    return model, load_weights(model, read_weights(file), (file.name, "mynet:network"))


def test_every_kind_of_file_gives_the_same_weights(tmp_path: Path) -> None:
    given = network().state_dict()
    without_counter = {name: value for name, value in given.items() if "num_batches" not in name}
    save_file(given, tmp_path / "a.safetensors", metadata={"format": "pt"})
    torch.save(given, tmp_path / "b.pt")
    torch.save({"epoch": 3, "state_dict": without_counter, "best": 0.5}, tmp_path / "c.pth")
    torch.save({f"module.{name}": value for name, value in given.items()}, tmp_path / "d.pt")
    wide = {name: value.double() if value.is_floating_point() else value for name, value in given.items()}
    torch.save(wide, tmp_path / "e.ckpt")
    (tmp_path / "f.pt").symlink_to(tmp_path / "b.pt")
    notes = {}
    for name in ("a.safetensors", "b.pt", "c.pth", "d.pt", "e.ckpt", "f.pt"):
        model, notes[name] = loaded(tmp_path / name)
        assert all(torch.equal(value, given[key]) for key, value in model.state_dict().items())
    assert [name for name, found in notes.items() if found] == ["c.pth", "d.pt", "e.ckpt"]
    assert "entry 'state_dict'" in notes["c.pth"][0]
    assert "prefix 'module.'" in notes["d.pt"][0]
    assert "float64 as float32" in notes["e.ckpt"][0]


def test_what_does_not_fit_is_one_error_with_every_name(tmp_path: Path) -> None:
    given = network(outputs=3).state_dict()
    del given["0.bias"]
    given["head.weight"] = torch.ones(1)
    given["1.running_mean"][0] = torch.nan
    save_file(given, tmp_path / "w.safetensors")
    with pytest.raises(ModelError) as caught:
        loaded(tmp_path / "w.safetensors")
    for words in (
        "w.safetensors does not fit mynet:network",
        "1 missing (0.bias)",
        "1 unexpected (head.weight)",
        "2 of another shape (4.weight (3, 6) for (2, 6), 4.bias (3,) for (2,))",
        "1 NaN or infinite (1.running_mean)",
    ):
        assert words in str(caught.value)


class RunsCode:
    def __reduce__(self) -> tuple[object, ...]:
        return print, ("this must never be printed",)


def test_no_file_runs_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(RunsCode(), tmp_path / "evil.pt")
    torch.save(network(), tmp_path / "whole.pt")
    for name in ("evil.pt", "whole.pt"):
        with pytest.raises(ModelError, match="expected a state dict"):
            read_weights(tmp_path / name)
    assert capsys.readouterr().out == ""


def test_other_files_are_refused_in_one_line(tmp_path: Path) -> None:
    state = network().state_dict()
    (tmp_path / "noise.pt").write_bytes(b"not a checkpoint")
    (tmp_path / "noise.safetensors").write_bytes(b"not a checkpoint")
    torch.save({"model": state, "ema": state}, tmp_path / "two.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    for name, words in (
        ("noise.pt", "is damaged or holds more than tensors"),
        ("noise.safetensors", "expected a whole safetensors file"),
        ("two.pt", "the state dicts 'model', 'ema'"),
        ("list.pt", "holds a list"),
        ("missing.pt", "No such file"),
        ("weights.h5", "ends in '.h5'"),
    ):
        with pytest.raises(ModelError, match=words) as caught:
            read_weights(tmp_path / name)
        assert "\n" not in str(caught.value)
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "tool"),
    [
        ("0.weight_quant.tensor_quant.scaling_impl.value", "Brevitas"),
        ("2.act_quant.fused_activation_quant_proxy.tensor_quant.scaling_impl.value", "Brevitas"),
        ("0.weight_fake_quant.scale", "torch.ao"),
        ("0.activation_post_process.scale", "torch.ao"),
    ],
)
def test_steps_of_other_quantizers_are_refused_with_what_to_do(tmp_path: Path, name: str, tool: str) -> None:
    torch.save({**network().state_dict(), name: torch.ones(())}, tmp_path / "w.pt")
    with pytest.raises(
        ModelError, match=f"state dict of .*{tool}.*expected --arch module:function that returns"
    ) as caught:
        loaded(tmp_path / "w.pt")
    assert "obliq unlearn FILE.onnx" in str(caught.value)


def test_networks_of_pt2e_are_refused_with_the_commands_that_lead_on(tmp_path: Path) -> None:
    state = {**network().state_dict(), "activation_post_process_0.scale": torch.ones(())}
    torch.save(state, tmp_path / "w.pt")
    (tmp_path / "w.pt2").write_bytes(b"PK\x03\x04")
    for name in ("w.pt", "w.pt2"):
        with pytest.raises(ModelError) as caught:
            loaded(tmp_path / name)
        for command in (
            "torch.onnx.export(convert_pt2e(prepared)",
            "`obliq unlearn model.onnx --data SOURCE",
        ):
            assert command in str(caught.value)


def test_tensors_that_are_no_plain_numbers_are_refused_without_reading_them(tmp_path: Path) -> None:
    given = network().state_dict()
    name, weight = "0.weight", given["0.weight"]
    for state, words in (
        ({name: torch.zeros(1).expand(10**6, 10**6)}, "expected"),
        ({name: weight.to_sparse()}, "expected"),
        ({name: torch.empty(weight.shape, device="meta")}, "expected"),
        ({name: weight.double() * 1e300}, "1 NaN or infinite (0.weight)"),
        ({"1.running_var": -given["1.running_var"]}, "1 negative variances (1.running_var)"),
        ({"a\nb": torch.ones(1)}, r"a tensor called 'a\nb'..."),
    ):
        torch.save({**given, **state}, tmp_path / "w.pt")
        with pytest.raises(ModelError) as caught:
            loaded(tmp_path / "w.pt")
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
