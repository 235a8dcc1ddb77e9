"""The suites on CIFAR-10, and the grid over every network and bit width."""

import dataclasses

from obliq.benchmark.setups import (
    BEYOND_EDGES,
    CIFAR10,
    CIFAR10_CPU,
    CIFAR10_RESNET20,
    CIFAR10_SMALL,
    SCENARIOS,
    TUNED_ON,
    at_bits,
    on_every_network,
    scenarios,
)
from obliq.benchmark.suite import Suite
from obliq.benchmark.variants import every_variant, variants_named, with_default_fields
from obliq.training.loop import Recipe

STRONGEST = (
    "fine-tune",
    "l1-sparse",
    "amun",
    "salun",
    "q-mul",
    "q-mul code labels",
    "oeu entropy",
    "calibrated",
)
"""Baselines that most papers compare with, and ours, where all methods would take too long."""
SIX_STRONGEST = ("amun", "coun", "l1-sparse", "not", "munba", "q-mul")
"""The methods of others with the smallest mean gaps over the 18 cells of smaller images, ranked by their best form.

Q-MUL takes part in its plain form."""
ON_PROCESSORS = (*SIX_STRONGEST, "fine-tune", "salun", "oeu entropy", "calibrated")
"""For all images of CIFAR-10 without an accelerator."""


def cifar10_suite() -> Suite:
    """The literature's scale; takes days on one accelerator."""
    networks = (CIFAR10, dataclasses.replace(CIFAR10, architecture="mobilenetv2"))
    return Suite(
        name="cifar10",
        setups=tuple(setup for network in networks for setup in at_bits(network, "W4A4", "W2A2")),
        scenarios=scenarios("random=10%", "random=30%", "random=50%", "class=0", "memorised=high"),
        variants=every_variant(),
        tuned_on={"random=30%": "random=10%", "random=50%": "random=10%"},
        beyond_edges=BEYOND_EDGES,
    )


def cifar10_60_suite() -> Suite:
    """`cifar10` with originals of 60 epochs, a third of the literature's."""
    setups = tuple(
        dataclasses.replace(one, recipe=dataclasses.replace(one.recipe, epochs=60))
        for one in cifar10_suite().setups
    )
    return dataclasses.replace(cifar10_suite(), name="cifar10-60", setups=setups)


def cifar10_small_suite() -> Suite:
    """CIFAR-10 with few images, epochs and seeds; needs one accelerator or a few hours on processors."""
    return Suite(
        name="cifar10-small",
        setups=(CIFAR10_SMALL,),
        scenarios=scenarios("random=10%"),
        seeds=(1, 2),
        variants=variants_named(*STRONGEST),
        beyond_edges=BEYOND_EDGES,
        references=0,
    )


def cifar10_short_suite() -> Suite:
    """ResNet-18 on all of CIFAR-10, few epochs, one seed, tuned on the small suite; needs an accelerator."""
    recipe = Recipe(epochs=12, learning_rate=0.1, batch_size=256, augment=True)
    return dataclasses.replace(
        cifar10_small_suite(),
        name="cifar10-short",
        setups=(dataclasses.replace(CIFAR10, recipe=recipe),),
        seeds=(1,),
        tuned_in=CIFAR10_SMALL,
        beyond_edges=0,
    )


def cifar10_cpu_suite() -> Suite:
    """All images of CIFAR-10 on a small network, for machines without an accelerator; one seed."""
    (ours,) = variants_named("proxy-matching")
    return Suite(
        name="cifar10-cpu",
        setups=(CIFAR10_CPU,),
        scenarios=scenarios("random=10%", "random=50%", "class=0"),
        seeds=(1,),
        variants=(*variants_named(*ON_PROCESSORS), with_default_fields(ours)),
        tuned_in=dataclasses.replace(CIFAR10_CPU, limit=5000),
        tuned_on={"random=50%": "random=10%"},
        beyond_edges=BEYOND_EDGES,
        references=0,
    )


def cifar10_tenth_suite() -> Suite:
    """The random tenth of `cifar10-cpu`, with the settings of most methods tuned on all images."""
    (ours,) = variants_named("proxy-matching")
    return Suite(
        name="cifar10-tenth",
        setups=(CIFAR10_CPU,),
        scenarios=scenarios("random=10%"),
        seeds=(1, 2),
        variants=(*variants_named(*SIX_STRONGEST, "fine-tune", "calibrated"), with_default_fields(ours)),
        beyond_edges=BEYOND_EDGES,
        references=0,
    )


def cifar10_resnet20_suite() -> Suite:
    """ResNet-20 on all images of CIFAR-10, with settings tuned on the small suite; one seed, no accelerator."""
    return Suite(
        name="cifar10-resnet20",
        setups=(CIFAR10_RESNET20,),
        scenarios=scenarios("random=10%"),
        seeds=(1,),
        variants=variants_named(*(name for name in STRONGEST if name != "q-mul code labels")),
        tuned_in=CIFAR10_SMALL,
        references=0,
    )


def grid_suite() -> Suite:
    """Every bit width and network with every request that CIFAR-10 allows, for a cluster."""
    return Suite(
        name="grid",
        setups=on_every_network(CIFAR10),
        scenarios=scenarios(*SCENARIOS),
        variants=every_variant(),
        tuned_on=TUNED_ON,
        beyond_edges=BEYOND_EDGES,
    )
