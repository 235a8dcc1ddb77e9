"""The API page of the site lists every public name, and each has a docstring."""

import importlib.util
import pkgutil
import re
from dataclasses import dataclass
from types import ModuleType

import pytest

import obliq
from tests.documentation.pages import DOCS, MANUALS

NO_PYTHON = {"obliq.audit"}
"""Names in the pages that are no Python: the schema of audit.json."""


@dataclass
class Silent:
    number: int

    def act(self) -> None:
        pass


@pytest.fixture
def page() -> ModuleType:
    """The extension that writes the page; it needs no Sphinx for this."""
    specification = importlib.util.spec_from_file_location("public_api", DOCS / "site" / "public_api.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_every_public_name_has_a_docstring(page: ModuleType) -> None:
    assert page.undocumented() == []


def test_every_public_name_is_on_the_page(page: ModuleType) -> None:
    text = page.entries()
    assert {name for name in obliq.__all__ if f":: obliq.{name}\n" not in text} == set()


def test_a_missing_docstring_is_reported(page: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(obliq, "Silent", Silent, raising=False)
    monkeypatch.setattr(obliq, "__all__", ["ObliqError", "Silent"])
    assert page.undocumented() == ["Silent", "Silent.act"]


def test_names_in_the_pages_exist() -> None:
    text = "".join(page.read_text() for page in MANUALS)
    names = set(re.findall(r"`(obliq(?:\.\w+)+)", text)) - NO_PYTHON
    assert len(names) > 5
    for name in sorted(names):
        pkgutil.resolve_name(name)
