"""Networks that were trained elsewhere come in by `obliq adopt`, and are originals like others."""

import json
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obliq import Recipe, calibrate, quantize, train, weights_digest
from obliq.cli import main
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

def train(retain):
    inputs, labels = (torch.stack([one for one, _ in retain]), torch.tensor([label for _, label in retain]))
    model = network().train()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(25):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
    return model

def other(retain):
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 3))

def fails(retain):
    raise RuntimeError("no accelerator")
"""


OWN = ("--arch", "adoptednet:network")


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
        kept = parts["train"][labels[parts["train"]] != 1]
        retrained = trained_by_hand(network(), inputs[kept], labels[kept])
    torch.save(model.state_dict(), folder / "weights.pt")
    torch.save(retrained.state_dict(), folder / "retrained.pt")
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
    said = obliq(
        *elsewhere.words, *OWN, "--weights", "weights.pt", "--fine-tune", 1, "--out", tmp_path / "tuned"
    )
    for words in ("accuracy, %", "most frequent class", "FP32", "W8A8", "fine-tuned", "trained elsewhere"):
        assert words in said.out
    assert "WARNING" not in said.out
    assert max(map(len, said.out.partition("original network")[0].splitlines())) <= 80
    shown = obliq("show", tmp_path / "tuned", *OWN).out
    assert "weights.pt, trained elsewhere" in shown
    assert "accuracy, fine-tuned" in shown
    document = json.loads((tmp_path / "0" / "model.json").read_text())
    assert document["provenance"]["recipe"] is None
    assert document["provenance"]["loaded"]["source"] == "weights.pt"


@pytest.fixture(scope="module")
def adopted(elsewhere: Elsewhere, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adopted original, and a network that forgot a class."""
    folder = tmp_path_factory.mktemp("adopted")
    with chdir(elsewhere.folder):
        words = [*elsewhere.words, *OWN, "--weights", "weights.pt", "--bits", "W4A4", "--fine-tune", "2"]
        assert main([*words, "--out", str(folder / "original")]) == 0
        forget = ["--forget", "class=1", "--threads", "1", "--out", str(folder / "unlearned")]
        assert main(["unlearn", str(folder / "original"), *OWN, *forget, "oeu", "--epochs", "1"]) == 0
    return folder


@pytest.mark.parametrize(
    "way", [("--with", "adoptednet:train"), ("--weights", "retrained.pt"), ("--epochs", "3")]
)
def test_the_reference_of_an_adopted_network(
    way: tuple[str, str], obliq: Obliq, adopted: Path, tmp_path: Path
) -> None:
    request = ("--forget", f"request={adopted / 'unlearned' / 'request.json'}", "--threads", 1)
    retrained, audit = tmp_path / "retrained", tmp_path / "audit"
    said = obliq("retrain", adopted / "original", *OWN, *request, *way, "--out", retrained)
    assert said.status == 0, said.err
    elsewhere = way[0] != "--epochs"
    assert ("fine-tuned" in said.out) is elsewhere
    provenance = json.loads((retrained / "model.json").read_text())["provenance"]
    assert provenance["role"] == "retrained"
    if elsewhere:
        assert all(
            found["forget"] < 20 < found["retain"] for found in provenance["loaded"]["accuracy"].values()
        )
    if way[0] != "--with":
        return
    networks = (adopted / "original", adopted / "unlearned", "--retrained", retrained)
    said = obliq("audit", *networks, *OWN, "--out", audit, "--json")
    assert said.status == 0, said.err
    entries = json.loads(said.out)["entries"]
    assert [entry["kind"] for entry in entries] == ["original", "unlearned", "retrained"]
    assert entries[0]["seconds"] is None  # of the training elsewhere
    assert entries[2]["seconds"] > 0
    assert entries[1]["average_gap"] >= 0
    settings = json.loads((audit / "audit.json").read_text())["settings"]
    assert "by its user (adoptednet:train)" in settings["training of the retrained network"]


def test_ways_to_retrain_that_do_not_fit(obliq: Obliq, adopted: Path, tmp_path: Path) -> None:
    words = (
        "retrain",
        adopted / "original",
        *OWN,
        "--forget",
        "class=1",
        "--threads",
        1,
        "--out",
        tmp_path / "r",
    )
    for way, message in (
        ((), "expected --with module:function (your own training), --weights FILE"),
        (("--from-weights", "weights.pt"), "expected --with module:function"),
        (("--with", "adoptednet:train", "--epochs", 2), "--with and --epochs together"),
        (("--learning-rate", 0.1), "learning_rate without epochs"),
        (("--with", "adoptednet:missing"), "cannot import 'adoptednet:missing'"),
        (
            ("--with", "adoptednet:fails"),
            "'adoptednet:fails' failed on the retain set: RuntimeError: no accel",
        ),
        (("--with", "adoptednet:other"), "adoptednet:other: tensor "),
        (("--weights", "weights.pt"), "holds the weights of the original"),
    ):
        said = obliq(*words, *way)
        assert said.status == 1, way
        assert message in said.err.splitlines()[-1]
        assert not (tmp_path / "r").exists()
    audit = ("audit", adopted / "original", adopted / "unlearned", *OWN, "--out", tmp_path / "a")
    assert "the original was trained elsewhere" in obliq(*audit, "--references", 2).err


