"""Retraining starts anew and never sees who is to be forgotten."""

import copy

from torch import nn

from obliq.data import Collection, Partition, Splits, partition
from obliq.methods import Retrain
from obliq.models import initialise
from obliq.run import Run
from obliq.training.loop import Recipe, fit
from tests.methods.measured import same

METHOD = Retrain(recipe=Recipe(epochs=2, batch_size=32))


def test_it_is_training_a_fresh_network_on_the_retain_set(original: nn.Module, splits: Splits) -> None:
    fresh = copy.deepcopy(original)
    initialise(fresh, 3)
    expected = fit(fresh, splits.retain, METHOD.recipe, Run(seed=3))
    assert same(METHOD.unlearn(original, splits, Run(seed=3)), expected)


def test_weights_of_the_original_do_not_matter(original: nn.Module, splits: Splits) -> None:
    other = METHOD.unlearn(original, splits, Run(seed=8))
    assert same(METHOD.unlearn(original, splits, Run(seed=3)), METHOD.unlearn(other, splits, Run(seed=3)))


def test_forget_samples_do_not_matter(original: nn.Module, parts: Partition, splits: Splits) -> None:
    given = parts.collection
    inputs = given.inputs.clone()
    inputs[splits.forget.indices] = 1000.0
    spoiled = Collection("spoiled", inputs, given.labels, given.subjects, class_names=given.class_names)
    others = partition(spoiled, parts.rule).forgetting(splits.forget.indices, salt=b"0" * 32)
    assert same(METHOD.unlearn(original, others, Run(seed=3)), METHOD.unlearn(original, splits, Run(seed=3)))
