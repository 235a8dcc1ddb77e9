"""Data: collections of samples, who plays which role, what a request names, and batches.

`batches` and `cycle` are imported from `obliq.data.batches`: here, a function of that name would hide its
module.
"""

from obliq.data.collection import UNKNOWN_SUBJECT, Collection, Examples, MapDataset
from obliq.data.datasets import DATASETS, load_dataset
from obliq.data.draw_parts import partition
from obliq.data.missing_examples import MissingExamples
from obliq.data.roles import DataLike, as_examples, join_roles
from obliq.data.selection import memorised, select
from obliq.data.selectors import Selector, parse_selector
from obliq.data.splits import Partition, PartitionRule, Splits
from obliq.data.splitting import forget_retain_split, train_holdout_test_split

__all__ = [
    "DATASETS",
    "UNKNOWN_SUBJECT",
    "Collection",
    "DataLike",
    "Examples",
    "MapDataset",
    "MissingExamples",
    "Partition",
    "PartitionRule",
    "Selector",
    "Splits",
    "as_examples",
    "forget_retain_split",
    "join_roles",
    "load_dataset",
    "memorised",
    "parse_selector",
    "partition",
    "select",
    "train_holdout_test_split",
]
