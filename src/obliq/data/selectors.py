"""What a request names: a class, a person, a random share, or listed samples."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float64, Int
from torch import Tensor

from obliq.data.collection import UNKNOWN_SUBJECT, Collection, Examples
from obliq.data.splits import Partition
from obliq.errors import DataError

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
        raise DataError(f"{len(scores)} memorisation scores for {len(train)} samples; expected one each")
    count = round(share * len(train)) if 0 < share <= MOST else 0
    if not 1 <= count <= len(train) // 3:
        raise DataError(
            f"a share of {share:g} of {len(train)} samples; expected at least one sample, and at most a third of them"
        )
    left, chosen = scores.clone(), torch.empty(0, dtype=torch.long)
    for group, aim in AIMS.items():
        left[chosen] = torch.inf
        chosen = (left - aim).abs().argsort(stable=True)[:count]
        if group == level:
            break
    return train.indices[chosen].sort().values


ACCEPTED = "class=3, class=3,5, subject=7, subject=7,12, random=10%, random=600 or ids=FILE"
_LARGEST_FILE = 64 * 2**20  # bytes; several million ids, and still read in a moment
_NUMBER = re.compile(r"[0-9]{1,18}")  # int() alone also takes 1_000, signs and more than 64 bits


@dataclass(frozen=True)
class Classes:
    """Every training sample of these classes."""

    labels: tuple[int, ...]

    def __str__(self) -> str:
        return "class=" + ",".join(map(str, self.labels))


@dataclass(frozen=True)
class Subjects:
    """Every training sample of these people."""

    subjects: tuple[int, ...]

    def __str__(self) -> str:
        return "subject=" + ",".join(map(str, self.subjects))


@dataclass(frozen=True)
class RandomShare:
    """A random share of the training part, in percent."""

    percent: float

    def __str__(self) -> str:
        return f"random={self.percent!r}".removesuffix(".0") + "%"


@dataclass(frozen=True)
class RandomCount:
    """A random number of training samples."""

    count: int

    def __str__(self) -> str:
        return f"random={self.count}"


@dataclass(frozen=True)
class Listed:
    """The samples whose ids stand in a text file, one a line; `#` starts a comment."""

    file: Path

    def __str__(self) -> str:
        return f"ids={self.file}"


Selector = Classes | Subjects | RandomShare | RandomCount | Listed


def parse_selector(text: str) -> Selector:
    """Read a request as it is typed; `str()` of the result gives the text back.

    Raises:
        DataError: for anything but the accepted forms, and for shares outside 0 to 100 percent.
    """
    kind, _, given = (part.strip() for part in text.partition("="))
    if kind == "class":
        return Classes(_numbers(text, given))
    if kind == "subject":
        return Subjects(_numbers(text, given))
    if kind == "random" and given.endswith("%"):
        return RandomShare(_percent(text, given.removesuffix("%")))
    if kind == "random" and _NUMBER.fullmatch(given):
        if int(given) == 0:
            raise DataError(f"{text}: nothing to forget; expected at least one sample")
        return RandomCount(int(given))
    if kind == "ids" and given:
        return Listed(Path(given))
    raise DataError(f"{text!r} does not name anything to forget; expected {ACCEPTED}")


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
        case Classes(labels):
            return _of_classes(selector, labels, train)
        case Subjects(subjects):
            return _of_subjects(selector, subjects, train, elsewhere or {})
        case RandomShare(percent):
            return _at_random(selector, max(1, round(percent / 100 * len(train))), train.indices, seed)
        case RandomCount(count):
            return _at_random(selector, count, train.indices, seed)
        case Listed(file):
            return _listed(file, train)


def _of_classes(selector: Selector, labels: tuple[int, ...], train: Examples) -> Tensor:
    collection = train.collection
    for label in labels:
        if label >= collection.classes:
            raise DataError(
                f"{selector}: there is no class {label}; expected 0 to {collection.classes - 1} "
                f"({collection.name} has {collection.classes} classes)"
            )
        if not bool((train.labels == label).any()):
            raise DataError(
                f"{selector}: class {label} was never trained on; expected a class of the training part"
            )
    return train.indices[torch.isin(train.labels, torch.tensor(labels))]


def _of_subjects(
    selector: Selector, subjects: tuple[int, ...], train: Examples, elsewhere: Mapping[str, Examples]
) -> Tensor:
    owners = train.collection.subjects
    if owners is None or not bool((owners != UNKNOWN_SUBJECT).any()):
        raise DataError(
            f"{selector}: {train.collection.name} records no subjects, so nobody can be forgotten by number; "
            "expected class=, random= or ids="
        )
    trained = owners[train.indices]
    for subject in subjects:
        if not bool((trained == subject).any()):
            raise DataError(_why_not_trained(selector, subject, owners, train, elsewhere))
    return train.indices[torch.isin(trained, torch.tensor(subjects))]


def _why_not_trained(
    selector: Selector, subject: int, owners: Tensor, train: Examples, elsewhere: Mapping[str, Examples]
) -> str:
    everyone = torch.unique(owners[owners != UNKNOWN_SUBJECT])
    if not bool((owners == subject).any()):
        return (
            f"{selector}: there is no subject {subject}; expected one of the {len(everyone)} subjects of "
            f"{train.collection.name} ({_shortened(everyone)})"
        )
    trained = owners[train.indices]
    people = torch.unique(trained[trained != UNKNOWN_SUBJECT])
    where = [name for name, part in elsewhere.items() if bool((owners[part.indices] == subject).any())]
    unknown = "outside the limited training part" if elsewhere else "outside this training set"
    place = f"in the {' and '.join(where)} part" if where else unknown
    return (
        f"{selector}: subject {subject} was never trained on, being {place}; expected one of the "
        f"{len(people)} subjects in training ({_shortened(people)})"
    )


def _shortened(people: Tensor) -> str:
    """A few numbers, so that a message about hundreds of people stays one line."""
    numbers = people.tolist()
    if not numbers:
        return "none"
    if len(numbers) == numbers[-1] - numbers[0] + 1 and len(numbers) > 1:
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(map(str, numbers[:8])) + (f", ... {numbers[-1]}" if len(numbers) > 8 else "")


def _at_random(selector: Selector, count: int, train: Tensor, seed: int) -> Tensor:
    if count >= len(train):
        raise DataError(f"{selector}: {count} of {len(train)} training samples; expected some to be retained")
    generator = torch.Generator().manual_seed(seed)
    return train[torch.randperm(len(train), generator=generator)[:count]].sort().values


def _listed(file: Path, train: Examples) -> Tensor:
    known = set(train.indices.tolist())
    line_of: dict[int, int] = {}
    for number, line in enumerate(_lines(file), start=1):
        entry = line.partition("#")[0].strip()
        if not entry:
            continue
        place = f"{file}, line {number}"
        if not _NUMBER.fullmatch(entry):
            raise DataError(f"{place}: {entry[:40]!r} is not an id; expected one whole number a line")
        sample = int(entry)
        if sample in line_of:
            raise DataError(f"{place}: id {sample} is in line {line_of[sample]} already; expected each once")
        if sample not in known:
            raise DataError(f"{place}: {_outside(sample, train.collection)}")
        line_of[sample] = number
    if not line_of:
        raise DataError(f"{file}: no ids in it; expected one whole number a line")
    return torch.tensor(sorted(line_of))


def _outside(sample: int, collection: Collection) -> str:
    if sample >= len(collection):
        return f"there is no sample {sample}; expected 0 to {len(collection) - 1}"
    return f"sample {sample} was never trained on; expected ids of the training part"


def _lines(file: Path) -> list[str]:
    try:
        if file.stat().st_size > _LARGEST_FILE:
            raise DataError(f"{file}: {file.stat().st_size} bytes; expected at most {_LARGEST_FILE}")
        return file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DataError(f"cannot read the ids in {file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not a text file; expected one whole number a line") from error


def _numbers(text: str, given: str) -> tuple[int, ...]:
    entries = [entry.strip() for entry in given.split(",")]
    if not all(_NUMBER.fullmatch(entry) for entry in entries):
        raise DataError(f"{text!r} does not list whole numbers from 0; expected {ACCEPTED}")
    return tuple(dict.fromkeys(map(int, entries)))


def _percent(text: str, given: str) -> float:
    try:
        percent = float(given)
    except ValueError as error:
        raise DataError(f"{text!r} is not a share; expected {ACCEPTED}") from error
    if not 0 < percent < 100:
        raise DataError(f"{text}: expected more than 0% and less than 100%")
    return percent
