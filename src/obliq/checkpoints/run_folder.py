"""A network as a folder, together with the trace of its training and the request that it answers.

model.safetensors, model.json, latent.safetensors, source.json   see `obliq.checkpoints.folder`
trace.json                                                       what was measured while it was trained
request.json                                                     what was to be forgotten; personal data
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from obliq.argument_types import require_flags
from obliq.checkpoints.folder import DOCUMENT_FILE, Checkpoint, load_checkpoint, write_checkpoint
from obliq.data.request_file import REQUEST_DOCUMENT, REQUEST_FILE, Request, save_request
from obliq.errors import ModelError
from obliq.io.atomic import new_folder
from obliq.io.documents import DocumentType
from obliq.run import TraceRow, utc_now

TRACE_FILE = "trace.json"


@dataclass(frozen=True)
class SavedTrace:
    """What trace.json holds: one row for each measurement, with its `stage` and numbers."""

    rows: tuple[dict[str, str | int | float], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            texts = [name for name, value in row.items() if isinstance(value, str)]
            if texts != ["stage"]:
                raise ModelError(f"{str(row)[:80]!r} is no row of a trace; expected a stage and numbers")


TRACE_DOCUMENT = DocumentType(
    content=SavedTrace, format="obliq-trace", version=1, title="trace", error=ModelError
)


@dataclass(frozen=True)
class SavedRun:
    """A network, what was measured while it was trained, and the request that it answers, if any."""

    checkpoint: Checkpoint
    trace: Sequence[TraceRow] = field(repr=False)
    request: Request | None = None


def save_run(
    folder: Path, run: SavedRun, *, overwrite: bool = False, created: datetime | None = None
) -> None:
    """Write everything into a new folder that appears when it is complete.

    Args:
        folder: where.
        run: what to save.
        overwrite: whether a folder that is there may be replaced, with all that is in it.
        created: the time to note; now when left out, see `utc_now`.

    Raises:
        ObliqError: when the folder exists or cannot be written, and for an argument of another type.
    """
    require_flags(overwrite=overwrite)
    with new_folder(Path(folder), overwrite=overwrite) as draft:
        write_checkpoint(draft, run.checkpoint, created=(created or utc_now()).isoformat())
        write_trace(draft, run.trace)
        if run.request:
            save_request(draft / REQUEST_FILE, run.request)


def write_trace(folder: Path, rows: Sequence[TraceRow]) -> None:
    """Write the trace of a run into an existing folder."""
    text = TRACE_DOCUMENT.to_text(SavedTrace(tuple(rows)))
    (folder / TRACE_FILE).write_text(text, encoding="utf-8")


def load_run(folder: Path, architecture: str | None = None) -> SavedRun:
    """Read what `save_run` wrote; trace and request may have been deleted since.

    Args:
        folder: as `save_run` wrote it.
        architecture: see `obliq.checkpoints.load_checkpoint`.

    Returns:
        The run; `checkpoint.model` is its network.

    Raises:
        ModelError: when there is no such folder or a file in it is not what was written.
    """
    folder = Path(folder)
    if folder.is_file():
        inside = f"the folder {folder.parent}" if (folder.parent / DOCUMENT_FILE).is_file() else "a folder"
        raise ModelError(
            f"{folder} is a file; expected {inside}, as `obliq train`, `unlearn` or `retrain` wrote it"
        )
    if not folder.is_dir():
        raise ModelError(
            f"there is no folder {folder}; expected one from `obliq train`, `unlearn` or `retrain`"
        )
    if not (folder / DOCUMENT_FILE).exists():
        levels = (sorted(folder.glob(f"{level}/{DOCUMENT_FILE}")) for level in ("*", "*/*"))
        if deeper := next(filter(None, levels), []):
            raise ModelError(
                f"{folder} holds folders of networks and is none itself; expected one of them, for instance "
                f"{deeper[0].parent}"
            )
    checkpoint = load_checkpoint(folder, architecture)
    request = REQUEST_DOCUMENT.read_if_present(folder / REQUEST_FILE)
    if request and request.digest != checkpoint.provenance.splits_digest:
        raise ModelError(
            f"{folder / REQUEST_FILE} is not the request that the network in the same folder answers; expected the "
            "digest of the request to be the one in model.json"
        )
    if request and [one.digest for one in request.earlier] != [
        one.request for one in checkpoint.provenance.earlier
    ]:
        raise ModelError(
            f"{folder / REQUEST_FILE} follows other requests than the network in the same folder; expected those that "
            "model.json records"
        )
    trace = TRACE_DOCUMENT.read_if_present(folder / TRACE_FILE)
    return SavedRun(checkpoint, list(trace.rows) if trace else [], request)
