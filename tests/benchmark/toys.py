"""A benchmark that takes seconds: noisy pictures of twelve people, one small network, methods that fail on demand."""

import copy
import dataclasses
import os
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from rich.console import Console
from torch import nn

from obliq.benchmark.cache_keys import Environment
from obliq.benchmark.method_variant import MethodVariant
from obliq.benchmark.rows import ResultRow
from obliq.benchmark.run import BenchmarkOptions
from obliq.benchmark.scenario import Scenario
from obliq.benchmark.suite import Setup, Suite
from obliq.benchmark.variants import with_default_fields
from obliq.data import Splits
from obliq.errors import ModelError
from obliq.methods import FineTune
from obliq.run import Run
from obliq.training.loop import Recipe
from tests.benchmark.synthetic_rows import change_row


@dataclass(frozen=True, kw_only=True)
class Tunable:
    """Fine-tune, at one of two rates.

    Attributes:
        learning_rate: of fine-tuning.
        epochs: of fine-tuning.
    """

    learning_rate: float = 0.01
    epochs: int = 1
    version: ClassVar[int] = 1
    search: ClassVar[dict[str, tuple[Any, ...]]] = {"learning_rate": (0.3, 0.001)}

    def unlearn(self, model: nn.Module, splits: Splits, run: Run) -> nn.Module:
        method = FineTune(epochs=self.epochs, learning_rate=self.learning_rate, batch_size=32)
        return method.unlearn(model, splits, run)


@dataclass(frozen=True, kw_only=True)
class Failing:
    """Says that it cannot."""

    version: ClassVar[int] = 1

    def unlearn(self, model: nn.Module, splits: Splits, run: Run) -> nn.Module:
        raise ModelError("nothing works here; expected a better day")


@dataclass(frozen=True, kw_only=True)
class Broken:
    """Has a mistake in it."""

    version: ClassVar[int] = 1

    def unlearn(self, model: nn.Module, splits: Splits, run: Run) -> nn.Module:
        return copy.deepcopy(model).there_is_no_such_layer  # type: ignore[return-value]


@dataclass(frozen=True, kw_only=True)
class Dying:
    """Takes its process down with it, as running out of memory does."""

    version: ClassVar[int] = 1

    def unlearn(self, model: nn.Module, splits: Splits, run: Run) -> nn.Module:
        os._exit(9)


@dataclass(frozen=True, kw_only=True)
class InPlace:
    """Changes the network that it is given."""

    version: ClassVar[int] = 1

    def unlearn(self, model: nn.Module, splits: Splits, run: Run) -> nn.Module:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
        return model


@dataclass(frozen=True, kw_only=True)
class Nothing:
    """Returns no network."""

    version: ClassVar[int] = 1

    def unlearn(self, model: nn.Module, splits: Splits, run: Run) -> nn.Module:
        return None  # type: ignore[return-value]


@dataclass(frozen=True, kw_only=True)
class Nowhere(FineTune):  # type: ignore[misc]
    """States an access that there is not."""

    access: ClassVar[str] = "nowhere"


TUNABLE = MethodVariant(name="tunable", method_class=Tunable)
FIXED = MethodVariant(name="fixed", method_class=Tunable, fixed={"learning_rate": 0.05})


def people(file: Path, samples: int = 240) -> str:
    """Write the data set; the words that load it."""
    generator = np.random.default_rng(0)
    labels = np.arange(samples) % 3
    inputs = generator.normal(size=(3, 1, 6, 6))[labels] + generator.normal(size=(samples, 1, 6, 6))
    np.savez(file, x=inputs.astype(np.float32), y=labels, subject=np.arange(samples) // 3 % 12)
    return f"npz:{file}"


def suite(data: str, *variants: MethodVariant, **changes: Any) -> Suite:
    """One setup, one request, one seed."""
    setup = Setup(data=data, architecture="convnet", recipe=Recipe(epochs=1, batch_size=32))
    plain = Suite(
        name="toy",
        setups=(setup,),
        scenarios=(Scenario("random=20%"),),
        seeds=(1,),
        references=0,
        variants=variants or (TUNABLE,),
    )
    return dataclasses.replace(plain, **changes)


def options(folder: Path, **changes: Any) -> BenchmarkOptions:
    """Everything below one folder, and nothing printed."""
    usual = {
        "cache": folder / "cache",
        "results": folder / "results",
        "console": Console(file=StringIO()),
    }
    return BenchmarkOptions(**(usual | changes))


def but_for_times(rows: list[ResultRow]) -> list[ResultRow]:
    """Rows without what no two runs agree on."""
    return [change_row(row, seconds=None, time_ratio=None, peak_memory_mb=None) for row in rows]


def environment_of(of: Suite) -> Environment:
    """As if every data set were there."""
    return Environment(data={setup.data: "0" * 64 for setup in of.setups}, torch="2.0")


def untuned_suite(one: Suite) -> Suite:
    """The same with nothing to choose."""
    return dataclasses.replace(one, variants=tuple(map(with_default_fields, one.variants)))
