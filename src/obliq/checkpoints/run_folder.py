"""A network together with the record of its making and the request that it answers, as a folder.

model.safetensors, model.json, latent.safetensors   see `obliq.checkpoints`
trace.json                                          what was measured while it was made
request.json                                        what was to be forgotten; personal data
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from obliq import checkpoints
from obliq.checkpoints import Saved
from obliq.data import request_file
from obliq.data.request_file import Request
from obliq.errors import ModelError, ObliqError
from obliq.io.atomic import new_folder
from obliq.io.json_documents import LARGEST_DOCUMENT, parse, read_bytes, render
from obliq.run import Row

TRACE = "trace.json"
FORMAT, VERSION = "obliq-trace", 1


@dataclass(frozen=True)
class Made:
    """A network, what was recorded while it was made, and the request that it answers, if any."""

    saved: Saved
    trace: Sequence[Row] = field(repr=False)
    request: Request | None = None


def keep(folder: Path, made: Made, *, overwrite: bool = False) -> None:
    """Write everything into a new folder that appears when it is complete.

    Raises:
        ObliqError: when the folder exists or cannot be written.
    """
    with new_folder(folder, overwrite=overwrite) as draft:
        checkpoints.write(draft, made.saved)
        rows = {"format": FORMAT, "version": VERSION, "rows": list(made.trace)}
        (draft / TRACE).write_text(render(rows), encoding="utf-8")
        if made.request:
            request_file.save_request(draft / request_file.FILE, made.request)


def find(folder: Path, architecture: str | None = None) -> Made:
    """Read what `keep` wrote; record and request may have been deleted since.

    Args:
        folder: as `keep` wrote it.
        architecture: see `obliq.checkpoints.load`.

    Raises:
        ModelError: when there is no such folder or a file in it is not what was written.
    """
    if not folder.is_dir():
        raise ModelError(
            f"there is no folder {folder}; expected one made by `obliq train`, `unlearn` or `retrain`"
        )
    saved = checkpoints.load(folder, architecture)
    request = _request(folder / request_file.FILE)
    if request and request.digest != saved.provenance.splits_digest:
        raise ModelError(
            f"{folder / request_file.FILE} is not the request that the network beside it answers; expected the "
            "digests to agree"
        )
    return Made(saved, _rows(folder / TRACE), request)


def _request(file: Path) -> Request | None:
    return request_file.load_request(file) if file.exists() or file.is_symlink() else None


def _rows(file: Path) -> list[Row]:
    if not (file.exists() or file.is_symlink()):
        return []
    try:
        values = parse(read_bytes(file, LARGEST_DOCUMENT))
        rows = values.get("rows")
        if (values.get("format"), values.get("version")) != (FORMAT, VERSION) or not isinstance(rows, list):
            raise ObliqError(f"not a record; expected format {FORMAT!r} of version {VERSION}")
        return [_row(row) for row in rows]
    except ObliqError as error:
        raise ModelError(f"{file}: {error}") from error


def _row(row: Any) -> Row:
    named = isinstance(row, dict) and isinstance(row.get("stage"), str)
    if not named or not all(type(value) in (int, float) for name, value in row.items() if name != "stage"):
        raise ObliqError(f"{str(row)[:80]!r} is no row of a record; expected a stage and numbers")
    return dict(row)
