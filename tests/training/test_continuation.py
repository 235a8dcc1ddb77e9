"""A training that was interrupted ends with the same integers and the same trace as one that was not."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest
from torch import nn

from obliq.data import Partition
from obliq.models import initialise
from obliq.quantization import quantize, weights_digest
from obliq.run import Run, Trace, TrainingsFolder
from obliq.training import continuation
from obliq.training.loop import Recipe, fit
from tests.conftest import SmallNet

RECIPE = Recipe(epochs=4, learning_rate=0.05, batch_size=32)


class KilledError(Exception):
    """Ends a training as a kill does, but for what the process would still do."""


@pytest.fixture(autouse=True)
def keep_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(continuation, "SECONDS_BETWEEN", 0.0)


@pytest.fixture
def untrained() -> nn.Module:
    class WithDropout(SmallNet):
        def __init__(self) -> None:
            super().__init__()
            self.features.append(nn.Dropout(0.3))  # draws from torch's own generator

    model = quantize(WithDropout(), weight_bits=4, activation_bits=4)
    initialise(model, 0)
    return model


def trained(
    model: nn.Module,
    parts: Partition,
    recipe: Recipe,
    folder: Path | None,
    *,
    until: int = 0,
    seed: int = 1,
    key: bytes = b"key",
) -> tuple[str, Trace]:
    """Digest and trace of a training that is interrupted after an epoch, or not."""
    trace = Trace()

    def listen(stage: str, step: int, of: int, values: Mapping[str, float]) -> None:
        trace(stage, step, of, values)
        if step == until:
            raise KilledError

    run = Run(seed=seed, listen=listen, trainings=None if folder is None else TrainingsFolder(folder, key))
    return weights_digest(fit(model, parts.train, recipe, run)), trace


@pytest.mark.parametrize("augment", [False, True])
def test_the_same_integers_after_any_interruption(
    augment: bool, untrained: nn.Module, parts: Partition, tmp_path: Path
) -> None:
    recipe = dataclasses.replace(RECIPE, augment=augment)
    whole = trained(untrained, parts, recipe, None)
    assert trained(untrained, parts, recipe, tmp_path / "whole") == whole
    for epoch in (1, 2):
        with pytest.raises(KilledError):
            trained(untrained, parts, recipe, tmp_path / str(epoch), until=epoch)
        with pytest.raises(KilledError):
            trained(untrained, parts, recipe, tmp_path / str(epoch), until=epoch + 1)
        assert len(list((tmp_path / str(epoch)).iterdir())) == 1
        assert trained(untrained, parts, recipe, tmp_path / str(epoch)) == whole


def test_another_training_does_not_go_on_from_it(
    untrained: nn.Module, parts: Partition, tmp_path: Path
) -> None:
    with pytest.raises(KilledError):
        trained(untrained, parts, RECIPE, tmp_path, until=2)
    others = [{"seed": 2}, {"recipe": dataclasses.replace(RECIPE, learning_rate=0.04)}]
    for other in others:
        given = {"model": untrained, "parts": parts, "recipe": RECIPE, **other}
        assert trained(folder=tmp_path, **given) == trained(folder=None, **given)  # type: ignore[arg-type]


def test_a_file_that_was_cut_off_or_altered_is_not_used(
    untrained: nn.Module, parts: Partition, tmp_path: Path
) -> None:
    whole = trained(untrained, parts, RECIPE, None)
    with pytest.raises(KilledError):
        trained(untrained, parts, RECIPE, tmp_path, until=2)
    (kept,) = tmp_path.iterdir()
    content = kept.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    for damaged in (b"", content[:-1], content.replace(b'"F32"', b'"F64"', 1), flipped):
        kept.write_bytes(damaged)
        assert trained(untrained, parts, RECIPE, tmp_path) == whole


def test_names_and_files_are_of_one_key(untrained: nn.Module, parts: Partition, tmp_path: Path) -> None:
    """Who has the data and no key cannot confirm which samples remained, nor write a file that is used."""
    for key in (b"one", b"other"):
        with pytest.raises(KilledError):
            trained(untrained, parts, RECIPE, tmp_path, until=2, key=key)
    one, other = sorted(tmp_path.iterdir())
    assert one.name != other.name
    one.write_bytes(other.read_bytes())
    whole = trained(untrained, parts, RECIPE, None)
    for key in (b"one", b"other"):
        assert trained(untrained, parts, RECIPE, tmp_path, key=key) == whole
