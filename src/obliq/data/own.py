"""What holds for every data set of the user's own, however it was stored."""

from collections.abc import Sequence

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from obliq.data.collection import Collection, MapDataset
from obliq.errors import DataError

LARGEST = 8 * 2**30  # bytes of one array; beyond that, data are read sample by sample (module:function)


def own_collection(
    name: str,
    inputs: Shaped[Tensor, "samples ..."] | MapDataset,
    labels: Int[Tensor, " labels"],
    *,
    subjects: Int[Tensor, " subjects"] | None = None,
    class_names: Sequence[str] = (),
    channels: int | None = None,
) -> Collection:
    """A collection of own samples, scaled by fixed numbers.

    Bytes become -1 to 1; floats stay as they are. No mean or deviation is measured: it would be
    computed from the very samples that somebody may ask to forget, and survive the forgetting.

    Args:
        name: the words that load it again.
        inputs: uint8 or float32.
        labels: classes 0 to C-1.
        subjects: whose sample it is, -1 where unknown.
        class_names: one name a class, if they have any.
        channels: of uint8 inputs; None for floats.

    Raises:
        DataError: for labels that cannot be class numbers, and all that `Collection` refuses.
    """
    if len(labels) and int(labels.max()) >= max(2, len(labels)):
        raise DataError(
            f"{name}: label {int(labels.max())} among {len(labels)} samples; expected classes numbered "
            "from 0 without gaps"
        )
    if subjects is not None and len(subjects) and int(subjects.min()) < -1:
        raise DataError(f"{name}: subject {int(subjects.min())}; expected numbers from 0, or -1 for unknown")
    middle = () if channels is None else (0.5,) * channels
    return Collection(
        name=name, inputs=inputs, labels=labels, subjects=subjects, mean=middle, deviation=middle,
        class_names=tuple(class_names),
    )  # fmt: skip


def channels_of(inputs: Shaped[Tensor, "samples ..."]) -> int | None:
    """The channels of uint8 samples, None for others."""
    return inputs.shape[1] if inputs.dtype == torch.uint8 else None
