"""From the words that were typed to an exit status; the only place where errors become text.

Exit status: 0 done; 1 something that the user can put right, told in one line; 2 words that do not
parse; 130 interrupted; 141 nobody reads the output; 143 terminated. In every case but 0, nothing
half-written is left behind. Other exceptions are mistakes of ours and keep their traceback.
"""

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from typing import Annotated, Any, Union

import torch
import tyro
from rich.console import Console

from obliq.cli import patch_verbs, verbs
from obliq.cli.arguments import VERBS, AuditVerb, Demo, Export, RetrainVerb, Show, Train, Unlearn
from obliq.cli.audit import run_audit
from obliq.cli.bench import run_bench
from obliq.cli.bench_arguments import Bench
from obliq.cli.export import run_export
from obliq.cli.patch_arguments import Patch
from obliq.cli.progress import Narrator
from obliq.cli.unlearn import run_unlearn
from obliq.errors import ObliqError
from obliq.run import keep_memory

DESCRIPTION = """Make quantized neural networks forget, and measure how well it worked.

The usual way: train, unlearn, retrain (for reference), audit, export.
`obliq VERB --help` explains a verb and shows an example.
`obliq demo` shows it all in two minutes; `obliq --version` prints the version."""

ACTIONS: dict[type, Callable[[Any, Narrator], verbs.Outcome]] = {
    Demo: verbs.run_demo,
    Train: verbs.run_train,
    Unlearn: run_unlearn,
    RetrainVerb: verbs.run_retrain,
    AuditVerb: run_audit,
    Show: verbs.run_show,
    Bench: run_bench,
    Patch: patch_verbs.run_patch,
    Export: run_export,
}


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    try:
        with _terminated_in_order():
            _run(sys.argv[1:] if words is None else list(words))
            sys.stdout.flush()
    except KeyboardInterrupt:
        _print("obliq: interrupted; nothing half-written is left", sys.stderr)
        return 130
    except BrokenPipeError:
        # `| head` has read enough; what is left in the buffer must not be flushed at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        line = _explained(error)
        if line is None:
            raise
        _print(f"obliq: error: {_one_line(line)}", sys.stderr)
        return 1
    return 0


def _run(words: Sequence[str]) -> None:
    if list(words) == ["--version"]:
        _print(f"obliq {version('obliq')}", sys.stdout)
        return
    arguments = parse(words)
    keep_memory()
    with Narrator(Console(stderr=True)) as narrator:
        outcome = ACTIONS[type(arguments)](arguments, narrator)
    if arguments.run.json:
        _print(json.dumps(outcome.values, allow_nan=False), sys.stdout)
    else:
        _print("\n".join(outcome.lines), sys.stdout)


def parse(words: Sequence[str]) -> Any:
    """The dataclass of the verb that was typed; exits with status 2 and an explanation when it cannot be."""
    typed = words[0] if words else ""
    kinds: Any = Union[  # noqa: UP007 - a tuple of any length has no other spelling
        tuple(
            # the list of verbs shows a line each, a verb's own help everything
            Annotated[
                kind, tyro.conf.subcommand(name, description=None if name == typed else _first_line(kind))
            ]
            for name, kind in VERBS.items()
        )
    ]
    return tyro.cli(
        kinds, prog="obliq", args=words, description=DESCRIPTION,
        config=(
            tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes, tyro.conf.FlagCreatePairsOff,
            tyro.conf.PositionalMetavarFromFieldName,
        ),
    )  # fmt: skip


def _first_line(kind: type) -> str:
    return (kind.__doc__ or "").splitlines()[0]


def _explained(error: Exception) -> str | None:
    """What to tell about something that is no mistake of the program; None for what is one."""
    if isinstance(error, ObliqError):
        return str(error)
    no_memory = isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )
    if no_memory:
        return "not enough memory; expected fewer samples (--limit), smaller batches or a smaller network"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error or type(error).__name__}"
    return None


@contextlib.contextmanager
def _terminated_in_order() -> Iterator[None]:
    """Let a request to end (docker stop, timeout) remove unfinished results like an interrupt does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: object) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _print(text: str, stream: Any) -> None:
    """Print even what the stream's encoding lacks: a file name or a label may hold any letter."""
    encoding = stream.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream)


def _one_line(text: str) -> str:
    """Without line breaks and control characters, which a file name or a label may carry."""
    return "".join(letter if letter.isprintable() else " " for letter in " ".join(text.split()))
