"""What machines of a cluster send back, and whether it has the form that this machine expects.

Ray has unpickled it by then, so this is no protection from a hostile machine, which can run code here. It keeps results
of another form, from a broken machine or another program, out of the record, in one line.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from obliq.checkpoints.folder import DOCUMENT_FILE, LATENT_FILE, TENSORS_FILE
from obliq.checkpoints.run_folder import TRACE_FILE
from obliq.errors import RecordError
from obliq.io.visible_text import visible_line

FileContents = Mapping[str, bytes]
"""Contents of the files of a folder, by name."""
AUDIT_RESULT = "audit"
NETWORK_FILES = frozenset({TENSORS_FILE, DOCUMENT_FILE, LATENT_FILE, TRACE_FILE})
MOST_FILES = 64
"""Of one result, and states of unfinished trainings of one step."""
_MOST_STEPS = 10**6
_LONGEST = 2000


@dataclass(frozen=True)
class News:
    """What has happened since the last news.

    Attributes:
        steps: stage, step, of how many and values of every step that a training announced.
        trainings: files with the state of unfinished trainings that are new or changed.
    """

    steps: tuple[tuple[str, int, int, dict[str, float]], ...]
    trainings: FileContents


@dataclass(frozen=True)
class ComputedFiles:
    """How a task ended.

    Attributes:
        files: what it wrote, by name.
        error: why it failed, where it did.
    """

    files: FileContents = field(default_factory=dict, repr=False)
    error: str = ""


def require_computed(found: object, names: Collection[str], largest: int) -> ComputedFiles:
    """Refuse what is no `ComputedFiles`.

    Args:
        found: what came.
        names: of the files that it may hold.
        largest: bytes of all of them.

    Raises:
        RecordError: naming what is wrong.
    """
    if type(found) is not ComputedFiles:
        raise _refused(f"a {type(found).__name__}", "the files of a result")
    if found.error != "":
        return ComputedFiles(error=require_words(found.error))
    _require_files(found.files, largest)
    if not found.files or not set(found.files) <= set(names):
        raise _refused(f"files {sorted(found.files)}", f"some of {', '.join(sorted(names))}")
    return found


def require_news(found: object, largest: int) -> News:
    """Refuse what is no `News`.

    Args:
        found: what came.
        largest: bytes of all its files.

    Raises:
        RecordError: naming what is wrong.
    """
    if type(found) is not News:
        raise _refused(f"a {type(found).__name__}", "news of a training")
    _require_files(found.trainings, largest)
    steps = found.steps
    if type(steps) is not tuple or len(steps) > _MOST_STEPS or not all(map(_is_step, steps)):
        raise _refused("other steps of a training", "stage, number, count and values of each")
    return found


def require_words(found: object) -> str:
    """Refuse what is no text; the text in one line that can be printed.

    Raises:
        RecordError: naming its type.
    """
    if type(found) is not str:
        raise _refused(f"a {type(found).__name__}", "a text")
    return visible_line(found[:_LONGEST])


def _require_files(files: object, largest: int) -> None:
    if type(files) is not dict or not all(
        type(name) is str and type(content) is bytes for name, content in files.items()
    ):
        raise _refused("files of other types", "names and their bytes")
    size = sum(map(len, files.values()))
    if len(files) > MOST_FILES or size > largest:
        raise _refused(
            f"{len(files):,} files of {size:,} bytes", f"at most {MOST_FILES} of {largest:,} bytes"
        )


def _is_step(step: object) -> bool:
    if type(step) is not tuple or [type(one) for one in step] != [str, int, int, dict]:
        return False
    stage, _, _, values = step
    return (
        len(stage) <= _LONGEST
        and stage.isprintable()
        and all(type(name) is str and type(value) in (int, float) for name, value in values.items())
    )


def _refused(found: str, expected: str) -> RecordError:
    return RecordError(f"a machine of the cluster returned {visible_line(found)[:200]}; expected {expected}")
