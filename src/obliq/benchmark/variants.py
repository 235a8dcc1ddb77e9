"""The methods that a suite compares: registered methods, variants of some of them, and ablations of ours."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from obliq.benchmark.method_variant import MethodVariant
from obliq.methods import (
    AAMU,
    AMUN,
    OEU,
    Calibrated,
    CalibratedHoldout,
    CoUn,
    FiCABU,
    FineTune,
    JiT,
    Method,
    MUMis,
    MUNBa,
    NoT,
    ProxyMatching,
    ReGUn,
    UGradSL,
    available_methods,
)

# restarts=0: the committed rows were computed without restarts, and none of them has damage that would cause one
# record_every=0: recording the first-order guarantee would count as the method's own time; the rows of
# proxy-matching record, as by its defaults
VARIANTS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "calibrated": {
        "calibrated": {"rounds": 1, "restarts": 0, "record_every": 0},
        "calibrated, one epoch": {"epochs": 1, "rounds": 1, "restarts": 0, "record_every": 0},
        "calibrated, in rounds": {"restarts": 0, "record_every": 0},
    },
    "calibrated-holdout": {"calibrated-holdout": {"rounds": 3, "record_every": 0}},
    "oeu": {
        "oeu entropy": {"objective": "entropy", "record_every": 0},
        "oeu uniform": {"objective": "uniform", "record_every": 0},
    },
    "a-amu": {
        "a-amu": {"record_every": 0},
        "a-amu pooled": {"ranks": "pooled", "record_every": 0},
    },
    "regun": {"regun": {"record_every": 0}},
    "q-mul": {
        "q-mul": {},
        "q-mul code labels": {"faithful": "code-labels"},
        "q-mul public code": {"faithful": "code"},
        "q-mul without similar labels": {"labels": "random"},
        "q-mul without reweighting": {"reweighting": False},
    },
}
"""From a method's name to its variants: the name of each and the fields in which they differ."""


def every_variant() -> tuple[MethodVariant, ...]:
    """Every registered method but retraining, in each of its variants."""
    return tuple(
        MethodVariant(name=name, method_class=kind, fixed=fixed)
        for method, kind in available_methods().items()
        if method != "retrain"
        for name, fixed in VARIANTS.get(method, {method: {}}).items()
    )


def with_default_fields(variant: MethodVariant) -> MethodVariant:
    """The same with nothing to tune: every such field has the method's default."""
    defaults = {name: value for name, value in variant.defaults.items() if name in variant.space}
    return dataclasses.replace(variant, fixed={**defaults, **variant.fixed})


def variants_named(*names: str) -> tuple[MethodVariant, ...]:
    """The variants with these names, in this order."""
    by_name = {one.name: one for one in every_variant()}
    return tuple(by_name[name] for name in names)


FIVE_PASSES: Mapping[str, Any] = {"epochs": 5, "retain_batch": 64, "record_every": 0}
ONE_ROUND: Mapping[str, Any] = {"rounds": 1, "restarts": 0}
TARGETS: Mapping[str, tuple[type[Method], Mapping[str, Any]]] = {
    "proxies, by sample": (ProxyMatching, ONE_ROUND),
    "quantiles, by sample": (Calibrated, ONE_ROUND),
    "one average (ReGUn)": (ReGUn, {"clip": 1.0}),
    "distribution (A-AMU, pooled)": (AAMU, {"ranks": "pooled", "clip": 1.0, "forget_batch": 0}),
}
"""From a kind of target to the method that has it, and to the fields that make all of them the same descent."""
TRIED: Mapping[str, tuple[Any, ...]] = {"learning_rate": (0.02, 0.05), "forget_weight": (0.03, 0.2, 1.5)}
AS_PUBLISHED: Mapping[str, tuple[type[Method], Mapping[str, Any]]] = {
    "regun": (ReGUn, FIVE_PASSES),
    "a-amu": (AAMU, FIVE_PASSES),
    "amun": (AMUN, {"epochs": 5}),
    "oeu entropy": (OEU, FIVE_PASSES),
    "fine-tune": (FineTune, {"epochs": 5}),
    "munba": (MUNBa, {"epochs": 5}),
    "coun": (CoUn, {"epochs": 5}),
    "not": (NoT, {"epochs": 5}),
    "ugradsl-plus": (UGradSL, {"epochs": 5}),
    "calibrated-holdout": (CalibratedHoldout, {"rounds": 3, "record_every": 0}),
    "mu-mis": (MUMis, {}),
    "jit": (JiT, {}),
    "ficabu": (FiCABU, {}),
}


def target_variants() -> tuple[MethodVariant, ...]:
    """Each kind of target in the same descent, with projection and without, then methods as their papers have them.

    All that read the retain set make five passes over it. Those in the same descent see the same number of forget
    samples, too.
    Without projection, they take the fields that were tuned with it.
    """
    same_descent = {target: (kind, {**FIVE_PASSES, **fields}) for target, (kind, fields) in TARGETS.items()}
    return (
        *(
            MethodVariant(
                name=target,
                method_class=kind,
                fixed={**fields, "projection": "on_conflict"},
                tried=TRIED,
            )
            for target, (kind, fields) in same_descent.items()
        ),
        *(
            MethodVariant(
                name=f"{target}, not projected",
                method_class=kind,
                fixed={**fields, "projection": "never"},
                follows=target,
            )
            for target, (kind, fields) in same_descent.items()
        ),
        *(
            MethodVariant(name=name, method_class=kind, fixed=fields)
            for name, (kind, fields) in AS_PUBLISHED.items()
        ),
    )


