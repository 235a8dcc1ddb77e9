"""How stored values become inputs of a network, and what its outputs are called.

A network answers well only for inputs that were scaled as in its training. The contract is saved with a network and
written into exported files, so that they can be run without Obliq and without asking whoever trained them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from obliq.data.collection import Collection
from obliq.errors import DataError
from obliq.io.strict_json import decode, encode, parse_json

AXES = {1: "values", 2: "channels x length", 3: "channels x height x width"}
"""What the axes of one sample are, by their number."""

LONGEST = 2**20
"""Bytes of a contract in a file: thousands of names of classes."""


@dataclass(frozen=True, kw_only=True)
class InputContract:
    """The input of a network is `(stored / divide_by - mean) / deviation` as float32, channel by channel.

    Attributes:
        shape: of one sample, channels first; a batch axis comes before it.
        axes: what these axes are, for instance `channels x height x width`.
        stored: type of the values that are scaled; `uint8` are bytes from 0 to 255, such as pixels, and `float32` are
            in the units of the training data.
        divide_by: 255 for bytes, 1 for floats.
        mean: one for each channel, or a single one for all.
        deviation: likewise.
        class_names: what the outputs are, in their order; empty where this is not known.
    """

    shape: tuple[int, ...]
    axes: str
    stored: Literal["uint8", "float32"]
    divide_by: float
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        counts = {len(self.mean), len(self.deviation)}
        if not counts <= {1, *self.shape[:1]} or not self.divide_by > 0 or not all(self.deviation):
            raise DataError(
                f"inputs of shape {self.shape} with {len(self.mean)} means and {len(self.deviation)} deviations; "
                "expected one for each channel, or one, and nothing divided by 0"
            )

    @classmethod
    def of(cls, collection: Collection) -> "InputContract":
        """The contract of a network that is trained on a collection."""
        inputs, shape = collection.inputs, collection.sample_shape
        first = inputs[:1] if isinstance(inputs, Tensor) else inputs[0][0]
        in_bytes = first.dtype == torch.uint8
        return cls(
            shape=shape,
            axes=AXES.get(len(shape), "unknown"),
            stored="uint8" if in_bytes else "float32",
            divide_by=255.0 if in_bytes else 1.0,
            mean=_shortened(collection.mean) or (0.0,),
            deviation=_shortened(collection.deviation) or (1.0,),
            class_names=tuple(collection.class_names or map(str, range(collection.classes))),
        )

    @classmethod
    def from_text(cls, text: bytes) -> "InputContract":
        """The contract in a text that `to_text` wrote.

        Raises:
            ObliqError: for any other text.
        """
        if len(text) > LONGEST:
            raise DataError(f"more than {LONGEST} bytes; expected at most so many")
        found = decode(cls, parse_json(text), "the description of inputs")
        if found.to_text().encode() != text:
            raise DataError(
                "the description of inputs is written in another way; expected that of `obliq export`"
            )
        return found

    def to_text(self) -> str:
        """The contract as JSON; the same for equal ones."""
        return json.dumps(encode(self), sort_keys=True, separators=(",", ":"))

    @property
    def scaling(self) -> str:
        """How a stored value x becomes an input, for instance `x / 127.5 - 1`."""
        value = "x" if self.divide_by == 1 else f"x / {self.divide_by:g}"
        if len(self.mean) == len(self.deviation) == 1:
            mean, deviation = self.mean[0], self.deviation[0]
            known = {(255.0, 0.5, 0.5): "x / 127.5 - 1", (255.0, 0.0, 1 / 255): "x", (1.0, 0.0, 1.0): "x"}
            if (self.divide_by, mean, deviation) in known:
                return known[self.divide_by, mean, deviation]
            return value if (mean, deviation) == (0, 1) else f"({value} - {mean:g}) / {deviation:g}"
        each = ["; ".join(f"{number:g}" for number in numbers) for numbers in (self.mean, self.deviation)]
        return f"({value} - mean) / deviation; mean {each[0]}; deviation {each[1]}"

    @property
    def values(self) -> str:
        """What is stored, in words."""
        return "bytes, 0 to 255" if self.stored == "uint8" else "floats in the units of the training data"

    @property
    def described(self) -> str:
        """What is stored and what a network reads, for instance `bytes, 0 to 255, read as x / 255`."""
        return f"{self.values}, read as {self.scaling}"

    def require_same(self, other: "InputContract", name: str, other_name: str) -> None:
        """Raise where two contracts scale stored values in another way, or name classes otherwise.

        Raises:
            DataError: with both.
        """
        if self.scaling != other.scaling or self.stored != other.stored:
            raise DataError(f"{other_name} gives {other.described}; {name} expects {self.described}")
        both = self.class_names and other.class_names
        if both and self.class_names != other.class_names:
            differing = [
                pair for pair in zip(self.class_names, other.class_names, strict=False) if pair[0] != pair[1]
            ]
            first = f": {differing[0][1]!r} where {differing[0][0]!r} is expected" if differing else ""
            raise DataError(
                f"{other_name} has other classes than {name}, or another order of them{first}; expected the data set "
                "that the network was trained on"
            )


def _shortened(numbers: Sequence[float]) -> tuple[float, ...]:
    """One number where all are equal."""
    return tuple(map(float, numbers[:1] if len(set(numbers)) == 1 else numbers))
