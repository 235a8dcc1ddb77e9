"""What each part of our method contributes: its settings with one factor changed, nothing tuned anew."""

from collections.abc import Mapping
from typing import Any

from obliq.bench.contender import Contender
from obliq.bench.contenders import some_contenders
from obliq.methods import OrthogonalEntropy

FOLLOWED = "oeu calibrated"

FACTORS: Mapping[str, Mapping[str, Any]] = {
    "entropy objective": {"objective": "entropy"},
    "uniform objective": {"objective": "uniform"},
    "projection never": {"projection": "never"},
    "projection on conflict": {"projection": "on_conflict"},
    "projection per tensor": {"scope": "per_tensor"},
    "projected update": {"projected": "update"},
    "forget step only": {"update": "forget_only"},
    "no clipping": {"clip": 0.0},
    "batch norm follows retain": {"batch_norm": "retain"},
    "steps frozen": {"steps": "frozen"},
}
"""From a row's name to the fields that it changes; a new ablation is a new line here."""


def ablations() -> tuple[Contender, ...]:
    """The contender that is followed, then one for each factor."""
    (followed,) = some_contenders(FOLLOWED)
    return (
        followed,
        *(
            Contender(
                name=name, kind=OrthogonalEntropy, fixed={**followed.fixed, **changed}, follows=FOLLOWED
            )
            for name, changed in FACTORS.items()
        ),
    )