def test_training_from_loaded_weights(obliq: Obliq, tmp_path: Path) -> None:
    short = ("--epochs", 1, "--learning-rate", 0.001, "--threads", 1)
    words = ("train", "npz:data.npz", *short, "--bits", "W8A8")
    refused = obliq(*words, "--arch", "adoptednet:trained", "--out", tmp_path / "x")
    assert refused.status == 1
    assert "`obliq adopt --weights included`" in refused.err
    assert "`obliq train --from-weights included`" in refused.err
    original, retrained = tmp_path / "original", tmp_path / "retrained"
    words = (*words, "--layer-bits", "0=W6A6")
    said = obliq(*words, *OWN, "--from-weights", "weights.pt", "--out", original, "--json")
    assert json.loads(said.out)["test_accuracy"] > 80  # of one epoch at a low rate
    retrain = ("retrain", original, *OWN, "--forget", "class=1", "--threads", 1, "--out", retrained)
    assert "began with weights from weights.pt; expected --from-weights" in obliq(*retrain).err
    torch.save(network().state_dict(), tmp_path / "other.pt")
    assert "has digest" in obliq(*retrain, "--from-weights", tmp_path / "other.pt").err
    assert obliq(*retrain, "--from-weights", "weights.pt").status == 0
    shown = obliq("show", original, *OWN).out
    assert "weights.pt, fine-tuned" in shown
    assert "network W8A8, 0=W6A6, input 1x6x6" in shown
    assert "network W8A8, 0=W6A6" in obliq("show", retrained, *OWN).out
    misspelt = obliq(*words[:-1], "1.conv=W6A6", *OWN, "--out", tmp_path / "x")
    assert "there is no layer with weights at '1.conv'" in misspelt.err


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


def test_a_quantized_network_of_the_library_keeps_its_steps(
    obliq: Obliq, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    model = network()
    model.load_state_dict(torch.load("weights.pt", weights_only=True))
    data = pictures()
    pair = (torch.from_numpy(data["x"]), torch.from_numpy(data["y"]))
    quantized = calibrate(quantize(model.eval(), "W3A4", input_shape=(1, 6, 6)), pair)
    quantized = train(quantized, pair, Recipe(epochs=1), progress=False)
    torch.save(quantized.state_dict(), tmp_path / "quantized.pt")
    words = (*elsewhere.words, *OWN, "--weights", tmp_path / "quantized.pt", "--bits")
    said = obliq(*words, "W3A4", "--out", tmp_path / "o", "--json")
    values = json.loads(said.out)
    assert values["weights_digest"] == weights_digest(quantized)
    assert list(values["accuracy"]) == ["FP32", "W3A4"]
    assert any("--bits must be those of its training" in note for note in values["notes"])
    assert "expected the bits of its training" in obliq(*words, "FP32", "--out", tmp_path / "x").err


def test_an_audit_without_test_samples_names_what_it_leaves_out(
    obliq: Obliq, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    original, unlearned, audit = (tmp_path / name for name in ("original", "unlearned", "audit"))
    words = ("adopt", "npz:data.npz", *OWN, "--weights", "weights.pt", "--trained-on", "all", "--threads", 1)
    assert obliq(*words, "--out", original).status == 0
    forget = ("--forget", "class=1", "--threads", 1, "--out", unlearned)
    assert obliq("unlearn", original, *OWN, *forget, "oeu", "--epochs", 1).status == 0
    said = obliq("audit", original, unlearned, *OWN, "--out", audit)
    assert said.status == 0, said.err
    assert "WARNING: no test samples were given, so TA, MIA and AUC are left out" in said.out
    assert said.out.split()[:2] == ["UA", "RA"]
    first = json.loads((audit / "audit.json").read_text())["entries"][1]
    assert first["unlearning_accuracy"] is not None
    missing = ("test_accuracy", "mia_svc_confidence", "auc_forget_vs_test", "entropy_test")
    assert [first[name] for name in missing] == [None] * len(missing)
    assert first["verdict"]["word"] == "INCONCLUSIVE"
    assert "Without test samples, forgotten samples cannot be compared" in (audit / "report.html").read_text()
    assert (
        obliq("export", unlearned, *OWN, "--out", tmp_path / "u.onnx", "--check", "npz:data.npz").status == 0
    )


def test_bytes_that_were_scaled_otherwise_in_training_are_noticed(
    obliq: Obliq, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    data = pictures()
    pixels = (data["x"] * 20 + 128).clip(0, 255).astype(np.uint8)
    np.savez(tmp_path / "bytes.npz", x=pixels, y=data["y"])
    inputs, labels = torch.from_numpy(pixels).float() / 255, torch.from_numpy(data["y"])
    model = trained_by_hand(network(), inputs, labels)
    torch.save(model.state_dict(), tmp_path / "bytes.pt")
    words = (*OWN, "--weights", tmp_path / "bytes.pt", "--trained-on", "all", "--threads", 1, "--out")
    wrong = obliq("adopt", f"npz:{tmp_path / 'bytes.npz'}", *words, tmp_path / "wrong")
    assert "bytes.npz,scale=0..1" in wrong.out.partition("WARNING")[2]
    right = obliq("adopt", f"npz:{tmp_path / 'bytes.npz'},scale=0..1", *words, tmp_path / "right")
    assert right.status == 0
    assert "WARNING" not in right.out


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
