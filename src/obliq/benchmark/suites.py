"""The suites, as functions; `obliq bench NAME` runs one."""

import dataclasses
from collections.abc import Callable
from functools import partial

from obliq.benchmark.cifar10_suites import (
    cifar10_60_suite,
    cifar10_cpu_suite,
    cifar10_resnet20_suite,
    cifar10_short_suite,
    cifar10_small_suite,
    cifar10_suite,
    cifar10_tenth_suite,
    grid_suite,
)
from obliq.benchmark.setups import (
    BEYOND_EDGES,
    BITS,
    DIGITS,
    FASHION,
    FASHION_IMAGES,
    HANDFUL,
    OF_PEOPLE,
    SCENARIOS,
    SMALL_RECIPE,
    TUNED_ON,
    WATCH,
    WRITERS,
    at_bits,
    on_every_network,
    scenarios,
)
from obliq.benchmark.suite import Setup, Suite
from obliq.benchmark.variants import (
    BUDGETS,
    ablations,
    every_variant,
    target_variants,
    variants_named,
    variants_of_budget,
    with_default_fields,
)
from obliq.errors import ObliqError
from obliq.io.user_code import first_line, import_function
from obliq.training.loop import Recipe

SMALL_SCENARIOS = ("random=10%", "class=0", "memorised=high")


def smoke_suite() -> Suite:
    """A check in under a minute that everything works; its numbers mean nothing."""
    recipe = Recipe(epochs=2, learning_rate=0.1, batch_size=64)
    return Suite(
        name="smoke",
        setups=(Setup(data="digits", architecture="convnet", recipe=recipe, limit=600, test_limit=150),),
        scenarios=scenarios("random=10%", "subjects=1"),
        variants=tuple(map(with_default_fields, variants_named("fine-tune", "calibrated"))),
        seeds=(1,),
        references=2,
    )


def fashion_small_suite() -> Suite:
    """Fashion-MNIST at W4A4, three requests, every method."""
    return Suite(
        name="fashion-small",
        setups=(FASHION,),
        scenarios=scenarios(*SMALL_SCENARIOS),
        variants=every_variant(),
        beyond_edges=BEYOND_EDGES,
    )


def fashion_suite() -> Suite:
    """Fashion-MNIST at W4A4 and W2A2, seven requests, every method."""
    return Suite(
        name="fashion",
        setups=at_bits(FASHION, "W4A4", "W2A2"),
        scenarios=scenarios(*SCENARIOS),
        variants=every_variant(),
        tuned_on=TUNED_ON,
        beyond_edges=BEYOND_EDGES,
    )


def fashion_bits_suite() -> Suite:
    """A random request over all bit widths, for curves."""
    return Suite(
        name="fashion-bits",
        setups=at_bits(FASHION, *BITS),
        scenarios=scenarios("random=10%"),
        variants=variants_named(*HANDFUL),
        beyond_edges=BEYOND_EDGES,
    )


def fashion_long_suite() -> Suite:
    """Fashion-MNIST with the 182 epochs of the literature, every method tuned at that length; for costs."""
    recipe = dataclasses.replace(SMALL_RECIPE, epochs=182)
    return Suite(
        name="fashion-long",
        setups=(dataclasses.replace(FASHION, recipe=recipe),),
        scenarios=scenarios("random=10%"),
        variants=every_variant(),
        beyond_edges=BEYOND_EDGES,
        references=0,
    )


