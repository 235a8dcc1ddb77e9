"""One network's line in a benchmark: what was asked of it, what it answers, what it cost.

The fields of `Row`, in their order, are the columns of `rows.csv`.
"""

import csv
import dataclasses
import io
import math
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from obliq.errors import ObliqError

KINDS = ("original", "unlearned", "retrained", "failed")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One network under one request. Numbers that do not apply, or were not measured, are None.

    Accuracies, attacks, AUC and shares are in percent, entropies in nats; see `Measurement` for their
    definitions and targets.

    Attributes:
        data: the words that load the data set.
        architecture: a name of `obliq.models`.
        bits: of weights and activations, for instance W4A4, or FP32.
        scenario: what was to be forgotten, for instance random=10%.
        seed: of partition, original, request and method.
        method: the contender's name; `original`, `retrained` or `retrained again` for those.
        kind: one of `KINDS`; `failed` where there is no network and `error` says why.
        train: samples that the original was trained on.
        forget: samples to forget, of those.
        unlearning_accuracy, forget_accuracy, retain_accuracy, test_accuracy: UA, FA, RA, TA.
        mia_svc_confidence: share of forget samples that an SVC takes for non-members.
        auc_forget_vs_test: of the true-class confidence.
        recognised_at_one_percent: share of forget samples recognised at 1 % false alarms.
        rmia_auc: AUC of the robust membership inference attack with reference networks.
        rmia_at_one_percent: its true positive rate at 1 % false alarms.
        tow: tug of war, from 0 to 1: agreement with the retrained network in FA, RA and TA.
        entropy_forget, entropy_test: mean entropy of the prediction.
        average_gap: Avg. Gap to the retrained network over UA, RA, TA and MIA, in points.
        seconds: wall time of making the network.
        time_ratio: `seconds` over the retrained network's.
        peak_memory_mb: by how much resident memory (on CUDA: allocated) rose meanwhile above that at the start,
            where data, original and libraries were there already, in MB; see `obliq.benchmark.execute`.
        changed_codes: integer weight codes that differ from the original's.
        changed_codes_percent: their share.
        weights_digest: SHA-256 over the integer content.
        fields: the method's hyper-parameters, as JSON text.
        error: one line, where the making failed.
    """

    data: str
    architecture: str
    bits: str
    scenario: str
    seed: int
    method: str
    kind: str
    train: int | None = None
    forget: int | None = None
    unlearning_accuracy: float | None = None
    forget_accuracy: float | None = None
    retain_accuracy: float | None = None
    test_accuracy: float | None = None
    mia_svc_confidence: float | None = None
    auc_forget_vs_test: float | None = None
    recognised_at_one_percent: float | None = None
    rmia_auc: float | None = None
    rmia_at_one_percent: float | None = None
    tow: float | None = None
    entropy_forget: float | None = None
    entropy_test: float | None = None
    average_gap: float | None = None
    seconds: float | None = None
    time_ratio: float | None = None
    peak_memory_mb: float | None = None
    changed_codes: int | None = None
    changed_codes_percent: float | None = None
    weights_digest: str | None = None
    fields: str = "{}"
    error: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ObliqError(f"kind {self.kind!r}; expected {', '.join(KINDS)}")
        if (self.kind == "failed") != bool(self.error):
            raise ObliqError(
                f"{self.method}: kind {self.kind!r} with error {self.error!r}; expected both or none"
            )
        for name in COLUMNS:
            value = getattr(self, name)
            if isinstance(value, float) and not math.isfinite(value):
                raise ObliqError(f"{self.method}: {name} is {value}; expected a finite number or none")


COLUMNS = tuple(field.name for field in dataclasses.fields(Row))


def to_csv(rows: Iterable[Row]) -> str:
    """Comma-separated text with a header; None is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        values = (getattr(row, name) for name in COLUMNS)
        writer.writerow(["" if value is None else value for value in values])
    return text.getvalue()


def from_csv(text: str) -> list[Row]:
    """The rows in what `to_csv` wrote.

    Raises:
        ObliqError: naming the line that is no row.
    """
    reader = csv.reader(io.StringIO(text))
    header = next(reader, [])
    if tuple(header) != COLUMNS:
        raise ObliqError(
            f"columns {', '.join(header)[:80]!r}; expected {', '.join(COLUMNS[:4])}, ... as this version"
        )
    return [_row(number, cells) for number, cells in enumerate(reader, start=2)]


def _row(number: int, cells: Sequence[str]) -> Row:
    if len(cells) != len(COLUMNS):
        raise ObliqError(f"line {number} has {len(cells)} cells; expected {len(COLUMNS)}")
    kinds = typing.get_type_hints(Row)
    try:
        values = {name: _value(kinds[name], cell) for name, cell in zip(COLUMNS, cells, strict=True)}
    except ValueError as error:
        raise ObliqError(f"line {number}: {error}; expected the type of its column") from error
    return Row(**values)


def _value(kind: object, cell: str) -> typing.Any:
    choices = typing.get_args(kind)
    if kind is str:
        return cell
    if type(None) in choices and cell == "":
        return None
    if kind is int or int in choices:
        return int(cell)
    return float(cell) if float in choices else cell
