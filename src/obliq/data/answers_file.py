"""Answers that were recorded on a device: an .npz or a .csv file with one answer for each listed sample."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64
from numpy import ndarray

from obliq.data.names import Lookup
from obliq.data.npz_file import open_npz
from obliq.errors import DataError, ObliqError
from obliq.io.budget import STEP, Budget
from obliq.io.regular_file import read_regular_file
from obliq.io.visible_text import reason_of, visible_line

Recorded = Literal["logits", "probabilities", "classes"]
"""What a device recorded of each answer, most first."""

LARGEST_ANSWERS = 64 * 2**20
"""Bytes of a file of answers: about a million samples of ten classes, and still read in seconds."""

_COLUMNS: Final = {"logit": "logits", "probability": "probabilities", "class": "classes"}
"""What the columns of a .csv file are called, before the number of the class."""

_LARGEST_NUMBER = float(np.finfo(np.float32).max)  # of the logits that audits hold

_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?")


@dataclass(frozen=True, eq=False)
class RecordedAnswers:
    """The answers in a file, in its order.

    Attributes:
        ids: of the samples, as the file has them.
        recorded: what there is of each answer.
        values: a row of logits or probabilities for each sample; of classes, one-hot rows.
    """

    ids: tuple[str, ...] = field(repr=False)
    recorded: Recorded
    values: Float64[ndarray, "samples classes"] = field(repr=False)


def read_answers(file: Path, classes: int, class_names: Sequence[str] = ()) -> RecordedAnswers:
    """Read a file of answers.

    Args:
        file: an .npz file of `numpy.savez` with the arrays `id` and one of `logits`, `probabilities` (both samples x
            classes) and `classes` (one number or name for each sample); or a .csv file whose first line is
            `id,logit_0,logit_1,...`, `id,probability_0,...` or `id,class`.
        classes: how many the network distinguishes.
        class_names: their names, if they have any.

    Raises:
        DataError: for another kind of file, missing or damaged arrays and columns, no answers, another number of
            classes, unknown classes, and numbers that are no finite numbers or no probabilities.
    """
    readers = {".npz": _from_npz, ".csv": _from_csv}
    if file.suffix.lower() not in readers:
        raise DataError(f"{file}: answers of a device; expected a .npz or a .csv file")
    try:
        ids, recorded, given = readers[file.suffix.lower()](file)
    except DataError:
        raise
    except ObliqError as error:
        raise DataError(f"{file}: {error}") from error
    if not ids:
        raise DataError(f"{file}: no answers in it; expected one for each sample")
    values = _one_hot(file, given, classes, class_names) if recorded == "classes" else _rows(file, given)
    if values.shape[1] != classes:
        raise DataError(
            f"{file}: {recorded} of {values.shape[1]} classes; expected {classes}, as the network distinguishes"
        )
    unusable = np.flatnonzero(~(np.abs(values) <= _LARGEST_NUMBER).all(axis=1))
    if len(unusable):
        raise DataError(
            f"{file}: {len(unusable):,} of {len(ids):,} answers hold NaN or infinity, the first that of id "
            f"{ids[unusable[0]][:40]}; expected finite numbers"
        )
    if recorded == "probabilities":
        _require_probabilities(file, ids, values)
    return RecordedAnswers(ids, recorded, values)


def _from_npz(file: Path) -> tuple[tuple[str, ...], Recorded, npt.NDArray[Any]]:
    with open_npz(str(file), file, LARGEST_ANSWERS, ("id", *get_args(Recorded))) as npz:
        if npz.unpacked > LARGEST_ANSWERS:
            raise DataError(
                f"{file}: it unpacks to {npz.unpacked:,} bytes; expected at most {LARGEST_ANSWERS:,}"
            )
        given = [name for name in get_args(Recorded) if name in npz.held]
        if "id" not in npz.held or len(given) != 1:
            found = visible_line(", ".join(npz.first)) or "nothing"
            raise DataError(
                f"{file}: it holds {found}; expected the array id and one of {', '.join(get_args(Recorded))}"
            )
        ids, values = npz.array("id"), npz.array(given[0])
    if ids.ndim != 1 or ids.dtype.kind not in "iuU":
        raise DataError(
            f"{file}: id has shape {ids.shape} and type {ids.dtype}; expected integers or names in one row"
        )
    if values.ndim < 1 or len(values) != len(ids):
        raise DataError(
            f"{file}: {given[0]} of shape {values.shape}; expected one for each of {len(ids)} ids"
        )
    return tuple(map(str, ids.tolist())), given[0], values


def _from_csv(file: Path) -> tuple[tuple[str, ...], Recorded, npt.NDArray[Any]]:
    content = read_regular_file(file, LARGEST_ANSWERS)
    marks = content.count(b",") + content.count(b"\n")
    Budget(len(content), DataError).spend(f"{file}: the table", memory=56 * marks, work=STEP * marks // 8)
    try:
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig")), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{file}: cannot be read as .csv ({reason_of(error)}); expected text, one answer a line"
        ) from error
    head = [name.strip() for name in rows[0]] if rows else []
    kind = head[1].partition("_")[0] if len(head) > 1 else ""
    numbered = ["class"] if kind == "class" else [f"{kind}_{number}" for number in range(len(head) - 1)]
    if kind not in _COLUMNS or head != ["id", *numbered]:
        raise DataError(
            f"{file}: the first line is {','.join(head)[:60]!r}; expected id,logit_0,logit_1,... or "
            "id,probability_0,... or id,class"
        )
    ids, values = [], []
    for number, row in enumerate(rows[1:], start=2):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if len(cells) != len(head) or not cells[0]:
            raise DataError(
                f"{file}, line {number}: {len(cells)} columns{'' if cells[0] else ' without an id'}; expected "
                f"{len(head)}: {','.join(head)[:60]}"
            )
        if kind != "class":
            wrong = next((cell for cell in cells[1:] if not _NUMBER.fullmatch(cell)), None)
            if wrong is not None:
                raise DataError(f"{file}, line {number}: {wrong[:40]!r}; expected a finite number")
        ids.append(cells[0])
        values.append(cells[1] if kind == "class" else list(map(float, cells[1:])))
    return tuple(ids), _COLUMNS[kind], np.array(values)  # type: ignore[return-value]


def _rows(file: Path, given: npt.NDArray[Any]) -> Float64[ndarray, "samples classes"]:
    if given.ndim != 2 or given.dtype.kind not in "fiu":
        raise DataError(
            f"{file}: answers of shape {given.shape} and type {given.dtype}; expected a row of numbers for each sample"
        )
    return given.astype(np.float64)


def _one_hot(
    file: Path, given: npt.NDArray[Any], classes: int, class_names: Sequence[str]
) -> Float64[ndarray, "samples classes"]:
    """Rows with a one at the class that was answered."""
    if given.ndim != 1 or given.dtype.kind not in "iuU":
        raise DataError(
            f"{file}: classes of shape {given.shape} and type {given.dtype}; expected one number or name a sample"
        )
    lookup = Lookup(class_names, classes)
    places: dict[str, int] = {}
    for word in sorted(set(map(str, given.tolist()))):
        place = lookup.position(word)
        if place is not None and place < classes:
            places[word] = place
            continue
        raise DataError(
            f"{file}: class {word[:40]!r}; expected one of {classes} classes, from 0, or its name"
        )
    return np.eye(classes)[[places[str(word)] for word in given.tolist()]]


def _require_probabilities(
    file: Path, ids: tuple[str, ...], values: Float64[ndarray, "samples classes"]
) -> None:
    """Raise unless rows are from 0 to 1 and add up to 1, but for the rounding of a device that stores them as bytes."""
    slack = 0.02 + values.shape[1] / 512
    wrong = np.flatnonzero(
        (values < 0).any(axis=1) | (values > 1).any(axis=1) | (np.abs(values.sum(axis=1) - 1) > slack)
    )
    if len(wrong):
        raise DataError(
            f"{file}: {len(wrong):,} of {len(ids):,} answers are no probabilities, the first that of id "
            f"{ids[wrong[0]][:40]}, which add up to {values[wrong[0]].sum():.4g}; "
            "expected numbers from 0 to 1 that add up to 1 (or logits)"
        )
