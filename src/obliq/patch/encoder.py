"""The writing half of the range coder in `decoder.py`: the same models, driven by known values."""

import math
from collections.abc import Callable, Sequence
from typing import no_type_check

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from obliq.patch.decoder import BITS, CODES, DISTANCE, GAP, SIGN, SIZE, TABLE

_CERTAIN = 1 << 24
"""The unit of probabilities: this many stand for 1."""


@no_type_check  # as in the decoder
class Encoder:
    """Bits into bytes; `decoder.Stream` reads the same values back if it asks for them in the same order.

    The interval begins at `low` and is `range` wide. Its lower end may exceed 32 bits by one, which is a carry into
    the bytes that were written already.
    """

    def __init__(self) -> None:
        self.zero, self.seen = [_CERTAIN // 2] * BITS, [0] * BITS
        self.low, self.range = 0, 2**32 - 1
        self.written = bytearray()

    def bit(self, which: int, bit: int) -> None:
        """One adaptive bit: 0 takes the lower part of the interval, 1 the upper part."""
        zero, seen = self.zero[which], self.seen[which]
        bound = (self.range >> 16) * (zero >> 8)
        if bit:
            self.low, self.range = self.low + bound, self.range - bound
            self.zero[which] = zero - zero * 2 // (2 * seen + 3)
        else:
            self.range = bound
            self.zero[which] = zero + (_CERTAIN - zero) * 2 // (2 * seen + 3)
        self.seen[which] = min(seen + 1, 255)
        self._shift()

    def plain(self, value: int, count: int) -> None:
        """The lowest `count` bits of a value, the highest first."""
        for place in range(count - 1, -1, -1):
            self.range >>= 1
            if value >> place & 1:
                self.low += self.range
            self._shift()

    def number(self, family: int, value: int) -> None:
        """A number from 0 up to 2^63 - 2."""
        length = (value + 1).bit_length() - 1
        self._ones(length, lambda index: family + index)
        self._below_leading_one(family + 64 + 3 * length, value + 1, length)

    def changes(
        self,
        kind: int,
        positions: Int[ndarray, " changes"],
        steps: Sequence[int],
        old: Sequence[int],
    ) -> None:
        """The elements of one record that change.

        Args:
            kind: of the record.
            positions: ascending.
            steps: by how much each changes; never 0.
            old: what each was, for codes.
        """
        gaps = np.diff(positions, prepend=-1) - 1
        shift = best_shift(gaps)
        self.number(TABLE, len(gaps) - 1)
        self.plain(shift, 5)
        family = GAP + 10 * kind
        for gap, step, before in zip(gaps.tolist(), steps, old, strict=True):
            quotient = gap >> shift
            self._ones(quotient, lambda index: family + min(index, 3))
            remainder = (gap & ((1 << shift) - 1)) | 1 << shift
            self._below_leading_one(family + 4 + 3 * min(quotient, 1), remainder, shift)
            if kind == CODES:
                self._code_step(step, before)
            else:
                self.bit(SIGN + 5, step < 0)
                self.number(DISTANCE, abs(step) - 1)

    def finished(self) -> bytes:
        """The whole stream."""
        # All four bytes, so that the reader, which reads four ahead, ends exactly here.
        self._carry()
        self.written += (self.low & 0xFFFFFFFF).to_bytes(4, "big")
        return bytes(self.written)

    def _code_step(self, step: int, old: int) -> None:
        # The old code is a context: codes near zero are frequent and move either way, large ones tend to move back.
        self.bit(SIGN + max(-2, min(2, old)) + 2, step < 0)
        family = SIZE + 16 * min(abs(old), 2)
        self._ones(abs(step) - 1, lambda index: family + min(index, 15))

    def _ones(self, count: int, which: Callable[[int], int]) -> None:
        """As many ones, and a 0; `which` gives the adaptive bit of each."""
        for index in range(count):
            self.bit(which(index), 1)
        self.bit(which(count), 0)

    def _below_leading_one(self, family: int, value: int, count: int) -> None:
        """The `count` bits below the leading 1: two adaptive bits, which depend on those above, then plain ones."""
        adaptive = min(count, 2)
        for place in range(1, adaptive + 1):
            self.bit(family + (value >> (count - place + 1)) - 1, value >> (count - place) & 1)
        self.plain(value, count - adaptive)

    def _shift(self) -> None:
        """Write the top byte of `low` whenever the interval becomes narrower than 24 bits."""
        while self.range < 1 << 24:
            self._carry()
            self.written.append(self.low >> 24)
            self.low, self.range = (self.low & 0xFFFFFF) << 8, self.range << 8

    def _carry(self) -> None:
        """Add the 33rd bit of `low` to the number that the written bytes form."""
        if self.low >> 32 == 0:
            return
        self.low &= 0xFFFFFFFF
        place = len(self.written) - 1
        while self.written[place] == 255:
            self.written[place] = 0
            place -= 1
        self.written[place] += 1


def best_shift(gaps: Int[ndarray, " changes"]) -> int:
    """The `shift` that suits distances between changes, from 0 to 31.

    Where each element changes with equal probability, distances are geometric, and a quotient is 0 about as often as
    not if 2^shift is ln 2 times their mean (Gallager and Van Voorhis, "Optimal source codes for geometrically
    distributed integer alphabets", 1975).
    """
    wanted = math.log(2) * (float(gaps.mean()) + 1)
    return min(31, max(0, round(math.log2(wanted))))
