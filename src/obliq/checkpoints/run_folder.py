"""A network together with the record of its making and the request that it answers, as a folder.

model.safetensors, model.json, latent.safetensors   see `obliq.checkpoints`
trace.json                                          what was measured while it was made
request.json                                        what was to be forgotten; personal data
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from obliq.checkpoints import Checkpoint, load_checkpoint, write_checkpoint
from obliq.data import request_file
from obliq.data.request_file import Request
from obliq.errors import ModelError, ObliqError
from obliq.io.atomic import new_folder
from obliq.io.json_documents import LARGEST_DOCUMENT, parse_json, read_bytes, render_json
from obliq.run import TraceRow

TRACE = "trace.json"
FORMAT, VERSION = "obliq-trace", 1


@dataclass(frozen=True)
class SavedRun:
    """A network, what was recorded while it was made, and the request that it answers, if any."""

    checkpoint: Checkpoint
    trace: Sequence[TraceRow] = field(repr=False)
    request: Request | None = None


def save_run(folder: Path, made: SavedRun, *, overwrite: bool = False) -> None:
    """Write everything into a new folder that appears when it is complete.

    Raises:
        ObliqError: when the folder exists or cannot be written.
    """
    with new_folder(folder, overwrite=overwrite) as draft:
        write_checkpoint(draft, made.checkpoint)
        rows = {"format": FORMAT, "version": VERSION, "rows": list(made.trace)}
        (draft / TRACE).write_text(render_json(rows), encoding="utf-8")
        if made.request:
            request_file.save_request(draft / request_file.FILE, made.request)


def load_run(folder: Path, architecture: str | None = None) -> SavedRun:
    """Read what `save_run` wrote; record and request may have been deleted since.

    Args:
        folder: as `save_run` wrote it.
        architecture: see `obliq.checkpoints.load_checkpoint`.

    Raises:
        ModelError: when there is no such folder or a file in it is not what was written.
    """
    if not folder.is_dir():
        raise ModelError(
            f"there is no folder {folder}; expected one made by `obliq train`, `unlearn` or `retrain`"
        )
    saved = load_checkpoint(folder, architecture)
    request = _request(folder / request_file.FILE)
    if request and request.digest != saved.provenance.splits_digest:
        raise ModelError(
            f"{folder / request_file.FILE} is not the request that the network beside it answers; expected the "
            "digests to agree"
        )
    return SavedRun(saved, _rows(folder / TRACE), request)


def _request(file: Path) -> Request | None:
    return request_file.load_request(file) if file.exists() or file.is_symlink() else None


def _rows(file: Path) -> list[TraceRow]:
    if not (file.exists() or file.is_symlink()):
        return []
    try:
        values = parse_json(read_bytes(file, LARGEST_DOCUMENT))
        rows = values.get("rows")
        if (values.get("format"), values.get("version")) != (FORMAT, VERSION) or not isinstance(rows, list):
            raise ObliqError(f"not a record; expected format {FORMAT!r} of version {VERSION}")
        return [_row(row) for row in rows]
    except ObliqError as error:
        raise ModelError(f"{file}: {error}") from error


def _row(row: Any) -> TraceRow:
    named = isinstance(row, dict) and isinstance(row.get("stage"), str)
    if not named or not all(type(value) in (int, float) for name, value in row.items() if name != "stage"):
        raise ObliqError(f"{str(row)[:80]!r} is no row of a record; expected a stage and numbers")
    return dict(row)
