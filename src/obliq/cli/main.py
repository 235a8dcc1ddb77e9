"""From the words that were typed to an exit status; the only place where errors become text.

Exit status: 0 done; 1 something that the user can put right, told in one line; 2 words that do not
parse; 130 interrupted. In every case but 0, nothing half-written is left behind.
"""

import json
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Union

import tyro
from rich.console import Console

from obliq.cli import verbs
from obliq.cli.arguments import VERBS, AuditVerb, Demo, RetrainVerb, Show, Train, Unlearn
from obliq.errors import ObliqError
from obliq.progress import Narrator

ACTIONS: dict[type, Callable[[Any, Narrator], verbs.Outcome]] = {
    Demo: verbs.run_demo,
    Train: verbs.run_train,
    Unlearn: verbs.run_unlearn,
    RetrainVerb: verbs.run_retrain,
    AuditVerb: verbs.run_audit,
    Show: verbs.run_show,
}


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    console = Console(stderr=True)
    try:
        arguments = parse(words)
        with Narrator(console) as narrator:
            outcome = ACTIONS[type(arguments)](arguments, narrator)
    except ObliqError as error:
        print(f"obliq: error: {_one_line(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("obliq: interrupted; nothing was written", file=sys.stderr)
        return 130
    circumstances = getattr(arguments, "run", arguments)
    if circumstances.json:
        print(json.dumps(outcome.values, allow_nan=False))
    else:
        print("\n".join(outcome.lines))
    return 0


def parse(words: Sequence[str] | None) -> Any:
    """The dataclass of the verb that was typed; exits with status 2 and an explanation when it cannot be."""
    kinds: Any = Union[tuple(Annotated[kind, tyro.conf.subcommand(name)] for name, kind in VERBS.items())]  # noqa: UP007
    return tyro.cli(
        kinds, prog="obliq", args=words, description="Make quantized neural networks forget.",
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes),
    )  # fmt: skip


def _one_line(text: str) -> str:
    """Without line breaks and control characters, which a file name or a label may carry."""
    return "".join(letter if letter.isprintable() else " " for letter in " ".join(text.split()))
