"""What our measurements recommend: a method, and the requests for which they speak for retraining.

The table of docs/methods.md has the figures. A test compares these rules with the committed verdicts.
"""

import torch

from obliq.data import Splits
from obliq.data.names import listed
from obliq.data.summary import class_names
from obliq.methods import Calibrated, Method, ProxyMatching, Retrain

RECOMMENDED: Method = ProxyMatching()
"""For one person, and for a random tenth of some thousand samples."""
RECOMMENDED_FOR_FILES: Method = Calibrated()
"""The same for an exported file, which no new network can become."""

NEARLY_ALL = 0.8
"""Of the training samples of a class. After more, a request counts as one for the class."""

LARGE_SHARE = 0.2
"""Of the training samples. A tenth was measured, where `proxy-matching` passes, and 28 %, where nothing does."""

FAR_MORE = 10_000
"""Training samples above which passes on 4,000 show little. On 45,000, the next number judged, nothing passes."""


def reason_to_retrain(method: Method, splits: Splits) -> str:
    """Why a verdict is not to be expected after this request; empty where one is, and for retraining itself.

    Args:
        method: that is to answer the request.
        splits: the roles of the samples under the request.
    """
    if isinstance(method, Retrain):
        return ""
    if gone := _shares_of_classes(splits):
        nearly = [f"{100 * share:.0f} % of class {name}" for name, share in gone.items() if share < 1]
        if not nearly and not splits.forgotten_classes:
            nearly = ["by an earlier request"]
        here = f" (here {listed(nearly)})" if nearly else ""
        return (
            f"after a whole class was forgotten{here}, `proxy-matching` passed the "
            "audit's verdict in one of our three runs and was INCONCLUSIVE in two, and no other method passed"
        )
    share = 1 - len(splits.retain) / len(splits.partition.train)
    if share > LARGE_SHARE:
        return (
            "no method has passed the audit's verdict in our runs after so much was forgotten (here "
            f"{100 * share:.3g} % of the training samples)"
        )
    if (samples := len(splits.partition.train)) > FAR_MORE:
        return (
            f"the network has {samples:,} training samples. On 45,000 (a random tenth of CIFAR-10, a small network) "
            "none of nine methods passed the audit's verdict, and tuned `amun` came nearer to retraining than "
            "`proxy-matching`. Between 4,000 and 45,000 no verdict was computed"
        )
    return ""


def _shares_of_classes(splits: Splits) -> dict[str, float]:
    """Classes of which nearly all training samples are forgotten, in this request or before, with the share."""
    names = class_names(splits.partition.collection)
    trained, kept = (
        torch.bincount(part.labels, minlength=len(names)) for part in (splits.partition.train, splits.retain)
    )
    shares = ((trained - kept).double() / trained).tolist()  # NaN for a class that was not trained on
    return {name: share for name, share in zip(names, shares, strict=True) if share > NEARLY_ALL}
