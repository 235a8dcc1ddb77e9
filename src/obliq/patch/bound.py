"""How small a patch could be: the entropy of what changes, to compare the size of real patches with."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from obliq.patch.content import Content, TensorRecord
from obliq.patch.decoder import WORDS


@dataclass(frozen=True, kw_only=True)
class PatchBound:
    """The fewest bits that describe a change, under a simple model.

    In a tensor of n codes of which k change, log2 C(n, k) bits encode which ones change. Where H is the entropy of
    the histogram of their steps, k H bits encode by how much. The histogram and k count nothing. Of words (scales,
    biases, batch norm), log2 C(n, k) bits encode which ones change. Each new word counts in full, since distinct
    values have no meaningful histogram.

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


def patch_bound(old: Content, new: Content) -> PatchBound:
    """The bound on a patch between two contents of one form."""
    pairs = list(zip(old, new, strict=True))
    codes = [pair for pair in pairs if pair[0].kind != WORDS]
    changed_codes = list(_changes(codes))
    changed_words = list(_changes([pair for pair in pairs if pair[0].kind == WORDS]))
    return PatchBound(
        code_bits=sum(
            _bits_of_choice(len(before.values), len(steps)) + len(steps) * order_0_entropy(steps)
            for before, steps in changed_codes
        ),
        word_bits=sum(
            _bits_of_choice(len(before.values), len(steps)) + len(steps) * before.values.itemsize * 8
            for before, steps in changed_words
        ),
        codes=sum(len(before.values) for before, _ in codes),
        changed_codes=sum(len(steps) for _, steps in changed_codes),
        changed_words=sum(len(steps) for _, steps in changed_words),
    )


def order_0_entropy(symbols: Int[ndarray, " symbols"]) -> float:
    """Bits for each symbol, by the histogram of the symbols themselves; 0 where there are none."""
    _, counts = np.unique(symbols, return_counts=True)
    shares = counts / max(1, len(symbols))
    return float(-(shares * np.log2(shares)).sum()) if len(symbols) else 0.0


def _changes(pairs: list[tuple[TensorRecord, TensorRecord]]) -> Iterator[tuple[TensorRecord, ndarray]]:
    """Each old record with the steps of those of its values that change."""
    for before, after in pairs:
        steps = after.values.astype(np.int64) - before.values.astype(np.int64)
        yield before, steps[steps != 0]


def _bits_of_choice(count: int, chosen: int) -> float:
    """Log2 of the number of ways to choose `chosen` of `count` elements."""
    from scipy.special import gammaln  # here, as importing scipy.special takes a third of a second

    natural = gammaln(count + 1) - gammaln(chosen + 1) - gammaln(count - chosen + 1)
    return float(natural / np.log(2))
