"""What AMUN promises beyond the common contract."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obliq.data import Collection, Examples, Splits
from obliq.data.raw_values import RawValues
from obliq.errors import ModelError
from obliq.methods import AMUN, FineTune
from obliq.methods.amun import UNCROSSED, clip_distance, closest_adversarial, unit_vectors
from obliq.run import Run, Trace
from obliq.training.prediction import predict
from tests.methods.measured import CPU, statistics_moved, steps_moved

PLAIN = RawValues(mean=torch.zeros(()), deviation=torch.ones(()), eight_bit=False)
DISTANCE = 0.7


class HalfSpace(nn.Module):
    """Class 0 on the negative side of a plane through the origin, class 1 on the other."""

    def __init__(self) -> None:
        super().__init__()
        self.normal = nn.Parameter(torch.tensor([0.6, 0.8, 0.0]), requires_grad=False)

    def forward(self, inputs: Tensor) -> Tensor:
        side = inputs.flatten(1) @ self.normal
        return torch.stack([-side, side], dim=1)


def samples(distances: list[float]) -> Tensor:
    """One sample at each signed distance from the plane, somewhere along it."""
    along = torch.tensor([0.8, -0.6, 2.0])
    normal = torch.tensor([0.6, 0.8, 0.0])
    return torch.stack([distance * normal + along for distance in distances])


def test_the_closest_point_across_a_plane() -> None:
    """Straight across: beyond the plane, by at most one step, which is a tenth of the bound."""
    raw = samples([-DISTANCE, -0.05, 0.3])
    labels = torch.tensor([0, 0, 1])
    moved, answers = closest_adversarial(HalfSpace(), raw, labels, PLAIN, bound=0.1, steps=10, doublings=10)
    assert answers.tolist() == [1, 1, 0]
    lengths = (moved - raw).norm(dim=1)
    for length, distance in zip(lengths.tolist(), (DISTANCE, 0.05, 0.3), strict=True):
        bound = 0.1
        while bound < length:
            bound *= 2
        assert distance < length <= distance + bound / 10 + 1e-5
    assert torch.allclose(unit_vectors(moved - raw)[0], torch.tensor([0.6, 0.8, 0.0]), atol=1e-4)


def test_what_is_answered_wrongly_from_the_start_stays_where_it_is() -> None:
    raw = samples([0.4, -0.4])
    moved, answers = closest_adversarial(
        HalfSpace(), raw, torch.tensor([0, 0]), PLAIN, bound=0.1, steps=10, doublings=10
    )
    assert torch.equal(moved[0], raw[0])
    assert answers.tolist() == [1, 1]


@pytest.mark.parametrize(("doublings", "crosses"), [(2, False), (3, True)])
def test_the_attack_ends_at_the_last_bound(doublings: int, crosses: bool) -> None:
    raw = samples([-DISTANCE])
    moved, answers = closest_adversarial(
        HalfSpace(), raw, torch.tensor([0]), PLAIN, bound=0.1, steps=10, doublings=doublings
    )
    assert (answers.item() != UNCROSSED) == crosses
    assert float((moved - raw).norm()) <= 0.1 * 2**doublings + 1e-5


def test_the_attack_is_the_same_in_raw_values_whatever_the_standardisation() -> None:
    """The same network of raw values, behind another standardisation; bytes stay within 0..1."""

    class Raw(nn.Module):
        def __init__(self, values: RawValues) -> None:
            super().__init__()
            self.values, self.inner = values, HalfSpace()

        def forward(self, inputs: Tensor) -> Tensor:
            return self.inner(self.values.raw(inputs) - 0.5)

    raw = torch.tensor([[0.1, 0.2, 0.9], [0.4, 0.45, 0.0]])
    labels = torch.tensor([0, 0])
    settings = {"bound": 0.1, "steps": 10, "doublings": 10}
    byte = RawValues(mean=torch.zeros(()), deviation=torch.ones(()), eight_bit=True)
    other = RawValues(mean=torch.tensor(0.3), deviation=torch.tensor(0.2), eight_bit=True)
    plain, standardised = (
        closest_adversarial(Raw(values), raw, labels, values, **settings) for values in (byte, other)
    )
    assert torch.allclose(plain[0], standardised[0], atol=1e-5)
    assert torch.equal(plain[1], standardised[1])
    assert torch.equal(plain[0], plain[0].clamp(0, 1))


def test_a_sample_is_attacked_alone(original: nn.Module, splits: Splits) -> None:
    """Whoever else is in its batch, it moves the same way."""
    network = copy.deepcopy(original).eval()
    inputs, labels = splits.forget.inputs(), splits.forget.labels
    settings = {"bound": 0.1, "steps": 10, "doublings": 10}
    together = closest_adversarial(network, inputs, labels, PLAIN, **settings)
    alone = closest_adversarial(network, inputs[3:4], labels[3:4], PLAIN, **settings)
    assert torch.allclose(together[0][3], alone[0][0], atol=1e-4)
    assert together[1][3] == alone[1][0]
    assert bool((together[1] != labels).all())
    assert torch.equal(together[1], network(together[0]).argmax(dim=1))


def test_lengths_and_limits() -> None:
    vectors = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    assert torch.allclose(unit_vectors(vectors), torch.tensor([[0.6, 0.8], [0.0, 0.0]]))
    centres = torch.ones(2, 2)
    kept = clip_distance(centres + vectors, centres, 2.5)
    assert torch.allclose(kept - centres, torch.tensor([[1.5, 2.0], [0.0, 0.0]]))


def test_adversarial_answers_are_learned_and_confidence_in_true_ones_falls(
    original: nn.Module, splits: Splits
) -> None:
    network, forget = copy.deepcopy(original).eval(), splits.forget
    moved, answers = closest_adversarial(
        network, forget.inputs(), forget.labels, PLAIN, bound=0.1, steps=10, doublings=10
    )
    settings = {"epochs": 15, "learning_rate": 0.03}
    result = AMUN(**settings).unlearn(original, splits, Run(seed=1))
    tuned = FineTune(**settings).unlearn(original, splits, Run(seed=1))
    with torch.no_grad():
        before, after = (F.cross_entropy(model(moved), answers) for model in (network, result))
    assert after < before - 0.1

    def confidence(model: nn.Module) -> Tensor:
        chances = F.softmax(predict(model, forget, CPU), dim=1)
        return chances.gather(1, forget.labels.unsqueeze(1)).mean()

    assert confidence(result) < confidence(tuned)


@pytest.mark.parametrize("true_labels", [True, False])
def test_an_epoch_is_all_recorded_samples_and_the_adversarial_ones(
    original: nn.Module, splits: Splits, true_labels: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recorded samples come with their true labels, adversarial ones with wrong ones."""
    seen: list[tuple[Tensor, Tensor]] = []
    original_loss = F.cross_entropy

    def listening(logits: Tensor, labels: Tensor, **settings: str) -> Tensor:
        if not settings:
            seen.append((logits, labels))
        return original_loss(logits, labels, **settings)

    monkeypatch.setattr("obliq.methods.amun.F.cross_entropy", listening)
    AMUN(epochs=1, true_labels=true_labels).unlearn(original, splits, Run(seed=1))
    count = len(splits.retain) + len(splits.forget) * (2 if true_labels else 1)
    labels = torch.cat([labels for _, labels in seen])
    assert len(labels) == count
    true = torch.cat([splits.retain.labels, *([splits.forget.labels] if true_labels else [])])
    network = copy.deepcopy(original).eval()
    _, wrong = closest_adversarial(
        network, splits.forget.inputs(), splits.forget.labels, PLAIN, bound=0.1, steps=10, doublings=10
    )
    assert torch.equal(labels.bincount(minlength=3), torch.cat([true, wrong]).bincount(minlength=3))


