"""From the words that were typed to an exit status; the only place where errors become text.

Exit status: 0 done; 1 an error that the user can correct, in one line; 2 words that do not parse; 3 done, but what
was required did not come out; 129 the terminal was closed; 130 interrupted; 141 nobody reads the output; 143
terminated. Nothing half-written is left behind in any case. Other exceptions are bugs and keep their traceback.
"""

import contextlib
import json
import os
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence

from obliq.cli.next_command import typed
from obliq.cli.parsing import ParsedWords, parse
from obliq.cli.text import fitted, fitted_command, print_encoded, print_fitted, terminal_width
from obliq.cli.verbs import VerbOutput
from obliq.errors import ObliqError
from obliq.io.hidden_words import go_on_hidden
from obliq.io.user_code import SystemExitError, exit_as_error, terminate
from obliq.io.visible_text import visible_line


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    _open_closed_streams()
    typed = sys.argv[1:] if words is None else list(words)
    try:
        with _terminated_in_order():
            parsed = parse(typed)
            if words is None and not isinstance(parsed, str) and parsed.verb.is_hidden(parsed.arguments):
                go_on_hidden(typed)
            text, unmet = (parsed, "") if isinstance(parsed, str) else _run(parsed)
            print_encoded(text, sys.stdout)
            _flush_output()
    except KeyboardInterrupt:
        print_fitted("obliq: interrupted; nothing half-written is left", sys.stderr)
        return 130
    except BrokenPipeError:
        _drop_output()
        return 141
    except Exception as error:
        line = _explained(error)
        if line is None:
            raise
        if {"-v", "--verbose"} & set(typed):
            traceback.print_exc()
        print_fitted(f"obliq: error: {_one_line(line)}", sys.stderr)
        return 1
    if unmet:
        print_fitted(f"obliq: not met: {_one_line(unmet)}", sys.stderr)
    return 3 if unmet else 0


def _run(parsed: ParsedWords) -> tuple[str, str]:
    """Do what a verb does; what to print on standard output, and what was required and did not come out."""
    from rich.console import Console

    from obliq.cli.progress import ProgressReporter
    from obliq.io.drafts import sweep

    if parsed.verb.computes:
        from obliq.run import keep_memory  # imports torch

        keep_memory()
    options = parsed.arguments.output
    console = Console(stderr=True, quiet=options.quiet, emoji=False)  # module:function: has colons
    with ProgressReporter(console, verbose=options.verbose) as progress:
        out = getattr(parsed.arguments, "out", None)
        for line in sweep(out.absolute().parent) if out else []:
            progress.print_line(line)
        with exit_as_error():  # also where nothing names the code, such as the forward of a network
            output = parsed.verb.action(parsed.arguments, progress)
    text = json.dumps(output.values, allow_nan=False) if options.json else _for_people(output)
    return text, output.unmet


def _for_people(output: VerbOutput) -> str:
    """The result and the command that follows, in lines that fit a terminal where there is one."""
    width = terminal_width(sys.stdout)
    lines = [fitted(visible_line(line), width) for line in output.lines]
    if output.next_command:
        words = ["next: obliq", *(visible_line(shlex.quote(typed(word))) for word in output.next_command)]
        lines += fitted_command(words, width)
    return "\n".join(lines)


def _explained(error: Exception) -> str | None:
    """What to print about an error that is no bug of the program; None for a bug."""
    if isinstance(error, (ObliqError, SystemExitError)):
        return str(error)
    if isinstance(error, MemoryError) or _is_torch_out_of_memory(error):
        return "not enough memory; expected fewer samples (--limit), smaller batches or a smaller network"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error or type(error).__name__}"
    return None


def _is_torch_out_of_memory(error: Exception) -> bool:
    if "torch" not in sys.modules:  # an error of torch comes from a torch that is loaded
        return False
    from obliq.training.memory import is_out_of_memory

    return is_out_of_memory(error)


def _open_closed_streams() -> None:
    """Open the null device in place of closed standard streams (`obliq show x >&-`).

    Otherwise the next file that is opened would get a standard stream's number, and receive what a library prints.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - stays open


def _flush_output() -> None:
    try:
        sys.stdout.flush()
    except OSError:
        _drop_output()
        raise


def _drop_output() -> None:
    """Nobody can read what is left in the buffer: it must not be flushed again at the end of the process."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def _terminated_in_order() -> Iterator[None]:
    """Let a request to end (docker stop, a closed terminal) remove unfinished results like an interrupt does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    # SIGHUP is a closed terminal. Under nohup it is ignored, and stays so.
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    handled = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, terminate) for number in handled}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _one_line(text: str) -> str:
    """Without line breaks and control characters, which a file name or a label may carry."""
    return "".join(letter if letter.isprintable() else " " for letter in " ".join(text.split()))
