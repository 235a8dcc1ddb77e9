"""Sets of samples that a caller gives separately become disjoint roles of one collection.

Nothing about the samples changes on the way. What cannot be decided from the samples alone, such as the scale of
raw bytes, is refused with the words that decide it.
"""

import itertools
import secrets
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from obliq.data.collection import Collection, Examples, MapDataset
from obliq.data.joined_inputs import ACCIDENTAL, fingerprints, joined_inputs
from obliq.data.missing_examples import MissingExamples
from obliq.data.splits import Partition, Splits
from obliq.data.user_dataset import read_dataset, require_scaled
from obliq.errors import DataError

DataLike = Examples | Collection | Dataset[Any] | MapDataset | tuple[Any, Any]
"""Samples as a caller has them: a map-style data set of (input, label), a pair (inputs, labels) of tensors or arrays,
or samples of ours."""


def as_examples(data: DataLike, name: str = "data") -> Examples:
    """Samples of any accepted kind, read once and checked.

    Args:
        data: `Examples` and `Collection` as they are; a map-style data set of (input tensor, integer label), of which
            up to 1 GiB is kept in memory; or a pair of inputs (samples, ...) and labels (samples).
        name: what error messages call them, for instance `forget`.

    Returns:
        The samples in their order. Float inputs keep their values, in float32.

    Raises:
        DataError: for anything else, for raw uint8 inputs outside a `Collection`, NaN or infinite inputs, labels
            that are no integers from 0, and no samples at all.
    """
    match data:
        case Examples():
            if len(data) == 0:
                raise DataError(f"{name}: no samples; expected at least one")
            return data
        case Collection():
            return _everything(data)
        case Partition() | Splits():
            raise DataError(
                f"{name} is a {type(data).__name__}, which holds several sets; expected one of them, such as its "
                f"{'train' if isinstance(data, Partition) else 'retain'}"
            )
        case DataLoader():
            raise DataError(f"{name} is a DataLoader; expected the data set in it (loader.dataset)")
        case Tensor():
            raise DataError(f"{name} is a tensor without labels; expected a pair (inputs, labels)")
        case TensorDataset(tensors=(inputs, labels)):
            return _everything(_from_arrays(name, inputs, labels))
        case (inputs, labels) if _is_array(inputs):
            return _everything(_from_arrays(name, inputs, labels))
    if isinstance(data, IterableDataset | str | bytes | Mapping) or not hasattr(data, "__getitem__"):
        raise DataError(
            f"{name} is a {type(data).__name__}; expected a map-style data set of (input, label), a pair of tensors "
            "(inputs, labels), or samples of obliq.load_dataset"
        )
    return _everything(_from_dataset(name, data))


def join_roles(
    forget: DataLike,
    retain: DataLike | None,
    holdout: DataLike | None = None,
    test: DataLike | None = None,
    *,
    classes: int | None = None,
    whole_classes: bool = False,
) -> Splits:
    """Roles of one collection, from sets that are given one by one.

    Sets that are samples of one `Collection` are compared by their positions in it. Others are compared by the content
    of their inputs, where they fit in memory: more than a percent in common is an error, less a warning. So is a forget
    set that is larger than the retain set.

    Args:
        forget: what is to be forgotten.
        retain: the rest of what the network was trained on; None where it is no longer there.
        holdout: samples that the network was not trained on, for methods that compare with unseen data.
        test: other such samples, for audits.
        classes: how many classes the network distinguishes; as many as there are labels when left out.
        whole_classes: whether the forget set holds all that there was of each of its classes. Only without a retain
            set, which shows it.

    Returns:
        The roles, each in the order that it was given in. A set that was left out raises an error when it is read.

    Raises:
        DataError: for sets of different shapes, types or scaling, labels beyond the network's classes, sets that
            overlap, and `whole_classes` with a retain set.
    """
    if whole_classes and retain is not None:
        raise DataError(
            "whole_classes=True was given with a retain set; expected it without one, since a retain set shows which "
            "classes are left"
        )
    given: dict[str, Examples] = {
        role: as_examples(data, role)
        for role, data in {"forget": forget, "retain": retain, "holdout": holdout, "test": test}.items()
        if data is not None
    }
    _require_alike(given)
    _require_labels(given, classes)
    _require_disjoint(given)
    if "retain" in given and len(given["forget"]) > len(given["retain"]):
        warnings.warn(
            f"the forget set has {len(given['forget']):,} samples and the retain set {len(given['retain']):,}: "
            "check that they are not exchanged",
            stacklevel=4,
        )
    shared = next(iter(given.values())).collection
    if _differ(given) or (classes or 0) > shared.classes:  # a forget set alone may lack the last classes
        given = _concatenated(given, classes)
    shared = given["forget"].collection
    none = torch.empty(0, dtype=torch.int64)
    retain_set, holdout_set, test_set = (
        given.get(role, MissingExamples(shared, none, role)) for role in ("retain", "holdout", "test")
    )
    training = torch.cat([given["forget"].indices, retain_set.indices]).sort().values
    return Splits(
        partition=Partition(None, Examples(shared, training), holdout_set, test_set),
        forget=given["forget"],
        retain=retain_set,
        holdout=holdout_set,
        test=test_set,
        salt=secrets.token_bytes(32),
        whole_classes=whole_classes if retain is None else None,
    )


