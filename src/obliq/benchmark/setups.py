"""What the suites share: data sets with a network and the recipe of its training, and groups of methods."""

import dataclasses

from obliq.benchmark.suite import Setup
from obliq.training.loop import Recipe

FASHION_IMAGES, WRITERS_IMAGES = 4000, 4000
TEST_IMAGES = 5000
HOLDOUT = 0.03  # of the whole set: about 2,000 images
SMALL_RECIPE = Recipe(epochs=20, learning_rate=0.1, batch_size=64)

FASHION = Setup(
    data="fashion-mnist",
    architecture="strided-convnet",
    limit=FASHION_IMAGES,
    holdout=HOLDOUT,
    test_limit=TEST_IMAGES,
    recipe=SMALL_RECIPE,
)
WRITERS = dataclasses.replace(FASHION, data="mnist", limit=WRITERS_IMAGES)
DIGITS = Setup(
    data="digits",
    architecture="convnet",
    recipe=Recipe(epochs=40, learning_rate=0.02, weight_decay=2e-3, batch_size=64),
)
"""As the demo trains its network."""
WATCH = Setup(
    data="watch",
    architecture="signal-convnet",
    recipe=Recipe(epochs=40, learning_rate=0.05, batch_size=64),
)
"""Divided as by `obliq train`: one person is tested, one or two are holdout, and seven or eight are trained on."""
CIFAR10 = Setup(
    data="cifar10",
    architecture="resnet18",
    holdout=5000 / 60000,
    preset="paper",
    weight_grid="per_tensor",
    recipe=Recipe(epochs=182, learning_rate=0.1, batch_size=256, warmup=0.0, augment=True),
)
"""As the Q-MUL networks are trained, on 45,000 images."""
CIFAR10_SMALL = Setup(
    data="cifar10",
    architecture="resnet20",
    limit=5000,
    holdout=0.03,
    test_limit=2000,
    recipe=Recipe(epochs=30, learning_rate=0.1, batch_size=64, augment=True),
)

STRONGEST = (
    "fine-tune",
    "l1-sparse",
    "amun",
    "salun",
    "q-mul",
    "q-mul public code",
    "oeu entropy",
    "calibrated",
)
"""The best baselines of the suites on smaller images, and ours, where all methods would take too long."""
HANDFUL = ("fine-tune", "random-label", "salun", "q-mul", "oeu entropy", "calibrated")
OF_PEOPLE = (
    "proxy-matching",
    "calibrated",
    "calibrated-holdout",
    "oeu entropy",
    "amun",
    "salun",
    "l1-sparse",
    "fine-tune",
    "a-amu",
    "regun",
)
"""Ours and those of the literature that were nearest elsewhere, or that have targets like ours."""
