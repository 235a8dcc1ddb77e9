"""What a report adds to the numbers of an audit: the request, the method, the time, and what is sent to devices."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from obliq.data import Examples
from obliq.errors import DataError, ObliqError
from obliq.exporting import Parity
from obliq.run import utc_now

Row = Mapping[str, str | float | int]


UNKNOWN = "not recorded"
"""What a report states about networks and samples that came without a record."""


@dataclass(frozen=True, kw_only=True)
class ReportContext:
    """Everything around the numbers. It has kinds and counts, never who or what was forgotten.

    Attributes:
        title: heading of the page.
        request: the kind of request in words, for instance `one subject`; not which.
        data: name of the data set.
        architecture: name of the network.
        method: name of the unlearning method, or of several where several were tried.
        method_settings: its hyperparameters.
        retain_data: what it read of the retained samples, in words; by name of the network where there are several.
        training_settings: how original and retrained network were trained.
        way_to_retrain: what `obliq retrain` needs to train the original again, such as `--with MODULE:FUNCTION`; empty
            where Obliq repeats its training by itself.
        trace: rows of the unlearning run, as a `Run` reports them: stage, step, of, and what was measured, for
            instance retain_loss and forget_loss in nats, angle in degrees, predicted_change and measured_change
            of the retain loss in nats, changed_codes as a share.
        training: rows of training by name of the network: stage, step, of, loss in nats, accuracy in percent.
        versions: of the packages in use.
        created: when the report was written, with a time zone; pages show it in UTC.
        images: PNG files of forgotten samples; only if the user requested them by a flag.
    """

    title: str = "Unlearning report"
    request: str = UNKNOWN
    data: str = UNKNOWN
    architecture: str = UNKNOWN
    method: str = UNKNOWN
    method_settings: Mapping[str, object] = field(default_factory=dict)
    retain_data: Mapping[str, str] = field(default_factory=dict)
    training_settings: Mapping[str, object] = field(default_factory=dict)
    way_to_retrain: str = ""
    trace: Sequence[Row] = ()
    training: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    created: datetime = field(default_factory=utc_now)
    images: Sequence[bytes] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if self.created.tzinfo is None:
            raise ObliqError(f"created {self.created} has no time zone; expected one, such as datetime.UTC")


@dataclass(frozen=True, kw_only=True)
class PatchSize:
    """How much of the network on a device a patch replaces.

    Attributes:
        bytes: of the patch.
        codes: how many integer weights the network has.
        changed_codes: how many of them change.
        changed_words: how many scales, biases and other numbers change.
    """

    bytes: int
    codes: int
    changed_codes: int
    changed_words: int

    def __post_init__(self) -> None:
        if self.bytes <= 0 or not 0 <= self.changed_codes <= self.codes or self.changed_words < 0:
            raise ObliqError(f"{self}; expected a size above 0 and no more changed codes than there are")


@dataclass(frozen=True, kw_only=True)
class Shipment:
    """One file that is sent to devices.

    Attributes:
        file: its name.
        form: what it is, in words.
        precision: of weights and activations, for instance `W4A4`.
        bytes: its size.
        content_digest: SHA-256 of the integers in it, independent of the container. A patched device
            compares itself with it (docs/patch-format.md).
        parity: how its answers agree with those of the audited network; None when it was not run.
        patch: the patch that turns the original's file into it; None when there is none.
    """

    file: str
    form: str
    precision: str
    bytes: int
    content_digest: str
    parity: Parity | None = None
    patch: PatchSize | None = None

    def __post_init__(self) -> None:
        if self.bytes <= 0:
            raise ObliqError(f"{self.file} has {self.bytes} bytes; expected more than 0")

    @property
    def patch_share(self) -> float | None:
        """Bytes of the patch in percent of the whole file's."""
        return 100 * self.patch.bytes / self.bytes if self.patch else None


def format_number(value: float | None, digits: int = 1) -> str:
    """A number with commas between thousands, as in the terminal; a dash for None."""
    if value is None:
        return "\N{EN DASH}"
    return f"{value:,.{digits}f}".replace("-", "\N{MINUS SIGN}")


def format_percent(share: float) -> str:
    """A share as percent, never rounded up to 100 when something differs."""
    return "100" if share == 1 else f"{min(100 * share, 99.99):.2f}"


def encode_images(examples: Examples, count: int) -> list[bytes]:
    """Encode the first `count` samples as PNG, each stretched to the full range of grey or colour.

    Raises:
        DataError: when the samples are no images of one or three channels.
    """
    shape = examples.collection.sample_shape
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise DataError(f"samples of shape {shape} cannot be shown; expected images (1 or 3, height, width)")
    return [_png(image.numpy()) for image in examples.take(count).inputs()]


def _png(image: np.ndarray) -> bytes:
    from matplotlib.image import imsave  # here, as importing matplotlib takes half a second

    span = float(image.max() - image.min()) or 1.0
    levels = np.moveaxis((image - image.min()) / span, 0, -1)
    file = io.BytesIO()
    imsave(file, np.repeat(levels, 3, axis=-1) if levels.shape[-1] == 1 else levels, format="png")
    return file.getvalue()
