"""Which parts of a quantized network each method moves: what its docstring says, found by running it.

A row is a method with settings; columns: do learned steps move, do batch norm's running statistics, do its
scale and shift. Variants of `batch_norm` are rows of their own.
"""

from collections.abc import Iterable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from obliq.data import Splits
from obliq.methods import (
    AAMU,
    AMUN,
    BUILT_IN,
    OEU,
    QMUL,
    SCRUB,
    BadTeacher,
    BoundaryExpand,
    BoundaryShrink,
    Calibrated,
    CalibratedHoldout,
    CoUn,
    FiCABU,
    FineTune,
    GradientAscent,
    GradientDifference,
    Influence,
    JiT,
    L1Sparse,
    LoTUS,
    Masked,
    Method,
    MUMis,
    MUNBa,
    NoT,
    ProjectedGradient,
    ProxyMatching,
    RandomLabel,
    ReGUn,
    Retrain,
    SalUn,
    SelectiveDampening,
    SFRon,
    UGradSL,
)
from obliq.quantization import learned_steps
from obliq.run import Run
from obliq.training.loop import Recipe
from tests.methods.measured import statistics

SHORT = Recipe(epochs=2, learning_rate=0.05, batch_size=32)
TABLE: list[tuple[Method, tuple[bool, bool, bool]]] = [
    # method                                                     steps  statistics  scale and shift
    (AAMU(epochs=2), (True, False, True)),
    (AMUN(epochs=2), (True, True, True)),
    (AMUN(epochs=2, batch_norm="frozen"), (True, False, True)),
    (BadTeacher(epochs=2), (True, True, True)),
    (BadTeacher(epochs=2, batch_norm="frozen"), (True, False, True)),
    (BoundaryExpand(epochs=2), (True, False, True)),
    (BoundaryExpand(epochs=2, batch_norm="forget"), (True, True, True)),
    (BoundaryShrink(epochs=2), (True, False, True)),
    (BoundaryShrink(epochs=2, batch_norm="forget"), (True, True, True)),
    (FineTune(epochs=2), (True, True, True)),
    (GradientAscent(epochs=2), (True, False, True)),
    (GradientAscent(epochs=2, batch_norm="forget"), (True, True, True)),
    (GradientDifference(epochs=2), (True, True, True)),
    (GradientDifference(epochs=2, batch_norm="frozen"), (True, False, True)),
    (Influence(samples=20), (True, False, True)),
    (L1Sparse(epochs=2), (True, True, True)),
    (LoTUS(epochs=2), (True, True, True)),
    (LoTUS(epochs=2, batch_norm="frozen"), (True, False, True)),
    (Masked(method=FineTune(epochs=2)), (True, True, True)),
    (Calibrated(epochs=2), (True, False, True)),
    (CalibratedHoldout(epochs=2), (True, False, True)),
    (OEU(epochs=2), (True, False, True)),
    (OEU(epochs=2, batch_norm="retain"), (True, True, True)),
    (OEU(epochs=2, steps="frozen"), (False, False, False)),
    (CoUn(epochs=2), (True, True, True)),
    (FiCABU(alpha=0.5, stop="chance", batch_size=4), (False, False, True)),
    (JiT(learning_rate=0.01), (True, False, True)),
    (MUMis(learning_rate=0.001), (False, False, True)),
    (MUNBa(epochs=2), (True, True, True)),
    (MUNBa(epochs=2, batch_norm="frozen"), (True, False, True)),
    (NoT(epochs=2), (True, True, True)),
    (UGradSL(epochs=2), (True, True, True)),
    (UGradSL(epochs=2, batch_norm="frozen"), (True, False, True)),
    (ProjectedGradient(epochs=2, kept=0.5), (False, False, False)),
    (ProxyMatching(epochs=2), (True, False, True)),
    (RandomLabel(epochs=2), (True, True, True)),
    (RandomLabel(epochs=2, batch_norm="frozen"), (True, False, True)),
    (ReGUn(epochs=2), (True, False, True)),
    (ReGUn(epochs=2, batch_norm="retain"), (True, True, True)),
    (Retrain(recipe=SHORT), (True, True, True)),
    (SFRon(epochs=2), (True, True, True)),
    (SFRon(epochs=2, batch_norm="frozen"), (True, False, True)),
    (SalUn(epochs=2), (True, True, True)),
    (SalUn(epochs=2, batch_norm="frozen"), (True, False, True)),
    (SCRUB(epochs=2), (True, True, True)),
    (SCRUB(epochs=2, batch_norm="frozen"), (True, False, True)),
    (SelectiveDampening(alpha=1.0, batch_size=4), (False, False, True)),
    (QMUL(epochs=2), (True, True, True)),
    (QMUL(epochs=2, batch_norm="frozen"), (True, False, True)),
    (QMUL(epochs=2, batch_norm="frozen", faithful="code"), (True, True, True)),
]


def name_of(method: object) -> str:
    told = ("frozen", "forget", "retain", "code")
    settings = {field: getattr(method, field, None) for field in ("batch_norm", "steps", "faithful")}
    variants = [f"{field}-{value}" for field, value in settings.items() if value in told]
    return " ".join([type(method).__name__, *variants])


@pytest.mark.parametrize(("method", "moves"), TABLE, ids=[name_of(method) for method, _ in TABLE])
def test_what_moves(
    method: Method, moves: tuple[bool, bool, bool], original: nn.Module, splits: Splits
) -> None:
    result = method.unlearn(original, splits, Run(seed=1))
    found = tuple(
        differ(part(original), part(result)) for part in (learned_steps, statistics, scales_and_shifts)
    )
    assert found == moves
    assert all(bool((step > 0).all()) for step in learned_steps(result))


def test_every_built_in_method_has_a_row() -> None:
    assert set(BUILT_IN.values()) <= {type(method) for method, _ in TABLE}


def scales_and_shifts(model: nn.Module) -> list[Tensor]:
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    return [parameter for norm in norms for parameter in norm.parameters()]


def differ(before: Iterable[Tensor], after: Iterable[Tensor]) -> bool:
    return any(not torch.equal(one, other) for one, other in zip(before, after, strict=True))
