"""Options in the name of own data: what they settle, and when one is demanded."""

from pathlib import Path

import numpy as np
import pytest
import torch

from obliq.data import load_dataset
from obliq.data.datasets import absolute_name
from tests.data.refusals import one_line


def save(file: Path, x: np.ndarray, y: np.ndarray | None = None, **more: np.ndarray) -> str:
    np.savez(file, x=x, y=np.arange(len(x)) % 2 if y is None else y, **more)
    return f"npz:{file}"


@pytest.mark.parametrize(
    ("shape", "kind", "layout", "becomes"),
    [
        ((28, 28), np.uint8, "HW", (1, 28, 28)),
        ((16, 64), np.uint8, "HW", (1, 16, 64)),
        ((28, 28), np.float32, "CL", (28, 28)),
        ((128, 9), np.float32, "LC", (9, 128)),
        ((32, 30, 3), np.uint8, "HWC", (3, 32, 30)),
        ((32, 30, 3), np.float32, "CHW", (32, 30, 3)),
    ],
)
def test_axes_that_may_mean_two_things(
    shape: tuple[int, ...], kind: type, layout: str, becomes: tuple[int, ...], tmp_path: Path
) -> None:
    values = np.random.default_rng(0).integers(0, 200, (6, *shape)).astype(kind)
    name = save(tmp_path / "own.npz", values)
    assert f"{name},layout={layout} for" in one_line(name)
    own = load_dataset(f"{name},layout={layout}")
    assert own.sample_shape == becomes
    axes = {"HW": (0, 1), "HWC": (0, 3, 1, 2), "LC": (0, 2, 1)}.get(layout)
    expected = values[:, None] if layout == "HW" else values if axes is None else values.transpose(axes)
    assert np.array_equal(own.inputs.numpy(), expected)


@pytest.mark.parametrize("shape", [(9, 128), (1, 6), (3, 4), (3, 32, 32), (64, 8, 8), (30,)])
def test_axes_that_are_clear(shape: tuple[int, ...], tmp_path: Path) -> None:
    assert load_dataset(save(tmp_path / "own.npz", np.zeros((4, *shape), np.float32))).sample_shape == shape


def test_labels_from_1_are_refused_or_names(tmp_path: Path) -> None:
    name = save(tmp_path / "own.npz", np.zeros((12, 2), np.float32), np.arange(12) % 6 + 1)
    assert "labels run from 1 to 6, but class 0 has no samples; expected classes" in one_line(name)
    own = load_dataset(f"{name},labels=names")
    assert own.class_names == ("1", "2", "3", "4", "5", "6")
    assert own.labels.tolist() == [*range(6), *range(6)]
    words = save(tmp_path / "words.npz", np.zeros((4, 2), np.float32), np.array(["on", "off", "on", "on"]))
    assert load_dataset(words).class_names == ("off", "on")
    assert load_dataset(words).labels.tolist() == [1, 0, 1, 1]


@pytest.mark.parametrize(("scale", "low", "high"), [("-1..1", -1, 1), ("0..1", 0, 1), ("0..255", 0, 255)])
def test_the_scale_of_bytes(scale: str, low: float, high: float, tmp_path: Path) -> None:
    name = save(tmp_path / "own.npz", np.array([[[0, 255]], [[255, 0]]], np.uint8))
    fetched = load_dataset(f"{name},scale={scale}").fetch(torch.arange(2))
    torch.testing.assert_close(fetched, torch.tensor([[[low, high]], [[high, low]]]).float())


def test_names_of_subjects_and_samples(tmp_path: Path) -> None:
    owners, ids = np.array(["eve", "", "ann"]), np.array([1003, 7, 42])
    own = load_dataset(save(tmp_path / "own.npz", np.zeros((3, 2), np.float32), subject=owners, id=ids))
    assert (own.subject_names, own.subjects.tolist()) == (("ann", "eve"), [1, -1, 0])
    assert own.sample_names == ("1003", "7", "42")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (",layout=XY", "layout is 'XY'; expected CHW, HWC, HW, CL, LC"),
        (",layout=HWC", "layout HWC for samples of shape (2,); expected one letter for each axis"),
        (",labels=words", "labels is 'words'; expected names"),
        (",scale=0..1", "inputs are floats, which are used as they are"),
        (",scale=0..1,scale=0..1", "scale is there twice"),
        (",image-size=8", "image-size is no option of npz: data"),
    ],
)
def test_options_that_do_not_fit(options: str, said: str, tmp_path: Path) -> None:
    assert said in one_line(save(tmp_path / "own.npz", np.zeros((4, 2), np.float32)) + options)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("digits", "digits"),
        ("npz:a.npz", "npz:{0}/a.npz"),
        ("npz:/b/a.npz,layout=LC,scale=0..1", "npz:/b/a.npz,layout=LC,scale=0..1"),
        (
            "folder:d,image-size=64,holdout=mine:data,test=npz:c.npz,labels=names",
            "folder:{0}/d,image-size=64,holdout=mine:data,test=npz:{0}/c.npz,labels=names",
        ),
    ],
)
def test_absolute_names(name: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute_name(name) == expected.format(tmp_path)
    assert absolute_name(absolute_name(name)) == absolute_name(name)


def test_a_path_that_a_name_cannot_carry_stays_relative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("a,test=npz:b", "a\nb"):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        assert absolute_name("npz:a.npz,layout=LC") == "npz:a.npz,layout=LC"
