"""Data: collections of samples, who plays which role, what a request names, and batches.

`batches` and `cycle` are imported from `obliq.data.batches`: here, a function of that name would hide its
module.
"""

from obliq.data.collection import UNKNOWN_SUBJECT, Collection, Examples, MapDataset
from obliq.data.datasets import DATASETS, load_dataset
from obliq.data.selectors import Selector, memorised, parse_selector, select
from obliq.data.splits import Partition, PartitionRule, Splits, partition

__all__ = [
    "DATASETS",
    "UNKNOWN_SUBJECT",
    "Collection",
    "Examples",
    "MapDataset",
    "Partition",
    "PartitionRule",
    "Selector",
    "Splits",
    "load_dataset",
    "memorised",
    "parse_selector",
    "partition",
    "select",
]
