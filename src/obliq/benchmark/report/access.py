"""What the methods of a report read of the data that remain, so that unlike methods are not compared unseen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from obliq.benchmark.method_variant import MethodVariant
from obliq.benchmark.suite import Suite
from obliq.methods import UsedAccess, access_with

NOTES: Mapping[UsedAccess, str] = {
    "part of the retain set": "part of the retain set",
    "statistics": "retain statistics only",
    "nothing": "no retain data",
}
"""What stands next to the name of a method that reads less than the retain set."""
_EXPLAINED: Mapping[UsedAccess, str] = {
    "part of the retain set": "some of the retained samples",
    "statistics": "sums over the retain set, such as squared gradients, which could be computed once and kept",
    "nothing": "forget samples, and holdout samples where the method has targets",
}


def access_by_name(suite: Suite) -> dict[str, UsedAccess]:
    """What each variant of a suite reads, by its name; in the order of names.

    Where tuning chooses among settings that read more and less, the most that one of them reads.
    """
    return dict(sorted((one.name, _most_access(one)) for one in suite.variants))


def _most_access(variant: MethodVariant) -> UsedAccess:
    settings = ({**variant.defaults, **tried, **variant.fixed} for tried in variant.candidates())
    return min((access_with(variant.method_class, one) for one in settings), key=("retain set", *NOTES).index)


def access_notes(access: Mapping[str, UsedAccess] | None) -> dict[str, str]:
    """The notes of those methods that read less than the retain set, by name; none where nothing is recorded."""
    return {name: NOTES[level] for name, level in (access or {}).items() if level in NOTES}


def explain_access(methods: Iterable[str], access: Mapping[str, UsedAccess] | None) -> str:
    """What these methods read, in words: the notes that they have, and those of which nothing is recorded."""
    if access is None:
        return "Level of access: what each method reads of the retain set is not recorded."
    names = list(methods)
    unknown = [name for name in names if name not in access]
    found = {access.get(name) for name in names}
    levels = [level for level in NOTES if level in found]
    sentences = ["Level of access: every method reads the retain set."]
    if levels or unknown:
        sentences = ["Level of access: a method reads the retain set unless stated otherwise."]
    sentences += [f"{NOTES[level].capitalize()}: it reads {_EXPLAINED[level]}." for level in levels]
    if unknown:
        sentences.append(f"Not recorded for {', '.join(unknown)}.")
    return " ".join(sentences)
