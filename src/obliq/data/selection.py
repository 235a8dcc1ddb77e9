"""The samples that a request names, chosen from the training part, and the request in words."""

from collections.abc import Mapping

import torch
from jaxtyping import Float64, Int
from torch import Tensor

from obliq.data.collection import UNKNOWN_SUBJECT, Collection, Examples
from obliq.data.listed_ids import listed_samples
from obliq.data.names import SHOWN, Lookup, as_requested
from obliq.data.selectors import (
    Classes,
    Listed,
    RandomCount,
    RandomShare,
    Selector,
    Several,
    Subjects,
)
from obliq.data.splits import Partition
from obliq.errors import DataError
from obliq.io.visible_text import first_of

AIMS: dict[str, float] = {"high": 1.0, "low": 0.0, "medium": 0.5}  # in the order in which they choose
MOST = 1 / 3  # three groups have to fit in


def memorised(
    train: Examples, scores: Float64[Tensor, " train"], level: str, share: float = 0.1
) -> Int[Tensor, " forget"]:
    """The ids of the training samples whose memorisation is low, medium or high, ascending.

    Source: Zhao et al. (RUM), NeurIPS 2024, who forget 3,000 samples of CIFAR-10 at a time: the lowest scores, the
    highest, and those nearest to 0.5. Two deviations, neither of which shows with exact scores: `low` are the
    scores nearest to 0, since memorisation is hardly ever negative and a clearly negative estimate from a few
    networks means a sample that they disagree about, not an easy one; `medium` leaves out what is `low`
    or `high`, so that the three groups are disjoint on data sets with little memorisation too.

    Args:
        train: the training part.
        scores: of each of its samples, in the same order; see `obliq.auditing.memorisation_scores`.
        level: which group: low, medium or high.
        share: its size, as a share of the training part; at most a third.

    Raises:
        DataError: for another level, another number of scores, or a share that is empty or does not fit thrice.
    """
    if level not in AIMS:
        raise DataError(f"memorised={level}; expected low, medium or high")
    if len(scores) != len(train):
        raise DataError(f"{len(scores):,} memorisation scores for {len(train):,} samples; expected one each")
    count = round(share * len(train)) if 0 < share <= MOST else 0
    if not 1 <= count <= len(train) // 3:
        raise DataError(
            f"a share of {share:g} of {len(train):,} samples; expected at least one sample, and at most a third of them"
        )
    left, chosen = scores.clone(), torch.empty(0, dtype=torch.long)
    for group, aim in AIMS.items():
        left[chosen] = torch.inf
        chosen = (left - aim).abs().argsort(stable=True)[:count]
        if group == level:
            break
    return train.indices[chosen].sort().values


def select(selector: Selector, partition: Partition, seed: int) -> Int[Tensor, " forget"]:
    """The ids of the training samples that a request names, ascending.

    Args:
        selector: what to forget.
        partition: who was trained on; ids are positions in its collection.
        seed: decides a random request, and nothing else.

    Raises:
        DataError: for a class, person or id that does not exist or was never trained on, or too many samples.
    """
    elsewhere = {"holdout": partition.holdout, "test": partition.test}
    return select_from(selector, partition.train, seed, elsewhere)


def select_from(
    selector: Selector, train: Examples, seed: int, elsewhere: Mapping[str, Examples] | None = None
) -> Int[Tensor, " forget"]:
    """As `select`, for training samples that were not drawn by a rule.

    Args:
        selector: what to forget.
        train: the samples that were trained on.
        seed: decides a random request, and nothing else.
        elsewhere: other parts of the same collection by name, for messages about who is not in training.

    Raises:
        DataError: as `select`.
    """
    match selector:
        case Classes(names):
            return _of_classes(selector, names, train)
        case Subjects(names):
            return _of_subjects(selector, names, train, elsewhere or {})
        case RandomShare(percent):
            return _at_random(selector, max(1, round(percent / 100 * len(train))), train.indices, seed)
        case RandomCount(count):
            return _at_random(selector, count, train.indices, seed)
        case Listed():
            return listed_samples(selector, train, elsewhere or {})
        case Several(selectors):
            chosen = [select_from(one, train, seed, elsewhere) for one in selectors]
            return train.indices[torch.isin(train.indices, torch.cat(chosen))]


