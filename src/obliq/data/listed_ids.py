"""Samples that a file lists, one id a line: names that the data give, or positions."""

from collections.abc import Mapping

import torch
from jaxtyping import Int
from torch import Tensor

from obliq.data.collection import Collection, Examples
from obliq.data.names import Lookup, listed
from obliq.data.selectors import NUMBER, Listed
from obliq.errors import DataError, ObliqError
from obliq.io.budget import STEP, Budget
from obliq.io.regular_file import read_regular_file

_LARGEST_FILE = 64 * 2**20  # bytes; several million ids, and still read in a moment


def listed_samples(
    selector: Listed, train: Examples, elsewhere: Mapping[str, Examples]
) -> Int[Tensor, " forget"]:
    """The training samples whose ids a file lists, ascending.

    Args:
        selector: the file, and its content where that was read before.
        train: the samples that were trained on.
        elsewhere: other parts of the same collection by name, for messages about who is not in training.

    Raises:
        DataError: for a file that cannot be read, and for ids that are unknown, repeated or were never trained on; of
            the last, all are counted.
    """
    collection, file = train.collection, selector.file
    parts = {name: set(part.indices.tolist()) for name, part in {"training": train, **elsewhere}.items()}
    lookup = Lookup(collection.sample_names, len(collection))
    line_of: dict[int, int] = {}
    outside: dict[str, list[str]] = {}
    for number, line in enumerate(lines_of(selector), start=1):
        entry = line.partition("#")[0].strip()
        if not entry:
            continue
        place = f"{file}, line {number}"
        if not (NUMBER.fullmatch(entry) or collection.sample_names):
            raise DataError(f"{place}: {entry[:40]!r} is not an id; expected one whole number a line")
        try:
            sample = lookup.position(entry)
        except DataError as error:
            raise DataError(f"{place}: {error}") from error
        if sample is None or sample >= len(collection):
            outside.setdefault("not in the data", []).append(f"line {number}: {entry[:40]}")
            continue
        if sample in line_of:
            raise DataError(f"{place}: id {entry} is in line {line_of[sample]} already; expected each once")
        line_of[sample] = number
        if sample not in parts["training"]:
            where = next(
                (f"in the {name} part" for name, part in parts.items() if sample in part), "in no part"
            )
            outside.setdefault(where, []).append(f"line {number}: {entry[:40]}")
    if outside:
        raise DataError(f"{file}: {_outside(outside, len(line_of), collection)}")
    if not line_of:
        raise DataError(f"{file}: no ids in it; expected one id a line")
    return torch.tensor(sorted(line_of))


def _outside(outside: Mapping[str, list[str]], known: int, collection: Collection) -> str:
    """What is wrong with all ids that were never trained on, each kind with its count and its first lines."""
    kinds = [
        f"{len(lines)} {where} ({', '.join(lines[:3])}{', ...' if len(lines) > 3 else ''})"
        for where, lines in outside.items()
    ]
    unknown = len(outside.get("not in the data", []))
    some = f"ids are {listed(collection.sample_names or list(map(str, range(len(collection)))))}"
    return (
        f"{sum(map(len, outside.values()))} of {known + unknown} ids were never trained on: {'; '.join(kinds)}; "
        f"expected ids of the training part{f' ({some})' if unknown else ''}"
    )


def lines_of(selector: Listed) -> list[str]:
    """The lines of the file.

    Raises:
        DataError: naming the file and what is wrong with it.
    """
    file, data = selector.file, selector.content
    try:
        if data is None:
            data = read_regular_file(file, _LARGEST_FILE)
        ends = data.count(b"\n") + data.count(b"\r")
        Budget(len(data), DataError).spend("the list of ids", memory=100 * ends, work=ends * STEP // 2)
        return data.decode("utf-8-sig").splitlines()
    except ObliqError as error:
        reason = str(error).removeprefix("cannot be read: ")
        raise DataError(f"cannot read the ids in {file}: {reason}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not a text file; expected one id a line") from error
