"""A benchmark suite: which networks, which requests, which methods."""

import dataclasses
import hashlib
import re
import reprlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from obliq.argument_types import require_field_types
from obliq.benchmark.method_variant import MethodVariant
from obliq.benchmark.scenario import Scenario
from obliq.checkpoints import Blueprint
from obliq.data import Collection, Examples, Partition, PartitionRule
from obliq.errors import DataError, ModelError, ObliqError
from obliq.io.known_names import unknown_name
from obliq.io.slug import slug
from obliq.methods import Retrain
from obliq.models.architectures import ARCHITECTURES, is_import_path
from obliq.quantization import Precision
from obliq.run import Run
from obliq.training.loop import Recipe

CACHE, RESULTS = Path("runs/bench"), Path("benchmarks/results")
"""Default folders of computed values and of results."""

LONGEST_NAME = 100
"""Characters of the name of a suite, which is that of a folder."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Data, network and training recipe of an original.

    Attributes:
        data: the name of a data set, as `load_dataset` takes it.
        architecture: a name of `obliq.models`, or `module:function`.
        bits: of weights and activations, for instance W4A4, or FP32.
        recipe: how the original, the retrained and the reference networks are trained.
        limit: largest number of training samples, see `PartitionRule`; 0 for all.
        holdout, test: shares, see `PartitionRule`.
        test_limit: number of test samples to audit, spread evenly over the test part; 0 for all.
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
        if not isinstance(self.recipe, Recipe):
            raise ObliqError(f"recipe={self.recipe!r}; expected a Recipe")
        require_field_types(self)
        if self.architecture not in ARCHITECTURES and not is_import_path(self.architecture):
            raise ModelError(
                f"{unknown_name('architecture', self.architecture, ARCHITECTURES)} expected "
                f"{', '.join(ARCHITECTURES)} or module:function"
            )
        if str(Precision.parse(self.bits)) != self.bits:
            raise DataError(f"bits {self.bits!r}; expected {Precision.parse(self.bits)}")
        if self.test_limit < 0:
            raise DataError(f"test_limit={self.test_limit}; expected 0 (all) or a number of samples")
        self.partition_rule(0)

    def partition_rule(self, seed: int) -> PartitionRule:
        """How the data are divided."""
        return PartitionRule(seed=seed, holdout=self.holdout, test=self.test, limit=self.limit)

    def blueprint(self, collection: Collection) -> Blueprint:
        """The form of the network."""
        return Blueprint(
            architecture=self.architecture,
            input_shape=collection.sample_shape,
            classes=collection.classes,
            precision=Precision.parse(self.bits),
            preset=self.preset,
            weight_grid=self.weight_grid,
        )

    def audited_examples(self, parts: Partition) -> dict[str, Examples]:
        """The samples that an audit evaluates, by part."""
        return {
            "train": parts.train,
            "holdout": parts.holdout,
            "test": parts.test.spread(self.test_limit) if self.test_limit else parts.test,
        }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def cell_of(setup: Setup, scenario: Scenario) -> tuple[str, str, str, str]:
    """Data, architecture, bits and request: what all rows of a cell have in common."""
    return setup.data, setup.architecture, setup.bits, scenario.text


def cell_file_name(cell: Iterable[str]) -> str:
    """The name of a cell's file."""
    return slug(" ".join(cell).replace("%", " percent")) + ".json"


