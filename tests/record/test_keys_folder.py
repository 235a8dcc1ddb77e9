"""The folder with the keys of a record: whose it is, and which of its files are ever destroyed."""

import dataclasses
from pathlib import Path

import pytest

from obliq.errors import RecordError
from obliq.record.appending import Appending
from obliq.record.events import Accepted, Closed, Event
from obliq.record.keys_folder import OWNER_FILE, Keys
from obliq.record.log import writing
from tests.record.events import DAY, begun, received

NAME = received().request
NOTED: tuple[Event, ...] = (begun(), received(), Accepted(case="C-1"))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    file = tmp_path / "record" / "log.jsonl"
    file.parent.mkdir()
    with writing(file) as opened:
        opened.append(DAY, "A. Example", NOTED)
    return file


def folder_with(tmp_path: Path, *names: str) -> Keys:
    keys = Keys(tmp_path / "keys")
    keys.folder.mkdir()
    for name in names:
        keys.file(name).write_bytes(bytes(32))
    return keys


def test_a_folder_of_an_earlier_version_is_bound_when_the_log_knows_its_keys(
    log: Path, tmp_path: Path
) -> None:
    keys = folder_with(tmp_path, NAME, "fleet")
    with Appending(log, keys):
        pass
    owner = keys.owner()
    assert owner is not None
    assert (owner.record, owner.entries) == (begun().record, 3)


@pytest.mark.parametrize(
    ("names", "stated", "message"),
    [
        ((NAME, "web"), False, "holds web.key, which the log of this record does not know"),
        ((NAME, "batch-1"), False, "holds batch-1.key, which the log"),
        ((NAME,), True, "only keys.json in the record names it; pass it as --keys once"),
    ],
)
def test_a_folder_that_may_be_of_somebody_else_is_refused(
    log: Path, tmp_path: Path, names: tuple[str, ...], stated: bool, message: str
) -> None:
    keys = folder_with(tmp_path, *names)
    keys.stated = stated
    with pytest.raises(RecordError, match=message), Appending(log, keys):
        pass
    assert not (keys.folder / OWNER_FILE).exists()
    with Appending(log, Keys(tmp_path / "elsewhere")):
        """The lock is free, and nothing is created elsewhere."""
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_without_keys_of_this_record_gets_none(log: Path, tmp_path: Path) -> None:
    keys = folder_with(tmp_path)
    with (
        Appending(log, keys),
        pytest.raises(RecordError, match="holds no keys of this record, so none is added"),
    ):
        keys.create("batch-1")


def test_keys_refuse_another_record_and_an_older_log(log: Path, tmp_path: Path) -> None:
    keys = folder_with(tmp_path, NAME)
    older = log.read_bytes()
    with Appending(log, keys) as appending:
        appending.append("A. Example", Closed(case="C-1", outcome="done", withheld=None))
    log.write_bytes(older)
    with (
        pytest.raises(RecordError, match="with a log of 4 entries, and the log lacks the last of these"),
        Appending(log, keys),
    ):
        pass
    with Appending(log, keys, lost=True) as appending:
        appending.append("A. Example", Closed(case="C-1", outcome="older", withheld=None))
    with Appending(log, keys):
        pass
    owner = keys.owner()
    assert owner is not None
    keys.bind(dataclasses.replace(owner, record="f" * 32))
    for lost in (False, True):
        with (
            pytest.raises(RecordError, match="holds the keys of another record"),
            Appending(log, keys, lost=lost),
        ):
            pass


def test_only_keys_that_were_drawn_for_requests_and_batches_are_removed(tmp_path: Path) -> None:
    keys = folder_with(tmp_path, NAME, "batch-12", "fleet", "withheld", "web", "mine-0123456789abcdef")
    assert keys.drawn() == {NAME, "batch-12"}
