"""Where the files of a built-in data set may lie, and what to tell who does not have them."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from obliq.errors import DataError

ENVIRONMENT = "OBLIQ_DATA"


def candidates(folder: Path | None, below: Sequence[str], system: Sequence[Path] = ()) -> Iterator[Path]:
    """Every folder to look in: the given one, then $OBLIQ_DATA, then ./data, then the system's.

    Args:
        folder: what the user named, if anything.
        below: sub-folders to try in each, in this order; "" for the folder itself.
        system: folders that packages install to.
    """
    set_by_user = os.environ.get(ENVIRONMENT)
    roots = [folder, Path(set_by_user) if set_by_user else None, Path("data")]
    for root in roots:
        if root is not None:
            yield from (root / name if name else root for name in below)
    yield from system


def first_with(places: Sequence[Path], has_files: Callable[[Path], bool]) -> Path | None:
    """The first of `places` that has the files."""
    return next((place for place in places if has_files(place)), None)


def missing(name: str, files: Sequence[str], folder: Path | None, how: str) -> DataError:
    """One line on what was looked for, where, and how to get it."""
    given = f"{folder}, " if folder is not None else ""
    return DataError(
        f"the files of {name} are missing: looked for {', '.join(files)} in {given}${ENVIRONMENT} "
        f"({os.environ.get(ENVIRONMENT) or 'not set'}) and {Path('data').resolve()}; {how}"
    )
