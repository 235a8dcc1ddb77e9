"""Whether an exported file is right on the data that it is said to be trained on, before anything is done with it.

A file of another quantizer does not state how inputs were scaled. With another scale than at its training it still
answers, only worse, and agrees perfectly with the network that is rebuilt from it. Nor does it state which samples it
was trained on. A network has a lower loss on these than on unseen ones, unless it memorised nothing.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from obliq.data import Examples, MissingExamples, Splits
from obliq.data.collection import SCALES
from obliq.data.raw_values import eight_bit
from obliq.errors import DataError
from obliq.exporting import ExportedFile
from obliq.training.prediction import collect_logits
from obliq.workflow.baseline import BASELINE, most_frequent_share

MEASURED = 512
"""Samples of each part that are measured at most, spread evenly."""

CLEARLY = 5.0
"""Points of accuracy; smaller differences are no reason for a warning."""

SIGNIFICANT = 2.0
"""Standard errors. On the digits after ten epochs, the right division has 8; of five wrong ones, four have under 2."""


@dataclass(frozen=True, kw_only=True)
class FileClaims:
    """How right a file is on its data.

    Attributes:
        accuracy: in percent, on `retain` and `holdout` samples, and of always answering their `most frequent class`.
        by_scale: accuracy on the same samples when bytes are scaled to other ranges; empty for floats, and for files
            that state their scale.
        expected: accuracy that the user expects, in percent.
        data: name of the data set.
        memorised: by how many standard errors the mean loss on `holdout` samples is above that on `retain` samples;
            None where that was not measured.
    """

    accuracy: dict[str, float]
    by_scale: dict[str, float]
    expected: float | None
    data: str
    memorised: float | None = None

    @property
    def warnings(self) -> Sequence[str]:
        """A line for each reason to doubt that the file was trained on these data, scaled as they are."""
        found = []
        measured = {name: percent for name, percent in self.accuracy.items() if name != BASELINE}
        shown = ", ".join(f"{percent:.1f} % of {name} samples" for name, percent in measured.items())
        lowest, baseline = min(measured.values()), self.accuracy[BASELINE]
        if max(measured.values()) <= baseline + CLEARLY:
            found.append(
                f"the file answers {shown} correctly, which is near the {baseline:.1f} % of always giving one answer; "
                "expected the data, the order of classes and the scale of its training"
            )
        if self.expected is not None and lowest < self.expected - CLEARLY:
            found.append(
                f"the file answers {shown} correctly; expected {self.expected:g} % (--expect-accuracy), so check the "
                "data, their division and their scale"
            )
        best = max(self.by_scale, key=lambda scale: self.by_scale[scale], default=None)
        if best is not None and self.by_scale[best] > lowest + CLEARLY:
            found.append(
                f"the file answers {self.by_scale[best]:.1f} % correctly when bytes are scaled to {best}, and "
                f"{lowest:.1f} % as they are now; expected --data {self.data},scale={best}"
            )
        if self.memorised is not None and self.memorised < SIGNIFICANT:
            fits = "worse than" if self.memorised < -SIGNIFICANT else "no better than"
            found.append(
                f"the file fits the samples that are stated as its training part {fits} the holdout samples, so the "
                "data may not be divided as at its training, and samples that it never saw may count as retained; "
                "expected --division-seed, --trained-on, --holdout, --test and --limit of its training"
            )
        return found


def check_claims(
    file: ExportedFile, splits: Splits, expected: float | None = None, *, recorded: bool = False
) -> FileClaims:
    """Run a file on retained and on holdout samples.

    Args:
        file: without a record of its training data, or with one.
        splits: the roles of the samples, as the user states them.
        expected: accuracy that the user expects, in percent.
        recorded: whether a record of the file names this division of the data, so that it needs no other sign.

    Raises:
        DataError: for an expected accuracy that is no percentage.
    """
    if expected is not None and not 0 < expected <= 100:
        raise DataError(f"expect-accuracy {expected:g}; expected percent, above 0 and at most 100")
    parts = {"retain": splits.retain}
    if not isinstance(splits.holdout, MissingExamples):
        parts["holdout"] = splits.holdout
    some = {name: part.spread(MEASURED) for name, part in parts.items()}
    logits = {name: collect_logits(file.predictor, part) for name, part in some.items()}
    accuracy = {name: _percent_right(logits[name], part) for name, part in some.items()}
    last = some[list(some)[-1]]
    by_scale = {}
    if file.contents.inputs is None and eight_bit(last):
        channels = len(last.collection.mean) or 1
        for scale, (mean, deviation) in SCALES.items():
            scaled = dataclasses.replace(
                last.collection, mean=(mean,) * channels, deviation=(deviation,) * channels
            )
            rescaled = Examples(scaled, last.indices)
            by_scale[scale] = _percent_right(collect_logits(file.predictor, rescaled), rescaled)
    return FileClaims(
        accuracy={**accuracy, BASELINE: round(most_frequent_share(last), 2)},
        by_scale=by_scale,
        expected=expected,
        data=splits.partition.collection.name,
        memorised=None if recorded or len(some) == 1 else _memorised(logits, some),
    )


def _percent_right(logits: Float[Tensor, "samples classes"], examples: Examples) -> float:
    return round(100 * float((logits.argmax(dim=1) == examples.labels).double().mean()), 2)


def _memorised(logits: dict[str, Tensor], parts: dict[str, Examples]) -> float:
    """The difference of mean losses, unseen samples minus those of training, in standard errors (Welch)."""
    trained, unseen = (
        F.cross_entropy(logits[name].double(), part.labels, reduction="none") for name, part in parts.items()
    )
    error = math.sqrt(sum(float(loss.var(correction=0)) / len(loss) for loss in (trained, unseen)))
    return float(unseen.mean() - trained.mean()) / max(error, 1e-12)
