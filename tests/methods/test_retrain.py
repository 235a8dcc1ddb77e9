"""Retraining starts anew and never sees who is to be forgotten."""

import copy

import torch
from torch import nn

from obliq.data import Collection, Examples, Partition, Splits
from obliq.methods import Retrain
from obliq.models import initialise
from obliq.run import Run
from obliq.training import Recipe, train
from tests.methods.measured import same

METHOD = Retrain(recipe=Recipe(epochs=2, batch_size=32))


def test_it_is_training_a_fresh_network_on_the_retain_set(original: nn.Module, splits: Splits) -> None:
    fresh = copy.deepcopy(original)
    initialise(fresh, 3)
    expected = train(fresh, splits.retain, METHOD.recipe, Run(seed=3))
    assert same(METHOD.unlearn(original, splits, Run(seed=3)), expected)


def test_weights_of_the_original_do_not_matter(original: nn.Module, splits: Splits) -> None:
    other = METHOD.unlearn(original, splits, Run(seed=8))
    assert same(METHOD.unlearn(original, splits, Run(seed=3)), METHOD.unlearn(other, splits, Run(seed=3)))


def test_forget_samples_do_not_matter(original: nn.Module, parts: Partition, splits: Splits) -> None:
    inputs = parts.collection.inputs.clone()
    inputs[splits.forget.indices] = 1000.0
    spoiled = Collection("spoiled", inputs, parts.collection.labels, class_names=("a", "b", "c"))

    class Spoiled:
        retain = Examples(spoiled, splits.retain.indices)

    assert same(
        METHOD.unlearn(original, Spoiled(), Run(seed=3)), METHOD.unlearn(original, splits, Run(seed=3))
    )
