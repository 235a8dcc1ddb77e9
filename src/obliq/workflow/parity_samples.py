"""Samples on which an exported file is compared with the network that it came from."""

from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from obliq.checkpoints import Checkpoint
from obliq.data import Partition, load_dataset, partition
from obliq.data.collection import Collection, Examples
from obliq.data.datasets import DATASETS, absolute_name, data_label
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
    parts = None
    if _is_called_so(checkpoint, data):
        parts = same_partition(checkpoint, folder, None if data == checkpoint.provenance.data else data)
        collection = parts.collection
    else:
        collection = load_dataset(data, folder)
        parts = _own_parts(checkpoint, collection)
    if parts is not None:
        indices = next(part.indices for part in (parts.test, parts.holdout, parts.train) if len(part.indices))
    else:
        marks = collection.test_marks
        indices = (marks if marks.any() else ~marks).nonzero().flatten()
    if collection.sample_shape != checkpoint.blueprint.input_shape:
        raise DataError(
            f"{data} has samples of shape {collection.sample_shape}; expected {checkpoint.blueprint.input_shape}"
        )
    found = Examples(collection, indices)
    return (found.spread(most) if most > 0 else found).inputs()


def parity_label(checkpoint: Checkpoint, data: str) -> str:
    """What the record of parity, which may ship, calls these data."""
    return checkpoint.provenance.data if _is_called_so(checkpoint, data) else data_label(data)


def _is_called_so(checkpoint: Checkpoint, data: str) -> bool:
    """Whether a network's folder calls its data by this name."""
    source = checkpoint.source
    if data == checkpoint.provenance.data:
        return True
    return source is not None and absolute_name(data) == absolute_name(source)


def _own_parts(checkpoint: Checkpoint, collection: Collection) -> Partition | None:
    """The parts of data that a network was trained on, by their content: they can be moved; None for other data."""
    provenance = checkpoint.provenance
    if provenance.data in DATASETS:
        return None
    try:
        parts = partition(collection, provenance.rule)
    except DataError:
        return None
    return parts if parts.digest == provenance.partition_digest else None
