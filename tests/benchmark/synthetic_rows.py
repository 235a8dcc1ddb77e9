"""Synthetic rows, as crowded as a real benchmark's, for tests of the report."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

from obliq.benchmark.rows import ResultRow

METHODS = (
    "calibrated",
    "oeu entropy",
    "oeu uniform",
    "q-mul",
    "q-mul public code",
    "q-mul without similar labels",
    "q-mul without reweighting",
    "salun",
    "random-label",
    "fine-tune",
    "l1-sparse",
    "scrub",
    "bad-teacher",
    "gradient-ascent",
    "gradient-difference",
    "boundary-shrink",
    "boundary-expand",
    "influence",
    "selective-dampening",
    "projected-gradient",
    "projection never",
    "entropy objective",
    "steps frozen",
)
FOLLOWS = dict.fromkeys(METHODS[-3:], "calibrated")
CELLS = (
    ("fashion", "W2A2", "random=10%"),
    ("fashion", "W4A4", "random=10%"),
    ("fashion", "FP32", "random=10%"),
    ("fashion", "W4A4", "class=0"),
    ("mnist", "W4A4", "subjects=1"),
    ("mnist", "W4A4", "subjects=10"),
)


def result_row(**columns: Any) -> ResultRow:
    """A row of these columns; those that may be empty are, where they are left out."""
    empty = {"train": None, "forget": None, "weights_digest": None, "fields": "{}", "error": ""}
    return ResultRow.from_columns(empty | columns)


def change_row(row: ResultRow, **columns: Any) -> ResultRow:
    """The row with other values in some columns."""
    return ResultRow.from_columns(row.columns() | columns)


def synthetic_rows(
    methods: Sequence[str] = METHODS,
    cells: Sequence[tuple[str, str, str]] = CELLS,
    seeds: Sequence[int] = (1, 2, 3),
) -> list[ResultRow]:
    """One row for every method, cell and seed; one method fails once."""
    return [
        row for number, cell in enumerate(cells) for seed in seeds for row in _of(cell, number, seed, methods)
    ]


def _of(cell: tuple[str, str, str], number: int, seed: int, methods: Sequence[str]) -> Iterator[ResultRow]:
    data, bits, scenario = cell
    chance = random.Random(1000 * number + seed)
    aim = result_row(
        data=data,
        architecture="convnet",
        bits=bits,
        scenario=scenario,
        seed=seed,
        method="retrained",
        kind="retrained",
        train=6000,
        forget=600,
        unlearning_accuracy=12.6,
        forget_accuracy=87.4,
        retain_accuracy=93.7,
        test_accuracy=86.9,
        mia_svc_confidence=17.3,
        auc_forget_vs_test=50.3,
        recognised_at_one_percent=1.1,
        rmia_auc=50.2,
        rmia_at_one_percent=1.0,
        tow=1.0,
        average_gap=0.0,
        seconds=64.0,
        time_ratio=1.0,
        peak_memory_mb=812.0,
    )
    aim = _shifted(aim, chance, 1.2, 1.2)
    yield change_row(aim, average_gap=0.0, tow=1.0)
    yield _against(_shifted(aim, chance, 0.9, 0.5), aim, "retrained again", "retrained", 1.02)
    yield _against(
        change_row(
            aim,
            unlearning_accuracy=6.8,
            forget_accuracy=93.2,
            mia_svc_confidence=11.3,
            auc_forget_vs_test=53.2,
            rmia_auc=58.0,
        ),
        aim,
        "original",
        "original",
        1.05,
    )
    for place, method in enumerate(methods):
        if method == "influence" and bits == "FP32" and seed == 2:
            yield result_row(
                data=data,
                architecture="convnet",
                bits=bits,
                scenario=scenario,
                seed=seed,
                method=method,
                kind="failed",
                error="MethodError: the loss is not finite at step 12; expected a smaller rate",
            )
            continue
        wild = 30.0 if method in ("gradient-ascent", "boundary-expand") else 0.6 + 0.25 * (place % 13)
        moved = _shifted(aim, chance, wild, wild / 3)
        moved = change_row(moved, changed_codes=2000 + 400 * place, changed_codes_percent=2.5 + place)
        yield _against(moved, aim, method, "unlearned", 0.04 + 0.02 * place + 0.03 * chance.random())


def _shifted(row: ResultRow, chance: random.Random, forget: float, retain: float) -> ResultRow:
    """The row moved about: on the forget side downwards, on the retain side a little."""
    wrong = min(100.0, max(0.0, (row.unlearning_accuracy or 0) + chance.gauss(0, forget / 3) + forget * 0.8))
    auc = (row.auc_forget_vs_test or 0) - chance.gauss(forget / 3, 1)
    return change_row(
        row,
        unlearning_accuracy=wrong,
        forget_accuracy=100 - wrong,
        retain_accuracy=(row.retain_accuracy or 0) - abs(chance.gauss(retain, retain / 4)),
        test_accuracy=(row.test_accuracy or 0) - abs(chance.gauss(retain, retain / 3)),
        mia_svc_confidence=min(100.0, (row.mia_svc_confidence or 0) + chance.gauss(forget, forget / 3)),
        auc_forget_vs_test=auc,
        recognised_at_one_percent=abs(chance.gauss(1.2, 0.3)),
        rmia_auc=auc + chance.gauss(1, 0.5),
        rmia_at_one_percent=abs(chance.gauss(1.3, 0.4)),
    )


def _against(row: ResultRow, aim: ResultRow, method: str, kind: str, ratio: float) -> ResultRow:
    """The row with what is measured from the retrained network."""
    gap = tow = 0.0
    fields = ("unlearning_accuracy", "retain_accuracy", "test_accuracy", "mia_svc_confidence")
    gap = sum(abs(getattr(row, name) - getattr(aim, name)) for name in fields) / 4
    tow = 1.0
    for name in ("forget_accuracy", "retain_accuracy", "test_accuracy"):
        tow *= 1 - abs(getattr(row, name) - getattr(aim, name)) / 100
    return change_row(
        row,
        method=method,
        kind=kind,
        average_gap=gap,
        tow=tow,
        seconds=64 * ratio,
        time_ratio=ratio,
        peak_memory_mb=700 + 100 * ratio,
    )
