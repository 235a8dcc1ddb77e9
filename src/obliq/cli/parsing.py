"""From the words that were typed to a verb and its arguments."""

import io
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, make_dataclass
from importlib.metadata import version
from typing import Annotated, Any, Union

from obliq.cli.parse_errors import explain_unknown_words, refuse_method_as_verb, refuse_unknown
from obliq.cli.text import fitted_help, print_fitted
from obliq.cli.verbs import VERBS, Verb, overview, verb_named

EARLY_OPTIONS = ("-q", "--quiet", "-v", "--verbose", "--json")
"""Options of every verb that may also stand before it."""

COMPLETION = ("--print-completion", "--tyro-print-completion")
SHELLS = ("bash", "zsh", "fish", "tcsh")


@dataclass(frozen=True)
class ParsedWords:
    """A verb and a value of its dataclass of arguments."""

    verb: Verb
    arguments: Any


def parse(words: Sequence[str]) -> ParsedWords | str:
    """The verb and its arguments; or a text to print, such as the version.

    Exits with status 2 and an explanation when the words do not parse, and with 0 after a verb's help.
    """
    early, rest = _early_options(words)
    if not rest or rest[0] in ("-h", "--help"):
        return overview()
    if rest[0] in ("-V", "--version"):
        return f"obliq {version('obliq')}"
    if rest[0] in COMPLETION:
        return _completion(*rest[1:])
    name, options = _verb_name(rest)
    if name not in VERBS:
        return overview(name)
    verb = verb_named(name)
    return ParsedWords(verb, _arguments(name, verb, [*early, *options]))


def _early_options(words: Sequence[str]) -> tuple[list[str], list[str]]:
    count = next((i for i, word in enumerate(words) if word not in EARLY_OPTIONS), len(words))
    return list(words[:count]), list(words[count:])


def _verb_name(words: list[str]) -> tuple[str, list[str]]:
    """The verb, of one or two words, and what follows; only its first word for the help of a group of verbs."""
    first, rest = words[0], words[1:]
    if first in VERBS:
        return first, rest
    refuse_method_as_verb(first)
    actions = [name for name in VERBS if name.split()[0] == first]
    if not actions:
        kind = "option" if first.startswith("-") else "verb"
        refuse_unknown(kind, first, {name.split()[0] for name in VERBS}, "obliq")
    early, rest = _early_options(rest)
    if not rest or rest[0] in ("-h", "--help"):
        return first, []
    name = f"{first} {rest[0]}"
    if name not in VERBS:
        refuse_unknown("verb", name, actions, f"obliq {first}")
    return name, [*early, *rest[1:]]


def _arguments(name: str, verb: Verb, options: list[str]) -> Any:
    """A value of the verb's dataclass."""
    import tyro

    with fitted_help() as errors:
        try:
            return tyro.cli(verb.arguments, prog=f"obliq {name}", args=options, config=_config())
        except SystemExit as exit:
            if exit.code == 2:
                explain_unknown_words(name, verb, options, errors)
            raise


def _config() -> tuple[Any, ...]:
    import tyro

    return (
        tyro.conf.OmitArgPrefixes,
        tyro.conf.OmitSubcommandPrefixes,
        tyro.conf.FlagCreatePairsOff,
        tyro.conf.PositionalMetavarFromFieldName,
    )


def _completion(*shell: str) -> str:
    """A script that completes verbs, methods and options in a shell."""
    import tyro

    if len(shell) != 1 or shell[0] not in SHELLS:
        given = " ".join(("--print-completion", *shell))
        print_fitted(f"obliq: error: {given}; expected one of {', '.join(SHELLS)}", sys.stderr)
        sys.exit(2)
    script = io.StringIO()
    with redirect_stdout(script), suppress(SystemExit):
        tyro.cli(_every_verb(), prog="obliq", args=["--tyro-print-completion", *shell], config=_config())
    return script.getvalue()


def _every_verb() -> Any:
    """All verbs as sub-commands, those of two words within their first."""
    import tyro

    commands: dict[str, Any] = {}
    for name, summary in VERBS.items():
        group, _, action = name.partition(" ")
        arguments: Any = verb_named(name).arguments
        subcommand = tyro.conf.subcommand(action or group, description=summary)
        command: Any = Annotated[arguments, subcommand]
        commands[group] = commands[group] | command if action and group in commands else command
    for group in {name.split()[0] for name in VERBS if " " in name}:
        actions = make_dataclass(group.capitalize(), [("action", commands[group])])
        commands[group] = Annotated[actions, tyro.conf.subcommand(group, description="")]
    return Union[tuple(commands.values())]  # noqa: UP007 - a tuple of any length has no other spelling
