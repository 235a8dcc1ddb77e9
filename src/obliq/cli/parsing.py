"""From the words that were typed to a verb and its arguments."""

import difflib
import io
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import MISSING, dataclass, fields, is_dataclass, make_dataclass
from importlib.metadata import version
from typing import Annotated, Any, NoReturn, Union

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
    _refuse_method(first, rest)
    actions = [name for name in VERBS if name.split()[0] == first]
    if not actions:
        what = "option" if first.startswith("-") else "verb"
        _refuse(f"there is no {what} '{first}'", first, {name.split()[0] for name in VERBS}, "obliq")
    early, rest = _early_options(rest)
    if not rest or rest[0] in ("-h", "--help"):
        return first, []
    name = f"{first} {rest[0]}"
    if name not in VERBS:
        _refuse(f"there is no verb '{name}'", name, actions, f"obliq {first}")
    return name, [*early, *rest[1:]]


def _arguments(name: str, verb: Verb, options: list[str]) -> Any:
    """A value of the verb's dataclass."""
    import tyro

    with fitted_help() as errors:
        try:
            return tyro.cli(verb.arguments, prog=f"obliq {name}", args=options, config=_config())
        except SystemExit as exit:
            if exit.code == 2:
                _suggest(name, options, errors, verb.choices())
                _put_in_order(name, verb, options, errors)
            raise


def _config() -> tuple[Any, ...]:
    import tyro

    return (
        tyro.conf.OmitArgPrefixes,
        tyro.conf.OmitSubcommandPrefixes,
        tyro.conf.FlagCreatePairsOff,
        tyro.conf.PositionalMetavarFromFieldName,
    )


def _suggest(verb: str, options: Sequence[str], message: io.StringIO, choices: Iterable[str]) -> None:
    """Replace the parser's message about a word that it does not know, where one method has nearly this name."""
    unknown = re.search(r"Unrecognized options: ([^-\s]\S*)", message.getvalue())
    known = list(choices)
    if unknown and unknown[1] in options and difflib.get_close_matches(unknown[1], known, n=1):
        message.seek(0)
        message.truncate()
        _refuse(f"there is no method '{unknown[1]}'", unknown[1], known, f"obliq {verb}")


def _refuse_method(word: str, rest: list[str]) -> None:
    """Exit with status 2 where the name of a method stands in place of a verb."""
    if word.startswith("-") or difflib.get_close_matches(word, {name.split()[0] for name in VERBS}, n=1):
        return  # an option, or a mistyped verb; torch need not be imported for it
    from obliq.methods import available_methods

    if word in available_methods():
        print_fitted(
            f"obliq: error: {word} is a method of `obliq unlearn`; expected `obliq unlearn {word} --help`, or "
            f"`obliq unlearn ORIGINAL --forget ... --out DIR {word}`",
            sys.stderr,
        )
        sys.exit(2)


def _put_in_order(name: str, verb: Verb, options: Sequence[str], message: io.StringIO) -> None:
    """Replace the parser's message about an option on the wrong side of a method by the command in order."""
    choices = verb.choices()
    methods: Mapping[str, Any] = choices if isinstance(choices, Mapping) else {}
    words = [
        part for word in options for part in (word.split("=", 1) if word.startswith("--method=") else [word])
    ]
    if methods and "--method" in words:
        _refuse_method_option(name, words, methods, message)
    unknown = set(re.findall(r"(?<![\w-])--[\w-]+", message.getvalue().partition("Perhaps you meant")[0]))
    own = _option_names(verb.arguments)
    place = next((number for number, word in enumerate(options) if word in methods), None)
    method = None if place is None else options[place]
    before, after = _pieces(options[:place]), _pieces([] if place is None else options[place + 1 :])
    offered = {
        known for known, kind in methods.items() for option in _option_names(kind) if option in unknown
    }
    if method is None and unknown & own != unknown:
        method = next((known for known in methods if known in offered), None)
    if method is None:
        return
    theirs = _option_names(methods[method])
    early = [piece for piece in after if piece[0] in (unknown & own) - theirs]
    late = [piece for piece in before if piece[0] in (unknown & theirs) - own]
    if not early and not late:
        return
    moved = (early or late)[0][0]
    where = f"an option of the verb, so it comes before the method {method}"
    if not early:
        where = f"an option of the method {method}, so it comes after its name" + (
            "" if place is not None else ", and no method is named"
        )
    rest = [piece for piece in after if piece not in early]
    words = [word for piece in (*(p for p in before if p not in late), *early) for word in piece]
    words += [method, *(word for piece in (*late, *rest) for word in piece)]
    message.seek(0)
    message.truncate()
    command = shlex.join(["obliq", name, *words])
    print_fitted(f"obliq: error: {moved} is {where}; expected `{command}`", sys.stderr)
    sys.exit(2)


def _refuse_method_option(
    name: str, options: Sequence[str], methods: Mapping[str, Any], message: io.StringIO
) -> None:
    """Replace the parser's message about `--method NAME` by the command with the method and its options at the end."""
    place = options.index("--method")
    named = options[place + 1 : place + 2]
    method = named[0] if named and named[0] in methods else "METHOD"
    rest = _pieces([*options[:place], *options[place + 1 + len(named) :]])
    late = [piece for piece in rest if method in methods and piece[0] in _option_names(methods[method])]
    words = [word for piece in rest if piece not in late for word in piece]
    command = shlex.join(["obliq", name, *words, method, *(word for piece in late for word in piece)])
    message.seek(0)
    message.truncate()
    print_fitted(
        f"obliq: error: --method is no option of `obliq {name}`, since the method comes last, by its name alone; "
        f"expected `{command}`",
        sys.stderr,
    )
    sys.exit(2)


def _pieces(words: Sequence[str]) -> list[list[str]]:
    """Options with their values; words before the first option are pieces of their own."""
    pieces: list[list[str]] = []
    for word in words:
        if word.startswith("--") or not pieces or not pieces[-1][0].startswith("--"):
            pieces.append([word])
        else:
            pieces[-1].append(word)
    return pieces


def _option_names(kind: Any) -> set[str]:
    """The options of a dataclass of arguments, those of the groups in it included."""
    found = set[str]()
    for one in fields(kind):
        default = one.default_factory() if one.default_factory is not MISSING else one.default
        group = type(default) if is_dataclass(default) and not isinstance(default, type) else None
        is_group = group is not None and one.name != "method"
        found |= _option_names(group) if is_group else {f"--{one.name.replace('_', '-')}"}
    return found


def _refuse(problem: str, word: str, known: Iterable[str], program: str) -> NoReturn:
    """Print what is wrong with a word and what may have been meant; exit with status 2."""
    near = difflib.get_close_matches(word, list(known), n=1)
    question = f" did you mean '{near[0]}'?" if near else ""
    print_fitted(f"obliq: error: {problem};{question} `{program} --help` lists all", sys.stderr)
    sys.exit(2)


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
