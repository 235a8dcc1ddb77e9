"""What orthogonal entropy unlearning promises beyond the common contract."""

import itertools

import pytest
import torch
from torch import nn

from obliq.data import Splits
from obliq.errors import ModelError
from obliq.gradients import entropy
from obliq.methods import OEU, Masked
from obliq.quantization import integer_state, learned_steps
from obliq.run import Run, Trace
from obliq.training.prediction import predict
from tests.methods.measured import same

CPU = torch.device("cpu")


def traced(method: OEU, model: nn.Module, splits: Splits) -> tuple[nn.Module, list[dict[str, float]]]:
    trace = Trace()
    return method.unlearn(model, splits, Run(seed=1, listen=trace)), trace.rows


def alignments(original: nn.Module, splits: Splits, **settings: object) -> list[float]:
    _, rows = traced(OEU(epochs=2, retain_batch=32, record_every=1, **settings), original, splits)
    return [abs(row["forget_alignment"]) for row in rows if "forget_alignment" in row]


@pytest.mark.parametrize("objective", ["entropy", "uniform"])
def test_without_momentum_the_forget_part_leaves_the_retain_batch_alone_to_first_order(
    original: nn.Module, splits: Splits, objective: str
) -> None:
    values = alignments(original, splits, momentum=0.0, objective=objective)
    assert len(values) > 5
    assert max(values) < 1e-6


def test_with_momentum_the_raw_gradient_mode_loses_the_guarantee_and_the_update_mode_keeps_it(
    original: nn.Module, splits: Splits
) -> None:
    raw = alignments(original, splits, momentum=0.9, projected="gradient")
    update = alignments(original, splits, momentum=0.9, projected="update")
    assert raw[0] < 1e-6, "the first step has no history"
    assert max(raw[1:]) > 1e-3, "velocity is orthogonal to earlier retain gradients only"
    assert max(update) < 1e-6


def test_weight_decay_belongs_to_the_retain_term_and_does_not_disturb_the_forget_part(
    original: nn.Module, splits: Splits
) -> None:
    assert max(alignments(original, splits, momentum=0.0, weight_decay=0.1)) < 1e-6
    assert max(alignments(original, splits, momentum=0.9, weight_decay=0.1, projected="update")) < 1e-6


def test_per_tensor_projection_implies_the_global_one(original: nn.Module, splits: Splits) -> None:
    assert max(alignments(original, splits, momentum=0.0, scope="per_tensor")) < 1e-6


def test_without_projection_the_two_gradients_interfere(original: nn.Module, splits: Splits) -> None:
    assert max(alignments(original, splits, momentum=0.0, projection="never")) > 1e-3


@pytest.mark.parametrize("clip", [0.0, 0.05], ids=["no clipping", "clipping"])
def test_measured_change_follows_the_prediction_for_small_steps(
    original: nn.Module, splits: Splits, clip: float
) -> None:
    """In float arithmetic theory and measurement meet; the quantized forward moves in jumps around it."""
    from obliq.models import initialise
    from tests.conftest import SmallNet

    network = SmallNet()
    initialise(network, 3)
    method = OEU(epochs=1, record_every=1, momentum=0.0, learning_rate=1e-3, weight_decay=0.0, clip=clip)
    _, rows = traced(method, network, splits)
    for row in rows[:4]:
        assert row["measured_change"] == pytest.approx(row["predicted_change"], rel=0.05, abs=2e-6)
        assert abs(row["measured_forget_change"]) < 0.1 * abs(row["predicted_change"])


def test_entropy_on_the_forget_set_rises(original: nn.Module, splits: Splits) -> None:
    before = entropy(predict(original, splits.forget, CPU)).mean()
    for objective in ("entropy", "uniform"):
        result, _ = traced(OEU(epochs=4, objective=objective), original, splits)
        assert entropy(predict(result, splits.forget, CPU)).mean() > before + 0.05


