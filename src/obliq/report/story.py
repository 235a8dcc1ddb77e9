"""What the report tells besides the audit: what was asked, how it was done, and how it went."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Row = Mapping[str, str | float | int]


@dataclass(frozen=True, kw_only=True)
class Story:
    """Everything around the numbers. It names counts, kinds and digests, never who or what was forgotten.

    Attributes:
        title: heading of the page.
        request: the kind of request in words, for instance `one subject`; not which.
        data: name of the data set.
        architecture: name of the network.
        method: name of the unlearning method; one a network where several were tried.
        method_settings: its fields.
        training_settings: how original and retrained network were trained.
        trace: rows of the unlearning run as listeners hear them (stage, step, of, and what was measured:
            retain_loss, forget_loss, angle in degrees, predicted_change, measured_change,
            predicted_forget_change, measured_forget_change, changed_codes as a share).
        training: rows of training by name of the network (stage, step, of, loss, accuracy in percent).
        versions: of the packages in use.
        created: when, as text; left out of the page when empty.
        images: PNG files of forgotten samples; only when the user asked for them by a flag.
    """

    title: str = "Unlearning report"
    request: str
    data: str
    architecture: str
    method: str
    method_settings: Mapping[str, object] = field(default_factory=dict)
    training_settings: Mapping[str, object] = field(default_factory=dict)
    trace: Sequence[Row] = ()
    training: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    created: str = ""
    images: Sequence[bytes] = field(default=(), repr=False)
