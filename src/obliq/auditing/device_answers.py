"""How the answers that a device recorded agree with those of the network that it runs."""

from dataclasses import dataclass

from obliq.auditing.intervals import Interval
from obliq.data.answers_file import Recorded

LIKE_SCALE = 1.25
"""A factor between the logits of device and network beyond which they are likely to have different units."""


@dataclass(frozen=True, kw_only=True)
class DeviceAnswers:
    """The recording that an entry is about: what a device answered to the samples of the audit.

    Attributes:
        network: name of the entry that the device is said to run.
        recorded: what there is of each answer.
        file_digest: SHA-256 of the recording; None where it was given in memory.
        same_classes: share of samples to which device and network answer with one class, in percent.
        interval: Wilson's 95 % interval of this share.
        largest_difference: of the logits of device and network, in their unit; None without logits.
        scale: by how much the device's logits are larger; None without logits, and for a network that answers nothing.
        floor: the probability up to which all networks of the audit were rounded, since the device records no smaller
            ones; None for logits and classes.
        moved: fields in which it lies outside the 95 % interval of that entry.
    """

    network: str
    recorded: Recorded
    file_digest: str | None
    same_classes: float
    interval: Interval
    largest_difference: float | None = None
    scale: float | None = None
    floor: float | None = None
    moved: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is missing in the recording, or looks wrong about it."""
        found = []
        if self.recorded == "classes":
            found.append("only classes were recorded, so MIA, AUC, RMIA and entropies are left out")
        if self.floor is not None:
            found.append(
                "the device rounds probabilities, so that attacks see equal answers where logits differ; record logits "
                "where you can"
            )
        if self.scale is not None and not 1 / LIKE_SCALE < self.scale < LIKE_SCALE:
            found.append(
                f"the device's logits are {self.scale:.3g} times those of {self.network}; expected logits in the unit "
                "of the network's (codes of a device, multiplied by their step)"
            )
        return tuple(found)
