"""Split samples for training and for a request, in the habit of scikit-learn's `train_test_split`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from obliq.argument_types import require_whole_numbers
from obliq.data.collection import Examples
from obliq.data.draw_parts import partition
from obliq.data.roles import DataLike, as_examples
from obliq.data.selection import select_from
from obliq.data.selectors import parse_selector
from obliq.data.splits import PartitionRule, divide
from obliq.errors import DataError


def train_holdout_test_split(
    data: DataLike, *, holdout: float = 0.15, test: float = 0.15, seed: int = 0
) -> tuple[Examples, Examples, Examples]:
    """Split samples into a training, a holdout and a test set.

    Where subjects are known, each set has subjects of its own, so that holdout and test are unseen people; otherwise
    classes are kept in proportion. A test set that the data's authors set aside stays the test set.

    Args:
        data: a map-style data set of (input, label), a pair of tensors (inputs, labels), or a `Collection`.
        holdout: share of the samples for the holdout set, which some methods compare with.
        test: share of the samples for the test set, which audits read.
        seed: decides the draw.

    Returns:
        Training, holdout and test samples.

    Raises:
        DataError: for shares that leave a set empty, and data that cannot be read.
        ObliqError: for an argument of another type.

    Example:
        >>> import obliq
        >>> train, holdout, test = obliq.train_holdout_test_split(obliq.load_dataset("digits"))
        >>> len(train), len(holdout), len(test)
        (1277, 260, 260)
    """
    require_whole_numbers(seed=seed)
    parts = partition(as_examples(data), PartitionRule(seed=seed, holdout=holdout, test=test))
    return parts.train, parts.holdout, parts.test


def forget_retain_split(
    train: DataLike, forget: str | Sequence[int] | Int[Tensor, " forget"], *, seed: int = 0
) -> tuple[Examples, Examples]:
    """Split the training set into the samples to forget and those to retain.

    Args:
        train: what the network was trained on, in any form that `train_holdout_test_split` takes.
        forget: `class=3`, `subject=7` (where the data know whose a sample is), `random=10%`, `random=600` or
            `ids=FILE`; or the ids themselves. The id of a sample is its position in its collection, or in `train`
            where that is a data set or a pair of tensors.
        seed: decides a random request, and nothing else.

    Returns:
        Samples to forget, in ascending order of their ids, and samples to retain.

    Raises:
        DataError: for a class, subject or id that is not in `train`, and requests for nothing or for everything.
        ObliqError: for an argument of another type.

    Example:
        >>> import obliq
        >>> train, holdout, test = obliq.train_holdout_test_split(obliq.load_dataset("digits"))
        >>> forget, retain = obliq.forget_retain_split(train, "class=3")
        >>> len(forget), len(retain)
        (131, 1146)
    """
    require_whole_numbers(seed=seed)
    examples = as_examples(train, "train")
    if isinstance(forget, str):
        return divide(examples, select_from(parse_selector(forget), examples, seed))
    ids = torch.as_tensor(forget if len(forget) else torch.empty(0, dtype=torch.int64))
    if ids.dim() != 1 or ids.is_floating_point() or ids.dtype == torch.bool:
        raise DataError(
            f"ids to forget are {ids.dtype} of shape {tuple(ids.shape)}; expected whole numbers in one row"
        )
    return divide(examples, ids.long())
