"""Own data from functions in the user's own code."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from obliq.data import Collection, load_dataset
from tests.data.refusals import one_line


class Listed:
    def __init__(self, items: list[tuple[object, object]], **known: object) -> None:
        self.items = items
        for key, value in known.items():
            setattr(self, key, value)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[object, object]:
        return self.items[index]


def items(kind: torch.dtype = torch.float32) -> list[tuple[object, object]]:
    return [(torch.full((2, 3), index, dtype=kind), index % 2) for index in range(6)]


def provide(monkeypatch: pytest.MonkeyPatch, result: object) -> str:
    def function() -> object:
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(sys.modules[__name__], "provided", function, raising=False)
    return f"{__name__}:provided"


def test_function_is_read_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    name = provide(monkeypatch, Listed(items(), subjects=[4, 4, 5, 5, -1, 6], class_names=["left", "right"]))
    own = load_dataset(name)
    assert own.name == name
    assert isinstance(own.inputs, torch.Tensor)
    assert own.labels.tolist() == [0, 1] * 3
    assert own.subjects.tolist() == [4, 4, 5, 5, -1, 6]
    assert own.class_names == ("left", "right")
    assert own.mean == ()


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32, torch.float64, torch.bfloat16])
def test_large_sets_stay_lazy_and_give_the_same(kind: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    name = provide(monkeypatch, Listed(items(kind)))
    kept = load_dataset(name)
    monkeypatch.setattr("obliq.data.user_dataset.IN_MEMORY", 10)
    lazy = load_dataset(name)
    assert not isinstance(lazy.inputs, torch.Tensor)
    assert lazy.digest == kept.digest
    torch.testing.assert_close(lazy.fetch(torch.arange(6)), kept.fetch(torch.arange(6)))


def test_labels_may_be_any_integer_type(monkeypatch: pytest.MonkeyPatch) -> None:
    some = [(torch.zeros(1), 1), (torch.zeros(1), np.int64(0)), (torch.zeros(1), torch.tensor(1))]
    assert load_dataset(provide(monkeypatch, Listed(some))).labels.tolist() == [1, 0, 1]


@pytest.mark.parametrize("in_memory", [2**30, 0])
@pytest.mark.parametrize(
    ("result", "said"),
    [
        (RuntimeError("no such disk\nat all"), "RuntimeError: no such disk; expected"),
        (None, "expected a map-style data set with a length"),
        (Listed([]), "no samples"),
        (Listed([*items(), (torch.zeros(2, 3), 0.5)]), "item 6: TypeError"),
        (Listed([*items(), (torch.zeros(2, 3), "cat")]), "item 6: TypeError"),
        (Listed([*items(), torch.zeros(2)[0]]), "item 6: TypeError"),
        (Listed([*items(), (np.zeros((2, 3)), 0)]), "item 6 has ndarray as input"),
        (Listed([*items(), (torch.zeros(2, 3, dtype=torch.int64), 0)]), "item 6 has torch.int64 as input"),
        (Listed([*items(), (torch.zeros(2, 4), 0)]), "item 6 is torch.float32 of shape (2, 4), the first is"),
        (Listed([*items(), (torch.full((2, 3), torch.nan), 0)]), "item 6 holds NaN or infinity"),
        (Listed([(torch.tensor(1.0), 0)]), "is a single number"),
        (Listed([*items(), (torch.zeros(2, 3), -1)]), "labels run from -1"),
        (Listed([*items(), (torch.zeros(2, 3), 2**70)]), "has label"),
        (Listed(items(), subjects=[1, 2]), "2 subjects for 6 samples"),
        (Listed(items(), ids=["a"] * 6), "1 different ids for 6 samples"),
        (Listed([(torch.zeros(32, 32, 3), 0)] * 3), ":provided,layout=HWC for colours last"),
        (Listed([(torch.zeros(100, 6), 0)] * 3), ":provided,layout=LC for 6 channels of length 100"),
        (
            Listed([(torch.zeros(4), 1 + index % 2) for index in range(6)]),
            ":provided,labels=names to call the 2",
        ),
        (Listed(items(), subjects=[0.5] * 6), "subjects of type torch.float32"),
        (Listed(items(), class_names=["one"]), "labels run from 0 to 1; expected 0 to 0"),
    ],
)
def test_wrong_functions(result: object, said: str, in_memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("obliq.data.user_dataset.IN_MEMORY", in_memory)
    assert said in one_line(provide(monkeypatch, result))


def test_a_module_beside_the_user_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "obliq_test_own_watch.py").write_text(
        "import torch\ndef train():\n    return [(torch.zeros(3), i % 2) for i in range(4)]\n"
        "def other():\n    return torch.zeros(3)[7]\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    try:
        own = load_dataset("obliq_test_own_watch:train")
        assert isinstance(own, Collection)
        assert len(own) == 4
        assert "IndexError" in one_line("obliq_test_own_watch:other")
        assert "AttributeError" in one_line("obliq_test_own_watch:none")
    finally:
        sys.modules.pop("obliq_test_own_watch", None)
    assert sys.path == path
    assert "ModuleNotFoundError: No module named 'obliq_test_nowhere'" in one_line("obliq_test_nowhere:train")


def test_names_of_subjects_and_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    owners, ids = ["eve", "ann", "ann", "eve", "", "bob"], [f"record {index}" for index in range(6)]
    own = load_dataset(provide(monkeypatch, Listed(items(), subjects=owners, ids=ids)))
    assert own.subject_names == ("ann", "bob", "eve")
    assert own.subjects.tolist() == [2, 0, 0, 2, -1, 1]
    assert own.sample_names == tuple(ids)


@pytest.mark.parametrize("in_memory", [2**30, 0])
def test_an_option_states_the_axes(in_memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("obliq.data.user_dataset.IN_MEMORY", in_memory)
    picture = torch.arange(90.0).reshape(6, 5, 3)
    name = provide(monkeypatch, Listed([(picture, 0), (picture, 1)]))
    assert torch.equal(
        load_dataset(f"{name},layout=HWC").fetch(torch.tensor([1]))[0], picture.permute(2, 0, 1)
    )


class Augmented(Listed):
    def __getitem__(self, index: int) -> tuple[object, object]:
        picture, label = self.items[index]
        return picture + torch.rand(()), label


@pytest.mark.parametrize("in_memory", [2**30, 0])
def test_items_that_change_are_refused(in_memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("obliq.data.user_dataset.IN_MEMORY", in_memory)
    assert "item 0 differs when it is read again" in one_line(provide(monkeypatch, Augmented(items())))
