"""Own data from a function in the user's own code, named `package.module:function`."""

import math
import operator
from typing import Any

import torch
from torch import Tensor

from obliq.data.collection import Collection, MapDataset, channels_of, own_collection
from obliq.errors import DataError
from obliq.io.user_code import first_line, import_function

IN_MEMORY = 2**30  # bytes; up to here a data set is read once and kept


def from_function(name: str) -> Collection:
    """Call a function without arguments that returns a map-style data set of (input tensor, label).

    Importing runs the user's own code, which is what naming it asks for. Inputs are uint8 or float
    tensors of one shape. The data set may have `subjects` (one number a sample) and `class_names`.
    Up to 1 GiB is kept in memory as it was read once, so that random transforms do not vary; more
    is read again in every pass.

    Raises:
        DataError: when the code cannot be imported or fails, or its items are not as described.
    """
    items = _called(name)
    try:
        count = len(items)
        subjects, class_names = getattr(items, "subjects", None), getattr(items, "class_names", ())
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
    checked = CheckedItems(name, items)
    inputs, labels = _read(checked, count)
    return own_collection(
        name, inputs, labels,
        subjects=None if owners is None else owners.long(),
        class_names=names,
        channels=channels_of(checked.first.unsqueeze(0)),
    )  # fmt: skip


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


def _read(items: CheckedItems, count: int) -> tuple[Tensor | MapDataset, Tensor]:
    """Go once over all items: their labels, and the inputs where they fit in memory."""
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


def _called(name: str) -> Any:
    try:
        return import_function(name)()
    except Exception as error:  # the user's own code may raise anything
        raise DataError(
            f"{name}: {first_line(error)}; expected package.module:function, a function without "
            "arguments that returns a map-style data set"
        ) from error
