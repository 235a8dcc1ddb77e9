"""`obliq data`, and how verbs repeat in words which data and which request they were given."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import SHORT, Said, Way
from tests.cli.refusals import refused

Obliq = Callable[..., Said]


def photos(folder: Path, classes: int = 12, each: int = 8) -> Path:
    """Pictures in folders called by numbers; each is brighter than those of the folder before."""
    for number in range(classes):
        (folder / str(number)).mkdir(parents=True)
        for index in range(each):
            pixels = np.full((6, 6), 20 * number + index, np.uint8)
            Image.fromarray(pixels).save(folder / str(number) / f"{index}.png")
    return folder


def test_what_a_source_holds(obliq: Obliq, tmp_path: Path) -> None:
    source = f"folder:{photos(tmp_path / 'photos')}"
    said = obliq("data", source)
    assert said.status == 0, said.err
    for line in (
        f"{source}: 96 images of 1 x 6 x 6, 12 classes 0 to 11",
        "one sample  1 x 6 x 6: channels x height x width",
        "values      uint8, 0 to 227",
        "scaled      x / 127.5 - 1 (what the network reads)",
        "ids         0/0.png to 11/7.png, and positions from 0",
        "to forget   --forget class=11; --forget random=10%; --forget ids=FILE",
        "11           8",
    ):
        assert line in said.out.splitlines()
    values = json.loads(obliq("data", source, "--json").out)
    assert values["classes"] == {str(number): 8 for number in range(12)}
    assert list(values["classes"]) == [str(number) for number in range(12)]
    digits = json.loads(obliq("data", "digits", "--json").out)
    assert (digits["samples"], digits["subjects"]["7"], digits["ids"]) == (1797, 123, ["0", "1796"])
    assert digits["scaling"] == "(x - 0.3053) / 0.376"
    refused(obliq("data", "npz:none.npz"), "none.npz")


def test_a_number_means_the_folder_of_that_name(obliq: Obliq, tmp_path: Path) -> None:
    original, unlearned = tmp_path / "original", tmp_path / "unlearned"
    trained = obliq("train", f"folder:{photos(tmp_path / 'photos')}", "--out", original, *SHORT)
    assert "data: 96 images of 1 x 6 x 6, 12 classes 0 to 11\n" in trained.err
    words = ("unlearn", original, "--forget", "class=2", "--out", unlearned, "--json", "--accept")
    forgot = obliq(*words, "fine-tune", "--epochs", 1)
    assert forgot.err.splitlines()[0] == "to forget: class '2' (6 samples) of the training part"
    assert "'2'" not in forgot.out
    ids = json.loads((unlearned / "request.json").read_text())["ids"]
    assert all(16 <= sample < 24 for sample in ids)  # folder 2 is the third one
    audited = obliq("audit", original, unlearned, "--out", tmp_path / "audit")
    assert audited.err.splitlines()[0] == "audited request: one class, 6 samples"


@pytest.mark.parametrize("verb", ["unlearn", "retrain"])
def test_mistakes_name_every_form_of_a_request(verb: str, obliq: Obliq, way: Way, tmp_path: Path) -> None:
    method = ("oeu",) if verb == "unlearn" else ()
    said = obliq(verb, way.original, "--forget", "Ann", "--out", tmp_path / "out", *method)
    refused(said, "class=cat,dog", "ids=FILE, request=FILE for the request.json")
