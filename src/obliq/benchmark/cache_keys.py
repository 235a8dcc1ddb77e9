"""The key of a task: a digest of everything that decides its result.

A key covers the content of the data, the training setting, the request, the seed, each method's registered name,
fields and version, the versions of the other parts that take part, the device, the precision and PyTorch's version.

Code enters a key by explicit versions, not by a digest of its source. A digest changes whenever code is moved,
renamed or rewritten, although the results stay the same, and each such change would discard days of computed
results. A version is a statement, "this computes the same as before", that a test can check: `tests.benchmark.canaries`
recomputes a small case of each part and compares it with committed numbers. Each part has its version where it is
defined:

    Method.version         what a method computes, including the shared steps that it calls
    Recipe.version         training: the loop, networks, their initial values, quantizers
    PartitionRule.version  the division of the data into training, holdout and test part
    Scenario.version       the choice of the samples to forget
    REFERENCES_VERSION     the halves and seeds of reference networks
    MEMORISATION_VERSION   memorisation scores
    MEASUREMENT_VERSION    the numbers of an audit
    TASKS_VERSION          seeds and order of the steps that a task makes of these parts

A key holds no module path and no class name of this package, and neither this package's nor Python's version. It
does hold the field names of setups, recipes and methods: to rename one, or to add one, makes other keys.
Of a network that the user's code builds (`module:function`), a key holds the digest of that module's source, as such
code has no version. Modules that it imports are not covered.

Not covered either, though it can change the last digits of a result: the kind of processor or accelerator, the number
of threads, and the versions of NumPy, SciPy and scikit-learn.
"""

import dataclasses
import hashlib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from obliq.auditing.measure import MEASUREMENT_VERSION
from obliq.auditing.reference_attacks import MEMORISATION_VERSION
from obliq.auditing.reference_models import REFERENCES_VERSION
from obliq.benchmark.cache import digest_of
from obliq.benchmark.scenario import Scenario
from obliq.benchmark.tasks import (
    TASKS_VERSION,
    AuditTask,
    Experiment,
    OriginalTask,
    Problem,
    ReferenceTask,
    RetrainedTask,
    Task,
    UnlearnedTask,
    task_kind,
)
from obliq.data import PartitionRule, load_dataset
from obliq.errors import ModelError
from obliq.io.strict_json import encode, is_omitted
from obliq.io.user_code import first_line, import_function
from obliq.methods import Method, Retrain, registered_name
from obliq.models.architectures import is_import_path
from obliq.training.loop import Recipe


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What all results of a run have in common.

    Attributes:
        data: digest of every data set, by its name.
        torch: PyTorch's version.
        device: cpu or cuda.
        autocast: whether convolutions run in bfloat16.
        compiled: whether trainings run through torch.compile.
        official_tests: names of the data sets with an official test part, which every seed has in common.
    """

    data: Mapping[str, str]
    torch: str
    device: str = "cpu"
    autocast: bool = False
    compiled: bool = False
    official_tests: frozenset[str] = frozenset()


def load_environment(
    data: Iterable[str], folder: Path | None, device: str, *, autocast: bool, compiled: bool = False
) -> Environment:
    """Load every data set once, for its digest and its kind of test part.

    Raises:
        ObliqError: when a data set is missing.
    """
    digests, official = dict[str, str](), set[str]()
    for name in sorted(set(data)):
        collection = load_dataset(name, folder)
        digests[name] = collection.digest
        if collection.test_marks.any():
            official.add(name)
    return Environment(
        data=digests,
        official_tests=frozenset(official),
        torch=str(torch.__version__),
        device=device,
        autocast=autocast,
        compiled=compiled,
    )


@dataclass(frozen=True)
class TaskKeys:
    """The key of every task; each is computed once."""

    environment: Environment
    _known: dict[Task, str] = field(default_factory=dict, repr=False, compare=False)

    def of(self, task: Task) -> str:
        """The key of a task."""
        key = self._known.get(task)
        if key is None:
            key = self._known[task] = digest_of(self.inputs(task))
        return key

    def inputs(self, task: Task) -> dict[str, Any]:
        """Everything that decides a task's result; the digest of it is its key."""
        common = {"task": task_kind(task), "tasks_version": TASKS_VERSION}
        match task:
            case OriginalTask():
                own = self._experiment(task.experiment)
            case ReferenceTask():
                own = self._experiment(task.experiment) | {
                    "number": task.number,
                    "count": task.count,
                    "references_version": REFERENCES_VERSION,
                }
            case RetrainedTask():
                own = self._problem(task.problem) | {"again": task.again, "retrain_version": Retrain.version}
            case UnlearnedTask():
                own = self._problem(task.problem) | {
                    "original": self.of(task.problem.original),
                    "method": describe_method(task.method),
                }
            case AuditTask():
                own = {
                    **self._request(task.problem),
                    "of": self.of(task.network),
                    "blind": task.problem.experiment.without_test,
                    "references": [self.of(one) for one in task.needs if isinstance(one, ReferenceTask)],
                    "measurement_version": MEASUREMENT_VERSION,
                }
        return common | own

    def _problem(self, problem: Problem) -> dict[str, Any]:
        return self._request(problem) | self._experiment(problem.experiment)

    def _request(self, problem: Problem) -> dict[str, Any]:
        return {
            "scenario": problem.scenario.text,
            "scenario_version": Scenario.version,
            "chosen_by": [self.of(one) for one in problem.selection_needs],
            "memorisation_version": MEMORISATION_VERSION if problem.selection_needs else None,
        }

    def _experiment(self, experiment: Experiment) -> dict[str, Any]:
        environment, aside = self.environment, experiment.apart_from
        return {
            "setting": encode(experiment.setup),
            "seed": experiment.seed,
            "parts": list(experiment.parts),
            "data": environment.data[experiment.setup.data],
            "torch": environment.torch,
            "device": environment.device,
            "autocast": environment.autocast,
            "partition_version": PartitionRule.version,
            "training_version": Recipe.version,
            **({"compiled": True} if environment.compiled else {}),
            **({"apart_from": [encode(rule) for rule in aside]} if aside else {}),
            **_users_source(experiment.setup.architecture),
        }


def _users_source(architecture: str) -> dict[str, str]:
    """The digest of the module that builds a user's network; empty for a built-in one.

    Raises:
        ModelError: when the module cannot be imported.
    """
    if not is_import_path(architecture):
        return {}
    try:
        import_function(architecture)
        file = Path(sys.modules[architecture.partition(":")[0]].__file__ or "")
        return {"network_source": hashlib.sha256(file.read_bytes()).hexdigest()}
    except Exception as error:
        raise ModelError(
            f"{architecture}: {first_line(error)}; expected a function in a Python file that builds a network"
        ) from error


def describe_method(method: Method) -> dict[str, Any]:
    """A method as text and numbers: its registered name (`module:class` without one), version and fields."""
    kind = type(method)
    fields = {
        one.name: value
        for one in dataclasses.fields(kind)  # type: ignore[arg-type]
        if not is_omitted(value := getattr(method, one.name), one)
    }
    return {
        "name": registered_name(kind) or f"{kind.__module__}:{kind.__qualname__}",
        "version": kind.version,
        "fields": {
            name: describe_method(value) if isinstance(value, Method) else encode(value)
            for name, value in fields.items()
        },
    }
