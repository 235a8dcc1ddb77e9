"""Proxy matching: targets on the original's scale, proxies of their own seeds, and what is kept."""

import dataclasses

import pytest
import torch
from torch import nn

from obliq.data import Partition, Splits
from obliq.errors import DataError
from obliq.methods import ProxyMatching
from obliq.methods.proxy_matching import _without, on_the_scale_of
from obliq.run import Run, Trace
from obliq.training.loop import predict

SHORT = ProxyMatching(proxies=1, proxy_epochs=1, epochs=2, rounds=1)
CPU = torch.device("cpu")


def test_the_scale_is_that_of_unseen_samples() -> None:
    unseen, wanted = torch.tensor([-1.0, 0.0, 1.0]), torch.tensor([2.0, 6.0, 10.0])
    mapped = on_the_scale_of(torch.tensor([-1.0, 0.0, 1.0, 3.0]), unseen, wanted)
    torch.testing.assert_close(mapped, torch.tensor([2.0, 6.0, 10.0, 18.0]))


def test_without_a_spread_only_the_mean_is_matched() -> None:
    mapped = on_the_scale_of(torch.tensor([4.0, 5.0]), torch.full((3,), 4.0), torch.tensor([1.0, 2.0, 3.0]))
    torch.testing.assert_close(mapped, torch.tensor([2.0, 3.0]))


def test_a_forgotten_class_gets_no_probability() -> None:
    kept = _without({1}, torch.tensor([[1.0, 9.0, 0.0], [-3.0, 2.0, 4.0]])).softmax(1)
    assert float(kept[:, 1].max()) < 1e-8
    expected = torch.tensor([[1.0, 0.0], [-3.0, 4.0]]).softmax(1)
    torch.testing.assert_close(kept[:, [0, 2]], expected)


def test_proxies_differ_from_each_other_and_from_a_retrained_network(
    original: nn.Module, splits: Splits
) -> None:
    seeds: list[int] = []

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Watched(ProxyMatching):  # type: ignore[misc]  # final: only to watch
        def proxy(self, model: nn.Module, retain: object, run: Run) -> nn.Module:
            seeds.append(run.seed)
            return model

    Watched(proxies=3, epochs=1, rounds=1).unlearn(original, splits, Run(seed=5))
    assert len({5, *seeds}) == 4


def test_the_mean_margin_comes_nearer_to_the_target(original: nn.Module, splits: Splits) -> None:
    trace = Trace()
    ProxyMatching(epochs=8, proxies=1).unlearn(original, splits, Run(seed=1, listen=trace))
    assert 0 <= float(trace.rows[-1]["distance_left"]) < 0.7


def test_rounds_end_where_the_tolerance_is_met(original: nn.Module, splits: Splits) -> None:
    once = SHORT.unlearn(original, splits, Run(seed=1))
    again = dataclasses.replace(SHORT, rounds=3, tolerance=100.0).unlearn(original, splits, Run(seed=1))
    assert torch.equal(predict(once, splits.forget, CPU), predict(again, splits.forget, CPU))


def test_too_few_holdout_samples_are_refused(original: nn.Module, parts: Partition) -> None:
    few = dataclasses.replace(parts, holdout=parts.holdout.spread(9))
    splits = few.forgetting(parts.train.indices[:10], salt=b"1" * 32)
    with pytest.raises(DataError, match="9 holdout samples of retained classes; expected at least 10"):
        SHORT.unlearn(original, splits, Run(seed=1))
