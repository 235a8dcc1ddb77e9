"""The parts of a collection in the words of its user: a share, a file of ids, or the people in a part."""

from dataclasses import dataclass

import torch

from obliq.data.collection import Collection, Examples
from obliq.data.sample_ids import SampleIds
from obliq.data.selection import select_from
from obliq.data.selectors import Listed, Subjects, parse_selector
from obliq.data.splits import PartitionRule
from obliq.errors import DataError

EVERYTHING = "all"
ACCEPTED = "a share from 0 to 1, ids=FILE or subject=7,12"
SHARE = 0.15


@dataclass(frozen=True, kw_only=True)
class PartWords:
    """How a user describes a division; None where nothing was said.

    Attributes:
        trained_on: who was in training: `all`, `ids=FILE` or `subject=7,12`; None when a network is yet to be trained.
        holdout: a share, `ids=FILE` or `subject=7,12`.
        test: the same for the test part.
        seed: decides every draw.
        limit: see `PartitionRule`.
    """

    trained_on: str | None = None
    holdout: str | float | None = None
    test: str | float | None = None
    seed: int = 0
    limit: int = 0


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
    return SampleIds.of(select_from(selector, Examples(collection, torch.arange(len(collection))), seed=0))
