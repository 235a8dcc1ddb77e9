"""What our measurements recommend: a method, and the requests for which they speak for retraining.

The table of docs/methods.md has the figures. A test compares these rules with the committed verdicts.
"""

from obliq.data import Splits
from obliq.methods import Calibrated, Method, ProxyMatching, Retrain

RECOMMENDED: Method = ProxyMatching()
"""For one person, and for a random tenth of some thousand samples."""
RECOMMENDED_FOR_FILES: Method = Calibrated()
"""The same for an exported file, which no new network can become."""

LARGE_SHARE = 0.2
"""Of the training samples. A tenth was measured, where `proxy-matching` passes, and 28 %, where nothing does."""

MOST_JUDGED = 4_000
"""Training samples of the networks on which verdicts were measured."""
FAR_MORE = 10_000
"""Training samples above which those measurements show little. At 45,000 there are figures, but no verdicts."""


def reason_to_retrain(method: Method, splits: Splits) -> str:
    """Why a verdict is not to be expected after this request; empty where one is, and for retraining itself.

    Args:
        method: that is to answer the request.
        splits: the roles of the samples under the request.
    """
    if isinstance(method, Retrain):
        return ""
    if splits.forgotten_classes:
        return (
            "after a whole class was forgotten, `proxy-matching` passed the audit's verdict in one of our three runs "
            "and was INCONCLUSIVE in two, and no other method passed"
        )
    share = 1 - len(splits.retain) / len(splits.partition.train)
    if share > LARGE_SHARE:
        return (
            "no method has passed the audit's verdict in our runs after so much was forgotten (here "
            f"{100 * share:.0f} % of the training samples)"
        )
    if (samples := len(splits.partition.train)) > FAR_MORE:
        return (
            f"no verdict was measured on networks of more than {MOST_JUDGED:,} training samples (here {samples:,}); on "
            "45,000 images of CIFAR-10 (a small network, two seeds), `amun`, tuned, came nearer to retraining than the "
            "default, `proxy-matching`"
        )
    return ""
