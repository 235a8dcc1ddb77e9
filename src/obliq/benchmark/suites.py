"""The suites, as functions; `obliq bench NAME` runs one."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from obliq.benchmark.entrants import Contender, every_contender, some_contenders, untuned
from obliq.benchmark.scenario import Scenario
from obliq.benchmark.suite import Suite, World
from obliq.errors import ObliqError
from obliq.io.user_code import first_line, import_function
from obliq.methods import OEU
from obliq.training.loop import Recipe

FOLLOWED = "oeu calibrated"

FACTORS: Mapping[str, Mapping[str, Any]] = {
    "entropy objective": {"objective": "entropy"},
    "uniform objective": {"objective": "uniform"},
    "as hard as the average": {"difficulty": "average"},
    "forget set drawn evenly": {"draw": "even"},
    "projection never": {"projection": "never"},
    "projection always": {"projection": "always"},
    "projection per tensor": {"scope": "per_tensor"},
    "span of 8 retain gradients": {"projection": "always", "reference": "span"},
    "average of 8 retain gradients": {"reference": "average"},
    "projected update": {"projected": "update"},
    "forget step only": {"update": "forget_only"},
    "no clipping": {"clip": 0.0},
    "batch norm follows retain": {"batch_norm": "retain"},
    "steps frozen": {"steps": "frozen"},
    "lambda 4": {"forget_weight": 4.0},
    "500 retain images": {"retain_limit": 500, "epochs": 21},
    "1500 retain images": {"retain_limit": 1500, "epochs": 7},
    "in rounds": {"rounds": 3},
    "one epoch": {"epochs": 1},
}
"""From a row's name to the fields that it changes; a new ablation is a new line here."""


def ablations() -> tuple[Contender, ...]:
    """The contender that is followed, then one for each factor."""
    (followed,) = some_contenders(FOLLOWED)
    return (
        followed,
        *(
            Contender(name=name, kind=OEU, fixed={**followed.fixed, **changed}, follows=FOLLOWED)
            for name, changed in FACTORS.items()
        ),
    )


FASHION_IMAGES, WRITERS_IMAGES = 4000, 4000
TEST_IMAGES = 5000
HOLDOUT = 0.03  # of the whole set: about 2,000 images
SMALL_RECIPE = Recipe(epochs=20, learning_rate=0.1, batch_size=64)

FASHION = World(
    data="fashion-mnist", architecture="strided-convnet", limit=FASHION_IMAGES, holdout=HOLDOUT, test_limit=TEST_IMAGES,
    recipe=SMALL_RECIPE,
)  # fmt: skip
WRITERS = dataclasses.replace(FASHION, data="mnist", limit=WRITERS_IMAGES)
CIFAR10 = World(
    data="cifar10", architecture="resnet18", holdout=5000 / 60000, preset="paper", weight_grid="per_tensor",
    recipe=Recipe(epochs=182, learning_rate=0.1, batch_size=256, warmup=0.0, augment=True),
)  # fmt: skip
"""As the Q-MUL networks are trained, on 45,000 images."""
CIFAR10_SMALL = World(
    data="cifar10", architecture="resnet20", limit=5000, holdout=0.03, test_limit=2000,
    recipe=Recipe(epochs=30, learning_rate=0.1, batch_size=64, augment=True),
)  # fmt: skip

SMALL_SCENARIOS = ("random=10%", "class=0", "memorised=high")
SCENARIOS = (
    "random=10%", "random=30%", "random=50%", "class=0", "memorised=low", "memorised=medium", "memorised=high",
)  # fmt: skip
TUNED_ON = {
    "random=30%": "random=10%", "random=50%": "random=10%", "memorised=low": "memorised=high",
    "memorised=medium": "memorised=high",
}  # fmt: skip
"""Once a kind of request: who is asked to forget does not know beforehand how hard the samples will be."""
BITS = ("W2A2", "W3A3", "W4A4", "W8A8", "FP32")
NETWORKS = ("resnet20", "resnet18", "mobilenetv2")
STRONGEST = (
    "fine-tune",
    "l1-sparse",
    "amun",
    "salun",
    "q-mul",
    "q-mul public code",
    "oeu entropy",
    "oeu calibrated",
)
"""The best baselines of the suites on smaller images, and ours, for where every method would take too long."""
IN_OTHER_LENGTHS = ("oeu calibrated, one epoch", "oeu calibrated, in rounds")
HANDFUL = ("fine-tune", "random-label", "salun", "q-mul", "oeu entropy", "oeu calibrated")


def smoke() -> Suite:
    """Whether everything works, in under a minute; its numbers mean nothing."""
    recipe = Recipe(epochs=2, learning_rate=0.1, batch_size=64)
    return Suite(
        name="smoke",
        worlds=(World(data="digits", architecture="convnet", recipe=recipe, limit=600, test_limit=150),),
        scenarios=scenarios("random=10%", "subjects=1"),
        contenders=tuple(map(untuned, some_contenders("fine-tune", "oeu calibrated"))),
        seeds=(1,),
        references=2,
    )


def fashion_small() -> Suite:
    """Fashion-MNIST at W4A4, three requests, every method."""
    return Suite(
        name="fashion-small", worlds=(FASHION,), scenarios=scenarios(*SMALL_SCENARIOS),
        contenders=every_contender(),
    )  # fmt: skip


def fashion() -> Suite:
    """Fashion-MNIST at W4A4 and W2A2, seven requests, every method."""
    return Suite(
        name="fashion", worlds=at_bits(FASHION, "W4A4", "W2A2"), scenarios=scenarios(*SCENARIOS),
        contenders=every_contender(), tuned_on=TUNED_ON,
    )  # fmt: skip


