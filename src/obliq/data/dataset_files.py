"""Where the files of a built-in data set are looked for, and the error when they are missing."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from obliq.errors import DataError, ObliqError
from obliq.io.regular_file import read_regular_file

ENVIRONMENT = "OBLIQ_DATA"


def candidate_folders(
    folder: Path | None, below: Sequence[str], system: Sequence[Path] = ()
) -> Iterator[Path]:
    """Every folder to look in: the given one, then $OBLIQ_DATA, then ./data, then those of the system.

    Args:
        folder: the folder that the user named, if any.
        below: sub-folders to try in each, in this order; "" for the folder itself.
        system: folders that packages install to.
    """
    set_by_user = os.environ.get(ENVIRONMENT)
    roots = [folder, Path(set_by_user) if set_by_user else None, Path("data")]
    for root in roots:
        if root is not None:
            yield from (root / name if name else root for name in below)
    yield from system


def missing_files(name: str, files: Sequence[str], folder: Path | None, how: str) -> DataError:
    """An error of one line: which files were looked for, where, and how to get them."""
    given = f"{folder}, " if folder is not None else ""
    return DataError(
        f"the files of {name} are missing: looked for {', '.join(files)} in {given}${ENVIRONMENT} "
        f"({os.environ.get(ENVIRONMENT) or 'not set'}) and {Path('data').resolve()}; {how}"
    )


def file_content(file: Path, largest: int) -> bytes:
    """The content of one file; links are followed, since packages and caches hold some."""
    try:
        return read_regular_file(file.resolve(), largest)
    except ObliqError as error:
        raise DataError(f"{file}: {error}") from error
