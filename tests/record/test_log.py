"""The log: what was acknowledged is there, and every change of it is found."""

import os
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest
from filelock import FileLock

from obliq.errors import RecordError
from obliq.record.events import Confirmed
from obliq.record.log import is_unfinished, read_log, writing
from tests.record.events import DAY, WHOLE


@pytest.fixture
def log(tmp_path: Path) -> Path:
    file = tmp_path / "log.jsonl"
    with writing(file) as writer:
        writer.append(DAY, "A. Example", WHOLE)
    return file


def test_what_was_written_is_read(log: Path) -> None:
    entries = read_log(log)
    assert tuple(entry.event for entry in entries) == WHOLE
    assert [entry.number for entry in entries] == list(range(1, len(WHOLE) + 1))
    assert {entry.actor for entry in entries} == {"A. Example"}


def test_every_changed_byte_is_found(log: Path) -> None:
    content = b"".join(log.read_bytes().splitlines(keepends=True)[3:6])
    first = WHOLE[:3]
    log.unlink()
    with writing(log) as writer:
        writer.append(DAY, "A. Example", first)
    before = log.read_bytes()
    for place in range(len(before), len(before) + len(content), 5):
        whole = before + content
        log.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(RecordError, match="line"):
            read_log(log)


def edited(lines: list[bytes]) -> dict[str, list[bytes]]:
    """Logs that somebody changed, by what was done."""
    found = {}
    for number in range(len(lines) - 1):
        found[f"line {number} removed"] = lines[:number] + lines[number + 1 :]
        found[f"line {number} repeated"] = lines[: number + 1] + lines[number:]
        found[f"line {number} moved"] = [
            *lines[:number],
            lines[number + 1],
            lines[number],
            *lines[number + 2 :],
        ]
        found[f"line {number} copied to the end"] = [*lines, lines[number]]
        found[f"white space in line {number}"] = [*lines[:number], b" " + lines[number], *lines[number + 1 :]]
    return found


def test_removed_repeated_and_moved_lines_are_found(log: Path) -> None:
    lines = log.read_bytes().splitlines(keepends=True)
    for what, changed in edited(lines).items():
        log.write_bytes(b"".join(changed))
        with pytest.raises(RecordError, match="line"):
            read_log(log)
        assert what


@pytest.mark.parametrize("place", [0, 2])
def test_a_forged_line_with_a_digest_of_its_own_is_found(place: int, log: Path) -> None:
    """Digests have no key: somebody who computes them anew must still continue what stands before."""
    entries = read_log(log)
    assert entries[0].previous == "0" * 64
    before = entries[place]
    for changes, message in (
        ({"number": before.number + 1}, f"entry {place + 2} stands here; expected {place + 1}"),
        ({"previous": "1" * 64}, "does not continue the line before"),
        ({"time": "2020-01-01T00:00:00Z"}, None),
    ):
        forged = replace(before, **changes)
        forged = replace(forged, digest=forged.computed_digest())
        log.write_bytes(b"".join(one.line() for one in [*entries[:place], forged]))
        if message is None:  # the last line, which nothing follows, can be written anew
            assert read_log(log)[-1] == forged
            log.write_bytes(b"".join(one.line() for one in [*entries[:place], forged, entries[place + 1]]))
            message = "does not continue the line before"
        with pytest.raises(RecordError, match=message):
            read_log(log)


def test_a_line_without_an_end_is_unfinished(tmp_path: Path) -> None:
    file = tmp_path / "log"
    for content, expected in (
        (b"", False),
        (b"a", True),
        (b"\n", False),
        (b"a\nb", True),
        (b"a\nbc\n", False),
    ):
        file.write_bytes(content)
        assert is_unfinished(file) == expected


