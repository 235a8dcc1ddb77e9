"""An unlearned network that lost its use, or ended further from its targets, is called failed and never shipped."""

import copy
import dataclasses

import pytest
import torch
from torch import nn

from obliq.checkpoints import Provenance
from obliq.data import Examples, Partition, Splits
from obliq.errors import ModelError
from obliq.methods import Calibrated, GradientAscent, ProxyMatching
from obliq.models import initialise
from obliq.quantization import quantize
from obliq.run import Run, Trace
from obliq.training.loop import Recipe, fit
from obliq.workflow.gate import LARGEST_DISTANCE, pass_gate, require_passed
from obliq.workflow.pipeline import role_counts
from tests.conftest import SmallNet


def provenance(splits: Splits, **changes: object) -> Provenance:
    return Provenance(
        role="unlearned",
        data="toy",
        rule=splits.partition.drawn_by,
        partition_digest=splits.partition.digest,
        counts=role_counts(splits),
        **changes,  # type: ignore[arg-type]
    )


def test_the_original_itself_passes(original: nn.Module, splits: Splits) -> None:
    gate = pass_gate(original, original, splits, [])
    assert gate.failures == ()
    assert gate.before == gate.after
    assert set(gate.before) == {"retain", "holdout"}


def test_a_constant_answer_fails_on_both_sets(original: nn.Module, splits: Splits) -> None:
    ruined = copy.deepcopy(original)
    with torch.no_grad():
        ruined.classifier.bias[0] += 1000
    gate = pass_gate(original, ruined, splits, [])
    assert len(gate.failures) == 4
    for role, (accuracy, constant) in zip(
        ("retain", "holdout"), (gate.failures[:2], gate.failures[2:]), strict=True
    ):
        assert f"{role} samples fell from" in accuracy
        assert "one class is the answer to all" in constant


def test_losses_of_several_requests_add_up(original: nn.Module, splits: Splits) -> None:
    ruined = copy.deepcopy(original)
    with torch.no_grad():
        ruined.classifier.bias[0] += 1000
    now = pass_gate(ruined, ruined, splits, [])
    assert now.failures == ()  # nothing was lost since the last request
    earlier = dataclasses.replace(now, start={"holdout": 100.0})
    gate = pass_gate(ruined, ruined, splits, [], earlier)
    assert gate.start == {"holdout": 100.0}  # of the network before all requests, not of the last one
    assert [failure[:36] for failure in gate.failures] == ["accuracy on holdout samples fell from"[:36]]
    assert "over all requests so far" in gate.failures[0]
    assert pass_gate(ruined, ruined, splits, [], now).start == now.before


def test_gradient_ascent_at_a_high_rate_fails(original: nn.Module, splits: Splits) -> None:
    ruined = GradientAscent(learning_rate=1.0).unlearn(original, splits, Run(seed=1))
    assert pass_gate(original, ruined, splits, []).failures


def test_classes_that_are_gone_do_not_count(original: nn.Module, splits: Splits) -> None:
    parts = splits.partition
    by_class = parts.forgetting(parts.train.indices[parts.train.labels == 2])
    forgetting = copy.deepcopy(original)
    with torch.no_grad():
        forgetting.classifier.bias[2] -= 1000  # never answers the forgotten class
    gate = pass_gate(original, forgetting, by_class, [])
    assert gate.failures == ()
    assert gate.after["holdout"] >= gate.before["holdout"]


def test_unseen_samples_of_a_forgotten_person_do_not_count(original: nn.Module, parts: Partition) -> None:
    collection = parts.collection
    assert collection.subjects is not None
    person, other = collection.subjects[parts.train.indices[0]], collection.subjects[parts.holdout.indices[0]]
    # every other sample of the person is held out, besides those of one other person
    hers = torch.arange(len(collection))[collection.subjects == person]
    theirs = torch.arange(len(collection))[collection.subjects == other]
    divided = dataclasses.replace(
        parts,
        train=parts.train.where(~torch.isin(parts.train.indices, hers[::2])),
        holdout=Examples(collection, torch.cat([hers[::2], theirs]).sort().values),
    )
    ruined = copy.deepcopy(original)
    with torch.no_grad():
        ruined.classifier.bias[0] += 1000

    def counted(roles: Splits) -> str:
        (lost,) = [
            one for one in pass_gate(original, ruined, roles, []).failures if "holdout samples fell" in one
        ]
        return lost.split()[2]

    assert counted(divided.forgetting(hers[1::2])) == "12"
    assert counted(divided.forgetting(divided.train.indices[-1:], earlier=hers[1::2])) == "12"
    assert counted(divided.forgetting(hers[1:4:2])) == "18"  # something of the person is retained


@pytest.mark.parametrize(
    ("share", "distance", "fails"),
    [
        (1.5, 2 * LARGEST_DISTANCE, True),
        (0.9, 2 * LARGEST_DISTANCE, False),
        (15.0, LARGEST_DISTANCE / 2, False),
    ],
    ids=["further away", "nearer", "further, but near"],
)
def test_a_method_that_moved_away_from_its_targets_fails(
    original: nn.Module, splits: Splits, share: float, distance: float, fails: bool
) -> None:
    trace = [
        {"distance": 0.0, "distance_left": 0.0},
        {"distance": distance, "distance_left": share},
        {"loss": 1.0},
    ]
    gate = pass_gate(original, original, splits, trace)
    assert bool(gate.failures) == fails
    assert gate.distance == pytest.approx(distance)


def test_a_failed_network_ships_only_when_somebody_accepts_it(original: nn.Module, splits: Splits) -> None:
    ruined = copy.deepcopy(original)
    with torch.no_grad():
        ruined.classifier.bias[0] += 1000
    gate = pass_gate(original, ruined, splits, [])
    failed = provenance(splits, gate=gate)
    with pytest.raises(ModelError, match=r"runs/x failed its gate: accuracy on .*pass --accept"):
        require_passed(failed, "runs/x", accept=False)
    require_passed(failed, "runs/x", accept=True)
    accepted = dataclasses.replace(gate, accepted=True)
    require_passed(dataclasses.replace(failed, gate=accepted), "runs/x", accept=False)
    require_passed(provenance(splits), "runs/x", accept=False)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("method", [Calibrated(), ProxyMatching()], ids=["calibrated", "proxy-matching"])
def test_a_network_trained_briefly_on_few_samples_keeps_its_use(
    method: Calibrated | ProxyMatching, seed: int, splits: Splits
) -> None:
    network = quantize(SmallNet(), "W4A4")
    initialise(network, seed)
    recipe = Recipe(epochs=4, learning_rate=0.05, batch_size=32)
    brief = fit(network, splits.partition.train, recipe, Run(seed=seed))  # 144 samples, 20 steps
    gate = pass_gate(brief, method.unlearn(brief, splits, Run(seed=seed)), splits, [])
    assert gate.failures == ()


def test_restarts_save_a_network_that_a_high_rate_ruins(original: nn.Module, splits: Splits) -> None:
    def ended(restarts: int) -> tuple[bool, list[float]]:
        trace = Trace()
        method = Calibrated(epochs=2, rounds=2, learning_rate=1.0, clip=0.0, restarts=restarts, tolerance=0.0)
        result = method.unlearn(original, splits, Run(seed=1, listen=trace))
        return not pass_gate(original, result, splits, []).failures, [row["step"] for row in trace.rows]

    alone, steps = ended(0)
    saved, repeated = ended(6)
    assert (alone, saved) == (False, True)
    assert len(repeated) > len(steps)
