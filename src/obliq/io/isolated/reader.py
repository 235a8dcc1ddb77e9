"""What runs jobs and what it answers, in a child or in this process."""

import functools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BufferedIOBase
from typing import Any, Protocol, final, runtime_checkable

import numpy as np
import numpy.typing as npt

from obliq.errors import ObliqError
from obliq.io.budget import Budget
from obliq.io.isolated.job import LARGEST_RANK, Given
from obliq.io.isolated.worker import job_called


class ReaderFailedError(ObliqError):
    """What read a file gave no answer: its process ended, was ended at a limit, or answered what no reader answers."""


@final
@dataclass(frozen=True)
class ReadArrays:
    """What a file holds.

    Attributes:
        arrays: of numbers or of text.
        facts: plain values.
    """

    arrays: list[npt.NDArray[Any]]
    facts: dict[str, Any]

    def of_shapes(
        self, *shapes: tuple[int | None, ...] | None, kind: str | None = "|u1"
    ) -> list[npt.NDArray[Any]]:
        """The arrays, of which each has one of these shapes, where None is any size or any shape.

        Args:
            shapes: one for each array.
            kind: the type of all; None for any.

        Raises:
            ReaderFailedError: when they have others, which only a process in the hands of others answers.
        """
        fitting = len(shapes) == len(self.arrays) and all(
            kind in (None, array.dtype.str)
            and (
                shape is None
                or (
                    len(shape) == array.ndim
                    and all(size in (None, found) for size, found in zip(shape, array.shape, strict=True))
                )
            )
            for shape, array in zip(shapes, self.arrays, strict=True)
        )
        if not fitting:
            answered = [f"{array.dtype.str} {array.shape}" for array in self.arrays]
            raise ReaderFailedError(
                f"the process that reads it answered with {answered}; expected {kind or 'any type'} {list(shapes)}. "
                "The file may be hostile: remove it"
            )
        return self.arrays


@final
@dataclass(frozen=True)
class Task:
    """One job and what it reads.

    Attributes:
        job: one of `worker.JOBS`.
        arguments: plain values.
        budget: of the files; what the job counts is added.
        most: bytes that the arrays may have together.
        contents: of files that were read.
        opened: a file for the job to read.
    """

    job: str
    arguments: dict[str, Any]
    budget: Budget
    most: int
    contents: Sequence[bytes] = ()
    opened: BufferedIOBase | None = None


@runtime_checkable
class Reader(Protocol):
    """What runs jobs: a child, or this process where there can be none."""

    def read(self, task: Task) -> ReadArrays:
        """Run one job.

        Raises:
            ObliqError: or DataError, what the job raises.
            ReaderFailedError: when there is no answer. The next call starts another child.
        """
        ...

    def begin(self, task: Task) -> Callable[[], ReadArrays]:
        """Run one job, and go on meanwhile.

        Returns:
            What waits for the answer; it raises as `read` does. No other job begins before.
        """
        ...

    def end(self) -> None:
        """End the child at once, if there is one."""
        ...


@final
class InThisProcess:
    """The same jobs without a child."""

    def read(self, task: Task) -> ReadArrays:
        """See `Reader.read`; the arrays are no larger than the file explains."""
        found = job_called(task.job)(Given(task.arguments, task.budget, task.contents, task.opened))
        arrays = [np.ndarray(shape, kind, bytearray(data)) for kind, shape, data in found.arrays]
        return ReadArrays(arrays, found.facts)

    def begin(self, task: Task) -> Callable[[], ReadArrays]:
        """See `Reader.begin`."""
        return functools.partial(self.read, task)

    def end(self) -> None:
        """Nothing was started."""


_KIND = re.compile(r"\|u1|\|i1|[<>][fiu][248]|[<>]U[0-9]{1,4}")
"""The types of arrays that may be answered: numbers of at most 64 bits, and text."""


def described_arrays(given: object, most: int) -> list[tuple[str, tuple[int, ...], int]]:
    """Type, shape and bytes of each array of an answer.

    Raises:
        ValueError: for what no job answers, and for more than `most` bytes.
    """
    if not isinstance(given, list):
        raise ValueError("no list of arrays")
    found = []
    for entry in given:
        match entry:
            case [str(kind), [*shape]] if _KIND.fullmatch(kind) and len(shape) <= LARGEST_RANK:
                if not all(type(one) is int and one >= 0 for one in shape):
                    raise ValueError("a shape that is none")
                size = math.prod(shape) * _bytes_of(kind)
                most -= max(size, math.prod(shape))  # names of no letters have no bytes
                if most < 0:
                    raise ValueError("more bytes than the file may hold")
                found.append((kind, tuple(shape), size))
            case _:
                raise ValueError("an array that is none")
    return found


def _bytes_of(kind: str) -> int:
    return int(kind[2:]) * (4 if kind[1] == "U" else 1)
