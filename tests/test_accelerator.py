"""What holds on a processor holds on a CUDA device; skipped where there is none.

But for one promise: there the same seed need not give the same integers, as gradients are summed in any order.
"""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from obliq.benchmark.result_files import describe_machine
from obliq.cli import main
from obliq.data import Partition, Splits
from obliq.methods import Method
from obliq.quantization import quantize
from obliq.run import Run
from obliq.training.loop import Recipe, fit
from obliq.training.prediction import accuracy, predict
from tests.conftest import SmallNet
from tests.methods.test_contract import every_method, short

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
PROCESSOR, ACCELERATOR = torch.device("cpu"), torch.device("cuda")


def on_accelerator(seed: int = 1, *, autocast: bool = False) -> Run:
    return Run(seed=seed, device=ACCELERATOR, autocast=autocast)


def test_training_learns(parts: Partition, recipe: Recipe) -> None:
    untrained = quantize(SmallNet(), weight_bits=4, activation_bits=4)
    trained = fit(untrained, parts.train, recipe, on_accelerator())
    assert accuracy(trained, parts.train, ACCELERATOR) > 80


@every_method
def test_a_network_that_forgets_on_the_accelerator_keeps_what_is_retained(
    kind: type[Method], original: nn.Module, splits: Splits
) -> None:
    before = copy.deepcopy(original.state_dict())
    there = short(kind).unlearn(original, splits, on_accelerator())
    assert all(tensor.is_cuda for tensor in there.state_dict().values())
    assert all(torch.equal(before[name], tensor) for name, tensor in original.state_dict().items())
    here = short(kind).unlearn(original, splits, Run(seed=1))
    assert accuracy(there, splits.retain, ACCELERATOR) >= accuracy(here, splits.retain, PROCESSOR) - 10
    assert bool(torch.isfinite(predict(there, splits.forget, ACCELERATOR)).all())


@every_method
def test_half_precision_gives_a_sound_network(
    kind: type[Method], original: nn.Module, splits: Splits
) -> None:
    result = short(kind).unlearn(original, splits, on_accelerator(autocast=True))
    assert all(bool(torch.isfinite(tensor.float()).all()) for tensor in result.state_dict().values())


def test_a_network_answers_alike_on_both(original: nn.Module, splits: Splits) -> None:
    here, there = (
        predict(copy.deepcopy(original).to(one), splits.test, one) for one in (PROCESSOR, ACCELERATOR)
    )
    # a sum that ends on the other side of a rounding moves an activation by a whole step
    assert (here.argmax(dim=1) != there.argmax(dim=1)).float().mean() <= 0.05


def test_rows_of_a_benchmark_name_the_accelerator() -> None:
    assert describe_machine("cuda").keys() - describe_machine("cpu").keys() == {"accelerator"}


def test_the_whole_way_from_the_command_line(tmp_path: Path) -> None:
    assert main(["demo", "--out", str(tmp_path / "demo"), "--device", "cuda"]) == 0
    assert (tmp_path / "demo" / "report.html").is_file()
