"""`obliq data`, and how verbs repeat in words which data and which request they were given."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import SHORT, Said, Way, pictures
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


def test_data_are_found_from_any_folder_and_where_they_were_moved(
    obliq: Obliq, own_way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network of before names its data relative to a working folder; what it leads to has an absolute path."""
    stated = json.loads((own_way.original / "source.json").read_text())
    (own_way.original / "source.json").write_text(json.dumps(stated | {"data": "npz:people.npz"}))
    moved = tmp_path / "moved"
    moved.mkdir()
    shutil.copy(own_way.data, moved / "people.npz")
    words = ("unlearn", own_way.original, "--forget", "random=5", "--threads", 1, "--out")
    brief = ("fine-tune", "--epochs", 1)
    monkeypatch.chdir(tmp_path)
    elsewhere = f"relative to the working folder ({tmp_path}); if the data lie elsewhere now, pass --data"
    refused(obliq(*words, tmp_path / "a", *brief), "npz:people.npz: cannot be read", elsewhere)
    record = (
        "record",
        "init",
        own_way.original,
        "--by",
        "A",
        "--references",
        0,
        "--out",
        tmp_path / "record",
    )
    refused(obliq(*record), elsewhere)
    np.savez(tmp_path / "other.npz", **pictures(seed=1))
    refused(
        obliq(*words, tmp_path / "a", "--data", "npz:other.npz", *brief),
        "is not what the network was trained on",
    )
    given = ("--data", "npz:moved/people.npz")
    said = obliq(*words, tmp_path / "a", *given, *brief)
    assert said.status == 0, said.err
    assert said.out.rstrip().endswith("--data npz:moved/people.npz"), "the next verb needs it, too"
    assert obliq(*record, *given).status == 0
    monkeypatch.chdir(moved)
    assert obliq(*words, tmp_path / "b", *brief).status == 0, "still found from the folder of the training"
    for network in ("a", "b", "record/original"):
        found = json.loads((tmp_path / network / "source.json").read_text())
        assert found["data"] == f"npz:{moved / 'people.npz'}"


def test_a_word_that_is_no_request_is_refused_before_anything_is_loaded(obliq: Obliq, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    wrong = ("--forget", "class=1", "--forget", "sbject=7")
    for words in (
        ("unlearn", tmp_path / "broken", *wrong, "--out", tmp_path / "o"),
        ("retrain", tmp_path / "broken", *wrong, "--out", tmp_path / "o"),
        ("unlearn", tmp_path / "missing.onnx", *wrong, "--data", "digits", "--out", tmp_path / "o"),
    ):
        refused(obliq(*words), "'sbject=7' does not name anything to forget", "subject=7")
