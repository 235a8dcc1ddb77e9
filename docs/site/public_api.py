"""A Sphinx extension: the API page lists every name in `obliq.__all__`, and a name without a docstring is an error.

The page is generated from the package at each build, so it cannot become outdated.
"""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

import obliq

if TYPE_CHECKING:  # the tests import this file without Sphinx
    from sphinx.application import Sphinx

PAGE = "docs/api"
FUNCTIONS, CLASSES, ERRORS, VALUES = "Functions", "Classes", "Errors", "Values"
DIRECTIVES = {FUNCTIONS: "autofunction", CLASSES: "autoclass", ERRORS: "autoexception", VALUES: "autodata"}


def section_of(value: object) -> str:
    """The heading under which a public name is listed."""
    if inspect.isclass(value):
        return ERRORS if issubclass(value, BaseException) else CLASSES
    return FUNCTIONS if inspect.isroutine(value) else VALUES


def undocumented() -> list[str]:
    """Public functions and classes, and public methods of these classes, that have no docstring."""
    missing = []
    for name in obliq.__all__:
        value = getattr(obliq, name)
        if section_of(value) != VALUES and not _has_docstring(value):
            missing.append(name)
        if inspect.isclass(value):
            missing += [
                f"{name}.{member}"
                for member, function in vars(value).items()
                if not member.startswith("_") and inspect.isroutine(function) and not inspect.getdoc(function)
            ]
    return missing


def entries() -> str:
    """All sections of the page in Markdown, each name as a directive of autodoc."""
    names: dict[str, list[str]] = {section: [] for section in DIRECTIVES}
    for name in sorted(obliq.__all__, key=str.casefold):
        names[section_of(getattr(obliq, name))].append(name)
    return "".join(
        f"\n## {section}\n\n```{{eval-rst}}\n"
        + "".join(f".. {DIRECTIVES[section]}:: obliq.{name}\n\n" for name in members)
        + "```\n"
        for section, members in names.items()
        if members
    )


def add_entries(app: Sphinx, document: str, source: list[str]) -> None:
    """Append the entries to the page, and report names without a docstring."""
    if document == PAGE:
        from sphinx.util import logging

        for name in undocumented():
            logging.getLogger(__name__).warning(
                "obliq.%s is public and has no docstring", name, location=PAGE
            )
        source[0] += entries()


def readable_signature(
    app: Sphinx,
    kind: str,
    name: str,
    value: object,
    options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str, str | None] | None:
    """Replace what is no Python, which Sphinx could not lay out: factories, addresses, placeholders of type aliases."""
    if not signature:
        return None
    signature = signature.replace("<factory>", "...")
    signature = re.sub(r"TypeAliasForwardRef\('(\w+)'\)", r"\1", signature)
    return re.sub(r"<function (\w+) at 0x\w+>", r"\1", signature), returns


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    from sphinx.domains.python import PyObject

    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = "Fields"  # of dataclasses; "Variables" otherwise
    app.connect("source-read", add_entries)
    app.connect("autodoc-process-signature", readable_signature)
    return {"parallel_read_safe": True}


def _has_docstring(value: object) -> bool:
    """Whether somebody wrote one: a dataclass without a docstring gets its signature as one."""
    text = value.__doc__ or ""
    return bool(text) and not text.startswith(f"{getattr(value, '__name__', '')}(")
