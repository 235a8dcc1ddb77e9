"""The verbs of the command line. A verb's module is imported when the verb is typed, since most need torch."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

GROUPS: Mapping[str, Mapping[str, str]] = {
    "Try it": {
        "demo": "Forget one writer of handwritten digits, in one to two minutes.",
    },
    "Forget and measure": {
        "data": "Print what a data set holds, and how to name a request.",
        "train": "Train a quantized network and record its training samples.",
        "adopt": "Load a network that was trained elsewhere, and quantize it.",
        "unlearn": "Make a saved network forget the samples that you name.",
        "retrain": "Train again without the samples to forget, as the reference.",
        "audit": "Measure what networks still reveal about forgotten samples.",
        "statistics": "Write what ficabu needs of the training set.",
        "show": "Print what a saved network or an exported file contains.",
        "residue": "List and destroy what still holds a request or the original.",
    },
    "Ship to devices": {
        "export": "Write the file that a device runs, and check it.",
        "inputs": "Write the samples that a device should answer, for the audit.",
        "patch make": "Write the integers that differ between two networks.",
        "patch apply": "Create the new network from the old one and a patch.",
        "patch info": "Print what a patch states, and what it reveals.",
    },
    "Keep a record of requests": {
        "record init": "Create the erasure record of a network.",
        "record add": "Note a request, or why it is rejected.",
        "record list": "List all cases, overdue ones first.",
        "record show": "Print everything that is known of one case.",
        "record approve": "Approve a request.",
        "record run": "Answer all requests that wait, together.",
        "record confirm": "Note how many devices run the new network.",
        "record close": "Close a case and destroy the key of its request.",
        "record recover": "Go on with an older copy of the log when the newest is lost.",
        "record verify": "Check that nothing in a record was changed.",
        "record export": "Write all cases as one file for other programs.",
        "record account": "Create or remove an account for the page.",
        "serve": "Serve a record as a page in the browser.",
    },
    "Certify what was done": {
        "certificate make": "Sign what was done and measured, for the files that ship.",
        "certificate verify": "Check a certificate against a file, offline.",
        "certificate page": "Write a certificate as one page to read and print.",
    },
    "Compare methods": {
        "bench": "Compare methods over many networks, requests and seeds.",
    },
}
"""The first line of the docstring of each verb's arguments, in the groups of the help."""

VERBS: Mapping[str, str] = {name: summary for group in GROUPS.values() for name, summary in group.items()}


@runtime_checkable
class StageListener(Protocol):
    """What a verb reports its progress to: a listener that also hears which stage begins."""

    console: Any
    """Where a benchmark shows a table of its own; of `rich`."""

    def stage(self, label: str) -> None:
        """Hear that a stage begins, and that the one before is complete."""

    def print_line(self, line: str) -> None:
        """Print a line that stays, such as what a request forgets."""

    def print_warning(self, words: str) -> None:
        """Print a warning, also with `--quiet`."""

    def __call__(self, stage: str, step: int, of: int, values: Mapping[str, float]) -> None:
        """Hear that `step` of `of` steps are done, with the values measured there; see `obliq.run.Listener`."""


@dataclass(frozen=True, kw_only=True)
class VerbOutput:
    """What a verb prints.

    Attributes:
        lines: the result for people.
        values: the result as one JSON object.
        next_command: the words of the command that does the next thing, after `obliq`; capitals stand for what the user
            fills in. Empty where nothing follows.
        unmet: what was required and did not come out; the exit status is then 3.
    """

    lines: Sequence[str]
    values: Mapping[str, Any]
    next_command: Sequence[str | Path] = ()
    unmet: str = ""


@dataclass(frozen=True)
class Verb:
    """What a verb's module defines.

    Attributes:
        arguments: a dataclass; its fields are the options, its docstrings the help.
        action: what the verb does, from its arguments and the display of progress.
        choices: words that can stand for a field, of which one is suggested for a mistyped word.
        computes: whether it computes with networks; false for a verb that works without torch.
        is_hidden: whether the command line of its process must not hold its words, from its arguments.
    """

    arguments: Any
    action: Callable[[Any, StageListener], VerbOutput]
    choices: Callable[[], Iterable[str]] = field(default=tuple)
    computes: bool = True
    is_hidden: Callable[[Any], bool] = lambda arguments: False


def verb_named(name: str) -> Verb:
    """Import the module of a verb. It defines `VERB`, or `VERBS` for verbs of two words."""
    module = import_module(f"obliq.cli.{name.split()[0]}")
    verb: Verb = module.VERBS[name] if " " in name else module.VERB
    return verb


HEAD = """usage: obliq [-h] [-V] [-q] [-v] VERB ...

Make quantized neural networks forget, and measure how well it worked.
The usual order is train, unlearn, retrain, audit, export.
`obliq VERB --help` explains a verb and shows an example.
"""

OPTIONS = """
Options
  -h, --help      Print this help.
  -V, --version   Print the version.
  -q, --quiet     Print results, warnings and errors only, no progress.
  -v, --verbose   Print every step of progress, and tracebacks of errors.
  --print-completion SHELL
                  Print a completion script for bash, zsh, fish or tcsh, for
                  instance: eval "$(obliq --print-completion bash)"
"""


def overview(first_word: str = "") -> str:
    """The help of `obliq`, or of the verbs of two words that share the first."""
    head = f"usage: obliq {first_word} ACTION ...\n" if first_word else HEAD
    options = f"\n`obliq {first_word} ACTION --help` explains an action.\n" if first_word else OPTIONS
    lines = []
    for title, verbs in GROUPS.items():
        width = max(14, *(len(name) + 2 for name in verbs))
        rows = [
            f"  {name:<{width}}{summary}"
            for name, summary in verbs.items()
            if first_word in ("", name.split()[0])
        ]
        if rows:
            lines += ["", title, *rows]
    return head + "\n".join(lines) + "\n" + options.rstrip("\n")
