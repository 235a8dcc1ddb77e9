"""The columns of a report: what is shown of each network, what it means, and what to wish for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from obliq.benchmark.rows import Row

Reading = Callable[[Row, Row | None], float | None]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A column of numbers.

    Attributes:
        key: unique among all measures; the row's field where it is one.
        short: the field's abbreviation.
        name: the same in words.
        target: direction and aim.
        read: the number of a row, given the retrained network of the same seed (None where that is missing).
        digits: decimals to show.
        signed: whether to show a plus before positive numbers.
    """

    key: str
    short: str
    name: str
    target: str
    read: Reading
    digits: int = 1
    signed: bool = False


def _plain(key: str, short: str, name: str, target: str, digits: int = 1) -> Measure:
    return Measure(
        key=key, short=short, name=name, target=target, digits=digits, read=lambda row, _: getattr(row, key)
    )


def difference(key: str) -> Reading:
    """This network's field minus the retrained network's."""

    def read(row: Row, retrained: Row | None) -> float | None:
        mine, aim = getattr(row, key), getattr(retrained, key, None)
        return None if mine is None or aim is None else float(mine - aim)

    return read


def distance(key: str) -> Reading:
    """The size of `difference`."""

    def read(row: Row, retrained: Row | None) -> float | None:
        apart = difference(key)(row, retrained)
        return None if apart is None else abs(apart)

    return read


def distances(*keys: str) -> Reading:
    """The mean of several distances; None where one is missing."""

    def read(row: Row, retrained: Row | None) -> float | None:
        apart = [distance(key)(row, retrained) for key in keys]
        known = [value for value in apart if value is not None]
        return sum(known) / len(known) if len(known) == len(keys) else None

    return read


def _from_chance(row: Row, _: Row | None) -> float | None:
    return None if row.auc_forget_vs_test is None else abs(row.auc_forget_vs_test - 50)


AUC = "auc_forget_vs_test"
LIKE = "target: Retrain"
LOWER = "target 0, lower is better"
GAP = _plain("average_gap", "Avg. Gap", "mean distance to Retrain in UA, RA, TA, MIA", LOWER, 2)
TIME = _plain("time_ratio", "RTE", "time over Retrain's time", "lower is better, below 1 is faster", 2)
SIGNED_AUC = Measure(
    key="auc_difference",
    short="AUC \N{MINUS SIGN} Retrain",
    name="with its sign",
    target="target 0; + under-forgot, \N{MINUS SIGN} over-forgot",
    read=difference(AUC),
    signed=True,
)
FORGET_SIDE = distances("unlearning_accuracy", "mia_svc_confidence")
RETAIN_SIDE = distances("retain_accuracy", "test_accuracy")

GROUPS: Sequence[tuple[str, Sequence[Measure]]] = (
    (
        "Forgetting and what is left",
        (
            GAP,
            _plain("unlearning_accuracy", "UA", "wrong answers on the forget set, %", LIKE),
            _plain("forget_accuracy", "FA", "right answers on the forget set, %", LIKE),
            _plain("retain_accuracy", "RA", "right answers on the retain set, %", LIKE),
            _plain("test_accuracy", "TA", "right answers on test samples, %", LIKE),
            _plain("mia_svc_confidence", "MIA", "forget samples taken for non-members, %", LIKE),
            _plain("tow", "ToW", "agreement with Retrain in FA, RA, TA", "target 1, higher is better", 3),
        ),
    ),
    (
        "Can the forgotten samples be recognised?",
        (
            _plain(AUC, "AUC", "forget against test samples, %", "target: Retrain; 50 is chance"),
            SIGNED_AUC,
            Measure(
                key="auc_distance",
                short="|AUC \N{MINUS SIGN} Retrain|",
                name="to either side",
                target=LOWER,
                read=distance(AUC),
            ),
            Measure(
                key="auc_from_chance",
                short="|AUC \N{MINUS SIGN} 50|",
                name="to either side of chance",
                target="target: Retrain; 0 is chance",
                read=_from_chance,
            ),
            _plain(
                "recognised_at_one_percent",
                "TPR at 1 % FPR",
                "recognised at 1 % false alarms, %",
                "target: Retrain; 1 is chance",
            ),
            _plain("rmia_auc", "RMIA AUC", "with reference networks, %", "target: Retrain; 50 is chance"),
            _plain(
                "rmia_at_one_percent",
                "RMIA TPR at 1 % FPR",
                "with reference networks, %",
                "target: Retrain; 1 is chance",
            ),
        ),
    ),
    (
        "Cost and change",
        (
            _plain("seconds", "Seconds", "wall time of the method alone", "lower is better"),
            TIME,
            _plain("peak_memory_mb", "Memory", "peak above that at the start, MB", "lower is better", 0),
            _plain("changed_codes", "Codes", "integer weights that changed", "lower is a smaller patch", 0),
            _plain("changed_codes_percent", "Codes, %", "share of them", "lower is a smaller patch", 2),
        ),
    ),
)
MEASURES: tuple[Measure, ...] = tuple(measure for _, group in GROUPS for measure in group)
