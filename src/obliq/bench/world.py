"""How an original network comes about, but for its seed."""

from dataclasses import dataclass, field

import torch

from obliq.checkpoints import Blueprint
from obliq.data import Collection, Examples, Partition, PartitionRule
from obliq.errors import DataError
from obliq.quantization import Precision
from obliq.training import Recipe


@dataclass(frozen=True, kw_only=True)
class World:
    """Data, network and recipe of an original.

    Attributes:
        data: the words that load the data set.
        architecture: a name of `obliq.models`, or `module:function`.
        bits: of weights and activations, for instance W4A4, or FP32.
        recipe: how the original, the retrained and the reference networks are trained.
        limit: training samples at most, see `PartitionRule`; 0 for all.
        holdout, test: shares, see `PartitionRule`.
        test_limit: audit this many test samples, spread evenly over the test part; 0 for all.
        preset, weight_grid: see `Blueprint`.
    """

    data: str
    architecture: str
    bits: str = "W4A4"
    recipe: Recipe = field(default_factory=Recipe)
    limit: int = 0
    holdout: float = 0.15
    test: float = 0.15
    test_limit: int = 0
    preset: str = "deploy"
    weight_grid: str = "per_channel"

    def __post_init__(self) -> None:
        if str(Precision.parse(self.bits)) != self.bits:
            raise DataError(f"bits {self.bits!r}; expected {Precision.parse(self.bits)}")
        if self.test_limit < 0:
            raise DataError(f"test_limit={self.test_limit}; expected 0 (all) or a number of samples")
        self.rule(0)

    def rule(self, seed: int) -> PartitionRule:
        """How the data are divided."""
        return PartitionRule(seed=seed, holdout=self.holdout, test=self.test, limit=self.limit)

    def blueprint(self, collection: Collection) -> Blueprint:
        """The form of the network."""
        return Blueprint(
            architecture=self.architecture, input_shape=collection.sample_shape, classes=collection.classes,
            precision=Precision.parse(self.bits), preset=self.preset, weight_grid=self.weight_grid,
        )  # fmt: skip

    def audited(self, parts: Partition) -> dict[str, Examples]:
        """The samples that an audit asks about, by part."""
        return {"train": parts.train, "holdout": parts.holdout, "test": spread(parts.test, self.test_limit)}


def spread(examples: Examples, limit: int) -> Examples:
    """At most `limit` samples (0: all of them), at even distances in the order of the data set."""
    if not 0 < limit < len(examples):
        return examples
    return Examples(examples.collection, examples.indices[torch.arange(limit) * len(examples) // limit])