def test_a_network_that_always_answers_alike_is_an_error(original: nn.Module, splits: Splits) -> None:
    stubborn = copy.deepcopy(original)
    label = int(splits.forget.labels[0])
    same_label = splits.partition.forgetting(
        splits.forget.indices[splits.forget.labels == label], salt=b"3" * 32
    )
    with torch.no_grad():
        stubborn.classifier.bias[label] += 1e4
    with pytest.raises(ModelError, match=r"no adversarial example within 0\.2 of any"):
        AMUN(doublings=1).unlearn(stubborn, same_label, Run(seed=1))


def test_how_far_samples_had_to_move_is_told(original: nn.Module, splits: Splits) -> None:
    trace = Trace()
    AMUN(epochs=1).unlearn(original, splits, Run(seed=1, listen=trace))
    assert trace.rows[0]["adversarial_share"] == 1.0
    assert float(trace.rows[0]["median_distance"]) > 0


def test_bytes_are_read_as_bytes() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randint(0, 256, (8, 1, 4, 4), generator=generator, dtype=torch.uint8)
    collection = Collection("bytes", inputs, torch.arange(8) % 2, mean=(0.5,), deviation=(0.25,))
    examples = Examples(collection, torch.arange(8))
    values = RawValues.of(collection, examples.inputs(), True)
    assert torch.allclose(values.raw(examples.inputs()), inputs.float() / 255, atol=1e-6)
    assert torch.allclose(values.standardised(values.raw(examples.inputs())), examples.inputs(), atol=1e-5)


def test_statistics_follow_or_stay_and_steps_are_trained(original: nn.Module, splits: Splits) -> None:
    frozen, following = (
        AMUN(epochs=1, batch_norm=name).unlearn(original, splits, Run(seed=1)) for name in ("frozen", "all")
    )
    assert not statistics_moved(original, frozen)
    assert statistics_moved(original, following)
    assert steps_moved(original, frozen)


@pytest.mark.parametrize("settings", [{"bound": 0.0}, {"attack_steps": 0}, {"doublings": -1}])
def test_settings_out_of_range_are_named(settings: dict[str, float]) -> None:
    with pytest.raises(ModelError, match=next(iter(settings))):
        AMUN(**settings)
