"""How small a patch can be under a plain model, to measure the format against."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from numpy import ndarray
from scipy.special import gammaln

from obliq.patch.content import Content, Record
from obliq.patch.decoder import WORDS


@dataclass(frozen=True, kw_only=True)
class Bound:
    """The least bits under this model.

    Of a tensor of n codes, k of which change, by steps of empirical entropy H: log2 C(n, k) bits say
    which, and k H bits say by how much. The histogram of steps and the number k come for free. Of
    words (scales, biases, batch norm) log2 C(n, k) bits say which, and each new word counts in full,
    since distinct values have no meaningful histogram.

    Attributes:
        code_bits: of all changed codes.
        word_bits: of all changed words.
        codes: how many there are.
        changed_codes: how many of them change.
        changed_words: how many words change.
    """

    code_bits: float
    word_bits: float
    codes: int
    changed_codes: int
    changed_words: int


def bound(old: Content, new: Content) -> Bound:
    """The bound on a patch between two contents of one form."""
    codes = [pair for pair in zip(old, new, strict=True) if pair[0].kind != WORDS]
    words = [pair for pair in zip(old, new, strict=True) if pair[0].kind == WORDS]
    changed = list(_changes(codes))
    return Bound(
        code_bits=sum(
            _positions(len(before.values), len(steps)) + len(steps) * order_0_entropy(steps)
            for before, steps in changed
        ),
        word_bits=sum(
            _positions(len(before.values), len(steps)) + len(steps) * before.values.itemsize * 8
            for before, steps in _changes(words)
        ),
        codes=sum(len(before.values) for before, _ in codes),
        changed_codes=sum(len(steps) for _, steps in changed),
        changed_words=sum(len(steps) for _, steps in _changes(words)),
    )


def order_0_entropy(symbols: Int[ndarray, " symbols"]) -> float:
    """The bits a symbol that their own histogram asks for; 0 for none."""
    _, counts = np.unique(symbols, return_counts=True)
    shares = counts / max(1, len(symbols))
    return float(-(shares * np.log2(shares)).sum()) if len(symbols) else 0.0


def _changes(pairs: list[tuple[Record, Record]]) -> Iterator[tuple[Record, ndarray]]:
    for before, after in pairs:
        steps = after.values.astype(np.int64) - before.values.astype(np.int64)
        yield before, steps[steps != 0]


def _positions(count: int, chosen: int) -> float:
    """The logarithm to base 2 of the number of ways to choose."""
    natural = gammaln(count + 1) - gammaln(chosen + 1) - gammaln(count - chosen + 1)
    return float(natural / np.log(2))