def _of_classes(selector: Selector, names: tuple[str, ...], train: Examples) -> Tensor:
    collection = train.collection
    known = Lookup(collection.class_names, collection.classes)
    labels = []
    for name in names:
        label = _position(selector, known, name)
        if label is None:
            expected = as_requested(collection.class_names or list(map(str, range(collection.classes))))
            raise DataError(
                f"{selector}: there is no class {name}; expected {expected} "
                f"({collection.name} has {collection.classes} classes)"
            )
        if not bool((train.labels == label).any()):
            raise DataError(
                f"{selector}: class {name} was never trained on; expected a class of the training part"
            )
        labels.append(label)
    return train.indices[torch.isin(train.labels, torch.tensor(labels))]


def _position(selector: Selector, known: Lookup, name: str) -> int | None:
    try:
        return known.position(name)
    except DataError as error:
        raise DataError(f"{selector}: {error}") from error


def _of_subjects(
    selector: Selector, names: tuple[str, ...], train: Examples, elsewhere: Mapping[str, Examples]
) -> Tensor:
    collection = train.collection
    owners = collection.subjects
    if owners is None or not bool((owners != UNKNOWN_SUBJECT).any()):
        raise DataError(
            f"{selector}: {collection.name} records no subjects, so nobody can be forgotten by name or number; "
            "expected class=, random= or ids="
        )
    known = Lookup(collection.subject_names, int(owners.max()) + 1, positions=False)
    trained = owners[train.indices]
    subjects = []
    for name in names:
        subject = _position(selector, known, name)
        if subject is None or not bool((trained == subject).any()):
            raise DataError(_why_not_trained(selector, name, subject, owners, train, elsewhere))
        subjects.append(subject)
    return train.indices[torch.isin(trained, torch.tensor(subjects))]


def _why_not_trained(
    selector: Selector,
    name: str,
    subject: int | None,
    owners: Tensor,
    train: Examples,
    elsewhere: Mapping[str, Examples],
) -> str:
    everyone = torch.unique(owners[owners != UNKNOWN_SUBJECT])
    if subject is None or not bool((owners == subject).any()):
        return (
            f"{selector}: there is no subject {name}; expected one of the {len(everyone):,} subjects of "
            f"{train.collection.name} ({_people(train.collection, everyone)})"
        )
    trained = owners[train.indices]
    people = torch.unique(trained[trained != UNKNOWN_SUBJECT])
    where = [
        part_name for part_name, part in elsewhere.items() if bool((owners[part.indices] == subject).any())
    ]
    unknown = "outside the limited training part" if elsewhere else "outside this training set"
    place = f"in the {' and '.join(where)} part" if where else unknown
    return (
        f"{selector}: subject {name} was never trained on, being {place}; expected one of the "
        f"{len(people):,} subjects in training ({_people(train.collection, people)})"
    )


def _people(collection: Collection, subjects: Tensor) -> str:
    return as_requested([collection.subject_name(int(subject)) for subject in subjects])


def _at_random(selector: Selector, count: int, train: Tensor, seed: int) -> Tensor:
    if count >= len(train):
        raise DataError(
            f"{selector}: {count:,} of {len(train):,} training samples; expected some to be retained"
        )
    generator = torch.Generator().manual_seed(seed)
    return train[torch.randperm(len(train), generator=generator)[:count]].sort().values


def in_words(selector: Selector, forget: Examples) -> str:
    """What a request forgets, for instance `class 'cat' (97 samples)`.

    Args:
        selector: the request.
        forget: what it chose from the training part.
    """
    collection = forget.collection
    match selector:
        case Classes():
            labels, counts = torch.unique(forget.labels, return_counts=True)
            names = [
                collection.class_names[label] if collection.class_names else str(int(label))
                for label in labels
            ]
            return _counted("class", "classes", names, counts)
        case Subjects():
            assert collection.subjects is not None
            people, counts = torch.unique(collection.subjects[forget.indices], return_counts=True)
            return _counted(
                "subject", "subjects", [collection.subject_name(int(one)) for one in people], counts
            )
        case RandomShare() | RandomCount():
            return f"{len(forget):,} {_samples(len(forget))} drawn at random"
        case Listed():
            return f"{len(forget):,} listed {_samples(len(forget))}"
        case Several(selectors):
            return f"{len(forget):,} {_samples(len(forget))} by {len(selectors)} selectors"


def _counted(one: str, many: str, names: list[str], counts: Tensor) -> str:
    each = [
        f"{name!r} ({count:,} {_samples(count)})" if index == 0 else f"{name!r} ({count:,})"
        for index, (name, count) in enumerate(zip(names, counts.tolist(), strict=True))
    ]
    return f"{one if len(each) == 1 else many} {first_of(each, SHOWN)}"


def _samples(count: int) -> str:
    return "sample" if count == 1 else "samples"
