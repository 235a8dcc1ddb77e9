"""Divide a collection into training, holdout and test part as a rule demands."""

import torch
from torch import Tensor

from obliq.data.collection import UNKNOWN_SUBJECT, Collection, Examples
from obliq.data.missing_examples import MissingExamples
from obliq.data.sample_ids import SampleIds
from obliq.data.splits import Partition, PartitionRule, require_disjoint, share_of
from obliq.errors import DataError


def partition(data: Collection | Examples, rule: PartitionRule) -> Partition:
    """Divide samples, by subject where subjects are known, so that holdout and test are unseen people.

    Raises:
        DataError: for ids that are not among the samples or in two parts, and parts that leave nothing to train on.
    """
    generator = torch.Generator().manual_seed(rule.seed)
    collection = data.collection if isinstance(data, Examples) else data
    everything = data.indices if isinstance(data, Examples) else torch.arange(len(collection))
    named = {
        name: _named(name, ids, everything, collection)
        for name, ids in (("training", rule.train), ("holdout", rule.holdout), ("test", rule.test))
        if isinstance(ids, SampleIds)
    }
    require_disjoint(**{name: Examples(collection, ids) for name, ids in named.items()})
    rest = everything[~torch.isin(everything, torch.cat([*named.values(), everything[:0]]))]
    nothing = everything[:0]
    official = _marked(collection.official_test, rest)
    set_aside = _marked(collection.official_holdout, rest)
    if len(set_aside):
        rest = rest[~torch.isin(rest, set_aside)]
        named.setdefault("holdout", set_aside)
    total = len(everything) - len(set_aside)  # of which a share is meant
    holdout_share = 0.0 if "holdout" in named else share_of(rule.holdout)
    if "test" in named or len(official):
        test = named.get("test", official)
        # what the data's authors set aside for tests was not trained on, even where the user names another test part
        rest = rest[~torch.isin(rest, official)]
    elif rule.train is not None:
        unseen = holdout_share + share_of(rule.test)
        test, rest = _draw_part(collection, rest, share_of(rule.test) / (unseen or 1), generator)
    else:
        of_rest = total / max(1, len(rest)) if named else 1
        test, rest = _draw_part(collection, rest, share_of(rule.test) * of_rest, generator)
    if "holdout" in named:
        holdout, train = named["holdout"], rest
    elif rule.train is not None:
        holdout, train = (rest if holdout_share else nothing), nothing
    else:
        share = min(0.9, holdout_share * total / max(1, len(rest)))
        holdout, train = _draw_part(collection, rest, share, generator)
    train = named.get("training", train)
    if rule.limit and rule.limit < len(train):
        train, _ = draw_share(collection, train, rule.limit / len(train), generator)
    if len(train) == 0:
        raise DataError(
            f"no samples of {collection.name} are left to train on; expected parts that leave some"
        )
    return Partition(
        rule,
        Examples(collection, train.sort().values),
        _unless_empty("holdout", Examples(collection, holdout.sort().values)),
        _unless_empty("test", Examples(collection, test.sort().values)),
    )


def _named(what: str, ids: SampleIds, everything: Tensor, collection: Collection) -> Tensor:
    """The samples of a part that the user named."""
    if ids.ranges[-1][1] >= len(collection):
        raise DataError(
            f"the {what} part names sample {ids.ranges[-1][1]}; expected ids from 0 to {len(collection) - 1:,} "
            f"({collection.name} has {len(collection):,} samples; if some were removed since training, take a copy "
            "with all of them, or obliq.unlearn in Python, which needs no retained samples for some methods)"
        )
    chosen = ids.tensor()
    if outside := int((~torch.isin(chosen, everything)).sum()):
        raise DataError(f"{outside:,} ids of the {what} part are not among the samples to divide")
    return chosen


def _marked(marks: Tensor | None, samples: Tensor) -> Tensor:
    """The samples that are set aside."""
    return samples[:0] if marks is None else samples[marks[samples]]


def _draw_part(
    collection: Collection, pool: Tensor, share: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """As `draw_share`; nothing for a share of 0, and everything for 1."""
    if share == 0 or len(pool) == 0:
        return pool[:0], pool
    return (pool, pool[:0]) if share >= 1 else draw_share(collection, pool, share, generator)


def _unless_empty(role: str, part: Examples) -> Examples:
    return part if len(part) else MissingExamples(part.collection, part.indices, role)


def draw_share(
    collection: Collection, pool: Tensor, share: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw about `share` of `pool`, whole subjects where known, classes in proportion where not."""
    subjects = None if collection.subjects is None else collection.subjects[pool]
    wanted = max(1, round(share * len(pool)))
    if subjects is not None and bool((subjects != UNKNOWN_SUBJECT).any()):
        # A sample of an unknown person counts as a person of its own, so that no known person is in two parts.
        subjects = torch.where(subjects == UNKNOWN_SUBJECT, UNKNOWN_SUBJECT - 1 - pool, subjects)
    if subjects is not None and len(torch.unique(subjects)) > 1:
        people, sizes = torch.unique(subjects, return_counts=True)
        order = torch.randperm(len(people), generator=generator)
        people, sizes = people[order], sizes[order].cumsum(0)
        count = int((sizes - wanted).abs().argmin()) + 1
        chosen = torch.isin(subjects, people[: min(count, len(people) - 1)])
    else:
        chosen = torch.zeros(len(pool), dtype=torch.bool)
        labels = collection.labels[pool]
        for label in torch.unique(labels):
            members = (labels == label).nonzero().flatten()
            order = torch.randperm(len(members), generator=generator)
            least = 1 if len(members) > 2 else 0  # a class of one or two samples stays in training
            chosen[members[order[: max(least, round(share * len(members)))]]] = True
    return pool[chosen], pool[~chosen]