def test_a_frozen_grid_moves_only_codes_and_layer_biases(original: nn.Module, splits: Splits) -> None:
    result, rows = traced(OEU(epochs=3, steps="frozen", record_every=1), original, splits)
    before, after = original.state_dict(), result.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved <= {"features.0.weight", "features.3.weight", "classifier.weight", "classifier.bias"}
    assert all(torch.equal(a, b) for a, b in zip(learned_steps(original), learned_steps(result), strict=True))
    codes = [
        (integer_state(original)[name].codes, integer_state(result)[name].codes)
        for name in integer_state(original)
    ]
    pairs = [(a, b) for a, b in codes if a is not None]
    share = sum(int((a != b).sum()) for a, b in pairs) / sum(a.numel() for a, _ in pairs)
    assert rows[-1]["changed_codes"] == pytest.approx(share)
    assert share > 0


def test_a_movable_share_is_the_saliency_mask_and_moves_fewer_codes(
    original: nn.Module, splits: Splits
) -> None:
    settings = {"epochs": 2, "steps": "frozen", "record_every": 1}
    part, part_rows = traced(OEU(movable=0.1, **settings), original, splits)
    masked = Masked(method=OEU(**settings), share=0.1).unlearn(original, splits, Run(seed=1))
    _, all_rows = traced(OEU(**settings), original, splits)
    assert same(part, masked)
    assert 0 < part_rows[-1]["changed_codes"] < all_rows[-1]["changed_codes"]


def test_frozen_statistics_stay_and_retain_statistics_follow(original: nn.Module, splits: Splits) -> None:
    name = "features.1.running_mean"
    frozen, _ = traced(OEU(epochs=1), original, splits)
    assert torch.equal(frozen.state_dict()[name], original.state_dict()[name])
    following, _ = traced(OEU(epochs=1, batch_norm="retain"), original, splits)
    assert not torch.equal(following.state_dict()[name], original.state_dict()[name])


def test_measuring_changes_nothing(original: nn.Module, splits: Splits) -> None:
    for batch_norm in ("frozen", "retain"):
        often, seldom = (
            traced(OEU(epochs=2, record_every=n, batch_norm=batch_norm), original, splits)[0].state_dict()
            for n in (1, 0)
        )
        assert all(torch.equal(often[name], seldom[name]) for name in often)


def test_forget_only_uses_the_retain_gradient_for_projection_alone(
    original: nn.Module, splits: Splits
) -> None:
    method = OEU(epochs=2, update="forget_only", momentum=0.0, record_every=1, weight_decay=0.1)
    _, rows = traced(method, original, splits)
    for row in rows:
        assert row["predicted_change"] == row["predicted_forget_change"]


@pytest.mark.parametrize(
    "settings",
    [
        {"epochs": 0},
        {"learning_rate": 0.0},
        {"forget_weight": -1.0},
        {"retain_batch": 0},
        {"momentum": float("nan")},
        {"momentum": 1.0},
        {"learning_rate": float("nan")},
    ],
)
def test_settings_out_of_range_are_named(settings: dict[str, float]) -> None:
    with pytest.raises(ModelError, match=next(iter(settings))):
        OEU(**settings)


def test_every_combination_of_choices_runs(original: nn.Module, splits: Splits) -> None:
    choices = itertools.product(
        ("entropy", "uniform"),
        ("always", "on_conflict", "never"),
        ("global", "per_tensor"),
        ("gradient", "update"),
        ("retain+forget", "forget_only"),
    )
    for objective, projection, scope, projected, update in choices:
        method = OEU(
            objective=objective,
            projection=projection,
            scope=scope,
            projected=projected,
            update=update,
            epochs=1,
            forget_weight=0.1,
            record_every=0,
        )
        result = method.unlearn(original, splits, Run(seed=1))
        assert bool(torch.isfinite(predict(result, splits.forget, CPU)).all())


def test_measuring_draws_no_random_numbers_of_the_run(splits: Splits) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(36, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3))
    often, seldom = (traced(OEU(epochs=1, record_every=n), network, splits)[0].state_dict() for n in (1, 0))
    assert all(torch.equal(often[name], seldom[name]) for name in often)
