"""Training, holdout and test samples from sources of their own, as one collection that is divided in their way."""

from pathlib import Path

import numpy as np
import pytest
import torch

from obliq.data import Collection, PartitionRule, load_dataset, partition
from obliq.data.datasets import runs_code
from obliq.data.named_parts import PartWords, load_parts
from obliq.data.separate_sources import is_source, join_sources, sources_of
from obliq.errors import DataError


def source(name: str, count: int, seed: int, classes: tuple[str, ...] = (), **fields: object) -> Collection:
    generator = torch.Generator().manual_seed(seed)
    return Collection(
        name,
        torch.rand(count, 2, 3, generator=generator),
        torch.arange(count) % (len(classes) or 3),
        class_names=classes,
        **fields,  # type: ignore[arg-type]
    )


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three files: 30, 12 and 9 samples."""
    monkeypatch.chdir(tmp_path)
    for seed, (name, count) in enumerate((("train", 30), ("val", 12), ("test", 9))):
        part = source(name, count, seed)
        np.savez(f"{name}.npz", x=part.inputs.numpy(), y=part.labels.numpy(), subject=np.arange(count) % 5)
    return tmp_path


def test_each_source_is_the_part_that_it_was_named_for(files: Path) -> None:
    words = PartWords(trained_on="all", holdout="npz:val.npz", test="npz:test.npz")
    parts = load_parts("npz:train.npz", None, words)
    assert [len(part) for part in (parts.train, parts.holdout, parts.test)] == [30, 12, 9]
    for part, name in ((parts.train, "train"), (parts.holdout, "val"), (parts.test, "test")):
        own = load_dataset(f"npz:{name}.npz")
        assert torch.equal(part.inputs(), own.fetch(torch.arange(len(own))))
        assert torch.equal(part.labels, own.labels)
    # positions of training samples, with which requests name them, are those in their own source
    assert parts.train.indices.tolist() == list(range(30))
    name = parts.collection.name
    assert name == "npz:train.npz,holdout=npz:val.npz,test=npz:test.npz"
    again = partition(load_dataset(name), parts.drawn_by)
    assert again.digest == parts.digest
    # the same name divides in the same way without words, and in a training by Obliq
    assert load_parts(name, None, PartWords()).digest == parts.digest
    np.savez("val.npz", **{**np.load("val.npz"), "y": (np.load("val.npz")["y"] + 1) % 3})
    assert partition(load_dataset(name), parts.drawn_by).digest != parts.digest


def test_a_part_without_a_source_is_drawn_from_the_training_source(files: Path) -> None:
    shared = load_parts("npz:train.npz", None, PartWords(holdout="npz:val.npz", test="0.2"))
    assert shared.holdout.indices.tolist() == list(range(30, 42))
    assert len(shared.train) + len(shared.test) == 30
    assert len(shared.test) == 6
    Path("ids.txt").write_text("\n".join(map(str, range(20))))
    named = load_parts("npz:train.npz", None, PartWords(trained_on="ids=ids.txt", holdout="npz:val.npz"))
    assert named.train.indices.tolist() == list(range(20))
    assert named.test.indices.tolist() == list(range(20, 30))  # as where holdout samples are named by ids
    people = load_parts("npz:train.npz", None, PartWords(trained_on="subject=1,2", test="npz:test.npz"))
    assert people.train.indices.tolist() == [place for place in range(30) if place % 5 in (1, 2)]
    assert people.test.indices.tolist() == list(range(30, 39))


def test_classes_are_matched_by_name_and_people_too() -> None:
    who = {"subjects": torch.tensor([1, 0] * 6), "subject_names": ("ann", "bob")}
    joined = join_sources(
        "both",
        {
            "training": source("folder:train", 12, 0, ("ape", "bee", "cat"), **who),
            "holdout": source("folder:val", 4, 1, ("ape", "cat"), subjects=torch.full((4,), -1)),
            "test": source(
                "folder:test", 4, 2, ("cat", "ape"), subjects=torch.zeros(4).long(), subject_names=("bob",)
            ),
        },
    )
    assert joined.class_names == ("ape", "bee", "cat")
    assert joined.labels[12:].tolist() == [0, 2, 0, 2, 2, 0, 2, 0]
    assert joined.subjects is not None
    owners = [joined.subject_name(one) if one >= 0 else "" for one in joined.subjects.tolist()]
    assert owners == ["bob", "ann"] * 6 + [""] * 4 + ["bob"] * 4


@pytest.mark.parametrize(
    ("training", "holdout", "expected"),
    [
        ((), ("a", "b"), ()),  # positions are the ids
        (("a.png", "b.png"), ("c.png", "d.png"), ("a.png", "b.png", "c.png", "d.png")),
        (("a.png", "b.png"), ("a.png", "b.png"), ("a.png", "b.png", "holdout:a.png", "holdout:b.png")),
        (("a.png", "b.png"), (), ("a.png", "b.png", "holdout:0", "holdout:1")),
        (("70", "71"), ("90", "91"), ("70", "71", "90", "91")),
        (("70", "71"), ("71", "72"), ("70", "71", "72", "73")),
        (("70", "71"), ("x", "y"), ("70", "71", "72", "73")),
    ],
)
def test_ids_of_training_samples_stay_and_no_id_is_there_twice(
    training: tuple[str, ...], holdout: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    parts = {
        role: Collection(role, torch.rand(2, 3), torch.arange(2), sample_names=names)
        for role, names in (("training", training), ("holdout", holdout))
    }
    assert tuple(join_sources("both", parts).sample_names) == expected


def test_sources_that_do_not_fit_together_are_refused_in_one_line(files: Path) -> None:
    training = source("folder:train", 60, 0, ("ape", "bee"))
    scaled = {"mean": (0.5, 0.5), "deviation": (0.5, 0.5)}
    for other, message in (
        (
            Collection("npz:b", torch.rand(2, 3, 3), torch.arange(2)),
            "have shape (3, 3), training samples (folder:t",
        ),
        (source("npz:b", 4, 1, ("ape", "bee"), **scaled), "read as (x - 0.5) / 0.5; training samples"),
        (source("npz:b", 4, 1, ("ape", "cow", "dog")), "has the classes cow, dog, which training"),
        (source("npz:b", 4, 1), "has the classes 0 to 2, which"),
        (source("npz:b", 60, 0, ("ape", "bee")), "60 holdout samples (npz:b) are training samples (folder:t"),
        (
            source("npz:b", 4, 1, ("ape", "bee"), official_test=torch.arange(4) > 2),
            "npz:b has a test set of its",
        ),
    ):
        with pytest.raises(DataError) as refused:
            join_sources("both", {"training": training, "holdout": other})
        assert message in str(refused.value)
        assert "expected" in str(refused.value)
        assert "\n" not in str(refused.value)
    for name, message in (
        ("npz:train.npz,test=npz:val.npz,test=npz:test.npz", "test is there twice"),
        ("npz:train.npz,test=", "test is ''; expected npz:FILE"),
        ("npz:train.npz,test=0.2", "test is '0.2'"),
        ("npz:train.npz,holdout=npz:train.npz", "30 holdout samples (npz:train.npz) are training samples"),
    ):
        with pytest.raises(DataError, match=message.replace("(", r"\(").replace(")", r"\)")):
            load_dataset(name)


def test_code_in_any_source_is_code() -> None:
    assert runs_code("folder:train,test=my.module:function")
    assert runs_code("my.module:function,test=folder:test")
    assert not runs_code("folder:train,holdout=npz:val.npz,layout=HW,test=folder:test")
    assert sources_of("npz:a.npz,layout=LC,test=npz:b.npz,layout=LC")["test"] == "npz:b.npz,layout=LC"
    assert [
        is_source(word) for word in ("folder:val", "m:f", "0.2", "ids=a:b", "ids:a", "subject=a:b", "val:")
    ] == [*(True, True, False, False, False, False, False)]


def test_the_usual_rule_keeps_the_given_parts(files: Path) -> None:
    parts = partition(load_dataset("npz:train.npz,holdout=npz:val.npz,test=npz:test.npz"), PartitionRule())
    assert [len(part) for part in (parts.train, parts.holdout, parts.test)] == [30, 12, 9]
