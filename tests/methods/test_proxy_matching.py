"""Proxy matching: targets on the original's scale, proxies of their own seeds, and what is kept."""

import dataclasses

import pytest
import torch
from torch import nn

from obliq.data import Partition, Splits
from obliq.errors import DataError
from obliq.gradients import true_class_margin
from obliq.methods import ProxyMatching
from obliq.methods.proxy_matching import aims
from obliq.methods.proxy_matching.aims import Aims, mixture, on_the_scale_of, without_classes
from obliq.methods.proxy_matching.class_features import ClassFeatures, probe_margins
from obliq.run import Run, Trace
from obliq.training.linear_probe import LinearProbe, last_layer, penultimate_features
from obliq.training.prediction import predict

SHORT = ProxyMatching(proxies=1, proxy_epochs=1, epochs=2, rounds=1)
CPU = torch.device("cpu")


def test_the_scale_is_that_of_unseen_samples() -> None:
    unseen, wanted = torch.tensor([-1.0, 0.0, 1.0]), torch.tensor([2.0, 6.0, 10.0])
    mapped = on_the_scale_of(torch.tensor([-1.0, 0.0, 1.0, 3.0]), unseen, wanted)
    torch.testing.assert_close(mapped, torch.tensor([2.0, 6.0, 10.0, 18.0]))


def test_without_a_spread_only_the_mean_is_matched() -> None:
    mapped = on_the_scale_of(torch.tensor([4.0, 5.0]), torch.full((3,), 4.0), torch.tensor([1.0, 2.0, 3.0]))
    torch.testing.assert_close(mapped, torch.tensor([2.0, 3.0]))


def _level(logits: torch.Tensor, labels: torch.Tensor) -> float:
    return float(true_class_margin(logits, labels).abs().median())


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_mixture_has_the_level_of_the_original_on_unseen_samples(share: float) -> None:
    generator = torch.Generator().manual_seed(3)
    own, others = (scale * torch.randn(200, 5, generator=generator) for scale in (4.0, 0.5))
    labels = torch.arange(200) % 5
    mixed, _ = mixture((own, others), (own, others), labels, share)
    # margins of more than two classes do not quite grow with the factor
    assert _level(mixed, labels) == pytest.approx(_level(own, labels), rel=0.2)
    if share == 0:
        torch.testing.assert_close(mixed, own)
    if share == 1:
        assert torch.equal(mixed.argmax(1), others.argmax(1))


def test_targets_and_answers_follow_the_network(parts: Partition) -> None:
    """Half the confidence on unseen samples: half the targets, and answers raised by the root of two."""
    unseen = torch.tensor([-2.0, 1.0, 3.0, 5.0])
    aims = Aims(
        moved=parts.holdout,
        unseen=parts.holdout,
        answers=torch.zeros(1, 2),
        level=float(unseen.abs().median()),
        proxies=(torch.tensor([0.0, 2.0]), unseen),
        targets=torch.tensor([0.0, 2.0]),
    )
    aims.follow_(unseen)
    assert aims.factor == pytest.approx(1)
    aims.follow_(unseen / 2)
    torch.testing.assert_close(aims.targets, torch.tensor([0.0, 1.0]))
    assert aims.factor == pytest.approx(2**0.5)


def test_a_forgotten_class_gets_no_probability() -> None:
    kept = without_classes({1}, torch.tensor([[1.0, 9.0, 0.0], [-3.0, 2.0, 4.0]])).softmax(1)
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


def test_too_few_holdout_samples_are_refused_before_proxies_are_trained(
    original: nn.Module, parts: Partition
) -> None:
    few, trace = dataclasses.replace(parts, holdout=parts.holdout.spread(9)), Trace()
    splits = few.forgetting(parts.train.indices[:10], salt=b"1" * 32)
    with pytest.raises(DataError, match="9 holdout samples of retained classes; expected at least 10"):
        SHORT.unlearn(original, splits, Run(seed=1, listen=trace))
    assert not trace.rows


@pytest.fixture(scope="module")
def of_class(parts: Partition) -> Splits:
    return parts.forgetting(parts.train.indices[parts.train.labels == 1], salt=b"1" * 32)


def test_holdout_samples_of_a_forgotten_class_are_moved_too(
    original: nn.Module, of_class: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Aims] = []
    monkeypatch.setattr(aims, "Aims", lambda **given: built.append(Aims(**given)) or built[-1])
    dataclasses.replace(SHORT, epochs=1).unlearn(original, of_class, Run(seed=1))
    moved = set(built[0].moved.indices.tolist())
    assert moved - set(of_class.forget.indices.tolist()) == {
        index
        for index in of_class.holdout.indices.tolist()
        if of_class.partition.collection.labels[index] == 1
    }
    assert 1 not in built[0].unseen.labels.tolist()
    assert len(built[0].targets) == len(moved)


def test_features_of_a_class_come_to_what_proxies_reveal(original: nn.Module, of_class: Splits) -> None:
    """By a probe that is fitted afterwards, next to a descent that leaves features alone."""

    def revealed(method: ProxyMatching) -> float:
        return read(method.unlearn(original, of_class, Run(seed=1)))

    def read(network: nn.Module) -> float:
        layer = last_layer(network)
        assert layer is not None
        parts = (of_class.forget, of_class.retain)
        features = torch.cat([penultimate_features(network, layer, part, CPU) for part in parts])
        labels = torch.cat([part.labels for part in parts])
        scores = LinearProbe.fit(features, labels, 3).scores(features[: len(of_class.forget)])
        return float(probe_margins(scores, of_class.forget.labels).mean())

    method = dataclasses.replace(SHORT, epochs=6, rounds=2, proxy_epochs=4)
    proxy = read(method.proxy(original, of_class.retain, Run(seed=9)))
    with_it, without = (revealed(dataclasses.replace(method, probe_weight=weight)) for weight in (5.0, 0.0))
    assert abs(with_it - proxy) < abs(without - proxy)


def test_only_samples_of_forgotten_classes_have_a_loss_on_features(
    original: nn.Module, parts: Partition
) -> None:
    run = Run(seed=0)
    moved, kept = parts.train.take(30), parts.train.spread(60)
    features = ClassFeatures(original, [original], moved, kept, {1}, 1, run)
    losses = []
    with features.watched():
        for label in (0, 1, 2):
            original.eval()(moved.inputs())
            loss = features.loss(torch.full((30,), label), torch.arange(30))
            losses.append(float(loss.detach()))
    assert losses[0] == losses[2] == 0 < losses[1]


def test_a_probe_s_margin_is_the_score_of_the_true_class_minus_the_next() -> None:
    scores = torch.tensor([[0.5, 0.25, -1.0], [0.0, -0.5, 0.25]])
    torch.testing.assert_close(probe_margins(scores, torch.tensor([0, 1])), torch.tensor([0.25, -0.75]))
