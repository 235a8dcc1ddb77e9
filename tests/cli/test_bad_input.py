"""Requests, data, options and words that make no sense end in one clear line, with nothing written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from obliq.data import Examples, Splits
from obliq.errors import DataError
from tests.cli.conftest import SHORT, Said, Way, pictures
from tests.cli.refusals import nothing_written, refused

Obliq = Callable[..., Said]


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        ("class=3", ("no class 3", "0 to 2")),
        ("subject=4", ("no subject 4", "12 subjects")),
        ("ids=ids.txt", ("1 of 2 ids were never trained on", "line 2: 9999")),
        ("ids=empty.txt", ("no ids",)),
        ("ids=missing.txt", ("cannot read", "missing.txt")),
        ("class=0,1,2", ("all ", "to be retained")),
        ("random=100%", ("less than 100%",)),
        ("random=0", ("nothing to forget",)),
        ("random=100000", ("to be retained",)),
        ("everyone", ("does not name anything to forget", "request=FILE")),
        ("class=-1", ("no class -1",)),
        ("", ("does not name anything to forget",)),
    ],
)
@pytest.mark.parametrize("verb", ["unlearn", "retrain"])
def test_requests(
    verb: str,
    selector: str,
    words: tuple[str, ...],
    obliq: Obliq,
    way: Way,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ids.txt").write_text(f"{first_id(way)}\n9999\n")
    Path("empty.txt").write_text("# nobody\n\n")
    method = ("oeu",) if verb == "unlearn" else ()
    refused(obliq(verb, way.original, "--forget", selector, "--out", "out", *method), *words)
    nothing_written(tmp_path, "ids.txt", "empty.txt")


def first_id(way: Way) -> int:
    return int(json.loads((way.unlearned / "request.json").read_text())["ids"][0])


def test_overlapping_splits(splits: Splits) -> None:
    both = Examples(splits.partition.collection, splits.retain.indices[:3])
    with pytest.raises(DataError, match=r"sample \d+ is in both"):
        Splits(splits.partition, both, splits.retain, splits.holdout, splits.test, splits.salt)


def broken(**changes: np.ndarray) -> dict[str, np.ndarray]:
    return pictures() | changes


def with_nan() -> np.ndarray:
    inputs = pictures()["x"]
    inputs[5, 0, 2, 2] = np.nan
    return inputs


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (broken(x=with_nan()), ("1 of 144 inputs hold NaN",)),
        (broken(x=np.zeros((144, 1, 2, 2), np.float32)), ("(1, 2, 2)", "expected")),
        (broken(x=np.zeros((144, 1, 2, 2, 2), np.float32)), ("(1, 2, 2, 2)", "expected")),
        (broken(x=np.zeros((144, 28, 28, 3), np.uint8)), ("colours last",)),
        (broken(x=np.zeros((0, 1, 6, 6), np.float32)), ("empty",)),
        (broken(x=np.full((144, 1, 6, 6), 1e300)), ("NaN or infinity",)),
        (broken(x=np.array([{}] * 144)), ("Python objects",)),
        (broken(y=np.arange(144) - 3), ("labels run from -3",)),
        (broken(y=np.arange(144) * 1000), ("label 143000",)),
        (broken(y=np.zeros(144, np.int64)), ("1 classes",)),
        (broken(y=np.zeros(144)), ("y has type float64",)),
        (broken(y=np.arange(12)), ("y has shape (12,)",)),
        (broken(subject=np.arange(144) - 9), ("subject -9",)),
        ({"x": pictures()["x"]}, ("no array y",)),
    ],
    ids=[
        "NaN",
        "too small",
        "too many axes",
        "colours last",
        "empty",
        "overflow",
        "objects",
        "negative label",
        "huge label",
        "one class",
        "float labels",
        "few labels",
        "negative subject",
        "no labels",
    ],
)
def test_data(arrays: dict[str, np.ndarray], words: tuple[str, ...], obliq: Obliq, tmp_path: Path) -> None:
    np.savez(tmp_path / "bad.npz", **arrays)
    refused(obliq("train", f"npz:{tmp_path / 'bad.npz'}", "--out", tmp_path / "out", *SHORT), *words)
    nothing_written(tmp_path, "bad.npz")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--bits W1A4", ("weight bits is 1", "2 to 8")),
        ("--bits W4A9", ("activation bits is 9", "2 to 8")),
        ("--bits W4", ("'W4'",)),
        ("--bits four", ("'four'",)),
        ("--bits W99999999999999999999A4", ("2 to 8",)),
        ("--arch resnet21", ("'resnet21'", "resnet20")),
        ("--arch signal-convnet", ("signal-convnet", "(channels, length)")),
        ("--arch no_such_module:build", ("no_such_module",)),
        ("--holdout 1.5", ("holdout=1.5",)),
        ("--test 1", ("test=1",)),
        ("--limit -1", ("limit=-1",)),
        ("--epochs 0", ("epochs=0",)),
        ("--batch-size 0", ("batch_size=0",)),
        ("--learning-rate 0", ("learning_rate=0",)),
        ("--learning-rate nan", ("learning_rate=nan",)),
        ("--momentum 1", ("momentum=1",)),
        ("--weight-decay inf", ("weight_decay=inf",)),
        ("--warmup 2", ("warmup=2",)),
        ("--threads -1", ("threads -1",)),
        ("--threads 1000000000", ("threads 1000000000",)),
        ("--seed -1", ("seed -1",)),
        ("--seed 99999999999999999999999", ("seed 99999",)),
        ("--learning-rate 1e30 --epochs 3", ("became", "lower rate")),
        pytest.param(
            "--device cuda",
            ("finds no CUDA",),
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device"),
        ),
    ],
)
def test_options(options: str, words: tuple[str, ...], obliq: Obliq, way: Way, tmp_path: Path) -> None:
    refused(obliq("train", f"npz:{way.data}", "--out", tmp_path / "out", *options.split()), *words)
    nothing_written(tmp_path)


@pytest.mark.parametrize("words", ["--device tpu", "--preset none", "--epochs many", "--no-such-option", ""])
def test_words_that_do_not_parse_exit_with_2_and_an_explanation(
    words: str, obliq: Obliq, tmp_path: Path
) -> None:
    out = ["--out", tmp_path / "out"] if words else []
    said = obliq("train", "digits", *out, *words.split())
    assert said.status == 2
    assert "obliq train --help" in said.err or "obliq --help" in said.err
    assert "Traceback" not in said.err
    nothing_written(tmp_path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("imagenet", ("imagenet", "fashion-mnist")),
        ("fashion-mnist", ("fashion-mnist are missing", "get the four IDX files")),
        ("mnist", ("mnist are missing", "get the four IDX files")),
        ("cifar10", ("cifar10 are missing", "get the official")),
        ("npz:nowhere.npz", ("nowhere.npz",)),
        ("folder:nowhere", ("nowhere",)),
        ("nowhere:data", ("nowhere",)),
    ],
)
def test_missing_data(
    name: str, words: tuple[str, ...], obliq: Obliq, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("obliq.data.mnist.DEBIAN", tmp_path / "no such package")
    empty = tmp_path / "empty"
    empty.mkdir()
    folder = ("--data-folder", empty) if ":" not in name else ()
    refused(obliq("train", name, *folder, "--out", tmp_path / "out", *SHORT), *words)
    nothing_written(tmp_path, "empty")


def test_what_is_near_to_what_was_meant_is_named(
    obliq: Obliq, way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(way.data, "own.npz")
    Path("pictures").mkdir()
    for words, expected in {
        ("data", "own.npz"): "expected npz:own.npz",
        ("data", "pictures"): "expected folder:pictures",
        ("data", "npz:own.npz,foo=1"): "foo is no option of npz: data; expected layout, labels, scale",
        ("data", "npz:own.npz,foo=1,layout=CHW"): "foo is no option of npz: data",
        (
            "train",
            "npz:own.npz",
            "--bits",
            "W8",
            "--out",
            "o",
        ): "bits of weights and of activations, such as W8A8",
        ("show", way.original / "model.json"): f"is a file; expected the folder {way.original}",
        ("show", "own.npz"): "own.npz is a file; expected a folder",
        ("patch", "info", "pictures"): "pictures: is a folder; expected a regular file",
        ("unlearn", way.original, "--forget", f"request={way.unlearned}", "--out", "o"): (
            f"{way.unlearned} is a folder; expected the request in it, {way.unlearned / 'request.json'}"
        ),
    }.items():
        refused(obliq(*words), expected)
    said = obliq("unlearn", way.original, "--forget", "ids=missing.txt", "--out", "o", "oeu")
    assert said.err.count("cannot") == 1


def test_a_network_is_not_replaced_by_one_that_was_unlearned_from_it(
    obliq: Obliq, way: Way, tmp_path: Path
) -> None:
    original = shutil.copytree(way.original, tmp_path / "original")
    words = ("unlearn", way.unlearned, "--forget", "class=1", "--overwrite", "--out", original)
    refused(obliq(*words, "oeu"), "would replace the network that", "was unlearned from")
    assert (original / "model.json").read_bytes() == (way.original / "model.json").read_bytes()
