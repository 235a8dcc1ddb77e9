"""Motion of a smart watch during shoulder exercises, from the file of the package seglearn.

Burns et al., "Shoulder physiotherapy exercise recognition: machine learning the inertial signals from a smartwatch"
(2018, arXiv:1802.01489). seglearn has some of the study's recordings, under the BSD licence. Its file is a pickle. It
is read by `obliq.io.isolated.recordings`, which runs no code.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from obliq.data.collection import Collection
from obliq.data.dataset_files import candidate_folders, file_content, missing_files
from obliq.errors import DataError
from obliq.io.budget import Budget
from obliq.io.isolated.child import isolated_reader
from obliq.io.isolated.reader import ReaderFailedError, Task
from obliq.io.isolated.recordings import are_class_names

WATCH_FILE = "watch_dataset.npy"
STEPS = 100
"""Steps of a window: two seconds at 50 Hz."""
CHANNELS = 6
"""Acceleration and rotation along three axes each."""

_LARGEST_FILE = 64 * 2**20  # bytes; the original has 18 MB
_MEMORY = 2**30  # bytes of the child
_SECONDS = 120  # of the processor, for the child


def watch(folder: Path | None = None) -> Collection:
    """2,369 windows of 6 channels and 100 steps (2 s) of motion, 7 exercises, 10 people; no official test part.

    Each person did each exercise with both arms, one recording each. The windows of a recording follow one another
    without overlap, so that no measured value is in two samples; steps at its end that fill no window are left out.
    Windows of one recording are alike all the same, because each holds some twenty repetitions of one exercise.
    Divisions and requests by person keep them together. A random request does not: it forgets windows whose neighbours
    are retained.

    Raises:
        DataError: when the file is missing, damaged, or a pickle of anything but the expected recordings.
    """
    for place in candidate_folders(folder, ("", "watch", "seglearn/data")):
        if (place / WATCH_FILE).is_file():
            return _collection(place / WATCH_FILE)
    raise missing_files(
        "watch",
        (WATCH_FILE,),
        folder,
        "get the package with `pip download --no-deps seglearn` and unpack it there (`python -m zipfile -e FILE.whl "
        "FOLDER`); it is not installed, and none of its code runs",
    )


def _collection(file: Path) -> Collection:
    content = file_content(file, _LARGEST_FILE)
    task = Task(
        "pickled recordings",
        {"file": str(file), "channels": CHANNELS},
        Budget(len(content), DataError),
        most=_MEMORY,
        contents=[content],
    )
    with isolated_reader((task.job,), memory=_MEMORY, seconds=_SECONDS) as reader:
        try:
            found = reader.read(task)
            arrays = found.of_shapes((None, CHANNELS), (None,), (None,), (None,), kind=None)
        except ReaderFailedError as error:
            raise DataError(f"{file}: {error}") from error
    steps, lengths, classes, people = arrays
    names = found.facts.get("classes")
    if not _fit_together(steps, lengths, classes, people) or not are_class_names(names):
        raise DataError(
            f"{file}: the process that reads it answered with what no such file holds; it may be hostile, so remove it"
        )
    windows = lengths // STEPS
    starts = lengths.cumsum() - lengths
    first = [
        start + STEPS * number
        for start, count in zip(starts, windows, strict=True)
        for number in range(count)
    ]
    if not first:
        raise DataError(f"{file}: no recording has {STEPS} steps; expected the original file")
    inputs = np.ascontiguousarray(
        np.stack([steps[start : start + STEPS] for start in first]).transpose(0, 2, 1)
    )
    return Collection(
        name="watch",
        inputs=torch.from_numpy(inputs),
        labels=torch.from_numpy(np.repeat(classes, windows)),
        subjects=torch.from_numpy(np.repeat(people, windows)),
        mean=(-0.008, 0.379, -0.147, 0.025, -0.002, 0.012),
        deviation=(0.903, 0.494, 0.538, 0.982, 2.496, 1.052),
        class_names=tuple(names),
    )


def _fit_together(
    steps: npt.NDArray[Any],
    lengths: npt.NDArray[Any],
    classes: npt.NDArray[Any],
    people: npt.NDArray[Any],
) -> bool:
    """Whether a child answered with recordings that fill the steps, each with a class and a person."""
    return bool(
        steps.dtype == np.float32
        and all(one.dtype == np.int64 for one in (lengths, classes, people))
        and 0 < len(lengths) == len(classes) == len(people)
        and 0 <= lengths.min() <= lengths.max() <= len(steps) == lengths.sum()
        and people.min() >= 0
    )
