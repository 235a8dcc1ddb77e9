"""The page on methods names every field that its docstring calls unknown and that no search covers."""

import dataclasses
import importlib
import re

from obliq.methods import BUILT_IN, Method
from tests.documentation.pages import DOCS


def unknown_fields(kind: type[Method]) -> set[str]:
    """Fields in backticks before "unknown to us", in the same sentence of the docstring of its file."""
    text = " ".join((importlib.import_module(kind.__module__).__doc__ or "").split())
    named = {
        name for part in re.findall(r"[^.]*unknown to us", text) for name in re.findall(r"`(\w+)`", part)
    }
    return named & {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]


def test_unknown_fields_that_are_not_tuned_are_named() -> None:
    section = (DOCS / "methods.md").read_text().split("### What is reconstructed\n")[1].split("\n### ")[0]
    lists = re.findall(r"`([\w-]+)`\s+\(((?:`\w+`,?\s*)+)\)", section)
    untuned = {
        name: unknown_fields(kind) - set(getattr(kind, "search", ()))
        for name, kind in BUILT_IN.items()
        if unknown_fields(kind)
    }
    assert len(untuned) >= 5
    assert {name: set(re.findall(r"\w+", fields)) for name, fields in lists} == {
        name: fields for name, fields in untuned.items() if fields
    }


def test_what_is_called_unknown_is_a_field() -> None:
    """A docstring that names nothing in backticks would state an unknown that no test follows."""
    for name, kind in BUILT_IN.items():
        text = " ".join((importlib.import_module(kind.__module__).__doc__ or "").split())
        if "unknown to us" in text:
            assert unknown_fields(kind), name
