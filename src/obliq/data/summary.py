"""What a data set holds, in words and numbers, before anything is trained on it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from obliq.data.collection import UNKNOWN_SUBJECT, Collection
from obliq.data.input_contract import InputContract
from obliq.data.names import listed

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
        f"class={names[-1]}",
        *(f"subject={name}" for name in list(subjects)[:1]),
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
        official_test=0 if collection.official_test is None else int(collection.official_test.sum()),
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
    classes = f"{collection.classes} classes {listed(class_names(collection))}"
    owners = collection.subjects
    people = 0 if owners is None else len(torch.unique(owners[owners != UNKNOWN_SUBJECT]))
    return f"{len(collection):,} {kind}, {classes}{f', {people} subjects' if people else ''}"
