"""The usual way, gone once on a tiny data set; every test of the command line looks at its folders."""

import os
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from obliq.cli import main

PEOPLE = tuple(70_001 + 1_009 * number for number in range(12))
SHORT = ("--epochs", "2", "--batch-size", "32", "--threads", "1")
PROCESS = (sys.executable, "-c", "import sys; from obliq.cli import main; sys.exit(main())")


def pictures(samples: int = 144, shape: tuple[int, ...] = (1, 6, 6), seed: int = 0) -> dict[str, np.ndarray]:
    """Noisy pictures (or signals) of three templates, a dozen of each person."""
    generator = np.random.default_rng(seed)
    labels = np.arange(samples) % 3
    templates = generator.normal(size=(3, *shape))
    inputs = templates[labels] + generator.normal(size=(samples, *shape))
    people = np.array(PEOPLE)[np.arange(samples) // 12 % 12]
    return {"x": inputs.astype(np.float32), "y": labels, "subject": people}


@dataclass(frozen=True)
class Said:
    status: int
    out: str
    err: str


@pytest.fixture
def obliq(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run one command in this process."""

    def run(*words: object) -> Said:
        capsys.readouterr()
        try:
            status = main([str(word) for word in words])
        except SystemExit as exit:
            status = int(exit.code or 0)
        said = capsys.readouterr()
        return Said(status, said.out, said.err)

    return run


def start(
    *words: object, environment: dict[str, str] | None = None, **options: object
) -> subprocess.Popen[str]:
    """Start one command in a process of its own."""
    return subprocess.Popen(
        [*PROCESS, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
        **options,
    )  # type: ignore[call-overload,no-any-return]


def forked(folder: Path, *words: object, prepare: Callable[[], object] = lambda: None) -> Said:
    """Run one command in a copy of this process, which saves the seconds of importing everything again."""
    files = [folder / ".stdout", folder / ".stderr"]
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        status = 70
        try:
            for number, file in enumerate(files, start=1):
                os.dup2(os.open(file, os.O_CREAT | os.O_WRONLY), number)
            sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
            prepare()
            status = main([str(word) for word in words])
        except SystemExit as exit:
            status = int(exit.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    said = Said(status, *(file.read_text() for file in files))
    for file in files:
        file.unlink()
    return said


@dataclass(frozen=True)
class Way:
    """Folders of one request."""

    data: Path
    original: Path
    unlearned: Path
    retrained: Path
    person: int

    @property
    def folders(self) -> tuple[Path, ...]:
        return self.original, self.unlearned, self.retrained


@pytest.fixture(scope="session")
def way(tmp_path_factory: pytest.TempPathFactory) -> Way:
    """An original, and one person forgotten from it and left out of it."""
    folder = tmp_path_factory.mktemp("way")
    data = folder / "people.npz"
    np.savez(data, **pictures())
    original, unlearned, retrained = (folder / name for name in ("original", "unlearned", "retrained"))
    assert main(["train", f"npz:{data}", "--out", str(original), *SHORT]) == 0
    person = trained_person(original, data)
    request = ["--forget", f"subject={person}", "--threads", "1", "--out"]
    assert main(["unlearn", str(original), *request, str(unlearned), "oeu", "--epochs", "2"]) == 0
    assert main(["retrain", str(original), *request, str(retrained)]) == 0
    return Way(data, original, unlearned, retrained, person)


def trained_person(original: Path, data: Path) -> int:
    """Somebody whom the network was trained on."""
    from obliq.checkpoints.run_folder import load_run
    from obliq.workflow.pipeline import same_partition

    parts = same_partition(load_run(original).checkpoint, None)
    assert parts.collection.subjects is not None
    return int(parts.collection.subjects[parts.train.indices[0]])


@pytest.fixture
def own_way(way: Way, tmp_path: Path) -> Way:
    """A copy of the folders that a test may damage."""
    copies = [Path(shutil.copytree(folder, tmp_path / folder.name)) for folder in way.folders]
    return Way(way.data, *copies, way.person)


@pytest.fixture(scope="package", autouse=True)
def _equal_charts_are_drawn_once() -> Iterator[None]:
    """Most audits here are of the networks of `way`."""
    from tests.report.drawn_once import charts_drawn_once

    with charts_drawn_once():
        yield


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
