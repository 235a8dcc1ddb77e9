"""Limits on what one request may forget before somebody has to accept it in words."""

import torch

from obliq.data import Splits
from obliq.data.names import listed
from obliq.data.selectors import Classes, Selector, Several
from obliq.errors import DataError

LARGEST_SHARE = 0.5
"""Of the training part. Retraining on the rest costs less than that share and needs no proof."""


def require_moderate(splits: Splits, selector: Selector, *, accept: bool) -> None:
    """Refuse a request that is likely a mistake: most of the training part, or the last samples of a class.

    Args:
        splits: the roles of the samples under the request.
        selector: the request. One that names classes is meant to take the last samples of these.
        accept: whether its size was accepted in words.

    Raises:
        DataError: with the numbers, unless it was accepted.
    """
    if accept:
        return
    forget, train = len(splits.forget), len(splits.partition.train)
    before = train - forget - len(splits.retain)
    if forget + before > LARGEST_SHARE * train:
        earlier = f", after {before:,} in earlier requests" if before else ""
        raise DataError(
            f"the request forgets {forget:,} of {train:,} training samples{earlier}; expected at most "
            f"{100 * LARGEST_SHARE:.0f} % in all. Train again on the others, or pass --accept-large"
        )
    every = selector.selectors if isinstance(selector, Several) else (selector,)
    if any(isinstance(one, Classes) for one in every) or not splits.forgotten_classes:
        return
    names = splits.partition.collection.class_names
    gone = torch.tensor(sorted(splits.forgotten_classes))
    words = [names[label] if names else str(label) for label in gone.tolist()]
    raise DataError(
        f"the request forgets the last training samples of class {listed(words)}, so that the network would forget the "
        "class; expected a request that leaves some, one by class=..., or --accept-large"
    )
