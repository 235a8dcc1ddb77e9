"""Inputs of several sets in a row, and how many of them occur in two sets."""

import bisect
import hashlib
import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from obliq.data.collection import Examples, MapDataset
from obliq.data.user_dataset import IN_MEMORY

ACCIDENTAL = 0.01
"""Share of a set that may also stand in another one. Public image data sets hold a few exact duplicates (well under
one percent); a set that was given twice by mistake shares far more."""


def fingerprints(examples: Examples) -> set[bytes]:
    """A digest of the bytes of every input; none for what is not in memory, since reading it twice takes long."""
    inputs = examples.collection.inputs
    if not isinstance(inputs, Tensor):
        return set()
    rows = inputs[examples.indices].contiguous()
    return {hashlib.blake2b(row.numpy().tobytes(), digest_size=16).digest() for row in rows}


def joined_inputs(parts: Sequence[Examples]) -> Tensor | MapDataset:
    """The inputs of several sets in a row: a tensor where all are in memory and fit there together."""
    tensors = [
        part.collection.inputs[part.indices] for part in parts if isinstance(part.collection.inputs, Tensor)
    ]
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    return (
        torch.cat(tensors) if len(tensors) == len(parts) and size <= IN_MEMORY else ConcatenatedInputs(parts)
    )


class ConcatenatedInputs:
    """The samples of several sets in a row, read one by one: a map-style data set."""

    def __init__(self, parts: Sequence[Examples]) -> None:
        self._parts = parts
        self._ends = list(itertools.accumulate(len(part) for part in parts))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int, /) -> tuple[Tensor, int]:
        which = bisect.bisect_right(self._ends, index)
        part = self._parts[which]
        place = int(part.indices[index - (self._ends[which - 1] if which else 0)])
        inputs = part.collection.inputs
        sample = inputs[place] if isinstance(inputs, Tensor) else inputs[place][0]
        return sample, int(part.collection.labels[place])
