"""A network whose training, holdout and test samples lie in sources of their own goes the whole way."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.adopting.elsewhere import OWN, Elsewhere, Obliq
from tests.cli.conftest import pictures

FITS = (*OWN, "--weights", "weights.pt", "--threads", 1)
MINE = "adopteddata:train,holdout=adopteddata:holdout,test=npz:test.npz"
CODE = """
import numpy as np, torch
from torch.utils.data import TensorDataset

def read(name):
    found = np.load(f"{name}.npz")
    return TensorDataset(torch.from_numpy(found["x"]), torch.from_numpy(found["y"]))

def train():
    return read("train")

def holdout():
    return read("holdout")
"""


@pytest.fixture(autouse=True)
def _in_files_of_their_own(elsewhere: Elsewhere) -> None:
    data = pictures()
    for name in ("train", "holdout", "test"):
        ids = np.loadtxt(f"{name}.txt", dtype=int)
        np.savez(f"{name}.npz", x=data["x"][ids], y=data["y"][ids])
    Path("adopteddata.py").write_text(CODE)


def test_the_parts_are_those_of_ids_in_one_source(obliq: Obliq, elsewhere: Elsewhere, tmp_path: Path) -> None:
    separate = ("adopt", "npz:train.npz", "--holdout", "npz:holdout.npz", "--test", "npz:test.npz")
    said = obliq(*separate, *FITS, "--out", tmp_path / "o", "--json")
    assert said.status == 0, said.err
    values = json.loads(said.out)
    assert values["accuracy"]["FP32"] == elsewhere.accuracy
    assert values["counts"] == {"train": 90, "holdout": 25, "test": 29}
    provenance = json.loads((tmp_path / "o" / "model.json").read_text())["provenance"]
    assert provenance["data"] == "own data (several sources)"
    source = json.loads((tmp_path / "o" / "source.json").read_text())
    names = (f"npz:{Path.cwd() / name}.npz" for name in ("train", "holdout", "test"))
    assert source["data"] == "{},holdout={},test={}".format(*names), "they are found from any working folder"


def test_unlearning_audit_export_and_files(obliq: Obliq, tmp_path: Path) -> None:
    original, unlearned, retrained, audit = (tmp_path / name for name in ("o", "u", "r", "a"))
    adopt = ("adopt", "adopteddata:train", "--holdout", "adopteddata:holdout", "--test", "npz:test.npz")
    said = obliq(*adopt, *FITS, "--out", original)
    assert said.status == 0, said.err
    assert f"--data {MINE}" in said.out.splitlines()[-1]
    forget = ("--forget", "class=1", *OWN, "--threads", 1, "--out", unlearned)
    refused = obliq("unlearn", original, *forget, "oeu", "--epochs", 1)
    absolute = MINE.replace("npz:", f"npz:{Path.cwd()}/")
    assert f"expected that name from you (--data {absolute})" in refused.err
    data = ("--data", MINE)
    assert obliq("unlearn", original, *data, *forget, "oeu", "--epochs", 1).status == 0
    request = ("--forget", f"request={unlearned / 'request.json'}", *OWN, *data, "--threads", 1)
    assert obliq("retrain", original, *request, "--with", "adoptednet:train", "--out", retrained).status == 0
    networks = (original, unlearned, "--retrained", retrained, *OWN, *data)
    said = obliq("audit", *networks, "--out", audit, "--json")
    assert said.status == 0, said.err
    assert json.loads(said.out)["entries"][1]["test_accuracy"] is not None
    exported = ("export", original, *OWN, "--out", tmp_path / "o.onnx", "--check", MINE)
    assert obliq(*exported).status == 0
    assert obliq("export", unlearned, *OWN, "--accept", "--out", tmp_path / "u.onnx").status == 0
    assert_patched(obliq, tmp_path / "o.onnx", tmp_path / "u.onnx")
    division = ("--trained-on", "all", "--holdout", "npz:holdout.npz", "--test", "npz:test.npz")
    words = ("unlearn", tmp_path / "o.onnx", "--data", "npz:train.npz", *division, "--forget", "class=1")
    said = obliq(*words, "--threads", 1, "--out", tmp_path / "f", "oeu", "--epochs", 1)
    assert said.status in (0, 3), said.err
    changed = dict(np.load("holdout.npz"))
    changed["x"][0] += 1
    np.savez("holdout.npz", **changed)
    said = obliq("unlearn", original, *data, *forget[:-1], tmp_path / "again", "oeu", "--epochs", 1)
    assert "is not what the network was trained on: digest" in said.err


def assert_patched(obliq: Obliq, old: Path, new: Path) -> None:
    """A patch of two exports makes one of the other, byte for byte."""
    patch, device = new.with_suffix(".patch"), new.with_suffix(".device.onnx")
    said = obliq("patch", "make", old, new, "--plain", "--out", patch)
    assert said.status == 0, said.err
    assert patch.stat().st_size < new.stat().st_size
    said = obliq("patch", "apply", old, patch, "--out", device)
    assert said.status == 0, said.err
    assert device.read_bytes() == new.read_bytes()


def test_what_is_not_stated_is_asked_for(obliq: Obliq, tmp_path: Path) -> None:
    for words, message in (
        (("npz:train.npz",), "nothing states which samples of npz:train.npz the network was trained on"),
        (
            ("npz:train.npz", "--trained-on", "all", "--holdout", "val"),
            "expected a share from 0 to 1, ids=FILE, subject=7,12 or a source",
        ),
        (
            ("npz:train.npz", "--holdout", "npz:train.npz"),
            "90 holdout samples (npz:train.npz) are training samples",
        ),
        (("npz:train.npz,test=npz:test.npz", "--test", "npz:holdout.npz"), "test is there twice"),
        (("npz:train.npz", "--test", "npz:nothing.npz"), "nothing.npz"),
    ):
        said = obliq("adopt", *words, *FITS, "--out", tmp_path / "o")
        assert said.status == 1, words
        assert message in said.err.splitlines()[-1]
        assert not (tmp_path / "o").exists()


def test_training_by_obliq_on_folders_of_pictures(
    obliq: Obliq, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 255, (60, 8, 8), np.uint8)
    for number, picture in enumerate(pixels):
        folder = Path("train" if number < 40 else "val") / ("ape", "bee")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / f"{number % 10}.png")
    words = ("train", "folder:train", "--holdout", "folder:val", "--test", 0.2, "--epochs", 1, "--threads", 1)
    said = obliq(*words, "--out", "o", "--json")
    assert said.status == 0, said.err
    assert json.loads(said.out)["counts"]["holdout"] == len(list(Path("val").rglob("*.png")))
    inside = obliq(*words, "--out", "val/o")
    assert "val/o lies in the data (folder:val); expected a folder outside them" in inside.err
    unlearn = ("unlearn", "o", "--forget", "class=ape", "--out", "train/u")
    assert f"train/u lies in the data (folder:{tmp_path / 'train'})" in obliq(*unlearn).err
    whole = ("train", "folder:train", "--holdout", "folder:val", "--test", "folder:test", *words[6:])
    shutil.copytree("val", "test")
    for picture in Path("test").rglob("*.png"):  # other pictures than those of the holdout part
        Image.fromarray(255 - np.asarray(Image.open(picture))).save(picture)
    said = obliq(*whole, "--out", "whole")
    assert said.status == 0, said.err
    said = obliq("unlearn", "whole", "--forget", "class=ape", "--out", "u", "--accept", "oeu", "--epochs", 1)
    assert said.status == 0, said.err
    for network in ("whole", "u"):
        assert obliq("export", network, "--accept", "--out", f"{network}.onnx").status == 0
    assert_patched(obliq, Path("whole.onnx"), Path("u.onnx"))
    shown = obliq("data", "folder:train,holdout=folder:val")
    assert "holdout part" in shown.out
    assert "ape" in shown.out
