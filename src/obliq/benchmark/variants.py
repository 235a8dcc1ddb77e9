"""The methods that a suite compares: registered methods, variants of some of them, and ablations of ours."""

import dataclasses
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from obliq.errors import ModelError
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


@dataclass(frozen=True, kw_only=True)
class MethodVariant:
    """A method as a suite compares it.

    Attributes:
        name: in the table.
        method_class: the method; its `search` maps the fields to tune to the values to try.
        fixed: fields with a given value, also where `search` has others.
        follows: name of another variant, whose tuned fields are taken instead of tuning.
        tried: values to try in place of the method's `search`; None for that.
    """

    name: str
    method_class: type[Method]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    follows: str | None = None
    tried: Mapping[str, tuple[Any, ...]] | None = None

    def __post_init__(self) -> None:
        if not dataclasses.is_dataclass(self.method_class):
            raise ModelError(
                f"method {self.name!r} is {self.method_class!r}; expected a method, which is a dataclass"
            )
        version = getattr(self.method_class, "version", None)
        if type(version) is not int or version < 1:
            raise ModelError(
                f"method {self.name!r}: {self.method_class.__name__} has version {version!r}; expected `version: "
                "ClassVar[int] = 1` in the class, raised whenever it computes something else"
            )
        known = {one.name for one in dataclasses.fields(self.method_class)}
        if unknown := sorted((set(self.fixed) | set(self.space)) - known):
            raise ModelError(
                f"method {self.name!r} sets {unknown[0]!r}; expected fields of {self.method_class.__name__}: "
                f"{', '.join(sorted(known))}"
            )

    @property
    def space(self) -> Mapping[str, tuple[Any, ...]]:
        """The fields to tune, with the values to try."""
        return search_space(self.method_class) if self.tried is None else self.tried

    def candidates(self) -> list[dict[str, Any]]:
        """Every combination of the fields to tune, in order; one empty one where there are none."""
        if self.follows is not None:
            return [{}]
        open_fields = {name: values for name, values in self.space.items() if name not in self.fixed}
        return [
            dict(zip(open_fields, values, strict=True)) for values in itertools.product(*open_fields.values())
        ]

    def build(self, tuned: Mapping[str, Any], *, augment: bool = False) -> Method:
        """The method with tuned fields, then the fixed ones.

        Args:
            tuned: fields; those that the class does not have are ignored, as for a variant that follows another class.
            augment: whether to augment as the original's training did, where the method can.
        """
        known = {one.name for one in dataclasses.fields(self.method_class)}  # type: ignore[arg-type]
        given = {name: value for name, value in tuned.items() if name in known}
        augmented = {"augment": True} if augment and "augment" in known else {}
        try:
            return self.method_class(**(augmented | given | dict(self.fixed)))
        except TypeError as error:
            raise ModelError(f"method {self.name!r}: {error}; expected fields with defaults") from error


def search_space(method_class: type[Method]) -> Mapping[str, tuple[Any, ...]]:
    """The fields of a method to tune, with the values to try, in order; empty where there are none."""
    found: Mapping[str, tuple[Any, ...]] = getattr(method_class, "search", {})
    for name, values in found.items():
        if not isinstance(values, tuple) or not values:
            raise ModelError(
                f"{method_class.__name__}.search[{name!r}] is {values!r}; expected a tuple of values"
            )
    return found


# restarts=0: the committed rows were computed without restarts, and none of them has damage that would cause one
# record_every=0: recording the first-order guarantee would count as the method's own time
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


SEARCHES_AT_SCALE: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "lotus": {"learning_rate": (0.05, 0.2), "alpha": (8.0, 16.0, 32.0)},
}
"""Values to try where smaller suites chose the end of a range; as many trials. LoTUS's authors use 32 for a class."""


def every_variant_at_scale() -> tuple[MethodVariant, ...]:
    """`every_variant`, with the searches of suites at the scale of the literature."""
    return tuple(
        dataclasses.replace(one, tried=SEARCHES_AT_SCALE.get(one.name, one.tried)) for one in every_variant()
    )


def with_default_fields(variant: MethodVariant) -> MethodVariant:
    """The same with nothing to tune: every such field has the method's default."""
    defaults = {
        one.name: one.default
        for one in dataclasses.fields(variant.method_class)  # type: ignore[arg-type]
        if one.name in variant.space
    }
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
