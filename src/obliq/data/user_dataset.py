"""Data sets of the user's own: any map-style data set, or a function `package.module:function` that returns one."""

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from obliq.data.collection import Collection, MapDataset, channels_of, user_collection
from obliq.data.names import numbered
from obliq.data.source_options import SourceOptions, channels_first, require_clear_layout
from obliq.errors import DataError
from obliq.io.user_code import exit_as_error, first_line, import_function

IN_MEMORY = 2**30  # bytes; up to here a data set is read once and kept
READ_TWICE = 8  # items, spread evenly


def from_function(name: str, function: str | None = None, options: SourceOptions | None = None) -> Collection:
    """Call a function without arguments that returns a map-style data set of (input tensor, label).

    Importing the module runs the user's own code; naming it on the command line permits that. Inputs are
    uint8 or float tensors of one shape. The data set may have `subjects` and `ids` (a number or a name per
    sample) and `class_names`. Data sets of up to 1 GiB are read once and kept; larger ones are read again in every
    pass.

    Args:
        name: of the collection: the function and the options.
        function: the same without the options.
        options: what the name states about the axes, the labels and the scale.

    Raises:
        DataError: when the code cannot be imported or fails, or its items are not as described, or differ from one
            reading to the next.
    """
    options = options or SourceOptions()
    try:
        dataset = import_function(function or name)()
    except Exception as error:  # the user's own code may raise anything
        looked = ""
        if isinstance(error, ModuleNotFoundError):
            looked = f" (looked for in {Path.cwd()} and in the installed packages)"
        raise DataError(
            f"{name}: {first_line(error)}{looked}; expected package.module:function, a function without "
            "arguments that returns a map-style data set"
        ) from error
    read = read_dataset(name, dataset, layout=options.layout, infer_layout=True)
    return user_collection(
        name,
        read.inputs,
        read.labels,
        subjects=read.subjects,
        class_names=read.class_names,
        channels=channels_of(read.first.unsqueeze(0)),
        subject_names=read.subject_names,
        sample_names=read.sample_names,
        options=options,
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
        subject_names: of the subjects by their numbers, where the data set calls them by names.
        sample_names: the data set's `ids`; empty where it has none.
    """

    inputs: Tensor | MapDataset
    labels: Int[Tensor, " labels"]
    first: Tensor
    subjects: Int[Tensor, " subjects"] | None = None
    class_names: Sequence[str] = ()
    subject_names: Sequence[str] = ()
    sample_names: Sequence[str] = ()


def read_dataset(
    name: str, dataset: Any, *, raw: bool = True, layout: str | None = None, infer_layout: bool = False
) -> DatasetContent:
    """Read a map-style data set of (input tensor, label) and check every item.

    Args:
        name: what error messages call it.
        dataset: has `__len__` and `__getitem__`, and perhaps `subjects` and `class_names`.
        raw: whether uint8 inputs, whose scale the caller must know, are accepted.
        layout: of the axes of an item, see `obliq.data.source_options`; None for channels first.
        infer_layout: whether items whose axes may mean two things are refused.

    Raises:
        DataError: naming the first item that is not a uint8 or float tensor with an integer label, that differs
            from the first one in shape or type, or that changes when it is read again.
    """
    try:
        with exit_as_error():
            count = len(dataset)
            subjects, class_names = getattr(dataset, "subjects", None), getattr(dataset, "class_names", ())
            ids = tuple(map(str, getattr(dataset, "ids", None) or ()))
            owners, subject_names = _owners(subjects)
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
    items = CheckedItems(name, dataset, layout)
    if infer_layout:
        require_clear_layout(name, items.shape_as_given, items.first.dtype, layout)
    if not raw:
        require_scaled(name, items.first.dtype)
    _require_constant(items, count)
    inputs, labels = _read_items(items, count)
    return DatasetContent(
        inputs,
        labels,
        items.first,
        None if owners is None else owners.long(),
        class_names=names,
        subject_names=subject_names,
        sample_names=ids,
    )


def _owners(subjects: Any) -> tuple[Tensor | None, tuple[str, ...]]:
    """Subjects as numbers, and their names where they are texts."""
    if subjects is None:
        return None, ()
    if not isinstance(subjects, Tensor) and any(isinstance(one, str) for one in subjects):
        numbers, names = numbered(map(str, subjects))
        return torch.tensor(numbers), names
    return torch.as_tensor(subjects), ()


def _require_constant(items: "CheckedItems", count: int) -> None:
    """Raise for items that change from one reading to the next, such as by random augmentation.

    A saved network names its data by a digest, which such data would not have again.
    """
    for index in sorted({round(place * (count - 1) / (READ_TWICE - 1)) for place in range(READ_TWICE)}):
        (once, label), (again, label_again) = items[index], items[index]
        if label != label_again or not torch.equal(once, again):
            raise DataError(
                f"{items.name}: item {index} differs when it is read again; expected the same values each time, so no "
                "random transforms in the data set (augment in the recipe does that during training)"
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

    def __init__(self, name: str, items: Any, layout: str | None = None) -> None:
        self.name = name
        self.items = items
        self.layout = None
        first = self._item(0)[0]
        self.shape_as_given = tuple(first.shape)
        if layout is not None and first.dim() == len(layout):
            self.layout = layout
        self.first = channels_first(first, self.layout)

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
            with exit_as_error():
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
        return channels_first(plain if plain.dtype == torch.uint8 else plain.float(), self.layout), number


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
