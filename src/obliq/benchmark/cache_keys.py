"""The key of a task: a digest of everything that decides its result.

A key covers the content of the data, the training setting, the request, the seed, each method's registered name,
fields and version, the versions of the other parts that take part, the device, the precision and PyTorch's version.

Code enters a key by explicit versions, not by a digest of its source. A digest changes whenever code is moved,
renamed or rewritten, although the results stay the same, and each such change would discard days of computed
results. A version is a statement, "this computes the same as before", that a test can check: `tests.benchmark.canaries`
recomputes a small case of each part and compares it with committed numbers. Each part has its version where it is
defined:

    Method.version            what a method computes, including the shared steps that it calls
    Recipe.version            training: the loop, networks, their initial values, quantizers
    PartitionRule.version     the division of the data into training, holdout and test part
    Scenario.version          the choice of the samples to forget
    REFERENCES_VERSION        the halves and seeds of reference networks
    MEMORISATION_VERSION      memorisation scores
    MEASUREMENT_VERSION       the numbers of an audit
    TASKS_VERSION             seeds and order of the steps that a task makes of these parts

A key holds no module path and no class name of this package, and neither this package's nor Python's version. It
does hold the field names of settings, recipes and methods: to rename one, or to add one, makes other keys.
Not covered, though it can change the last digits of a result: the kind of processor or accelerator, the number
of threads, and the versions of NumPy, SciPy and scikit-learn.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from obliq.auditing.measure import MEASUREMENT_VERSION
from obliq.auditing.reference_attacks import MEMORISATION_VERSION
from obliq.auditing.reference_models import REFERENCES_VERSION
from obliq.benchmark.cache import key_of
from obliq.benchmark.scenario import Scenario
from obliq.benchmark.tasks import (
    TASKS_VERSION,
    Case,
    Ground,
    Measured,
    Original,
    Reference,
    Retrained,
    Task,
    Unlearned,
    kind_of,
)
from obliq.data import PartitionRule, load_dataset
from obliq.io.strict_json import encode
from obliq.methods import Method, Retrain, registered_name
from obliq.training.loop import Recipe


@dataclass(frozen=True, kw_only=True)
class Origins:
    """What all results of a run have in common.

    Attributes:
        data: digest of every data set, by its words.
        torch: PyTorch's version.
        device: cpu or cuda.
        autocast: whether convolutions run in bfloat16.
    """

    data: Mapping[str, str]
    torch: str
    device: str = "cpu"
    autocast: bool = False


def origins(data: Iterable[str], folder: Path | None, device: str, *, autocast: bool) -> Origins:
    """Load every data set once, for its digest.

    Raises:
        ObliqError: when a data set is missing.
    """
    return Origins(
        data={name: load_dataset(name, folder).digest for name in sorted(set(data))},
        torch=str(torch.__version__),
        device=device,
        autocast=autocast,
    )


@dataclass(frozen=True)
class Keys:
    """The key of every task; each is computed once."""

    origins: Origins
    _known: dict[Task, str] = field(default_factory=dict, repr=False, compare=False)

    def of(self, task: Task) -> str:
        """The key of a task."""
        key = self._known.get(task)
        if key is None:
            key = self._known[task] = key_of(self.made_by(task))
        return key

    def made_by(self, task: Task) -> dict[str, Any]:
        """What a task's result is made by; the digest of this is its key."""
        common = {"task": kind_of(task), "tasks_version": TASKS_VERSION}
        match task:
            case Original():
                made = self._ground(task.ground)
            case Reference():
                made = self._ground(task.ground) | {
                    "number": task.number,
                    "count": task.count,
                    "references_version": REFERENCES_VERSION,
                }
            case Retrained():
                made = self._case(task.case) | {"again": task.again, "retrain_version": Retrain.version}
            case Unlearned():
                made = self._case(task.case) | {
                    "original": self.of(task.case.original),
                    "method": described(task.method),
                }
            case Measured():
                made = {
                    **self._request(task.case),
                    "of": self.of(task.of),
                    "blind": task.case.ground.blind,
                    "references": [self.of(one) for one in task.needs if isinstance(one, Reference)],
                    "measurement_version": MEASUREMENT_VERSION,
                }
        return common | made

    def _case(self, case: Case) -> dict[str, Any]:
        return self._request(case) | self._ground(case.ground)

    def _request(self, case: Case) -> dict[str, Any]:
        return {
            "scenario": case.scenario.words,
            "scenario_version": Scenario.version,
            "chosen_by": [self.of(one) for one in case.chosen_by],
            "memorisation_version": MEMORISATION_VERSION if case.chosen_by else None,
        }

    def _ground(self, ground: Ground) -> dict[str, Any]:
        origins = self.origins
        return {
            "setting": encode(ground.world),
            "seed": ground.seed,
            "parts": list(ground.parts),
            "data": origins.data[ground.world.data],
            "torch": origins.torch,
            "device": origins.device,
            "autocast": origins.autocast,
            "partition_version": PartitionRule.version,
            "training_version": Recipe.version,
        }


def described(method: Method) -> dict[str, Any]:
    """A method as text and numbers: its registered name (`module:class` without one), version and fields."""
    kind = type(method)
    fields = {one.name: getattr(method, one.name) for one in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return {
        "name": registered_name(kind) or f"{kind.__module__}:{kind.__qualname__}",
        "version": kind.version,
        "fields": {
            name: described(value) if isinstance(value, Method) else encode(value)
            for name, value in fields.items()
        },
    }
