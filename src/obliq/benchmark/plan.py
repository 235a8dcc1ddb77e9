"""What a suite comes down to: the tasks of tuning, and those behind every row."""

from collections.abc import Iterator
from dataclasses import dataclass

from obliq.benchmark.entrants import Contender
from obliq.benchmark.scenario import Scenario
from obliq.benchmark.suite import AGAIN, ORIGINAL, RETRAINED, Suite, World
from obliq.benchmark.tasks import BLIND, Case, Ground, Measured, Network, Retrained, Task, Unlearned
from obliq.benchmark.tuning import Place, Tuned, place_of
from obliq.errors import ObliqError
from obliq.methods import Method


@dataclass(frozen=True)
class Trials:
    """What has to be tried for one contender and one request."""

    place: Place
    case: Case
    contender: Contender
    methods: tuple[Method, ...]

    @property
    def measured(self) -> list[Measured]:
        """The audit of each trial."""
        return [Measured(case=self.case, of=Unlearned(case=self.case, method=one)) for one in self.methods]

    @property
    def reference(self) -> Measured:
        """The audit of the network that they are compared with."""
        return Measured(case=self.case, of=Retrained(case=self.case))


def trials(suite: Suite) -> Iterator[Trials]:
    """Everything to be tuned: contenders with a choice, each world at one bit width, every request."""
    for world in dict.fromkeys(map(suite.tuning_world, suite.worlds)):
        ground = Ground(world=world, seed=suite.tuning_seed, parts=BLIND)
        for scenario in dict.fromkeys(map(suite.tuning_scenario, suite.scenarios)):
            references = suite.references if scenario.needs_references else 0
            case = Case(ground=ground, scenario=scenario, references=references)
            for contender in suite.contenders:
                options = contender.trials()
                if len(options) > 1:
                    augment = world.recipe.augment
                    methods = tuple(contender.method(fields, augment=augment) for fields in options)
                    yield Trials(place_of(world, scenario, contender), case, contender, methods)


@dataclass(frozen=True)
class Line:
    """A row to come.

    Attributes:
        case: the request.
        name: of the row.
        of: its network; None when there are no settings to make it with.
        error: why, in that case.
    """

    case: Case
    name: str
    of: Network | None
    error: str = ""

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What the row needs: its audit, and that of the retrained network."""
        if self.of is None:
            return ()
        return (Measured(case=self.case, of=self.of), Measured(case=self.case, of=Retrained(case=self.case)))


def lines(suite: Suite, tuned: Tuned) -> Iterator[Line]:
    """Every row of a suite, cell by cell."""
    for world in suite.worlds:
        for scenario in suite.scenarios:
            for seed in suite.seeds:
                ground = Ground(world=world, seed=seed)
                case = Case(ground=ground, scenario=scenario, references=suite.references)
                yield Line(case, ORIGINAL, case.original)
                yield Line(case, RETRAINED, Retrained(case=case))
                yield Line(case, AGAIN, Retrained(case=case, again=True))
                for contender in suite.contenders:
                    yield _line(suite, tuned, case, contender)


def _line(suite: Suite, tuned: Tuned, case: Case, contender: Contender) -> Line:
    world, scenario = case.ground.world, case.scenario
    try:
        fields = tuned.fields(suite, world, scenario, contender)
        method = contender.method(fields, augment=world.recipe.augment)
    except ObliqError as error:
        return Line(case, contender.name, None, str(error))
    return Line(case, contender.name, Unlearned(case=case, method=method))


def cell_of(world: World, scenario: Scenario) -> tuple[str, str, str, str]:
    """Data, architecture, bits and request."""
    return world.data, world.architecture, world.bits, scenario.words
