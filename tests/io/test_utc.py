"""Times in files are read only as they are written."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from obliq.io.utc import format_duration, parse_utc, utc_text


def test_a_time_is_written_in_utc_and_read_again() -> None:
    noon = datetime(2026, 1, 31, 13, 0, tzinfo=timezone(timedelta(hours=1)))
    assert utc_text(noon) == "2026-01-31T12:00:00Z"
    assert parse_utc("2026-01-31T12:00:00Z") == noon
    assert parse_utc("2026-01-31T12:00:00Z").tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-01-31T12:00:00+00:00",
        "2026-1-31T12:00:00Z",
        "2026-02-30T12:00:00Z",
        "2026-01-31T24:00:00Z",
        " 2026-01-31T12:00:00Z",
        "2026-01-31T12:00:00Z\n",
        "\uff12026-01-31T12:00:00Z",
    ],
)
def test_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a time such as"):
        parse_utc(text)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (125, "2 min 5 s"), (7260, "2 h 1 min")],
)
def test_durations(seconds: float, words: str) -> None:
    assert format_duration(seconds) == words
