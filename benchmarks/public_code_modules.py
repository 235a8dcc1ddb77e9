"""Public code of unlearning methods, imported from a checkout, with stand-ins for what it imports besides.

Nothing of it is copied. Its data sets, pruning and logging are replaced, `.cuda()` does nothing, samples come in the
order of the data, and labels depend on nothing but their number.
"""

import argparse
import contextlib
import importlib.util
import io
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from obliq.data import Examples

Q_MUL, SALUN = "Green-Edge-AI-Group/MU-Q-MUL", "OPTML-Group/Unlearn-Saliency"
MODULES = {
    Q_MUL: ("unlearn.FT", "unlearn.GA", "unlearn.RL", "unlearn.RL_min"),
    SALUN: ("unlearn.RL", "generate_mask"),
}


class Samples(Dataset[tuple[Tensor, int]]):
    """Samples as the public code has them: `targets` can be replaced."""

    def __init__(self, examples: Examples) -> None:
        self.inputs = examples.inputs()
        self.targets = examples.labels.numpy().copy()

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        return self.inputs[position], int(self.targets[position])


class Meter:
    """Stands for the meter that the public code logs with."""

    val = avg = 0.0

    def update(self, value: float, count: int) -> None:
        """Keep nothing."""


def public_modules(checkout: Path, repository: str, *names: str) -> dict[str, Any]:
    """Modules of the public code.

    Args:
        checkout: its folder.
        repository: its name, for the message.
        names: of the modules, such as `unlearn.RL`, from the folder that has `unlearn`; all of one package.

    Raises:
        SystemExit: when the folder lacks one of them.
    """
    wanted = [Path(*name.split(".")).with_suffix(".py") for name in names]
    folder = next(
        (one.parents[len(wanted[0].parts) - 1] for one in sorted(checkout.glob(f"**/{wanted[0]}"))), None
    )
    missing = [str(file) for file in wanted if folder is None or not (folder / file).is_file()]
    if folder is None or missing:
        raise SystemExit(f"{checkout} has no {missing[0]}; expected a checkout of {repository}")
    package = types.ModuleType(wanted[0].parts[0])
    # imports the files one by one, without the package's own list of all
    package.__path__ = [str(folder / package.__name__)]
    stand_ins: dict[str, Any] = {
        "arg_parser": types.ModuleType("arg_parser"),
        "utils": types.SimpleNamespace(AverageMeter=Meter, accuracy=lambda output, target: [torch.zeros(1)]),
        "pruner": types.SimpleNamespace(extract_mask=None, prune_model_custom=None, remove_prune=None),
        "imagenet": types.SimpleNamespace(get_x_y_from_data_dict=None),
        "matplotlib": types.ModuleType("matplotlib"),
        "matplotlib.pyplot": types.ModuleType("matplotlib.pyplot"),
        "ipdb": types.ModuleType("ipdb"),  # a debugger
        package.__name__: package,
    }
    with mock.patch.dict(sys.modules, stand_ins):
        return {name: _imported(name, folder / file) for name, file in zip(names, wanted, strict=True)}


def add_checkouts(parser: argparse.ArgumentParser) -> None:
    """Ask for the folders of the public code."""
    parser.add_argument("--q-mul", type=Path, required=True, help=f"checkout of {Q_MUL}")
    parser.add_argument("--salun", type=Path, required=True, help=f"checkout of {SALUN}")


def their_modules(given: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The modules of each repository that are compared, without the random dropping of input values."""
    checkouts = {Q_MUL: given.q_mul, SALUN: given.salun}
    modules = {name: public_modules(folder, name, *MODULES[name]) for name, folder in checkouts.items()}
    modules[Q_MUL]["unlearn.RL"].feature_dropping = lambda image, drop_prob: image
    return modules


def commit_of(checkout: Path) -> str:
    """The commit of a checkout."""
    words = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def _imported(name: str, file: Path) -> Any:
    """The module of a file."""
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{file} cannot be imported; expected a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def same_draws() -> Iterator[None]:
    """Samples in the order of the data, and labels that depend on nothing but their number; nothing is printed."""

    def labels(low: int, classes: int, shape: Any, **others: Any) -> Tensor:
        count = int(np.prod(tuple(shape) if hasattr(shape, "__len__") else (shape,)))
        return (7 * torch.arange(count) + 3) % classes

    with (
        mock.patch("torch.randperm", lambda count, **others: torch.arange(count)),
        mock.patch("torch.randint", labels),
        mock.patch("numpy.random.randint", lambda *given: labels(*given).numpy()),
        mock.patch.object(Tensor, "cuda", lambda tensor: tensor),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        yield
