"""Parts of a collection that the user names."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from obliq.data import Collection, MissingExamples, Partition, PartitionRule, load_dataset, partition
from obliq.data.named_parts import PartWords, partition_rule
from obliq.data.sample_ids import SampleIds
from obliq.errors import DataError
from obliq.io.strict_json import decode, encode


@given(st.sets(st.integers(0, 400), min_size=1))
def test_ids_survive_as_text(ids: set[int]) -> None:
    found = SampleIds.of(torch.tensor(sorted(ids, reverse=True)))
    assert SampleIds.parse(str(found)) == found
    assert found.tensor().tolist() == sorted(ids)
    assert len(found) == len(ids)
    rule = PartitionRule(holdout=found)
    assert decode(PartitionRule, encode(rule)) == rule


@pytest.mark.parametrize("text", ["", "3-1", "1,1", "1-2,3", "a", "-1", "1,", "0-99999999999"])
def test_other_texts_are_no_ids(text: str) -> None:
    with pytest.raises(DataError, match="expected"):
        SampleIds.parse(text)


def test_a_rule_by_shares_is_stored_as_before() -> None:
    assert encode(PartitionRule(seed=3)) == {"seed": 3, "holdout": 0.15, "test": 0.15, "limit": 0}


def divided(folder: Path, *, official: bool = False, **words: object) -> Partition:
    marks = torch.arange(100) >= 90
    labels = torch.arange(100) % 3
    subjects = torch.arange(100) // 10
    data = Collection("made", torch.zeros(100, 2), labels, subjects, marks if official else None)
    named = {
        name: f"ids={folder / name}" if isinstance(value, list) else value for name, value in words.items()
    }
    for name, value in words.items():
        if isinstance(value, list):
            (folder / name).write_text("\n".join(map(str, value)))
    return partition(data, partition_rule(PartWords(**named), data))  # type: ignore[arg-type]


def ids(parts: Partition) -> list[list[int]]:
    return [part.indices.tolist() for part in (parts.train, parts.holdout, parts.test)]


def test_files_of_ids_are_the_parts(tmp_path: Path) -> None:
    parts = divided(tmp_path, trained_on=[5, 3, 1], holdout=[0, 2], test=[4])
    assert ids(parts) == [[1, 3, 5], [0, 2], [4]]
    rest = divided(tmp_path, holdout=[0, 2], test=[4])
    assert ids(rest) == [[1, 3, *range(5, 100)], [0, 2], [4]]


def test_everybody_was_trained_on_unless_named(tmp_path: Path) -> None:
    everything = divided(tmp_path, trained_on="all")
    assert ids(everything) == [list(range(100)), [], []]
    assert isinstance(everything.test, MissingExamples)
    marked = divided(tmp_path, official=True, trained_on="all", holdout=[1])
    assert ids(marked) == [[0, *range(2, 90)], [1], list(range(90, 100))]
    other = divided(tmp_path, official=True, trained_on="all", test=[1])
    assert ids(other) == [[0, *range(2, 90)], [], [1]]
    with pytest.raises(DataError, match="although the network was trained on all"):
        divided(tmp_path, trained_on="all", holdout="0.2")


def test_who_was_not_trained_on_is_unseen(tmp_path: Path) -> None:
    train, holdout, test = ids(divided(tmp_path, trained_on="subject=0,1,2"))
    assert train == list(range(30))
    assert sorted(holdout + test) == list(range(30, 100))
    assert 20 <= len(test) <= 50
    assert ids(divided(tmp_path, trained_on="subject=0", holdout="0"))[1:] == [[], list(range(10, 100))]
    marked = divided(tmp_path, official=True, trained_on="subject=0")
    assert ids(marked)[1:] == [list(range(10, 90)), list(range(90, 100))]


def test_training_needs_no_other_part(tmp_path: Path) -> None:
    assert ids(divided(tmp_path, holdout="0", test="0")) == [list(range(100)), [], []]
    alone = divided(tmp_path, holdout="0", test="0.5")
    assert len(alone.train) + len(alone.test) == 100


def test_parts_that_cannot_be(tmp_path: Path) -> None:
    for words, message in (
        ({"holdout": [1], "test": [1]}, "sample 1 is in both holdout and test"),
        ({"trained_on": [1], "holdout": [100]}, "1 not in the data .line 1: 100"),
        ({"trained_on": "0.5"}, "expected all, ids=FILE"),
        ({"trained_on": [1], "holdout": "class=1"}, "expected a share from 0 to 1, ids=FILE"),
        ({"holdout": "15%"}, "expected a share from 0 to 1, ids=FILE"),
        ({"holdout": list(range(100)), "test": "0"}, "no samples of made are left"),
        ({"holdout": "nan"}, "expected shares"),
    ):
        with pytest.raises(DataError, match=message):
            divided(tmp_path, **words)


def test_a_missing_part_names_the_option() -> None:
    data = load_dataset("digits")
    parts = partition(data, PartitionRule(holdout=0.0, test=0.0))
    assert len(parts.digest) == 64
    for part, option in ((parts.holdout, "--holdout"), (parts.test, "--test")):
        with pytest.raises(DataError, match=option):
            len(part)
