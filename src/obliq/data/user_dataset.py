"""Data sets of the user's own: any map-style data set, or a function `package.module:function` that returns one."""

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from obliq.data.collection import Collection, MapDataset, channels_of, user_collection
from obliq.errors import DataError
from obliq.io.user_code import first_line, import_function

IN_MEMORY = 2**30  # bytes; up to here a data set is read once and kept


def from_function(name: str) -> Collection:
    """Call a function without arguments that returns a map-style data set of (input tensor, label).

    Importing the module runs the user's own code; naming it on the command line permits that. Inputs are
    uint8 or float tensors of one shape. The data set may have `subjects` (one number per sample) and
    `class_names`. Data sets of up to 1 GiB are read once and kept, so that random transforms do not vary; larger
    ones are read again in every pass.

    Raises:
        DataError: when the code cannot be imported or fails, or its items are not as described.
    """
    try:
        dataset = import_function(name)()
    except Exception as error:  # the user's own code may raise anything
        raise DataError(
            f"{name}: {first_line(error)}; expected package.module:function, a function without "
            "arguments that returns a map-style data set"
        ) from error
    read = read_dataset(name, dataset)
    return user_collection(
        name,
        read.inputs,
        read.labels,
        subjects=read.subjects,
        class_names=read.class_names,
        channels=channels_of(read.first.unsqueeze(0)),
    )


@dataclass(frozen=True, eq=False)
class DatasetContent:
    """What was read of a map-style data set.

    Attributes:
        inputs: all of them where they fit in `IN_MEMORY`; otherwise the data set, read item by item.
        labels: of every item.
        first: the first input; all others have its shape and type.
        subjects: the data set's `subjects`; None where it has none.
        class_names: the data set's `class_names`; empty where it has none.
    """

    inputs: Tensor | MapDataset
    labels: Int[Tensor, " labels"]
    first: Tensor
    subjects: Int[Tensor, " subjects"] | None = None
    class_names: Sequence[str] = ()


def read_dataset(name: str, dataset: Any, *, raw: bool = True) -> DatasetContent:
    """Read a map-style data set of (input tensor, label) and check every item.

    Args:
        name: what error messages call it.
        dataset: has `__len__` and `__getitem__`, and perhaps `subjects` and `class_names`.
        raw: whether uint8 inputs, whose scale the caller must know, are accepted.

    Raises:
        DataError: naming the first item that is not a uint8 or float tensor with an integer label, or that
            differs from the first one in shape or type.
    """
    try:
        count = len(dataset)
        subjects, class_names = getattr(dataset, "subjects", None), getattr(dataset, "class_names", ())
        owners = None if subjects is None else torch.as_tensor(subjects)
        names = tuple(str(one) for one in class_names or ())
    except Exception as error:  # the user's own code may raise anything
        raise DataError(
            f"{name}: {first_line(error)}; expected a map-style data set with a length"
        ) from error
    if count == 0:
        raise DataError(f"{name}: no samples; expected at least one")
    if owners is not None and (owners.dim() != 1 or owners.is_floating_point() or owners.is_complex()):
        raise DataError(
            f"{name}: subjects of type {owners.dtype} and {owners.dim()} dimensions; expected integers"
        )
    items = CheckedItems(name, dataset)
    if not raw:
        require_scaled(name, items.first.dtype)
    inputs, labels = _read_items(items, count)
    return DatasetContent(
        inputs, labels, items.first, None if owners is None else owners.long(), class_names=names
    )


def require_scaled(name: str, kind: torch.dtype) -> None:
    """Raise for raw bytes: only the network's training decides what number a byte becomes.

    Raises:
        DataError: with the ways to state the scale.
    """
    if kind == torch.uint8:
        raise DataError(
            f"{name}: inputs are uint8, whose scale Obliq cannot know; expected floats as the network was trained on "
            "them (for instance inputs.float() / 255), or an obliq.Collection, which states its mean and deviation"
        )


class CheckedItems:
    """A data set whose items are all (uint8 or float32 tensor, int), of the first one's shape and type."""

    def __init__(self, name: str, items: Any) -> None:
        self.name = name
        self.items = items
        self.first = self._item(0)[0]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int, /) -> tuple[Tensor, int]:
        inputs, label = self._item(index)
        if inputs.shape != self.first.shape or inputs.dtype != self.first.dtype:
            raise DataError(
                f"{self.name}: item {index} is {inputs.dtype} of shape {tuple(inputs.shape)}, the first is "
                f"{self.first.dtype} of {tuple(self.first.shape)}; expected all alike"
            )
        if inputs.is_floating_point() and not bool(torch.isfinite(inputs).all()):
            raise DataError(f"{self.name}: item {index} holds NaN or infinity; expected finite numbers")
        return inputs, label

    def _item(self, index: int) -> tuple[Tensor, int]:
        try:
            inputs, label = self.items[index]
            number = operator.index(label)
        except Exception as error:  # the user's own code may raise anything
            raise DataError(
                f"{self.name}: item {index}: {first_line(error)}; expected (tensor, integer)"
            ) from error
        if not isinstance(inputs, Tensor) or not (inputs.dtype == torch.uint8 or inputs.is_floating_point()):
            given = inputs.dtype if isinstance(inputs, Tensor) else type(inputs).__name__
            raise DataError(
                f"{self.name}: item {index} has {given} as input; expected a uint8 or float tensor"
            )
        if inputs.dim() == 0:
            raise DataError(f"{self.name}: item {index} is a single number; expected at least one dimension")
        plain = inputs.detach().cpu()
        return plain if plain.dtype == torch.uint8 else plain.float(), number


def _read_items(items: CheckedItems, count: int) -> tuple[Tensor | MapDataset, Tensor]:
    """All labels, and all inputs where they fit in memory."""
    labels = torch.empty(count, dtype=torch.int64)
    size = count * math.prod(items.first.shape) * items.first.element_size()
    kept = torch.empty((count, *items.first.shape), dtype=items.first.dtype) if size <= IN_MEMORY else None
    for index in range(count):
        inputs, label = items[index]
        if not -(2**31) <= label < 2**31:
            raise DataError(f"{items.name}: item {index} has label {label}; expected classes numbered from 0")
        labels[index] = label
        if kept is not None:
            kept[index] = inputs
    return (items if kept is None else kept), labels
