"""The values that everything else reads: a collection of samples, and some samples of a collection."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from obliq.data.source_options import SourceOptions
from obliq.errors import DataError

UNKNOWN_SUBJECT = -1

MOST_CLASSES = 2**16
"""Everything that counts classes takes memory for each number up to the highest, ImageNet-21k has 21,841."""


@runtime_checkable
class MapDataset(Protocol):
    """Any map-style data set whose items are (input, label)."""

    def __len__(self) -> int:
        """The number of samples."""

    def __getitem__(self, index: int, /) -> tuple[Tensor, int]:
        """One sample and its label."""


@dataclass(frozen=True, eq=False)
class Collection:
    """All samples of a data set, in one order that never changes.

    Attributes:
        name: what loads it again, for instance `digits` or `npz:watch.npz`.
        inputs: samples of any shape, uint8 or float32, in memory; or a map-style data set
            that is read sample by sample.
        labels: classes 0..C-1.
        subjects: the number of the person whose sample it is, -1 where unknown; None where not recorded.
        official_test: True for samples that the authors set aside for testing; all False where they did not.
        mean: per channel, subtracted from inputs after uint8 has been divided by 255; empty for none.
        deviation: per channel, divides what remains.
        class_names: one name a class.
        subject_names: what the user calls each subject, by its number; empty where numbers are the names.
        sample_names: what the user calls each sample, such as the name of its file; empty where positions are the ids.
        official_holdout: True for unseen samples that were set aside besides; None where none were.
    """

    name: str
    inputs: Shaped[Tensor, "samples ..."] | MapDataset = field(repr=False)
    # These shapes have names of their own, so that different lengths reach the check below and its clear message.
    labels: Int[Tensor, " labels"] = field(repr=False)
    subjects: Int[Tensor, " subjects"] | None = field(repr=False, default=None)
    official_test: Bool[Tensor, " marks"] | None = field(repr=False, default=None)
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()
    class_names: Sequence[str] = ()
    subject_names: Sequence[str] = field(repr=False, default=())
    sample_names: Sequence[str] = field(repr=False, default=())
    official_holdout: Bool[Tensor, " holdout_marks"] | None = field(repr=False, default=None)

    def __post_init__(self) -> None:
        count = len(self.labels)
        if len(self.inputs) != count:
            raise DataError(
                f"{self.name}: {len(self.inputs):,} inputs but {count:,} labels; expected one label an input"
            )
        if count == 0:
            raise DataError(f"{self.name}: no samples; expected at least one")
        for what, values in (
            ("subjects", self.subjects),
            ("test marks", self.official_test),
            ("holdout marks", self.official_holdout),
        ):
            if values is not None and len(values) != count:
                raise DataError(
                    f"{self.name}: {len(values):,} {what} for {count:,} samples; expected one each"
                )
        if self.sample_names and (len(self.sample_names) != count or len(set(self.sample_names)) != count):
            raise DataError(
                f"{self.name}: {len(set(self.sample_names)):,} different ids for {count:,} samples; expected one each"
            )
        low, high = int(self.labels.min()), int(self.labels.max())
        if high >= MOST_CLASSES:
            raise DataError(f"{self.name}: labels up to {high}; expected classes below {MOST_CLASSES}")
        if low < 0 or high >= self.classes:
            raise DataError(f"{self.name}: labels run from {low} to {high}; expected 0 to {self.classes - 1}")
        if isinstance(self.inputs, Tensor) and self.inputs.is_floating_point():
            bad = int((~torch.isfinite(self.inputs)).flatten(1).any(dim=1).sum())
            if bad:
                raise DataError(
                    f"{self.name}: {bad:,} of {count:,} inputs hold NaN or infinity; expected finite numbers"
                )

    @property
    def test_marks(self) -> Bool[Tensor, " samples"]:
        """`official_test`, also where the data have no such part: then all False."""
        marks = self.official_test
        return torch.zeros(len(self), dtype=torch.bool) if marks is None else marks

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.class_names) if self.class_names else int(self.labels.max()) + 1

    def subject_name(self, subject: int) -> str:
        """What the user calls a subject."""
        return self.subject_names[subject] if self.subject_names else str(subject)

    @cached_property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one input as a network reads it, for instance (1, 28, 28)."""
        if isinstance(self.inputs, Tensor):
            return tuple(self.inputs.shape[1:])
        return tuple(self.inputs[0][0].shape)

    def fetch(self, indices: Int[Tensor, " batch"]) -> Shaped[Tensor, "batch ..."]:
        """The inputs at `indices`, standardised, as float32."""
        if isinstance(self.inputs, Tensor):
            raw = self.inputs[indices]
        else:
            raw = torch.stack([self.inputs[int(index)][0] for index in indices])
        return self.standardise(raw)

    def standardise(self, raw: Shaped[Tensor, "batch ..."]) -> Shaped[Tensor, "batch ..."]:
        """Scale uint8 to 0..1, then subtract the mean and divide by the deviation, channel by channel."""
        inputs = raw.float().div_(255) if raw.dtype == torch.uint8 else raw.float()
        if not self.mean:
            return inputs
        mean, deviation = self.scale_of(inputs)
        return (inputs - mean) / deviation

    def scale_of(self, inputs: Float[Tensor, "batch ..."]) -> tuple[Tensor, Tensor]:
        """Mean and deviation, on the device of a batch and shaped to broadcast along its channels."""
        if not self.mean:
            return inputs.new_zeros(()), inputs.new_ones(())
        along_channels = (1, -1) + (1,) * (inputs.dim() - 2)
        # Built on the processor and moved without waiting: an accelerator would finish all its work first.
        mean, deviation = (
            torch.tensor(values, dtype=inputs.dtype).view(along_channels).to(inputs.device, non_blocking=True)
            for values in (self.mean, self.deviation)
        )
        return mean, deviation

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the inputs, labels and subjects; equal exactly when the content is."""
        content = hashlib.sha256()
        content.update(repr((len(self), self.sample_shape, self.mean, self.deviation)).encode())
        if isinstance(self.inputs, Tensor):
            content.update(self.inputs.contiguous().numpy().data)
        else:
            for index in range(len(self)):
                content.update(self.inputs[index][0].contiguous().numpy().data)
        content.update(self.labels.contiguous().numpy().data)
        if self.subjects is not None:
            content.update(self.subjects.contiguous().numpy().data)
        return content.hexdigest()


@dataclass(frozen=True, eq=False)
class Examples:
    """Some samples of a collection, by their positions in it; a map-style data set of (standardised input, label)."""

    collection: Collection = field(repr=False)
    indices: Int[Tensor, " samples"] = field(repr=False)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int, /) -> tuple[Shaped[Tensor, "..."], int]:
        place = self.indices[index].reshape(1)  # raises IndexError at the end, which ends a loop over samples
        return self.collection.fetch(place)[0], int(self.collection.labels[place])

    @property
    def labels(self) -> Int[Tensor, " samples"]:
        """The class of each sample."""
        return self.collection.labels[self.indices]

    def inputs(self) -> Shaped[Tensor, "samples ..."]:
        """Every input, standardised; for small sets."""
        return self.collection.fetch(self.indices)

    def where(self, chosen: Bool[Tensor, " samples"]) -> "Examples":
        """The samples that are marked."""
        return Examples(self.collection, self.indices[chosen])

    def spread(self, count: int) -> "Examples":
        """At most `count` samples, at even distances from the first to the last."""
        if len(self) <= count:
            return self
        return Examples(self.collection, self.indices[torch.arange(count) * len(self) // count])

    def take(self, count: int) -> "Examples":
        """The first `count` samples."""
        return Examples(self.collection, self.indices[:count])


LARGEST = (
    8 * 2**30
)  # bytes of one array in memory; larger data sets are read sample by sample (module:function)


def user_collection(
    name: str,
    inputs: Shaped[Tensor, "samples ..."] | MapDataset,
    labels: Int[Tensor, " labels"],
    *,
    subjects: Int[Tensor, " subjects"] | None = None,
    class_names: Sequence[str] = (),
    channels: int | None = None,
    subject_names: Sequence[str] = (),
    sample_names: Sequence[str] = (),
    options: SourceOptions | None = None,
) -> Collection:
    """A collection of the user's own samples, scaled by fixed numbers.

    Bytes become -1 to 1 unless an option states another range; floats stay as they are. Mean and deviation are not
    measured, because they would depend on the samples of a later request and would still depend on them after
    unlearning.

    Args:
        name: what loads it again.
        inputs: uint8 or float32.
        labels: classes 0 to C-1.
        subjects: whose sample it is, -1 where unknown.
        class_names: one name a class, if they have any.
        channels: of uint8 inputs; None for floats.
        subject_names: see `Collection`.
        sample_names: see `Collection`.
        options: what the name states about labels and scale.

    Raises:
        DataError: for labels that cannot be class numbers, classes without samples that have no name either, a scale
            for floats, and all that `Collection` refuses.
    """
    options = options or SourceOptions()
    if options.names_in_labels and not class_names:
        values, labels = torch.unique(labels, return_inverse=True)
        class_names = tuple(map(str, values.tolist()))
    if len(labels) and int(labels.max()) >= max(2, len(labels)):
        raise DataError(
            f"{name}: label {int(labels.max())} among {len(labels):,} samples; expected classes numbered "
            "from 0 without gaps"
        )
    if subjects is not None and len(subjects) and int(subjects.min()) < -1:
        raise DataError(f"{name}: subject {int(subjects.min())}; expected numbers from 0, or -1 for unknown")
    if not class_names:
        _require_samples_of_every_class(name, labels)
    if options.scale is not None and channels is None:
        raise DataError(
            f"{name}: inputs are floats, which are used as they are; expected no scale, which is for bytes"
        )
    mean, deviation = SCALES[options.scale or "-1..1"]
    return Collection(
        name=name,
        inputs=inputs,
        labels=labels,
        subjects=subjects,
        mean=(mean,) * (channels or 0),
        deviation=(deviation,) * (channels or 0),
        class_names=tuple(class_names),
        subject_names=subject_names,
        sample_names=sample_names,
    )


SCALES = {"-1..1": (0.5, 0.5), "0..1": (0.0, 1.0), "0..255": (0.0, 1 / 255)}
"""Mean and deviation that bring bytes, once they are divided by 255, to each range."""


def _require_samples_of_every_class(name: str, labels: Tensor) -> None:
    """Raise for numbers below the largest that no sample has: a network would learn a class that does not exist."""
    counts = torch.bincount(labels.clamp(min=0)) if len(labels) else labels
    empty = (counts == 0).nonzero().flatten().tolist()
    if empty and int(labels.min()) >= 0:
        found = torch.unique(labels).tolist()
        raise DataError(
            f"{name}: labels run from {found[0]} to {found[-1]}, but class {empty[0]} has no samples; expected classes "
            f"numbered from 0 without gaps, or {name},labels=names to call the {len(found)} classes by these numbers"
        )


def channels_of(inputs: Shaped[Tensor, "samples ..."]) -> int | None:
    """The channels of uint8 samples, None for others."""
    return inputs.shape[1] if inputs.dtype == torch.uint8 else None
