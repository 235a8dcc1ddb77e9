"""What to print in place of the parser's message about words that it does not know."""

import io
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, NoReturn

from obliq.cli.text import print_fitted
from obliq.cli.verbs import VERBS, Verb
from obliq.io.known_names import CLOSE, nearest_names, unknown_name

REPEATED = ("--forget", "--forgotten", "--require")
"""Options that take one value and can be repeated."""


def explain_unknown_words(name: str, verb: Verb, options: Sequence[str], message: io.StringIO) -> None:
    """Exit with status 2 and an explanation where there is a better one than the parser's, which is then dropped.

    Args:
        name: the verb as it was typed.
        verb: its arguments, and the methods that it takes.
        options: the words after the verb.
        message: what the parser printed.
    """
    choices = verb.choices()
    methods: Mapping[str, Any] = choices if isinstance(choices, Mapping) else {}
    printed = re.sub(r"\x1b\[[0-9;]*m", "", message.getvalue())  # without the colours of a terminal
    better = (
        _about_method_option(name, options, methods)
        or _about_word(name, options, methods, printed)
        or _about_order(name, verb, options, methods, printed)
    )
    if better:
        message.seek(0)
        message.truncate()
        _refuse(better)


def refuse_unknown(kind: str, word: str, known: Iterable[str], program: str) -> NoReturn:
    """State that there is no such verb, option or method, and what may have been meant; exit with status 2."""
    _refuse(f"{unknown_name(kind, word, known)} `{program} --help` lists all")


def refuse_method_as_verb(word: str) -> None:
    """Exit with status 2 where the name of a method stands in place of a verb."""
    if word.startswith("-") or nearest_names(word, {name.split()[0] for name in VERBS}, CLOSE):
        return  # an option, or a mistyped verb; torch need not be imported for it
    from obliq.methods import available_methods

    if word in available_methods():
        _refuse(
            f"{word} is a method of `obliq unlearn`; expected `obliq unlearn {word} --help`, or `obliq unlearn "
            f"ORIGINAL --forget ... --out DIR {word}`"
        )


def _refuse(explanation: str) -> NoReturn:
    print_fitted(f"obliq: error: {explanation}", sys.stderr)
    sys.exit(2)


def _about_method_option(name: str, options: Sequence[str], methods: Mapping[str, Any]) -> str:
    """About `--method NAME`: the command that has the method and its options at the end."""
    words = [
        part for word in options for part in (word.split("=", 1) if word.startswith("--method=") else [word])
    ]
    if not methods or "--method" not in words:
        return ""
    place = words.index("--method")
    named = words[place + 1 : place + 2]
    near = nearest_names(named[0], methods, CLOSE, most=1) if named else []
    method = near[0] if near else "METHOD"
    rest = _pieces([*words[:place], *words[place + 1 + len(named) :]])
    late = [piece for piece in rest if method in methods and piece[0] in _option_names(methods[method])]
    early = [word for piece in rest if piece not in late for word in piece]
    command = shlex.join(["obliq", name, *early, method, *(word for piece in late for word in piece)])
    problem = f"--method is no option of `obliq {name}`, since the method comes last"
    if named and named[0] not in methods:
        problem = f"{unknown_name('method', named[0], methods)} `obliq {name} --help` lists all. The method comes last"
    return f"{problem}, by its name alone; expected `{command}`"


def _about_word(name: str, options: Sequence[str], methods: Mapping[str, Any], printed: str) -> str:
    """About a word that belongs to no option: a second value, or the name of a method that does not exist."""
    found = re.search(r"(?:Unrecognized|misplaced) options:[\s│|]*([^-\s│|]\S*?),?\s", printed)
    if not found or found[1] not in options:
        return ""
    word = found[1]
    place = len(options) - 1 - list(reversed(options)).index(word)
    before = _pieces(options[:place])
    if before and before[-1][0] in REPEATED and len(before[-1]) > 1:
        option = before[-1][0]
        command = shlex.join(["obliq", name, *options[:place], option, *options[place:]])
        return f"{option} takes one value, and '{word}' is a second one; expected `{command}`"
    if not methods:
        return ""
    method = next((one for one in options[:place] if one in methods), None)
    if method is not None:
        return (
            f"'{word}' is no option of the method {method}; `obliq {name} {method} --help` lists its options"
        )
    return f"{unknown_name('method', word, methods)} `obliq {name} --help` lists all"


def _about_order(
    name: str, verb: Verb, options: Sequence[str], methods: Mapping[str, Any], printed: str
) -> str:
    """About an option on the wrong side of a method: the command in order."""
    unknown = set(re.findall(r"(?<![\w-])--[\w-]+", printed.partition("Perhaps you meant")[0]))
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
        return ""
    theirs = _option_names(methods[method])
    early = [piece for piece in after if piece[0] in (unknown & own) - theirs]
    late = [piece for piece in before if piece[0] in (unknown & theirs) - own]
    if not early and not late:
        return ""
    moved = (early or late)[0][0]
    where = f"an option of the verb, so it comes before the method {method}"
    if not early:
        where = f"an option of the method {method}, so it comes after its name" + (
            "" if place is not None else ", and no method is named"
        )
    rest = [piece for piece in after if piece not in early]
    words = [word for piece in (*(p for p in before if p not in late), *early) for word in piece]
    words += [method, *(word for piece in (*late, *rest) for word in piece)]
    return f"{moved} is {where}; expected `{shlex.join(['obliq', name, *words])}`"


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
