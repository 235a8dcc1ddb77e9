"""Canaries: small fixed computations whose results are committed, one for each part that has a version.

A benchmark's keys count code by versions (see `obliq.benchmark.cache_keys`). A canary that gives other numbers under
the same versions shows that a part computes something else: its version must then be raised. Record the new numbers:

    python -m tests.benchmark.canaries [PART ...]

which adds what is missing, drops what is gone, and refuses to overwrite numbers whose versions are unchanged. Names of
parts, such as methods, leave all other canaries as they are.

The tolerance is far above what another processor's rounding changes, and far below what another formula does.
"""

import functools
import json
import math
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from obliq.auditing.measure import MEASUREMENT_VERSION
from obliq.auditing.reference_attacks import MEMORISATION_VERSION
from obliq.auditing.reference_models import REFERENCES_VERSION
from obliq.benchmark.scenario import Scenario
from obliq.benchmark.tasks import (
    TASKS_VERSION,
)
from obliq.data import PartitionRule
from obliq.methods import FineTune, Retrain, registered_name
from obliq.models.architectures import ARCHITECTURES
from obliq.training.loop import Recipe
from tests.benchmark.canary_cases import (
    Numbers,
    audited,
    built,
    chosen,
    divided,
    done,
    memorised,
    methods,
    referred,
    trained,
    unlearned,
)

FILE = Path(__file__).with_suffix(".json")
TOLERANCE = 0.002
Versions = dict[str, int]


@dataclass(frozen=True)
class Canary:
    """A computation and the versions that its numbers belong to."""

    versions: Versions
    compute: Callable[[], Numbers]


@dataclass(frozen=True)
class Recorded:
    """What the file holds about a canary."""

    versions: Versions
    numbers: Numbers


def canaries() -> dict[str, Canary]:
    """Every canary, by its name."""
    training = {"training": Recipe.version}
    found = {f"network {name}": Canary(training, functools.partial(built, name)) for name in ARCHITECTURES}
    found["training"] = Canary(training, trained)
    for name, method in methods():
        of = registered_name(type(method)) or type(method).__name__.lower()
        found[name] = Canary({of: type(method).version} | training, functools.partial(unlearned, method))
    parts = {"partition": PartitionRule.version}
    scenario, referring = {"scenario": Scenario.version}, {"references": REFERENCES_VERSION}
    whole = {"tasks": TASKS_VERSION, "retrain": Retrain.version, "fine-tune": FineTune.version}
    return found | {
        "partition": Canary(parts, divided),
        "scenario": Canary(scenario | parts, chosen),
        "references": Canary(referring | training, referred),
        "memorisation": Canary({"memorisation": MEMORISATION_VERSION}, memorised),
        "measurement": Canary({"measurement": MEASUREMENT_VERSION}, audited),
        "tasks": Canary(whole | scenario | referring | parts | training, done),
    }


def recorded(file: Path = FILE) -> dict[str, Recorded]:
    """The committed numbers."""
    if not file.exists():
        return {}
    return {name: Recorded(**one) for name, one in json.loads(file.read_text()).items()}


def agree(one: Iterable[float], other: Iterable[float]) -> bool:
    """Whether numbers are the same but for rounding."""
    pairs = zip(one, other, strict=True)
    return all(math.isclose(a, b, rel_tol=0, abs_tol=TOLERANCE) for a, b in pairs)


def complaint(name: str, canary: Canary, known: Recorded | None) -> str:
    """What is wrong with a canary and what to do about it; empty when nothing is."""
    versions = ", ".join(f"{part} {version}" for part, version in canary.versions.items())
    if known is None or known.versions != canary.versions:
        return f"{name}: nothing is recorded under the versions {versions}; run python -m tests.benchmark.canaries"
    numbers = canary.compute()
    if len(numbers) == len(known.numbers) and agree(numbers, known.numbers):
        return ""
    return (
        f"{name} computes something else than under the versions {versions}. If that is meant, raise the version of "
        f"the part that changed and run python -m tests.benchmark.canaries. {numbers} instead of {known.numbers}"
    )


def record(file: Path, computed: Mapping[str, Canary], parts: Collection[str] = ()) -> list[str]:
    """Write the numbers of all canaries; what is wrong with those that changed without a version.

    Args:
        file: holds the numbers.
        computed: every canary.
        parts: recompute only canaries of these parts, and those of which nothing is recorded; all when empty.
    """
    before, after, wrong = recorded(file), dict[str, Recorded](), list[str]()
    for name, canary in computed.items():
        known = before.get(name)
        if known is not None and parts and not canary.versions.keys() & parts:
            after[name] = known
        elif known is not None and known.versions == canary.versions:
            wrong += filter(None, [complaint(name, canary, known)])
            after[name] = known
        else:
            after[name] = Recorded(canary.versions, [round(number, 5) for number in canary.compute()])
    lines = (f"{json.dumps(name)}: {json.dumps(vars(one))}" for name, one in sorted(after.items()))
    file.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    return wrong


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit("\n".join(record(FILE, canaries(), set(sys.argv[1:]))) or None)
