"""The memory of a step is known before training, and a batch that does not fit is refused."""

import pytest
import torch
from torch import nn

from obliq.data import Collection, Examples
from obliq.errors import ModelError
from obliq.models import build_model, initialise
from obliq.quantization import quantize
from obliq.training import memory as memory_of_training
from obliq.training.memory import StepMemory, available_memory, rehearse, require_memory

CPU = torch.device("cpu")


def pictures(count: int, side: int = 16) -> Examples:
    collection = Collection("own", torch.rand(count, 1, side, side), torch.arange(count) % 2)
    return Examples(collection, torch.arange(count))


def test_what_a_linear_layer_keeps_is_its_input() -> None:
    found = rehearse(nn.Sequential(nn.Flatten(), nn.Linear(256, 2)), pictures(4))
    assert found is not None
    assert found[1].by_sample == pytest.approx(memory_of_training.SPARE * 256 * 4)
    assert found[1].fixed == 4 * 4 * (256 * 2 + 2)


def test_rounded_weights_are_kept_once_whatever_the_batch() -> None:
    model = quantize(
        nn.Sequential(nn.Flatten(), nn.Linear(256, 500), nn.Linear(500, 2)), "W4A4", input_shape=(1, 16, 16)
    )
    found = rehearse(model, pictures(4))
    assert found is not None
    weights = 4 * (256 * 500 + 500 * 2)
    assert found[1].by_sample < 0.1 * weights
    assert found[1].fixed > 5 * weights


@pytest.mark.parametrize("precision", ["FP32", "W4A4"])
def test_it_grows_with_the_picture_and_changes_nothing(precision: str) -> None:
    model = quantize(build_model("convnet", (1, 16, 16), 2), precision)
    initialise(model, seed=0)
    both = [pictures(4, side) for side in (16, 32)]
    state, random = {name: value.clone() for name, value in model.state_dict().items()}, torch.get_rng_state()
    small, large = (rehearse(model, examples) for examples in both)
    assert small is not None is not large
    assert large[1].by_sample / small[1].by_sample == pytest.approx(4, rel=0.01)
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert rehearse(model, pictures(1)) is None


@pytest.mark.parametrize(
    ("free", "batch", "said"),
    [
        (10_000, 128, None),
        (5_000, 128, "a step on 64 samples of 1 x 16 x 16 takes about"),
        (5_000, 128, "expected --batch-size 32, or smaller samples"),
        (5_000, 32, None),
        (100, 128, "expected a smaller network or smaller samples"),
    ],
)
def test_the_batch_that_fits_is_named(
    free: int, batch: int, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_of_training, "available_memory", lambda device: free)
    taken = StepMemory(by_sample=100, fixed=200)
    if said is None:
        require_memory(taken, pictures(64), batch, CPU)
        return
    with pytest.raises(ModelError) as caught:
        require_memory(taken, pictures(64), batch, CPU)
    assert said in str(caught.value)


def test_free_memory_of_this_machine() -> None:
    free = available_memory(CPU)
    assert free is None or 2**20 < free < 2**45
