"""A deployed network as a value: what every step computes with, in integers, and nothing else.

Each step reads codes by the name of the step that computed them. Formats and interpreters read only this.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

from jaxtyping import UInt8
from numpy import ndarray

from obliq.errors import ModelError
from obliq.exporting.grids import Grid, Weights
from obliq.exporting.operations import Layer, LookupTable, Step


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """A network in the order of computation; the first step is `Quantize`, the last one gives the logits.

    Attributes:
        input_shape: of one sample, channels first.
        steps: what is computed.
    """

    input_shape: tuple[int, ...]
    steps: tuple[Step, ...] = field(repr=False)

    def __post_init__(self) -> None:
        known: set[str] = set()
        for step in self.steps:
            if step.name in known or not known.issuperset(step.sources):
                raise ModelError(f"step {step.name} is out of order; expected each name once, sources first")
            known.add(step.name)

    @property
    def result(self) -> Step:
        """The step that gives the logits."""
        return self.steps[-1]

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The steps that have weights, in the order of computation."""
        return tuple(step for step in self.steps if isinstance(step, Layer))

    @cached_property
    def tables(self) -> tuple[LookupTable, ...]:
        """The steps that look codes up, in the order of computation."""
        return tuple(step for step in self.steps if isinstance(step, LookupTable))

    @cached_property
    def _by_name(self) -> dict[str, Step]:
        return {step.name: step for step in self.steps}

    def __getitem__(self, name: str) -> Step:
        return self._by_name[name]

    def with_values(
        self,
        grid_of: Callable[[Step], Grid],
        weights_of: Callable[[Layer, Grid], Weights],
        table_of: Callable[[LookupTable], UInt8[ndarray, "256"]] = lambda step: step.table,
    ) -> "Graph":
        """The same steps on other grids and with other weights; steps that move codes keep the grid of their source.

        Args:
            grid_of: the grid of a step that rounds.
            weights_of: the weights of a layer that reads from a grid.
            table_of: the table of a step that has one; by default the one that it has.
        """
        steps: dict[str, Step] = {}
        for step in self.steps:
            source = steps[step.sources[0]].grid if step.sources else None
            grid = source if step.moves and source else grid_of(step)
            if isinstance(step, Layer) and source:
                step = replace(step, weights=weights_of(step, source))
            if isinstance(step, LookupTable) and source:
                step = replace(step, table=table_of(step), reads=source)
            steps[step.name] = replace(step, grid=grid)
        return replace(self, steps=tuple(steps.values()))

    def owner(self, name: str) -> Step:
        """The step that rounded to the grid of a result: itself, or for steps that move codes, the one before."""
        while (step := self[name]).moves:
            name = step.sources[0]
        return step
