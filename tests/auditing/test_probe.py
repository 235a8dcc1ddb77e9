import copy

import pytest
import torch
from sklearn.linear_model import Ridge
from torch import nn

from obliq.auditing.probe import probe_signals
from obliq.checkpoints import Blueprint
from obliq.data import PartitionRule, Splits, partition
from obliq.quantization import Precision
from obliq.run import Run
from obliq.training.linear_probe import RIDGE, LinearProbe
from obliq.training.loop import Recipe, fit
from tests.conftest import make_collection

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def splits() -> Splits:
    parts = partition(make_collection(), PartitionRule(seed=1))
    return parts.forgetting(parts.train.indices[parts.train.labels == 1])


@pytest.fixture(scope="module")
def model(splits: Splits) -> nn.Module:
    shape = splits.partition.collection.sample_shape
    form = Blueprint(
        architecture="convnet",
        input_shape=shape,
        classes=splits.partition.collection.classes,
        precision=Precision(4, 4),
    ).build()
    return fit(form, splits.partition.train, Recipe(epochs=3, batch_size=16), Run(seed=0))


def test_it_sees_a_class_that_the_last_layer_no_longer_answers(splits: Splits, model: nn.Module) -> None:
    before = probe_signals(model, splits, CPU)
    assert before is not None
    edited = copy.deepcopy(model)
    bias = next(
        module.bias
        for module in reversed(list(edited.modules()))
        if getattr(module, "bias", None) is not None
    )
    with torch.no_grad():
        bias[1] -= 100
    after = probe_signals(edited, splits, CPU)
    assert after is not None
    assert torch.equal(before.logits, after.logits)
    assert set(before.labels.tolist()) == {1}
    assert (before.predictions == 1).any()


def test_the_network_is_left_as_it_was(splits: Splits, model: nn.Module) -> None:
    state = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    probe_signals(model, splits, CPU)
    assert model.training
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_requests_of_people_and_networks_without_layers_have_no_probe(
    splits: Splits, model: nn.Module
) -> None:
    parts = splits.partition
    some = parts.forgetting(parts.train.indices[:5])
    assert probe_signals(model, some, CPU) is None
    assert probe_signals(nn.Sequential(nn.Flatten()), splits, CPU) is None


def test_the_probe_is_the_ridge_regression_of_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(60, 4, generator=generator, dtype=torch.float64) * 3 + 1
    labels = torch.arange(60) % 3
    scores = LinearProbe.fit(features, labels, 3).scores(features)
    inputs = (features - features.mean(0)) / (features.std(0) + 1e-6)
    inputs = torch.cat([inputs, torch.ones(60, 1, dtype=torch.float64)], dim=1).numpy()
    other = Ridge(alpha=60 * RIDGE, fit_intercept=False).fit(inputs, torch.eye(3).double()[labels].numpy())
    torch.testing.assert_close(scores, torch.from_numpy(other.predict(inputs)))
