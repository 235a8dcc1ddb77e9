"""What the suites share: data sets with a network and the recipe of its training, requests, and groups of methods."""

import dataclasses

from obliq.benchmark.scenario import Scenario
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
CIFAR10_CPU = Setup(
    data="cifar10",
    architecture="strided-convnet",
    holdout=5000 / 60000,
    test_limit=TEST_IMAGES,
    recipe=Recipe(epochs=30, learning_rate=0.1, batch_size=128),
)
"""All 45,000 images on a network of 85,000 weights, of which one processor core trains an epoch in 11 s. Without
augmentation, as so small a network would memorise little with it."""
CIFAR10_RESNET20 = dataclasses.replace(CIFAR10_CPU, architecture="resnet20")
"""All 45,000 images on ResNet-20, of which one processor core trains an epoch in two minutes in bfloat16. Without
augmentation, as in 30 epochs the network would memorise little with it."""

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
    "munba",
    "coun",
    "not",
    "ugradsl-plus",
    "mu-mis",
    "jit",
    "ficabu",
)
"""Ours, those of the literature that were nearest elsewhere or have targets like ours, and the latest ones."""

SCENARIOS = (
    "random=10%",
    "random=30%",
    "random=50%",
    "class=0",
    "memorised=low",
    "memorised=medium",
    "memorised=high",
)
TUNED_ON = {
    "random=30%": "random=10%",
    "random=50%": "random=10%",
    "memorised=low": "memorised=high",
    "memorised=medium": "memorised=high",
}
"""Tune once per kind of request, because the difficulty of a request is unknown in advance."""
BITS = ("W2A2", "W3A3", "W4A4", "W8A8", "FP32")
NETWORKS = ("resnet20", "resnet18", "mobilenetv2")
BEYOND_EDGES = 3
"""Trials beyond the edge of a range, in suites that have them."""


def scenarios(*texts: str) -> tuple[Scenario, ...]:
    """Scenarios by their texts."""
    return tuple(map(Scenario, texts))


def at_bits(setup: Setup, *bits: str) -> tuple[Setup, ...]:
    """The same setup at several bit widths."""
    return tuple(dataclasses.replace(setup, bits=one) for one in bits)


def on_every_network(setup: Setup) -> tuple[Setup, ...]:
    """The same setup on each of the literature's networks, at every bit width."""
    return tuple(
        one
        for network in NETWORKS
        for one in at_bits(dataclasses.replace(setup, architecture=network), *BITS)
    )
