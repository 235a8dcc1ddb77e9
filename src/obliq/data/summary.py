"""What a data set holds, in words and numbers, before anything is trained on it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from obliq.data.collection import UNKNOWN_SUBJECT, Collection, Examples
from obliq.data.input_contract import InputContract
from obliq.data.missing_examples import MissingExamples
from obliq.data.names import as_requested
from obliq.data.selectors import escaped
from obliq.data.splits import Partition

_KINDS = {1: "rows of {} values", 2: "signals of {}", 3: "images of {}"}


@dataclass(frozen=True, kw_only=True)
class CollectionSummary:
    """A data set on one page.

    Attributes:
        name: what loads it.
        samples: how many there are.
        sample_shape: of one sample, channels first.
        axes: the meaning of each axis.
        values: the type of stored values.
        value_range: the smallest and the largest stored value; None for data that are read sample by sample.
        scaling: how a stored value becomes an input of the network.
        classes: samples of each class, by name, in the order of the network's outputs.
        subjects: samples of each known subject, by name; empty where none are recorded.
        unknown_subjects: samples of nobody known.
        ids: the first and the last id.
        own_ids: whether these are names that the data give; otherwise they are positions.
        official_test: samples that the authors set aside for testing.
        official_holdout: unseen samples that were set aside besides.
        requests: examples of `--forget` for these data.
    """

    name: str
    samples: int
    sample_shape: tuple[int, ...]
    axes: str
    values: str
    value_range: tuple[float, float] | None
    scaling: str
    classes: dict[str, int]
    subjects: dict[str, int]
    unknown_subjects: int
    ids: tuple[str, str]
    own_ids: bool
    official_test: int
    official_holdout: int
    requests: tuple[str, ...]


def summarise_collection(collection: Collection) -> CollectionSummary:
    """Count what a data set holds."""
    names = class_names(collection)
    counts = torch.bincount(collection.labels, minlength=collection.classes).tolist()
    owners = collection.subjects
    known = torch.empty(0, dtype=torch.int64) if owners is None else owners[owners != UNKNOWN_SUBJECT]
    people, sizes = torch.unique(known, return_counts=True)
    subjects = {
        collection.subject_name(person): size
        for person, size in zip(people.tolist(), sizes.tolist(), strict=True)
    }
    inputs = collection.inputs
    ids = collection.sample_names or ("0", str(len(collection) - 1))
    contract = InputContract.of(collection)
    requests = [
        f"class={escaped(names[-1])}",
        *(f"subject={escaped(name)}" for name in list(subjects)[:1]),
        "random=10%",
        "ids=FILE",
    ]
    return CollectionSummary(
        name=collection.name,
        samples=len(collection),
        sample_shape=contract.shape,
        axes=contract.axes,
        values=contract.stored,
        value_range=(float(inputs.min()), float(inputs.max())) if isinstance(inputs, Tensor) else None,
        scaling=contract.scaling,
        classes=dict(zip(names, counts, strict=True)),
        subjects=subjects,
        unknown_subjects=0 if owners is None else len(owners) - len(known),
        ids=(ids[0], ids[-1]),
        own_ids=bool(collection.sample_names),
        official_test=int(collection.test_marks.sum()),
        official_holdout=0 if collection.official_holdout is None else int(collection.official_holdout.sum()),
        requests=tuple(requests),
    )


def class_names(collection: Collection) -> tuple[str, ...]:
    """What classes are called, in the order of the network's outputs: by their numbers where they have no names."""
    return tuple(collection.class_names) or tuple(map(str, range(collection.classes)))


def contents_in_words(collection: Collection) -> str:
    """For instance `1,797 images of 1 x 8 x 8, 10 classes 0 to 9`."""
    shape = collection.sample_shape
    kind = _KINDS.get(len(shape), "samples of {}").format(" x ".join(map(str, shape)))
    classes = f"{collection.classes:,} classes {as_requested(class_names(collection))}"
    people = len(_people(Examples(collection, torch.arange(len(collection)))))
    return f"{len(collection):,} {kind}, {classes}{f', {people:,} subjects' if people else ''}"


def parts_in_words(parts: Partition) -> str:
    """For instance `1,277 training samples of 10 people, 260 test samples of 2 people; nobody is in two parts`."""
    roles = {"training": parts.train, "holdout": parts.holdout, "test": parts.test}
    given = {role: part for role, part in roles.items() if not isinstance(part, MissingExamples)}
    people = {role: _people(part) for role, part in given.items()}
    text = ", ".join(
        f"{len(part):,} {role} samples{f' of {number_of_people(len(people[role]))}' if len(people[role]) else ''}"
        for role, part in given.items()
    )
    every = torch.cat(list(people.values()))
    if len(every) == 0 or len(given) == 1:
        return text
    shared = len(every) - len(torch.unique(every))
    return f"{text}; {f'{number_of_people(shared)} in more than one part' if shared else 'nobody is in two parts'}"


def number_of_people(count: int) -> str:
    """A number of people in words."""
    return "1 person" if count == 1 else f"{count:,} people"


def _people(part: Examples) -> Tensor:
    """The known subjects of a part, each once."""
    owners = part.collection.subjects
    if owners is None:
        return torch.empty(0, dtype=torch.int64)
    known = owners[part.indices]
    people: Tensor = torch.unique(known[known != UNKNOWN_SUBJECT])
    return people
