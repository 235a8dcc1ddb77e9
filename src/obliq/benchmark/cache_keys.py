"""The digest of everything that makes a task's result: data, settings, seeds, code and versions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from obliq.benchmark.cache import key_of
from obliq.benchmark.sources import Sources
from obliq.benchmark.tasks import (
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
from obliq.checkpoints import present_versions
from obliq.data import load_dataset
from obliq.errors import ObliqError
from obliq.io.strict_json import encode
from obliq.methods import Method

TRAINING = (
    "obliq.benchmark.scenario", "obliq.benchmark.suite", "obliq.checkpoints.metadata", "obliq.methods.retrain",
    "obliq.models", "obliq.training.loop",
)  # fmt: skip
AUDITING = ("obliq.auditing", "obliq.benchmark.execute", "obliq.benchmark.worker_state")
REFERENCES = ("obliq.auditing.reference_models",)
MEMORISATION = (
    *REFERENCES,
    "obliq.auditing.reference_attacks",
    "obliq.auditing.reference_attacks",
    "obliq.auditing.signals",
)
"""Of these, training needs single functions only: a new attack shall not have references trained anew."""
FORM = 1
"""Raised when the workshop does something else with the same modules."""


@dataclass(frozen=True, kw_only=True)
class Origins:
    """What all results of a run have in common.

    Attributes:
        data: digest of every data set, by its words.
        code: digest of every group of modules, by its name.
        versions: of this package, PyTorch and Python.
        device: cpu or cuda.
        autocast: whether convolutions run in bfloat16.
    """

    data: Mapping[str, str]
    code: Mapping[str, str]
    versions: Mapping[str, str]
    device: str = "cpu"
    autocast: bool = False


def origins(
    data: Iterable[str], methods: Iterable[type[Method]], folder: Path | None, device: str, *, autocast: bool
) -> Origins:
    """Load every data set once, for its digest, and take the digests of the code.

    Raises:
        ObliqError: when a data set is missing or code is in no file.
    """
    return Origins(
        data={name: load_dataset(name, folder).digest for name in sorted(set(data))},
        code=code_digests(kind.__module__ for kind in methods),
        versions=present_versions(),
        device=device,
        autocast=autocast,
    )


def code_digests(method_modules: Iterable[str]) -> dict[str, str]:
    """The digest of training, of auditing, and of each method."""
    sources = Sources()
    return {
        "training": sources.digest(TRAINING),
        "references": sources.digest(TRAINING, alone=REFERENCES),
        "memorisation": sources.digest(TRAINING, alone=MEMORISATION),
        "auditing": sources.digest((*AUDITING, *REFERENCES)),
        **{module: sources.digest((*TRAINING, module)) for module in sorted(set(method_modules))},
    }


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
        common = {"form": FORM, "task": kind_of(task), "versions": dict(self.origins.versions)}
        match task:
            case Original():
                made = self._ground(task.ground)
            case Reference():
                made = self._ground(task.ground) | {
                    "number": task.number, "count": task.count, "code": self._code("references"),
                }  # fmt: skip
            case Retrained():
                made = self._case(task.case) | {"again": task.again}
            case Unlearned():
                made = self._case(task.case) | {
                    "original": self.of(task.case.original),
                    "method": described(task.method),
                    "code": self._code(type(task.method).__module__),
                }
            case Measured():
                made = {
                    "of": self.of(task.of),
                    "scenario": task.case.scenario.words,
                    "blind": task.case.ground.blind,
                    "references": [self.of(one) for one in task.needs if isinstance(one, Reference)],
                    "code": self._code("auditing"),
                }
        return common | made

    def _case(self, case: Case) -> dict[str, Any]:
        return {
            "scenario": case.scenario.words,
            "chosen_by": [self.of(one) for one in case.chosen_by],
            "chosen_as": self._code("memorisation") if case.chosen_by else None,
            **self._ground(case.ground),
        }

    def _ground(self, ground: Ground) -> dict[str, Any]:
        origins = self.origins
        return {
            "ground": encode(ground), "data": origins.data[ground.world.data],
            "code": self._code("training"), "device": origins.device, "autocast": origins.autocast,
        }  # fmt: skip

    def _code(self, name: str) -> str:
        if name not in self.origins.code:
            raise ObliqError(f"the digest of module {name!r} was not taken; expected a contender's module")
        return self.origins.code[name]


def described(method: Method) -> dict[str, Any]:
    """A method as text and numbers."""
    kind = type(method)
    return {"kind": f"{kind.__module__}.{kind.__qualname__}", "fields": encode(method)}
