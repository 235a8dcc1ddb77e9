"""A hundred calls drawn at random; benchmarks/generated_calls.py makes ten thousand."""

from dataclasses import replace
from pathlib import Path

import pytest

from obliq.data import Partition
from obliq.record.events import Accepted
from tests.record.events import begun, received
from tests.record.server.browser import written_record

pytest.importorskip("cryptography", reason="requests are encrypted: extra patch")
pytest.importorskip("starlette", reason="the page needs the extra serve")
pytest.importorskip("python_multipart", reason="the page needs the extra serve")

from tests.record.server.generated import CASE, Callers, Calls


def test_no_call_fails_shows_or_changes_what_it_may_not(tmp_path: Path, parts: Partition) -> None:
    start = replace(begun(approvals=2, devices=3), partition=parts.digest)
    record = written_record(tmp_path / "record", start, received(CASE), Accepted(case=CASE))
    callers, found = Callers(record, parts), Calls()
    for number in range(100):
        callers.call(number, found)
    assert found.findings == []
    assert found.seconds < 1
    assert {200, 303, 400, 401, 403, 404} <= found.statuses.keys()
