"""What tests share: one thread, one small learnable data set, one small quantized network."""

import contextlib
import gc
import os
import signal
from collections.abc import Iterator, Sequence

import hypothesis
import jaxtyping
import pytest
import torch
from torch import nn

from obliq.data import Collection, Examples, Partition, PartitionRule, Splits, partition
from obliq.io.isolated.child import Child, isolated_reader
from obliq.io.isolated.reader import Reader
from obliq.io.isolated.worker import JOBS
from obliq.models import initialise
from obliq.quantization import quantize
from obliq.run import Run
from obliq.training.loop import Recipe, fit

CLASSES = 3

# how long a test takes is no property of the code
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_collection_finish() -> None:
    """Every collection of garbage would go through all imported modules again."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", autouse=True)
def _signals_as_in_a_terminal() -> None:
    """A process under nohup, or in a script's background, ignores some; every command that tests start would, too."""
    for number in (signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def _one_child_for_all_files() -> Iterator[None]:
    """Starting a child for each data set of each test would take a tenth of a second each time."""
    kept, owner = Child(list(JOBS), memory=2**33, seconds=3600), os.getpid()

    @contextlib.contextmanager
    def shared(jobs: Sequence[str], *, memory: int, seconds: int) -> Iterator[Reader]:
        if os.getpid() == owner:
            yield kept
        else:  # a fork has the same socket
            with isolated_reader(jobs, memory=memory, seconds=seconds) as reader:
                yield reader

    with pytest.MonkeyPatch.context() as patch:
        for module in ("cifar10", "image_folder", "npz_file"):
            patch.setattr(f"obliq.data.{module}.isolated_reader", shared)
        yield
    kept.end()


@pytest.fixture
def read_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a child, as on systems that have no limits for one."""
    monkeypatch.setattr("obliq.io.isolated.child.can_isolate", lambda: False)
    for module in ("cifar10", "image_folder", "npz_file"):
        monkeypatch.setattr(f"obliq.data.{module}.isolated_reader", isolated_reader)


class SmallNet(nn.Module):
    """Two convolutions, under 2,000 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.classifier = nn.Linear(16, CLASSES)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(inputs))


def make_collection(samples: int = 240, noise: float = 2.0, seed: int = 0) -> Collection:
    """Noisy pictures of three templates: learnable, with something left to learn by heart."""
    generator = torch.Generator().manual_seed(seed)
    templates = torch.randn(CLASSES, 1, 6, 6, generator=generator)
    labels = torch.arange(samples) % CLASSES
    inputs = templates[labels] + noise * torch.randn(samples, 1, 6, 6, generator=generator)
    subjects = torch.arange(samples) // 12
    return Collection("toy", inputs, labels, subjects, class_names=("a", "b", "c"))


@pytest.fixture(scope="session")
def parts() -> Partition:
    return partition(make_collection(), PartitionRule(seed=1, holdout=0.2, test=0.2))


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    return Recipe(epochs=25, learning_rate=0.05, batch_size=32)


@pytest.fixture(scope="session")
def original(parts: Partition, recipe: Recipe) -> nn.Module:
    model = quantize(SmallNet(), weight_bits=4, activation_bits=4)
    initialise(model, 0)
    return fit(model, parts.train, recipe, Run(seed=0))


@pytest.fixture(scope="session")
def splits(parts: Partition) -> Splits:
    subject = parts.collection.subjects[parts.train.indices[0]]
    forget = parts.train.indices[parts.collection.subjects[parts.train.indices] == subject]
    return parts.forgetting(forget, salt=b"0" * 32)


@pytest.fixture(scope="session")
def untestable(splits: Splits) -> Splits:
    """The same splits, with a test set that may not be looked at."""

    class Forbidden(Examples):
        @property
        def labels(self) -> torch.Tensor:
            raise AssertionError("a method read the labels of the test set")

        @property
        def indices(self) -> torch.Tensor:
            raise AssertionError("a method read the test set")

        @indices.setter
        def indices(self, value: torch.Tensor) -> None: ...

    guarded = object.__new__(Splits)
    for name in ("partition", "forget", "retain", "holdout", "salt"):
        object.__setattr__(guarded, name, getattr(splits, name))
    object.__setattr__(guarded, "test", object.__new__(Forbidden))
    return guarded


@pytest.fixture
def without_type_checks() -> Iterator[None]:
    """As a caller runs it, whose mistakes no type checker has caught before."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
