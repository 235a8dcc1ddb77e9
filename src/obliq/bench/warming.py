"""A worker's first computation, thrown away: it loads what later ones have loaded, so that times compare."""

import torch

from obliq.checkpoints import Blueprint
from obliq.data import Collection, PartitionRule, partition
from obliq.erase import make_original
from obliq.run import Run
from obliq.training import Recipe


def warm_up(run: Run) -> None:
    """Train a small network on noise."""
    inputs = torch.rand(64, 1, 8, 8, generator=run.generator())
    noise = Collection(name="noise", inputs=inputs, labels=torch.arange(64) % 2, class_names=("a", "b"))
    blueprint = Blueprint(architecture="convnet", input_shape=(1, 8, 8), classes=2)
    recipe = Recipe(epochs=1, batch_size=16)
    make_original(partition(noise, PartitionRule()), blueprint, recipe, run)