RETRAINED, RETRAINED_AGAIN, ORIGINAL = "retrained", "retrained again", "original"
"""Names of the rows that no method produced, as tables and files have them."""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Every setup with every scenario, method variant and seed.

    Attributes:
        name: of the folder of its results.
        setups: data, networks and recipes of the originals.
        scenarios: what is to be forgotten.
        variants: the methods to compare, in addition to the original and two retrained networks.
        seeds: of partition, original, request and methods; one independent original each.
        tuning_seed: the same for tuning; none of `seeds`.
        tuning_bits: the bit width at which fields are tuned, for all bit widths.
        tuned_in: the setup in which fields are tuned for all others, where tuning in each would take too long;
            None for each in itself. Its bit width is `tuning_bits`, too.
        tuned_on: from a scenario to another one of the suite, whose tuned fields it takes; scenarios that are not
            named are tuned by themselves.
        beyond_edges: how many further trials a method gets beyond the edge of its range, see `trial_beyond_edge`.
        references: reference networks of each original, for attacks and memorisation; even, 0 for none.
    """

    name: str
    setups: tuple[Setup, ...]
    scenarios: tuple[Scenario, ...]
    variants: tuple[MethodVariant, ...]
    seeds: tuple[int, ...] = (1, 2, 3)
    tuning_seed: int = 101
    tuning_bits: str = "W4A4"
    tuned_in: Setup | None = None
    tuned_on: Mapping[str, str] = field(default_factory=dict)
    beyond_edges: int = 0
    references: int = 4

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", self.name) or len(self.name) > LONGEST_NAME:
            raise ObliqError(
                f"suite name {self.name!r}; expected at most {LONGEST_NAME} letters, digits, '.', '_', '+' and '-'"
            )
        require_field_types(self)
        members = {"setups": Setup, "scenarios": Scenario, "variants": MethodVariant, "seeds": int}
        for what, kind in members.items():
            given = getattr(self, what)
            if not isinstance(given, tuple) or not all(isinstance(one, kind) for one in given):
                raise ObliqError(
                    f"suite {self.name}: {what} is {reprlib.repr(given)}; expected a tuple of {kind.__name__}"
                )
            if not given:
                raise ObliqError(f"suite {self.name} has no {what}; expected at least one")
        cells = [(setup.data, setup.architecture, setup.bits) for setup in self.setups]
        if len(set(cells)) < len(cells):
            raise ObliqError(
                f"two setups of {self.name} have the same data, network and bits; expected one each"
            )
        tuned: dict[tuple[str, str], Setup] = {}
        for one in map(self.setup_to_tune_in, self.setups):
            if tuned.setdefault((one.data, one.architecture), one) != one:
                raise ObliqError(
                    f"two setups of {self.name} train {one.architecture} on {one.data} differently, and methods are "
                    "tuned once for both; expected the same setup but for its bits, or `tuned_in`"
                )
        self._check_variants()
        self._check_cells()
        if len(set(self.seeds)) < len(self.seeds) or self.tuning_seed in self.seeds:
            raise ObliqError(f"seeds {self.seeds}, tuning seed {self.tuning_seed}; expected each once")
        for seed in (*self.seeds, self.tuning_seed):
            Run(seed=seed)
        known = {one.text for one in self.scenarios}
        for scenario, other in self.tuned_on.items():
            if scenario not in known or other not in known or other in self.tuned_on:
                raise ObliqError(
                    f"{self.name} tunes {scenario!r} on {other!r}; expected two of its scenarios, of which the "
                    "second is tuned by itself"
                )
        if self.beyond_edges < 0:
            raise ObliqError(f"{self.beyond_edges} trials beyond the edges; expected 0 or more")
        if self.references < 0 or self.references % 2:
            raise ObliqError(
                f"{self.references} references; expected an even number, in complementary halves"
            )
        if not self.references and any(one.needs_references for one in self.scenarios):
            raise ObliqError(
                f"suite {self.name} forgets memorised samples; expected references to find them by"
            )

    def _check_variants(self) -> None:
        names = [one.name for one in self.variants]
        reserved = (ORIGINAL, RETRAINED, RETRAINED_AGAIN)
        for name in names:
            if (*names, *reserved).count(name) > 1:
                raise ObliqError(f"two methods of {self.name} are called {name!r}; expected one name each")
        for one in self.variants:
            if one.follows is not None and one.follows not in names:
                raise ObliqError(f"{one.name!r} follows {one.follows!r}; expected one of {', '.join(names)}")
            if one.method_class is Retrain:
                raise ObliqError(
                    f"{one.name!r} retrains, which every suite does anyway; expected another method"
                )
            for fields in one.candidates() if one.follows is None else ():
                one.build(fields)

    def _check_cells(self) -> None:
        """Raise where two cells would have one file of results."""
        files: dict[str, str] = {}
        for cell in self.cells:
            words, file = " ".join(cell), cell_file_name(cell)
            if other := files.get(file):
                raise ObliqError(
                    f"the results of {other!r} and {words!r} in {self.name} would both be in {file}; expected "
                    "each cell once, and names that differ in letters (a to z) or digits"
                )
            files[file] = words

    @property
    def cells(self) -> tuple[tuple[str, str, str, str], ...]:
        """Every request to every setup."""
        return tuple(cell_of(setup, scenario) for setup in self.setups for scenario in self.scenarios)

    def setup_to_tune_in(self, setup: Setup) -> Setup:
        """The setup in which the fields for this one are tuned."""
        return dataclasses.replace(self.tuned_in or setup, bits=self.tuning_bits)

    def scenario_to_tune_on(self, scenario: Scenario) -> Scenario:
        """The scenario on which the fields for this one are tuned: itself unless `tuned_on` names another."""
        return Scenario(self.tuned_on.get(scenario.text, scenario.text))

    @property
    def size(self) -> int:
        """The number of rows: in each cell and for each seed the methods, the original and two retrained networks."""
        cells = len(self.setups) * len(self.scenarios)
        return cells * len(self.seeds) * (len(self.variants) + len((ORIGINAL, RETRAINED, RETRAINED_AGAIN)))

    def limited_to(self, names: tuple[str, ...]) -> "Suite":
        """The same with some of the methods and those that they follow, and results in a folder of its own.

        Raises:
            ObliqError: for a name that no method of the suite has.
        """
        by_name = {one.name: one for one in self.variants}
        for name in names:
            if name not in by_name:
                raise ObliqError(
                    f"{self.name}: {unknown_name('method', name, by_name)} expected {', '.join(by_name)}"
                )
        wanted = set(names) | {followed for name in names if (followed := by_name[name].follows)}
        slugs = Counter(map(slug, by_name))
        words = [slug(one) if slugs[slug(one)] == 1 else f"{slug(one)}-{_digest(one)}" for one in names]
        folder = f"{self.name}.{'+'.join(dict.fromkeys(words))}"
        if len(folder) > LONGEST_NAME:
            digest = _digest(folder)
            folder = f"{folder[: LONGEST_NAME - len(digest) - 1]}-{digest}"
        return dataclasses.replace(
            self,
            name=folder,
            variants=tuple(one for one in self.variants if one.name in wanted),
        )
