"""Charts of equal numbers, drawn once: matplotlib takes most of the time of a page."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from obliq.report import charts

DRAWN = ("distribution_chart", "trace_chart", "prediction_chart", "interval_chart", "band_chart")


@contextmanager
def charts_drawn_once() -> Iterator[Callable[[], None]]:
    """Keep each chart for its next use; what is given forgets those that were kept."""
    known: dict[str, str] = {}

    def keeping(name: str, draw: Callable[..., str]) -> Callable[..., str]:
        def kept(*given: object, **named: object) -> str:
            key = repr((name, given, named))
            if key not in known:
                known[key] = draw(*given, **named)
            return known[key]

        return kept

    with pytest.MonkeyPatch.context() as patched:
        for name in DRAWN:
            patched.setattr(charts, name, keeping(name, getattr(charts, name)))
        yield known.clear
