"""A hundred calls drawn at random; benchmarks/generated_calls.py makes ten thousand."""

from dataclasses import replace
from pathlib import Path

import pytest

from obliq.data import Partition
from obliq.record.events import Accepted
from tests.record.events import begun, received
from tests.record.server.browser import Answer, written_record

pytest.importorskip("cryptography", reason="requests are encrypted: extra patch")
pytest.importorskip("starlette", reason="the page needs the extra serve")
pytest.importorskip("python_multipart", reason="the page needs the extra serve")

from obliq.record.server.protection import HEADERS
from tests.record.server.generated import CASE, MARK, Callers, Calls


def test_no_call_fails_shows_or_changes_what_it_may_not(tmp_path: Path, parts: Partition) -> None:
    start = replace(begun(approvals=2, devices=3), partition=parts.digest)
    record = written_record(tmp_path / "record", start, received(CASE), Accepted(case=CASE))
    callers, found = Callers(record, parts), Calls()
    for number in range(100):
        callers.call(number, found)
    assert found.findings == []
    assert found.seconds < 1
    assert {200, 303, 400, 401, 403, 404} <= found.statuses.keys()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(500, HEADERS, b""), "the server failed"),
        (Answer(200, {"content-type": "text/html"}, b""), "headers are missing"),
        (Answer(200, {**HEADERS, "content-type": "text/html"}, MARK.encode()), "what was typed is markup"),
        (Answer(200, HEADERS, b"Traceback"), "it names a folder"),
        (Answer(200, HEADERS, b"\x1b[2J"), "it holds control characters"),
        (Answer(303, {**HEADERS, "location": "//example.org"}, b""), "it leads to another site"),
        (Answer(200, HEADERS, CASE.encode()), "a stranger sees a case"),
    ],
)
def test_what_is_looked_for_would_be_found(
    answer: Answer, words: str, tmp_path: Path, parts: Partition
) -> None:
    callers = Callers(written_record(tmp_path / "record", begun()), parts)
    assert callers.wrong_with(answer, stranger=True) == [words]