def fashion_budget_suite(epochs: int) -> Suite:
    """Methods with as many epochs over the retain set, where retraining takes 182; 1,000 images.

    With the 4,000 of `fashion-long`, the trials of 50 passes would take a processor core several hours.
    """
    (setup,) = fashion_long_suite().setups
    return dataclasses.replace(
        fashion_long_suite(),
        name=f"fashion-budget-{epochs}",
        setups=(dataclasses.replace(setup, limit=FASHION_IMAGES // 4),),
        variants=variants_of_budget(epochs),
    )


def writers_suite() -> Suite:
    """Handwritten digits; forgets one and ten writers."""
    return Suite(
        name="writers",
        setups=at_bits(WRITERS, "W4A4", "W2A2"),
        scenarios=scenarios("subjects=1", "subjects=10"),
        variants=every_variant(),
        tuned_on={"subjects=1": "subjects=10"},
        beyond_edges=BEYOND_EDGES,
    )


def fashion_small_ablations_suite() -> Suite:
    """`fashion-small` with one factor of our method changed at a time."""
    return dataclasses.replace(
        fashion_small_suite(), name="fashion-small-ablations", variants=ablations(), beyond_edges=0
    )


def digits_targets_suite() -> Suite:
    """Small digits at W4A4, three requests; each kind of target in the same descent, and methods in their own form."""
    return Suite(
        name="digits-targets",
        setups=(DIGITS,),
        scenarios=scenarios("subjects=1", "random=10%", "class=0"),
        seeds=(1, 2),
        variants=target_variants(),
        references=0,
        tuned_on={"random=10%": "subjects=1"},
        beyond_edges=BEYOND_EDGES,
    )


def no_retain_suite() -> Suite:
    """Methods that read no retained sample, on digits and Fashion-MNIST; MU-Mis with its stop and without it."""
    mu_mis, *others = variants_named("mu-mis", "jit", "calibrated-holdout")
    every_pass = dataclasses.replace(
        mu_mis,
        name="mu-mis, every pass",
        fixed={"stop": "never"},
        tried={"learning_rate": (3e-5, 1e-4, 3e-4), "epochs": (10, 30)},
    )
    return Suite(
        name="no-retain",
        setups=(FASHION, DIGITS),
        scenarios=scenarios("random=10%", "class=0"),
        variants=(mu_mis, every_pass, *others),
        beyond_edges=BEYOND_EDGES,
        references=0,
    )


def watch_suite() -> Suite:
    """Motion of a smart watch at W4A4, ten people; forgets one person and one exercise."""
    return Suite(
        name="watch",
        setups=(WATCH,),
        scenarios=scenarios("subjects=1", "class=0"),
        variants=variants_named(*OF_PEOPLE),
        beyond_edges=BEYOND_EDGES,
    )


def fashion_default_suite() -> Suite:
    """The cells of `fashion` for the default method with its default settings, without tuning."""
    return with_the_default(fashion_suite())


def writers_default_suite() -> Suite:
    """The cells of `writers` for the default method with its default settings, without tuning."""
    return with_the_default(writers_suite())


def fashion_long_default_suite() -> Suite:
    """The cell of `fashion-long` for the default method with its default settings, without tuning; for costs."""
    return with_the_default(fashion_long_suite())


def with_the_default(suite: Suite) -> Suite:
    """The same cells for what `obliq unlearn` runs where nothing else is named."""
    (variant,) = variants_named("proxy-matching")
    untuned = with_default_fields(dataclasses.replace(variant, name=f"{variant.name}, defaults"))
    return dataclasses.replace(
        suite,
        name=f"{suite.name}-default",
        variants=(untuned,),
        tuned_on={},
        tuned_in=None,
        beyond_edges=0,
    )


def writers_grid_suite() -> Suite:
    """`writers` at every bit width and on every network, for a cluster."""
    setups = on_every_network(dataclasses.replace(WRITERS, limit=0))
    return dataclasses.replace(writers_suite(), name="writers-grid", setups=setups)


def writers_ablations_suite() -> Suite:
    """`writers` at W4A4 with one factor of our method changed at a time."""
    return dataclasses.replace(
        writers_suite(), name="writers-ablations", setups=(WRITERS,), variants=ablations(), beyond_edges=0
    )


SUITES: dict[str, Callable[[], Suite]] = {
    "smoke": smoke_suite,
    "fashion-small": fashion_small_suite,
    "fashion": fashion_suite,
    "fashion-bits": fashion_bits_suite,
    "fashion-long": fashion_long_suite,
    **{f"fashion-budget-{epochs}": partial(fashion_budget_suite, epochs) for epochs in BUDGETS},
    "fashion-small-ablations": fashion_small_ablations_suite,
    "writers": writers_suite,
    "writers-ablations": writers_ablations_suite,
    "digits-targets": digits_targets_suite,
    "no-retain": no_retain_suite,
    "watch": watch_suite,
    "fashion-default": fashion_default_suite,
    "fashion-long-default": fashion_long_default_suite,
    "writers-default": writers_default_suite,
    "cifar10": cifar10_suite,
    "cifar10-60": cifar10_60_suite,
    "cifar10-small": cifar10_small_suite,
    "cifar10-short": cifar10_short_suite,
    "cifar10-cpu": cifar10_cpu_suite,
    "cifar10-tenth": cifar10_tenth_suite,
    "cifar10-resnet20": cifar10_resnet20_suite,
    "grid": grid_suite,
    "writers-grid": writers_grid_suite,
}


def suite_named(name: str) -> Suite:
    """A built-in suite, or the one that a user's function returns (`package.module:function`).

    Raises:
        ObliqError: when there is no such suite, or the user's function does not return one.
    """
    if name in SUITES:
        return SUITES[name]()
    if ":" not in name:
        raise ObliqError(
            f"there is no suite {name!r}; expected {', '.join(SUITES)} or package.module:function"
        )
    try:
        suite = import_function(name)()
    except ObliqError:
        raise
    except Exception as error:
        raise ObliqError(
            f"suite {name}: {first_line(error)}; expected a function that returns a Suite"
        ) from error
    if not isinstance(suite, Suite):
        raise ObliqError(f"suite {name} returned {type(suite).__name__}; expected a Suite")
    return suite
