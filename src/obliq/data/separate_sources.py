"""Training, holdout and test samples from sources of their own, as parts of one collection.

The name of such a collection is the training source with the others behind it, for instance
`folder:train,holdout=folder:val,test=folder:test`. Training samples come first, so their positions and ids are those
that they have in their own source.
"""

import itertools
import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from obliq.data.collection import UNKNOWN_SUBJECT, Collection, Examples
from obliq.data.input_contract import InputContract
from obliq.data.joined_inputs import ACCIDENTAL, fingerprints, joined_inputs
from obliq.data.names import are_numbers, listed, numbered
from obliq.data.summary import class_names
from obliq.errors import DataError

TRAINING, HOLDOUT, TEST = "training", "holdout", "test"
_OTHER = re.compile(rf",({HOLDOUT}|{TEST})=")


def is_source(text: str) -> bool:
    """Whether a word for a part names a source of samples, such as `folder:val`, and not some of the samples."""
    kind, colon, rest = text.partition(":")
    return bool(colon and kind.strip() and rest.strip()) and not re.match(r"\s*(ids|subject)\s*[:=]", text)


def sources_of(name: str) -> dict[str, str]:
    """The sources in the name of a collection by part: `training` alone where it has only one.

    Raises:
        DataError: for a part without a source, and one that is named twice.
    """
    first, *rest = _OTHER.split(name)
    found = {TRAINING: first}
    for role, source in zip(rest[::2], rest[1::2], strict=True):
        if role in found:
            raise DataError(f"{name}: {role} is there twice; expected each part once")
        found[role] = source
    for role, source in found.items():
        if not is_source(source) and role != TRAINING:
            raise DataError(f"{name}: {role} is {source!r}; expected npz:FILE, folder:DIR or module:function")
    return found


def name_with_sources(name: str, others: Mapping[str, str]) -> str:
    """The name of the collection that has these sources for its parts, too.

    Raises:
        DataError: when a part would have two sources.
    """
    joined = name + "".join(f",{role}={source}" for role, source in others.items())
    sources_of(joined)
    return joined


def join_sources(name: str, parts: Mapping[str, Collection]) -> Collection:
    """One collection of the samples of several sources.

    Args:
        name: what loads it again.
        parts: the training source first. Classes of the others are matched by name, so a part may lack some.

    Raises:
        DataError: for samples of another shape, type or scaling, a class that training does not have, a source that
            has a test set of its own, and a part that shares more than one percent of its samples with another one.
    """
    training = parts[TRAINING]
    for role, part in parts.items():
        if part.test_marks.any():
            raise DataError(
                f"{part.name} has a test set of its own; expected no other source for {_others(parts)}"
            )
        if role != TRAINING:
            _require_alike(training, part, role)
    _require_different(parts)
    sizes = [len(part) for part in parts.values()]
    roles = list(parts)
    owner = torch.repeat_interleave(torch.arange(len(parts)), torch.tensor(sizes))
    subjects, subject_names = _subjects(list(parts.values()))
    return Collection(
        name=name,
        inputs=joined_inputs([Examples(part, torch.arange(len(part))) for part in parts.values()]),
        labels=torch.cat([_labels(training, part, role) for role, part in parts.items()]),
        subjects=subjects,
        official_test=owner == (roles.index(TEST) if TEST in parts else -1),
        official_holdout=owner == (roles.index(HOLDOUT) if HOLDOUT in parts else -1),
        mean=training.mean,
        deviation=training.deviation,
        class_names=class_names(training),
        subject_names=subject_names,
        sample_names=_sample_names(parts),
    )


def _others(parts: Mapping[str, Collection]) -> str:
    return " and ".join(role for role in parts if role != TRAINING)


def _require_alike(training: Collection, part: Collection, role: str) -> None:
    """Raise unless a source has samples like those of training, scaled in the same way."""
    if part.sample_shape != training.sample_shape:
        raise DataError(
            f"{role} samples ({part.name}) have shape {part.sample_shape}, training samples ({training.name}) "
            f"{training.sample_shape}; expected the same shape. Options such as layout and image-size follow the name "
            "of each source"
        )
    one, other = InputContract.of(training), InputContract.of(part)
    if (one.stored, one.scaling) != (other.stored, other.scaling):
        raise DataError(
            f"{role} samples ({part.name}) are {other.described}; training samples ({training.name}) are "
            f"{one.described}; expected the same. The option scale follows "
            "the name of each source"
        )


def _labels(training: Collection, part: Collection, role: str) -> Tensor:
    """The labels of a source as those of training, by the names of the classes."""
    known, own = (class_names(collection) for collection in (training, part))
    unknown = [own[label] for label in torch.unique(part.labels).tolist() if own[label] not in known]
    if unknown:
        raise DataError(
            f"{role} ({part.name}) has the class{'' if len(unknown) == 1 else 'es'} {listed(unknown)}, which training "
            f"({training.name}) has not; expected classes of training: {listed(known)}"
        )
    places = torch.tensor([known.index(name) if name in known else -1 for name in own])
    return places[part.labels]


def _require_different(parts: Mapping[str, Collection]) -> None:
    """Raise where one part stands in another one, as after a mistake in a path."""
    prints = {role: fingerprints(Examples(part, torch.arange(len(part)))) for role, part in parts.items()}
    for one, other in itertools.combinations(parts, 2):
        common = len(prints[one] & prints[other])
        same_name = parts[one].name == parts[other].name
        if same_name or common > ACCIDENTAL * min(len(parts[one]), len(parts[other])):
            raise DataError(
                f"{common if common else 'all'} {other} samples ({parts[other].name}) are {one} samples "
                f"({parts[one].name}), too; expected different samples. Different samples of equal content belong into "
                "one source, with parts by ids=FILE"
            )


def _subjects(parts: Sequence[Collection]) -> tuple[Tensor | None, tuple[str, ...]]:
    """Whose samples all are: a person has one name, or number, in all sources."""
    if all(part.subjects is None for part in parts):
        return None, ()
    unknown = [
        torch.full((len(part),), UNKNOWN_SUBJECT) if part.subjects is None else part.subjects
        for part in parts
    ]
    if not any(part.subject_names for part in parts):
        return torch.cat(unknown), ()
    words = [
        "" if subject == UNKNOWN_SUBJECT else part.subject_name(subject)
        for part, owners in zip(parts, unknown, strict=True)
        for subject in owners.tolist()
    ]
    numbers, names = numbered(words)
    return torch.tensor(numbers), names


def _sample_names(parts: Mapping[str, Collection]) -> tuple[str, ...]:
    """The ids of all samples; those of training are as in its source.

    Requests name training samples only. The ids of others change where they would repeat one, or make an id that is a
    number ambiguous.
    """
    names = {role: tuple(part.sample_names) for role, part in parts.items()}
    own = names.pop(TRAINING)
    if not own:
        return ()
    together = [*own, *itertools.chain(*names.values())]
    if (
        all(names.values())
        and len(set(together)) == len(together)
        and are_numbers(own) == are_numbers(together)
    ):
        return tuple(together)
    others = [
        (role, word) for role, given in names.items() for word in given or map(str, range(len(parts[role])))
    ]
    if are_numbers(own):
        first = max(map(int, own)) + 1
        return (*own, *(str(first + place) for place in range(len(others))))
    return (*own, *(f"{role}:{word}" for role, word in others))