def test_another_writer_is_waited_for(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("obliq.record.log.PATIENCE", 0.01)
    with (
        FileLock(log.with_name(".log-lock")),
        pytest.raises(
            RecordError, match="is being written by another process; expected it to end within 0 s"
        ),
        writing(log),
    ):
        pass
    with writing(log) as writer:
        assert writer.entries == read_log(log)


def test_a_killed_write_leaves_everything_that_was_acknowledged(log: Path) -> None:
    before, acknowledged = log.read_bytes(), read_log(log)
    with writing(log) as writer:
        (added,) = writer.append(DAY, "fleet", [Confirmed(floor=1, devices=9)])
    line = added.line()
    for written in range(0, len(line), 9):
        log.write_bytes(before + line[:written])
        assert read_log(log) == acknowledged
        if written % 100 == 0:
            with writing(log) as writer:
                writer.append(DAY, "fleet", [Confirmed(floor=1, devices=9)])
            assert read_log(log) == [*acknowledged, added]


def test_a_disk_that_refuses_acknowledges_nothing(
    log: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = log.read_bytes()

    def refuse(descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(RecordError, match="No space left"), writing(log) as writer:
        writer.append(DAY, "fleet", [Confirmed(floor=1, devices=9)])
    assert log.read_bytes() == before


def test_what_is_on_the_disk_when_it_is_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All bytes before the file is synced, the folder only where the file is new, and nothing of a killed writer."""
    file, sizes, folders = tmp_path / "log.jsonl", [], []
    monkeypatch.setattr(os, "fsync", lambda descriptor: sizes.append(os.fstat(descriptor).st_size))
    monkeypatch.setattr("obliq.record.log.sync", folders.append)
    with writing(file) as writer:
        for number in range(2):
            writer.append(DAY, "fleet", [Confirmed(floor=1, devices=number)])
            assert (sizes[-1], folders) == (file.stat().st_size, [tmp_path])
    assert file.stat().st_mode & 0o111 == 0
    with file.open("ab") as opened:
        opened.write(b"x" * 5000)
    with writing(file) as writer:
        writer.append(DAY, "fleet", [Confirmed(floor=1, devices=2)])
    assert [entry.number for entry in read_log(file)] == [1, 2, 3]
    assert not is_unfinished(file)


def add_many(file: Path, count: int) -> None:
    for number in range(count):
        with writing(file) as writer:
            writer.append(DAY, f"process {os.getpid()}", [Confirmed(floor=1, devices=number)])


def test_processes_that_write_at_once_lose_nothing(log: Path) -> None:
    context = get_context("fork")
    processes = [context.Process(target=add_many, args=(log, 10)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    entries = read_log(log)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(entries) == len(WHOLE) + 30


@pytest.mark.parametrize("actor", ["", "  ", "A\nB", "A\x1b[2J", "A" * 201])
def test_names_that_could_not_be_printed(actor: str, log: Path) -> None:
    with pytest.raises(RecordError, match="expected one line"), writing(log) as writer:
        writer.append(DAY, actor, [Confirmed(floor=1, devices=1)])


def test_names_that_look_like_others(log: Path) -> None:
    with pytest.raises(RecordError, match="mixes the alphabets"), writing(log) as writer:
        writer.append(DAY, "A. Ex\N{CYRILLIC SMALL LETTER A}mple", [Confirmed(floor=1, devices=1)])


def hostile(line: bytes) -> dict[str, bytes]:
    """Lines that no writer writes."""
    return {
        "no JSON": b"{",
        "a list": b"[]",
        "another event": line.replace(b'"begun"', b'"becun"'),
        "an event that is no text": line.replace(b'"begun"', b"[1]"),
        "a field twice": line.replace(b'{"actor"', b'{"actor":"x","actor"'),
        "an unknown fact": line.replace(b'"facts":{', b'"facts":{"more":1,'),
        "a number that is text": line.replace(b'"number":1', b'"number":"1"'),
    }


def test_hostile_lines_are_one_line_of_error(log: Path) -> None:
    first = log.read_bytes().splitlines(keepends=True)[0]
    for what, line in hostile(first).items():
        log.write_bytes(line.rstrip(b"\n") + b"\n")
        with pytest.raises(RecordError) as error:
            read_log(log)
        assert "\n" not in str(error.value), what


def test_a_link_is_not_followed(log: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.symlink_to(log)
    with pytest.raises(RecordError, match="links are not followed"):
        read_log(other)
