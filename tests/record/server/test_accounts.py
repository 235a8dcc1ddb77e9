"""Accounts, sessions and attempts to guess a password."""

from pathlib import Path

import pytest

from obliq.errors import RecordError
from obliq.record.server.accounts import Account, Accounts, PasswordHash, new_token, token_digest
from obliq.record.server.sessions import IDLE_SECONDS, LONGEST_SECONDS, FailureLimit, Sessions
from tests.record.server.browser import PASSWORD, QUICK, Clock, person


def test_accounts_are_kept_as_hashes_that_only_their_owner_can_read(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path / "record.serve" / "accounts.json")
    token = new_token()
    accounts.put(person("A. Example", "officer"))
    accounts.put(Account(name="fleet", role="device", password=None, token=token_digest(token)))
    text = accounts.file.read_text()
    assert PASSWORD not in text
    assert token not in text
    assert accounts.file.stat().st_mode & 0o777 == 0o600
    assert accounts.file.parent.stat().st_mode & 0o777 == 0o700
    again = Accounts(accounts.file)
    found = again.named(" a.  EXAMPLE ")
    assert found is not None
    assert found.password is not None
    assert found.password.fits(PASSWORD)
    assert not found.password.fits(PASSWORD + " ")
    assert again.with_token(token) == again.named("fleet")
    assert again.with_token(token[:-1]) is None
    # one name, however it is spelled, is one account, so that nobody approves twice
    accounts.put(person("a. example", "auditor"))
    assert [one.name for one in again.all()] == ["fleet", "a. example"]
    accounts.remove("fleet")
    assert again.with_token(token) is None
    with pytest.raises(RecordError, match=r"expected one of: a\. example"):
        accounts.remove("fleet")
    accounts.all()
    accounts.file.chmod(0o644)
    for one in (accounts, Accounts(accounts.file)):  # also where it was read before
        with pytest.raises(RecordError, match="chmod 600"):
            one.all()


@pytest.mark.parametrize("password", ["", "short", "x" * 1001])
def test_a_password_has_a_length(password: str) -> None:
    with pytest.raises(RecordError, match="expected 15 to 1000"):
        PasswordHash.of(password, QUICK)


def test_a_session_ends_without_use_and_after_half_a_day() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    account = person("A", "officer")
    secret = sessions.begin(account)
    clock.now += IDLE_SECONDS - 1
    assert sessions.find(secret) is not None
    assert sessions.find(secret + "x") is None
    clock.now += IDLE_SECONDS + 1
    assert sessions.find(secret) is None
    secret = sessions.begin(account)
    for _ in range(LONGEST_SECONDS // 1000):
        clock.now += 1000
        assert sessions.find(secret) is not None
    clock.now += 1000
    assert sessions.find(secret) is None


def test_failures_are_counted_within_a_window() -> None:
    clock = Clock()
    limit = FailureLimit(3, 60, clock)
    for _ in range(3):
        assert limit.seconds_to_wait("a") == 0
        limit.count("a")
        clock.now += 10
    assert limit.seconds_to_wait("a") == 30
    assert limit.seconds_to_wait("b") == 0
    clock.now += 30
    assert limit.seconds_to_wait("a") == 0
    limit.forget("a")
    limit.count("a")
    assert limit.seconds_to_wait("a") == 0
