"""What a pickle would build, counted from its opcodes before anything is built.

A pickle is a program. Even where it may call nothing, nine bytes of it can claim gigabytes, and the hash of a key of
nested tuples can take years. Here its opcodes are followed with a size in place of each value.
"""

import io
import pickletools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, cast

from obliq.errors import ObliqError
from obliq.io.budget import STEP, Budget
from obliq.io.visible_text import reason_of

_LARGEST_VALUE = 2**24
"""Values in a value, each counted as often as it is reached."""

_OF_VALUE = 512
"""Bytes of one opcode's value, the mark of a place where it is kept included."""


@dataclass(eq=False)
class _Sized:
    """A value: how many values are reached from it, and how deep they are nested."""

    values: int = 1
    depth: int = 1

    def take(self, others: "list[_Sized]") -> None:
        self.values += sum(other.values for other in others)
        self.depth = max([self.depth, *(1 + other.depth for other in others)])
        if self.values > _LARGEST_VALUE or self.depth > 100:
            raise ObliqError("a pickle of values in values without end; expected lists of plain values")


def check_pickle(opened: io.BufferedIOBase, budget: Budget, without: Sequence[str] = ()) -> None:
    """Read one pickle up to its end, and raise when it would cost too much.

    Args:
        opened: stands at the start of the pickle, and then behind it.
        budget: of the file.
        without: names that it may not call.

    Raises:
        ObliqError: when it is too costly or damaged, or calls what it may not.
    """
    stack: list[_Sized | None] = []  # None is a mark
    kept: dict[object, _Sized] = {}
    try:
        for opcode, argument, _ in pickletools.genops(cast("IO[bytes]", opened)):
            length = len(argument) if isinstance(argument, str | bytes | bytearray) else 0
            budget.spend("what the pickle builds", memory=_OF_VALUE + 2 * length, work=5 * STEP)
            if opcode.name in ("GLOBAL", "STACK_GLOBAL", "INST") and str(argument).split(" ")[-1] in without:
                raise ObliqError(f"a pickle that calls {str(argument)[:80]}; expected plain tensors")
            _follow(opcode, argument, stack, kept)
    except (ValueError, IndexError, KeyError, AttributeError, OverflowError, MemoryError) as error:
        raise ObliqError(f"a damaged pickle ({reason_of(error, 100)}); expected a whole one") from error


def _follow(
    opcode: pickletools.OpcodeInfo, argument: object, stack: list[_Sized | None], kept: dict[object, _Sized]
) -> None:
    """One opcode, by what the table of opcodes states of the stack before and after it."""
    name, taken = opcode.name, []
    if name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
        place = len(kept) if name == "MEMOIZE" else argument
        if isinstance(place, int) and place > 2 * len(kept) + 1000:
            raise ObliqError(f"a pickle that keeps a value at place {place}; expected the next one")
        top = stack[-1]
        if top is None:
            raise ValueError("a mark is kept")
        kept[place] = top
        return
    if name in ("GET", "BINGET", "LONG_BINGET"):
        stack.append(kept[argument])
        return
    before = [kind.name for kind in opcode.stack_before]
    if "mark" in before:
        while (value := stack.pop()) is not None:
            taken.append(value)
        before = before[: before.index("mark")]
    for _ in before:
        value = stack.pop()
        if value is None:
            raise ValueError("a value is missing")
        taken.append(value)
    adds_to = name in ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD")
    result = taken.pop() if adds_to else _Sized()
    result.take(taken)
    stack.extend(None if kind.name == "mark" else result for kind in opcode.stack_after)
