"""What a child is given to read and what it answers: plain values and arrays of numbers, never objects."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BufferedIOBase
from typing import Any, NamedTuple, final

from obliq.io.budget import Budget

LARGEST_RANK = 32
"""Dimensions of an array."""


class RawArray(NamedTuple):
    """An array, row by row.

    Attributes:
        kind: of its elements, as NumPy writes it (`<f4`).
        shape: of the array.
        data: its bytes.
    """

    kind: str
    shape: tuple[int, ...]
    data: bytes | bytearray | memoryview


@final
@dataclass(frozen=True)
class Given:
    """What one job reads.

    Attributes:
        arguments: plain values.
        contents: of files that were read already.
        opened: a file that is read by the job.
        budget: of the files, which the job counts on.
    """

    arguments: Mapping[str, Any]
    budget: Budget
    contents: Sequence[bytes] = ()
    opened: BufferedIOBase | None = None


@final
@dataclass
class Found:
    """What a job answers.

    Attributes:
        arrays: of numbers or of fixed-width text.
        facts: plain values.
    """

    arrays: list[RawArray] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


Job = Callable[[Given], Found]
