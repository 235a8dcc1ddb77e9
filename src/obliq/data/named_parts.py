"""The parts of a collection in the words of its user: a share, a file of ids, people, or a source of its own."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch

from obliq.data.collection import Collection, Examples
from obliq.data.datasets import load_dataset
from obliq.data.draw_parts import partition
from obliq.data.sample_ids import SampleIds
from obliq.data.selection import select_from
from obliq.data.selectors import Listed, Subjects, parse_selector
from obliq.data.separate_sources import is_source, name_with_sources
from obliq.data.splits import Partition, PartitionRule
from obliq.errors import DataError

EVERYTHING = "all"
ACCEPTED = "a share from 0 to 1, ids=FILE, subject=7,12 or a source of its own (folder:DIR, npz:FILE)"
SHARE = 0.15


@dataclass(frozen=True, kw_only=True)
class PartWords:
    """How a user describes a division; None where nothing was said.

    Attributes:
        trained_on: who was in training: `all`, `ids=FILE` or `subject=7,12`; None when a network is yet to be trained.
        holdout: a share, `ids=FILE`, `subject=7,12`, or a source of samples such as `folder:val`.
        test: the same for the test part.
        seed: decides every draw.
        limit: see `PartitionRule`.
    """

    trained_on: str | None = None
    holdout: str | float | None = None
    test: str | float | None = None
    seed: int = 0
    limit: int = 0


def load_parts(source: str, folder: Path | None, words: PartWords) -> Partition:
    """Load the samples of all parts, and divide them as their user describes.

    Args:
        source: see `load_dataset`; with a part that has a source of its own, the training samples.
        folder: where the files of a built-in set are.
        words: the division.

    Raises:
        DataError: as `load_dataset`, `partition_rule` and `partition`.
    """
    given = {"holdout": words.holdout, "test": words.test}
    others = {
        role: str(word).strip() for role, word in given.items() if word is not None and is_source(str(word))
    }
    words = dataclasses.replace(
        words,
        holdout=None if "holdout" in others else words.holdout,
        test=None if "test" in others else words.test,
    )
    collection = load_dataset(name_with_sources(source, others), folder)
    return partition(collection, partition_rule(words, collection))


def partition_rule(words: PartWords, collection: Collection) -> PartitionRule:
    """The rule for a division that a user describes; it holds ids, so that no file is needed later.

    Raises:
        DataError: for other words, ids or people that the collection does not have, and a share to be drawn from what
            a network was trained on.
    """
    given = {
        name: _part(f"{name}={text}", text, collection)
        for name, text in (("holdout", words.holdout), ("test", words.test))
        if text is not None
    }
    usual, train = SHARE, None
    if words.trained_on == EVERYTHING:
        usual = 0.0
        for name, part in given.items():
            if not isinstance(part, SampleIds) and part > 0:
                raise DataError(
                    f"{name}={part}, although the network was trained on all samples; expected {name} samples that it "
                    f"was not trained on ({name} ids=FILE), or 0"
                )
    elif words.trained_on is not None:
        what = f"trained-on={words.trained_on}"
        named = _part(what, words.trained_on, collection)
        if not isinstance(named, SampleIds):
            raise DataError(f"{what}; expected all, ids=FILE or subject=7,12")
        train = named
    return PartitionRule(
        seed=words.seed,
        holdout=given.get("holdout", usual),
        test=given.get("test", usual),
        limit=words.limit,
        train=train,
    )


def _part(what: str, text: str | float, collection: Collection) -> float | SampleIds:
    """A share, or the ids that a file lists or that people own."""
    try:
        return float(text)
    except ValueError:
        pass
    words = str(text).strip().replace("ids:", "ids=", 1)
    selector = parse_selector(words, accepted=ACCEPTED) if words.startswith(("ids=", "subject=")) else None
    if not isinstance(selector, Listed | Subjects):
        raise DataError(f"{what}; expected {ACCEPTED}")
    everything = Examples(collection, torch.arange(len(collection)))
    aside, test = collection.official_holdout, collection.official_test
    if isinstance(selector, Subjects) and aside is not None and test is not None:
        # where parts have sources of their own, people are divided within the first one
        everything = everything.where(~(aside | test))
    return SampleIds.of(select_from(selector, everything, seed=0))
