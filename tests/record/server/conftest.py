"""What all tests of the page share."""

import pytest

from obliq.record.server.accounts import PasswordHash
from tests.record.server.browser import QUICK


@pytest.fixture(autouse=True)
def _quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The password that is checked for names without an account costs as little as the others of these tests."""
    try:
        from obliq.record.server import login
    except ImportError:
        return
    quick = PasswordHash.of("a password that nobody has", QUICK)
    monkeypatch.setattr(login, "_of_nobody", lambda: quick)
