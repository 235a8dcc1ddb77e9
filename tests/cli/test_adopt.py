"""Networks that were trained elsewhere come in by `obliq adopt`, and are originals like others."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.cli.conftest import Said, pictures

Obliq = Callable[..., Said]

CODE = """
import torch
from torch import nn

def network(input_shape=(1, 6, 6), classes=3):
    return nn.Sequential(
        nn.Conv2d(input_shape[0], 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(128, classes)
    )

def trained():
    model = network()
    model.load_state_dict(torch.load("weights.pt", weights_only=True))
    return model

def small(input_shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(36, classes - 1))
"""


def network() -> nn.Module:
    found: dict[str, object] = {}
    exec(CODE, found)
    built = found["network"]()  # type: ignore[operator]
    assert isinstance(built, nn.Module)
    return built


@dataclass(frozen=True)
class Elsewhere:
    """A folder with the user's own network, data and split."""

    folder: Path
    accuracy: dict[str, float]

    @property
    def words(self) -> tuple[str, ...]:
        parts = ("--trained-on", "ids=train.txt", "--holdout", "ids=holdout.txt", "--test", "ids=test.txt")
        return ("adopt", "npz:data.npz", *parts, "--threads", "1")


def trained_by_hand(model: nn.Module, inputs: Tensor, labels: Tensor) -> nn.Module:
    optimizer = torch.optim.Adam(model.train().parameters(), 0.01)
    for _ in range(25):
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
    return model.eval()


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    """The user's own training, without Obliq."""
    folder = tmp_path_factory.mktemp("elsewhere")
    data = pictures()
    np.savez(folder / "data.npz", **data)
    (folder / "adoptednet.py").write_text(CODE)
    inputs, labels = torch.from_numpy(data["x"]), torch.from_numpy(data["y"])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        order = torch.randperm(144)
        parts = {"train": order[:90], "holdout": order[90:115], "test": order[115:]}
        model = trained_by_hand(network(), inputs[parts["train"]], labels[parts["train"]])
    torch.save(model.state_dict(), folder / "weights.pt")
    accuracy = {}
    for name, part in parts.items():
        (folder / f"{name}.txt").write_text("\n".join(map(str, part.tolist())))
        right = model(inputs[part]).argmax(dim=1) == labels[part]
        accuracy[name] = round(100 * float(right.float().mean()), 2)
    assert accuracy["train"] > 95
    return Elsewhere(folder, accuracy)


@pytest.fixture(autouse=True)
def _in_the_folder(elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(elsewhere.folder)


def test_the_network_that_came_in_is_the_one_that_is_measured(
    obliq: Obliq, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    digests = set()
    for number, given in enumerate(
        (
            ("--arch", "adoptednet:network", "--weights", "weights.pt"),
            ("--network", "adoptednet:trained", "--weights", "included"),
        )
    ):
        said = obliq(*elsewhere.words, *given, "--out", tmp_path / str(number), "--json")
        assert said.status == 0, said.err
        values = json.loads(said.out)
        assert values["accuracy"]["FP32"] == elsewhere.accuracy
        assert abs(values["accuracy"]["W8A8"]["train"] - elsewhere.accuracy["train"]) < 2
        assert values["counts"] == {"train": 90, "holdout": 25, "test": 29}
        digests.add(values["weights_digest"])
        assert obliq("show", tmp_path / str(number), "--arch", given[1]).status == 0
    assert len(digests) == 1
    document = json.loads((tmp_path / "0" / "model.json").read_text())
    assert document["provenance"]["recipe"] is None
    assert document["provenance"]["loaded"]["source"] == "weights.pt"


def test_an_adopted_original_is_forgotten_from_audited_and_exported(
    obliq: Obliq, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    given = ("--arch", "adoptednet:network")
    original, unlearned = tmp_path / "original", tmp_path / "unlearned"
    said = obliq(
        *elsewhere.words,
        *given,
        "--weights",
        "weights.pt",
        "--bits",
        "W4A4",
        "--fine-tune",
        2,
        "--out",
        original,
    )
    assert said.status == 0, said.err
    for words in ("accuracy, %", "most frequent class", "FP32", "W4A4", "fine-tuned", "trained elsewhere"):
        assert words in said.out
    assert "WARNING" not in said.out
    assert max(map(len, said.out.partition("original network")[0].splitlines())) <= 80
    forget = ("--forget", "class=1", "--threads", 1)
    assert obliq("unlearn", original, *given, *forget, "--out", unlearned, "oeu", "--epochs", 1).status == 0
    audited = obliq("audit", original, unlearned, *given, "--out", tmp_path / "audit")
    assert audited.status == 0, audited.err
    shown = obliq("show", original, *given).out
    assert "weights.pt, trained elsewhere" in shown
    assert "fine-tuned" in shown


def test_a_network_that_is_right_nowhere_is_warned_about(
    obliq: Obliq, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    state = network().state_dict()
    torch.save({name: torch.zeros_like(value) for name, value in state.items()}, tmp_path / "zero.pt")
    given = ("--arch", "adoptednet:network", "--weights", tmp_path / "zero.pt")
    said = obliq(*elsewhere.words, *given, "--out", tmp_path / "o")
    assert said.status == 0
    assert "WARNING: the network as it came answers" in said.out
    assert "scaled otherwise" in said.out


def test_refusals_come_before_anything_is_written(obliq: Obliq, elsewhere: Elsewhere, tmp_path: Path) -> None:
    own, fits = ("--arch", "adoptednet:network"), ("--weights", "weights.pt")
    for words, message in (
        ((*own, "--weights", "nothing.pt"), "nothing.pt: cannot be read"),
        (("--arch", "convnet", *fits), "weights.pt does not fit convnet"),
        (("--arch", "adoptednet:missing", *fits), "cannot import 'adoptednet:missing'"),
        (("--arch", "adoptednet:small", "--weights", "included"), "distinguishes 2 classes"),
        ((*own, *fits, "--fine-tune", -1), "fine_tune=-1"),
        ((*own, *fits, "--bits", "W9A9"), "expected a whole number from 2 to 8"),
        ((*own, *fits, "--holdout", "ids=train.txt"), "is in both training and holdout"),
    ):
        said = obliq(*elsewhere.words, *words, "--out", tmp_path / "o")
        assert said.status == 1, words
        assert message in said.err.splitlines()[-1]
        assert not (tmp_path / "o").exists()


def test_training_without_holdout_and_test(obliq: Obliq, tmp_path: Path) -> None:
    short = ("--epochs", 1, "--threads", 1)
    said = obliq(
        "train", "npz:data.npz", "--holdout", 0, "--test", 0, "--out", tmp_path / "o", *short, "--json"
    )
    assert said.status == 0, said.err
    values = json.loads(said.out)
    assert values["counts"] == {"train": 144, "holdout": 0, "test": 0}
    assert "test_accuracy" not in values
    named = ("--holdout", "ids=holdout.txt", "--test", "ids=test.txt")
    exact = obliq("train", "npz:data.npz", *named, "--out", tmp_path / "n", *short, "--json")
    assert json.loads(exact.out)["counts"] == {"train": 90, "holdout": 25, "test": 29}
