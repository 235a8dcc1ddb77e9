"""A benchmark: which networks, which requests, which methods."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from obliq.benchmark.entrants import Contender
from obliq.benchmark.scenario import Scenario
from obliq.checkpoints import Blueprint
from obliq.data import Collection, Examples, Partition, PartitionRule
from obliq.errors import DataError, ObliqError
from obliq.methods import Retrain
from obliq.quantization import Precision
from obliq.training.loop import Recipe

CACHE, RESULTS = Path("runs/bench"), Path("benchmarks/results")
"""Where suites keep computed values and results, unless told otherwise."""


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


RETRAINED, AGAIN, ORIGINAL = "retrained", "retrained again", "original"


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Every world with every scenario, contender and seed.

    Attributes:
        name: of the folder of its results.
        worlds: how originals are made.
        scenarios: what is to be forgotten.
        contenders: who takes part, besides the original and two retrained networks.
        seeds: of partition, original, request and methods; one independent original each.
        tuning_seed: the same for tuning; none of `seeds`.
        tuning_bits: the bit width at which fields are tuned, for all of them.
        tuned_in: the world in which fields are tuned for all others, where tuning in each would take too long;
            None for each in itself. At `tuning_bits`, as any other.
        tuned_on: from the words of a scenario to those of another one of the suite, whose tuned fields it takes
            over; every scenario that is not named is tuned by itself.
        references: reference networks of each original, for attacks and memorisation; even, 0 for none.
    """

    name: str
    worlds: tuple[World, ...]
    scenarios: tuple[Scenario, ...]
    contenders: tuple[Contender, ...]
    seeds: tuple[int, ...] = (1, 2, 3)
    tuning_seed: int = 101
    tuning_bits: str = "W4A4"
    tuned_in: World | None = None
    tuned_on: Mapping[str, str] = field(default_factory=dict)
    references: int = 4

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}", self.name):
            raise ObliqError(f"suite name {self.name!r}; expected letters, digits, '.', '_', '+' and '-'")
        for what in ("worlds", "scenarios", "contenders", "seeds"):
            if not getattr(self, what):
                raise ObliqError(f"suite {self.name} has no {what}; expected at least one")
        places = [(world.data, world.architecture, world.bits) for world in self.worlds]
        if len(set(places)) < len(places):
            raise ObliqError(
                f"two worlds of {self.name} have the same data, network and bits; expected one each"
            )
        names = [one.name for one in self.contenders]
        for name in (*names, ORIGINAL, RETRAINED, AGAIN):
            if (*names, ORIGINAL, RETRAINED, AGAIN).count(name) > 1:
                raise ObliqError(f"two contenders of {self.name} are called {name!r}; expected one name each")
        for one in self.contenders:
            if one.follows is not None and one.follows not in names:
                raise ObliqError(f"{one.name!r} follows {one.follows!r}; expected one of {', '.join(names)}")
            if one.kind is Retrain:
                raise ObliqError(
                    f"{one.name!r} retrains, which every suite does anyway; expected another method"
                )
        if len(set(self.seeds)) < len(self.seeds) or self.tuning_seed in self.seeds:
            raise ObliqError(f"seeds {self.seeds}, tuning seed {self.tuning_seed}; expected each once")
        words = {one.words for one in self.scenarios}
        for taking, giving in self.tuned_on.items():
            if taking not in words or giving not in words or giving in self.tuned_on:
                raise ObliqError(
                    f"{self.name} tunes {taking!r} on {giving!r}; expected two of its scenarios, of which the "
                    "second is tuned by itself"
                )
        if self.references < 0 or self.references % 2:
            raise ObliqError(
                f"{self.references} references; expected an even number, in complementary halves"
            )
        if not self.references and any(one.needs_references for one in self.scenarios):
            raise ObliqError(
                f"suite {self.name} asks for memorised samples; expected references to tell them by"
            )

    def tuning_world(self, world: World) -> World:
        """The world in which fields for this one are tuned."""
        return dataclasses.replace(self.tuned_in or world, bits=self.tuning_bits)

    def tuning_scenario(self, scenario: Scenario) -> Scenario:
        """The scenario on which fields for this one are tuned: itself unless `tuned_on` says otherwise."""
        return Scenario(self.tuned_on.get(scenario.words, scenario.words))

    def limited_to(self, names: tuple[str, ...]) -> "Suite":
        """The same with some of the contenders, and results in a folder of its own.

        Raises:
            ObliqError: for a name that no contender has.
        """
        by_name = {one.name: one for one in self.contenders}
        for name in names:
            if name not in by_name:
                raise ObliqError(f"{self.name} has no contender {name!r}; expected {', '.join(by_name)}")
        wanted = set(names) | {followed for name in names if (followed := by_name[name].follows)}
        slug = re.sub("[^a-z0-9]+", "-", "+".join(names).lower().replace("+", " "))
        return dataclasses.replace(
            self,
            name=f"{self.name}.{slug}"[:100],
            contenders=tuple(c for c in self.contenders if c.name in wanted),
        )
