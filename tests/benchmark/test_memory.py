"""Memory is what a computation adds, however often the process has computed the same before."""

import pytest
import torch

from obliq.benchmark.execute import CLEAR_REFS, track_memory

pytestmark = pytest.mark.skipif(not CLEAR_REFS.exists(), reason="only Linux can reset a process' peak")
CPU = torch.device("cpu")


def allocated(megabytes: int) -> float:
    """A rise in memory while an array of so many MB is filled and dropped."""
    rise = track_memory(lambda: float(torch.ones(megabytes * 250_000).sum()), CPU).memory_increase_mb
    assert rise is not None
    return rise


def test_the_second_time_takes_as_much_as_the_first() -> None:
    rises = [allocated(100) for _ in range(3)]
    assert all(95 < rise < 115 for rise in rises), rises


def test_what_was_there_before_does_not_count() -> None:
    kept = torch.ones(50_000_000)
    assert allocated(20) < 35
    assert kept[0] == 1
