from datetime import UTC, datetime, timedelta

import pytest
import torch

from obliq.errors import ObliqError
from obliq.run import Listener, Run, Trace, device_named, silent, together, utc_now


def test_equal_seeds_draw_equal_numbers_and_purposes_differ() -> None:
    def draw(seed: int, purpose: int) -> list[float]:
        return torch.rand(4, generator=Run(seed=seed).generator(purpose)).tolist()

    assert draw(1, 0) == draw(1, 0)
    assert len({tuple(draw(seed, purpose)) for seed in (0, 1) for purpose in (0, 1, 2)}) == 6


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_seeds_at_the_edge(seed: int) -> None:
    Run(seed=seed).generator(purpose=3)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_beyond(seed: int) -> None:
    with pytest.raises(ObliqError, match=f"seed {seed}; expected 0 to"):
        Run(seed=seed)


def test_the_clock_is_in_utc_and_can_be_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    now = utc_now()
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)
    assert (now.tzinfo, now.microsecond) == (UTC, 0)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1772355900")
    assert utc_now() == datetime(2026, 3, 1, 9, 5, tzinfo=UTC)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(
        ObliqError, match="SOURCE_DATE_EPOCH is 'yesterday'; expected whole seconds since 1970"
    ):
        utc_now()


def test_a_trace_keeps_what_was_measured() -> None:
    first, second = Trace(), Trace()
    listen = together(first, silent, second)
    listen("train", 1, 2, {})
    listen("train", 2, 2, {"loss": 0.5})
    assert first.rows == second.rows == [{"stage": "train", "step": 2, "of": 2, "loss": 0.5}]
    assert isinstance(first, Listener)


def test_devices() -> None:
    assert device_named("cpu") == torch.device("cpu")
    assert device_named("auto").type in ("cpu", "cuda")
    with pytest.raises(ObliqError, match="'tpu'; expected auto, cpu or cuda"):
        device_named("tpu")


@pytest.mark.parametrize("there", [False, True])
def test_a_device_that_may_be_missing(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert device_named("auto").type == ("cuda" if there else "cpu")
    if there:
        assert device_named("cuda").type == "cuda"
    else:
        with pytest.raises(ObliqError, match="no CUDA device"):
            device_named("cuda")
