"""The API page of the site lists every public name, and each has a docstring."""

import importlib.util
from dataclasses import dataclass
from types import ModuleType

import pytest

import obliq
from tests.documentation.pages import DOCS


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
    monkeypatch.setattr(obliq, "__all__", ["train", "Silent"])
    assert page.undocumented() == ["Silent", "Silent.act"]