BUDGETS = (10, 50)
"""Passes over the retain set that two suites give each method, where retraining takes 182."""
ONE_RATE: Mapping[str, tuple[Mapping[str, Any], tuple[float, ...]]] = {
    "fine-tune": ({}, (0.03, 0.1, 0.3)),
    "l1-sparse": ({"penalty": 1e-3}, (0.03, 0.1, 0.3)),
    "gradient-difference": ({}, (0.004, 0.015, 0.06)),
    "salun": ({"share": 0.6}, (0.01, 0.03, 0.1)),
    "not": ({}, (0.01, 0.03, 0.1)),
    "coun": ({}, (0.05, 0.2, 0.8)),
    "amun": ({"true_labels": False}, (0.02, 0.05, 0.2)),
    "random-label": ({"form": "mixed"}, (0.03, 0.1, 0.3)),
    "q-mul": ({"order": "sequential"}, (0.03, 0.1, 0.3)),
    "scrub": ({"forget_epochs": 1}, (0.0005, 0.002, 0.008)),
    "bad-teacher": ({"retain_share": 0.6}, (0.002, 0.005, 0.02)),
    "lotus": ({"alpha": 4.0}, (0.02, 0.05, 0.2)),
    "sfron": ({"repair_steps": 2}, (0.01, 0.03, 0.1)),
    "ugradsl-plus": ({"retain_weight": 0.98}, (0.01, 0.03, 0.1)),
    "munba": ({}, (0.03, 0.1, 0.3)),
    "regun": ({"forget_weight": 1.0}, (0.0001, 0.0003, 0.001)),
    "a-amu": ({"forget_weight": 34.0}, (0.0003, 0.001, 0.003)),
    "oeu entropy": ({"forget_weight": 0.2}, (0.005, 0.02, 0.05)),
    "calibrated": ({}, (0.005, 0.02, 0.05)),
    "proxy-matching": ({"restarts": 0, "record_every": 0}, (0.005, 0.02, 0.05)),
}
"""The methods of these suites: fields as `fashion-long` chose them where they are not the defaults, and the learning
rates to try around the one that was best there. Of a method's variants, the plain one takes part."""
OWN_PASSES: Mapping[str, Callable[[int], Mapping[str, Any]]] = {
    "calibrated": lambda epochs: {"epochs": epochs, "rounds": 1},
    "proxy-matching": lambda epochs: {
        "proxies": 1 if epochs < FEWEST_FOR_TWO_PROXIES else 2,
        "proxy_epochs": 2 * epochs // 5 if epochs < FEWEST_FOR_TWO_PROXIES else epochs // 5,
        "epochs": epochs // 5,
        "rounds": 3,
    },
}
"""How the passes are spent where a method has more than one kind. Proxies get two fifths, and rounds the rest."""
FEWEST_FOR_TWO_PROXIES = 20
"""With fewer passes, two proxies of 1,000 images would each take less than the steps that a proxy needs at least."""


def variants_of_budget(epochs: int) -> tuple[MethodVariant, ...]:
    """Every method that makes passes over the retain set or a share of it, with this many epochs.

    Each tunes its learning rate alone, as trials of 50 passes are long.
    """
    passes = {
        name: OWN_PASSES[name](epochs) if name in OWN_PASSES else {"epochs": epochs} for name in ONE_RATE
    }
    return tuple(
        dataclasses.replace(
            one,
            fixed={**one.fixed, **ONE_RATE[one.name][0], **passes[one.name]},
            tried={"learning_rate": ONE_RATE[one.name][1]},
        )
        for one in variants_named(*ONE_RATE)
    )


FOLLOWED = "calibrated"

OBJECTIVES: Mapping[str, Mapping[str, Any]] = {
    "entropy objective": {"objective": "entropy", "projection": "on_conflict"},
    "uniform objective": {"objective": "uniform", "projection": "on_conflict"},
}
"""Other objectives in place of the calibrated one, with the same descent."""

FACTORS: Mapping[str, Mapping[str, Any]] = {
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
"""From an ablation's name to the fields that it changes; a new ablation is a new line here."""


def ablations() -> tuple[MethodVariant, ...]:
    """The variant that is followed, then one for each factor."""
    (followed,) = variants_named(FOLLOWED)
    return (
        followed,
        *(
            MethodVariant(name=name, method_class=kind, fixed={**kept, **changed}, follows=FOLLOWED)
            for factors, kind, kept in (
                (OBJECTIVES, OEU, {"record_every": 0}),
                (FACTORS, Calibrated, followed.fixed),
            )
            for name, changed in factors.items()
        ),
    )