def _everything(collection: Collection) -> Examples:
    return Examples(collection, torch.arange(len(collection)))


def _is_array(value: object) -> bool:
    return isinstance(value, Tensor | np.ndarray)


def _from_arrays(name: str, inputs: Any, labels: Any) -> Collection:
    try:
        values, numbers = (torch.as_tensor(given).detach().cpu() for given in (inputs, labels))
    except (TypeError, ValueError, RuntimeError) as error:  # of torch, about texts and ragged lists
        raise DataError(
            f"{name}: {type(error).__name__}: {error}; expected tensors (inputs, labels)"
        ) from error
    require_scaled(name, values.dtype)
    if not values.is_floating_point() or values.dim() < 2:
        raise DataError(
            f"{name}: inputs are {values.dtype} of shape {tuple(values.shape)}; expected floats of shape "
            "(samples, ...)"
        )
    if numbers.is_floating_point() or numbers.dtype == torch.bool or numbers.dim() != 1:
        raise DataError(
            f"{name}: labels are {numbers.dtype} of shape {tuple(numbers.shape)}; expected one class number from 0 "
            "per sample, as integers"
        )
    return Collection(name, values.float(), numbers.long())


def _from_dataset(name: str, dataset: Any) -> Collection:
    read = read_dataset(name, dataset, raw=False)
    return Collection(
        name,
        read.inputs,
        read.labels,
        read.subjects,
        class_names=read.class_names,
        subject_names=read.subject_names,
        sample_names=read.sample_names,
    )


def _require_alike(given: Mapping[str, Examples]) -> None:
    """Raise unless all sets hold samples of one shape, type and scaling."""
    (first_role, first), *others = given.items()
    for role, examples in others:
        for what, one, other in zip(
            ("shape", "type", "mean and deviation"), _form(first), _form(examples), strict=True
        ):
            if one != other:
                raise DataError(
                    f"{role} has samples of {what} {other}, {first_role} of {one}; expected the same in all sets"
                )


def _form(examples: Examples) -> tuple[object, ...]:
    collection = examples.collection
    inputs = collection.inputs
    kind = inputs.dtype if isinstance(inputs, Tensor) else inputs[0][0].dtype
    return collection.sample_shape, kind, (collection.mean, collection.deviation)


def _require_labels(given: Mapping[str, Examples], classes: int | None) -> None:
    """Raise for a label that the network has no output for."""
    for role, examples in given.items():
        largest = int(examples.labels.max())
        if classes is not None and largest >= classes:
            raise DataError(
                f"{role} has label {largest}, but the network distinguishes {classes} classes; expected labels "
                f"from 0 to {classes - 1}"
            )


def _require_disjoint(given: Mapping[str, Examples]) -> None:
    """Raise where one set stands in another: by position where they share a collection, else by content."""
    for role, examples in given.items():
        repeated = len(examples) - len(torch.unique(examples.indices))
        if repeated:
            raise DataError(f"{role} names {repeated} samples twice; expected each once")
    prints = {role: fingerprints(examples) for role, examples in given.items()} if _differ(given) else {}
    for (one, first), (other, second) in itertools.combinations(given.items(), 2):
        if first.collection is second.collection:
            common, allowed, remedy = int(torch.isin(first.indices, second.indices).sum()), 0, ""
        else:
            common = len(prints[one] & prints[other])
            allowed = int(ACCIDENTAL * min(len(first), len(second)))
            remedy = " (if they are different samples of equal content, pass Examples of one Collection)"
        if common > allowed:
            raise DataError(
                f"{common:,} of {len(first):,} {one} samples are in {other} too; expected disjoint sets{remedy}"
            )
        if common:
            warnings.warn(
                f"{common:,} of {len(first):,} {one} samples have a copy with the same content in {other}",
                stacklevel=4,
            )


def _differ(given: Mapping[str, Examples]) -> bool:
    """Whether the sets come from several collections."""
    return len({id(examples.collection) for examples in given.values()}) > 1


def _concatenated(given: Mapping[str, Examples], classes: int | None) -> dict[str, Examples]:
    """The same sets as samples of one new collection."""
    parts = list(given.values())
    lengths = [len(part) for part in parts]
    first = parts[0].collection
    names = dict.fromkeys(part.collection.name for part in parts)
    labels = torch.cat([part.labels for part in parts])
    class_names = {tuple(part.collection.class_names) for part in parts}
    count = max(int(labels.max()) + 1, classes or 0)
    collection = Collection(
        name=", ".join(names),
        inputs=joined_inputs(parts),
        labels=labels,
        mean=first.mean,
        deviation=first.deviation,
        class_names=class_names.pop()
        if len(class_names) == 1 and () not in class_names
        else _numbered(count),
    )
    starts = itertools.accumulate(lengths, initial=0)
    return {
        role: Examples(collection, torch.arange(start, start + length))
        for role, start, length in zip(given, starts, lengths, strict=False)
    }


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count)))
