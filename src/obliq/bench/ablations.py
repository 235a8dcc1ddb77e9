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
            Contender(
                name=name, kind=OrthogonalEntropy, fixed={**followed.fixed, **changed}, follows=FOLLOWED
            )
            for name, changed in FACTORS.items()
        ),
    )