def fashion_bits() -> Suite:
    """A random request over all bit widths, for curves."""
    return Suite(
        name="fashion-bits", worlds=at_bits(FASHION, *BITS), scenarios=scenarios("random=10%"),
        contenders=some_contenders(*HANDFUL),
    )  # fmt: skip


def fashion_long() -> Suite:
    """Fashion-MNIST where retraining takes the 182 epochs of the literature, tuned where it takes 20; for costs."""
    recipe = dataclasses.replace(SMALL_RECIPE, epochs=182)
    return Suite(
        name="fashion-long", worlds=(dataclasses.replace(FASHION, recipe=recipe),), scenarios=scenarios("random=10%"),
        contenders=some_contenders(*STRONGEST, *IN_OTHER_LENGTHS), references=0, tuned_in=FASHION,
    )  # fmt: skip


def writers() -> Suite:
    """Handwritten digits: one and ten writers ask to be forgotten."""
    return Suite(
        name="writers", worlds=at_bits(WRITERS, "W4A4", "W2A2"), scenarios=scenarios("subjects=1", "subjects=10"),
        contenders=every_contender(), tuned_on={"subjects=1": "subjects=10"},
    )  # fmt: skip


def fashion_small_ablations() -> Suite:
    """`fashion-small` with one factor of our method changed at a time."""
    return dataclasses.replace(fashion_small(), name="fashion-small-ablations", contenders=ablations())


def writers_grid() -> Suite:
    """`writers` at every bit width and on every network, for who has many machines."""
    worlds = on_every_network(dataclasses.replace(WRITERS, limit=0))
    return dataclasses.replace(writers(), name="writers-grid", worlds=worlds)


def writers_ablations() -> Suite:
    """`writers` at W4A4 with one factor of our method changed at a time."""
    return dataclasses.replace(writers(), name="writers-ablations", worlds=(WRITERS,), contenders=ablations())


def cifar10() -> Suite:
    """The literature's scale: days on one accelerator."""
    networks = (CIFAR10, dataclasses.replace(CIFAR10, architecture="mobilenetv2"))
    return Suite(
        name="cifar10",
        worlds=tuple(world for network in networks for world in at_bits(network, "W4A4", "W2A2")),
        scenarios=scenarios("random=10%", "random=30%", "random=50%", "class=0"),
        contenders=every_contender(),
        tuned_on={"random=30%": "random=10%", "random=50%": "random=10%"},
    )


def cifar10_small() -> Suite:
    """CIFAR-10 with few images, epochs and seeds, for one accelerator or a few hours of processors."""
    return Suite(
        name="cifar10-small", worlds=(CIFAR10_SMALL,), scenarios=scenarios("random=10%"), seeds=(1, 2),
        contenders=some_contenders(*STRONGEST), references=0,
    )  # fmt: skip


def cifar10_short() -> Suite:
    """ResNet-18 on all of CIFAR-10, few epochs, one seed, tuned on the small one; wants an accelerator."""
    recipe = Recipe(epochs=12, learning_rate=0.1, batch_size=256, augment=True)
    return dataclasses.replace(
        cifar10_small(), name="cifar10-short", worlds=(dataclasses.replace(CIFAR10, recipe=recipe),), seeds=(1,),
        tuned_in=CIFAR10_SMALL,
    )  # fmt: skip


def grid() -> Suite:
    """Every bit width and network with every request that CIFAR-10 allows, for who has many machines."""
    return Suite(
        name="grid", worlds=on_every_network(CIFAR10), scenarios=scenarios(*SCENARIOS),
        contenders=every_contender(), tuned_on=TUNED_ON,
    )  # fmt: skip


def scenarios(*words: str) -> tuple[Scenario, ...]:
    """Scenarios by their words."""
    return tuple(map(Scenario, words))


def at_bits(world: World, *bits: str) -> tuple[World, ...]:
    """The same world at several bit widths."""
    return tuple(dataclasses.replace(world, bits=one) for one in bits)


def on_every_network(world: World) -> tuple[World, ...]:
    """The same world on each of the literature's networks, at every bit width."""
    return tuple(
        one
        for network in NETWORKS
        for one in at_bits(dataclasses.replace(world, architecture=network), *BITS)
    )


SUITES: dict[str, Callable[[], Suite]] = {
    "smoke": smoke,
    "fashion-small": fashion_small,
    "fashion": fashion,
    "fashion-bits": fashion_bits,
    "fashion-long": fashion_long,
    "fashion-small-ablations": fashion_small_ablations,
    "writers": writers,
    "writers-ablations": writers_ablations,
    "cifar10": cifar10,
    "cifar10-small": cifar10_small,
    "cifar10-short": cifar10_short,
    "grid": grid,
    "writers-grid": writers_grid,
}


def suite_named(name: str) -> Suite:
    """A suite of ours, or the one that a function of the user's returns (`package.module:function`).

    Raises:
        ObliqError: when there is no such suite, or the user's code does not give one.
    """
    if name in SUITES:
        return SUITES[name]()
    if ":" not in name:
        raise ObliqError(
            f"there is no suite {name!r}; expected {', '.join(SUITES)} or package.module:function"
        )
    try:
        made = import_function(name)()
    except ObliqError:
        raise
    except Exception as error:
        raise ObliqError(
            f"suite {name}: {first_line(error)}; expected a function that returns a Suite"
        ) from error
    if not isinstance(made, Suite):
        raise ObliqError(f"suite {name} returned {type(made).__name__}; expected a Suite")
    return made
