"""Samples on which an exported file is compared with the network that it came from."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from obliq.checkpoints import Checkpoint
from obliq.data import load_dataset, partition
from obliq.data.datasets import DATASETS, data_label
from obliq.errors import DataError
from obliq.workflow.pipeline import same_partition


def parity_samples(
    checkpoint: Checkpoint, data: str, folder: Path | None, most: int
) -> Float[Tensor, "samples ..."]:
    """Standardised inputs: the test part of the network's own data, of other data their test part or everything.

    Where its own data have no test part, the samples are those of the holdout part, or of the training part.

    Args:
        checkpoint: the network.
        data: the name of a data set.
        folder: where the files of a built-in set are.
        most: how many samples at most, spread evenly; 0 for all.

    Raises:
        DataError: when there is no such data, or its samples have another shape than the network's.
    """
    if most < 0:
        raise DataError(f"check_samples {most}; expected 0 (all) or more")
    if _is_own(checkpoint, data, folder):
        parts = same_partition(checkpoint, folder, data)
        collection = parts.collection
        indices = next(part.indices for part in (parts.test, parts.holdout, parts.train) if len(part.indices))
    else:
        collection = load_dataset(data, folder)
        marked = collection.official_test
        chosen = (
            torch.ones(len(collection), dtype=torch.bool) if marked is None or not marked.any() else marked
        )
        indices = chosen.nonzero().flatten()
    if collection.sample_shape != checkpoint.blueprint.input_shape:
        raise DataError(
            f"{data} has samples of shape {collection.sample_shape}; expected {checkpoint.blueprint.input_shape}"
        )
    if 0 < most < len(indices):
        indices = indices[torch.arange(most) * len(indices) // most]
    return collection.fetch(indices)


def parity_label(checkpoint: Checkpoint, data: str) -> str:
    """What the record of parity, which may ship, calls these data."""
    return checkpoint.provenance.data if data == checkpoint.source else data_label(data)


def _is_own(checkpoint: Checkpoint, data: str, folder: Path | None) -> bool:
    """Whether a network was trained on these data, by their name or, where only a label is known, by their content."""
    source, provenance = checkpoint.source, checkpoint.provenance
    if data in (source, provenance.data):
        return True
    if source is not None or provenance.data in DATASETS:
        return False
    try:
        return partition(load_dataset(data, folder), provenance.rule).digest == provenance.partition_digest
    except DataError:
        return False
