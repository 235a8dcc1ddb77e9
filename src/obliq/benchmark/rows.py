"""One row of a benchmark: one network under one request, what was measured of it and what it cost.

The fields of `ResultRow` in their order, with the metrics of `obliq.auditing.metrics` in the place of `values`, are
the columns of `rows.csv` and the fields of a row in the cells' JSON files.
"""

import csv
import dataclasses
import io
import math
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from obliq.auditing.measured_values import HasMetrics, metrics_in
from obliq.auditing.metrics import METRICS
from obliq.errors import ObliqError
from obliq.io.strict_json import decode

ROW_KINDS = ("original", "unlearned", "retrained", "failed")


@dataclass(frozen=True, kw_only=True)
class ResultRow(HasMetrics):
    """One network under one request. Each metric is an attribute, too: `row.average_gap`, `row.test_accuracy`.

    Attributes:
        data: name of the data set, as `load_dataset` takes it.
        architecture: a name of `obliq.models`, or `module:function`.
        bits: of weights and activations, for instance W4A4, or FP32.
        scenario: what was to be forgotten, for instance random=10%.
        seed: of partition, original, request and method.
        method: name of the method variant; `original`, `retrained` or `retrained again` for those networks.
        kind: one of `ROW_KINDS`; `failed` where there is no network, with the reason in `error`.
        train: number of samples that the original was trained on.
        forget: number of samples to forget, of those.
        values: the numbers by the name of their metric, for all of `METRICS` that benchmarks have; None where a
            number does not apply or was not measured.
        weights_digest: SHA-256 over the integer content.
        fields: the method's hyper-parameters, as JSON text.
        error: the reason in one line, where there is no network.
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
    values: dict[str, int | float | None] = field(default_factory=dict)
    weights_digest: str | None = None
    fields: str = "{}"
    error: str = ""

    def __post_init__(self) -> None:
        if self.kind not in ROW_KINDS:
            raise ObliqError(f"kind {self.kind!r}; expected {', '.join(ROW_KINDS)}")
        if (self.kind == "failed") != bool(self.error):
            raise ObliqError(
                f"{self.method}: kind {self.kind!r} with error {self.error!r}; expected both or none"
            )
        names = [metric.name for metric in metrics_in("benchmark")]
        if unknown := sorted(self.values.keys() - set(names)):
            raise ObliqError(f"{self.method}: no metric {unknown[0][:80]!r}; expected {', '.join(names)}")
        for name, value in self.values.items():
            if value is not None and not math.isfinite(value):
                raise ObliqError(f"{self.method}: {name} is {value}; expected a finite number or none")
        object.__setattr__(self, "values", {name: self.values.get(name) for name in names})

    def columns(self) -> dict[str, typing.Any]:
        """The row by column; metrics are columns like the others."""
        return {
            name: self.values[name] if name in self.values else getattr(self, name) for name in column_names()
        }

    @classmethod
    def from_columns(cls, columns: Mapping[str, object]) -> "ResultRow":
        """The row with these columns; a metric without a column has no value.

        Raises:
            ObliqError: for a column that is unknown, missing or of another type.
        """
        metrics = {name: value for name, value in columns.items() if name in METRICS}
        others = {name: value for name, value in columns.items() if name not in METRICS}
        return decode(cls, others | {"values": metrics}, "a row")


def column_names() -> tuple[str, ...]:
    """The columns in their order."""
    names: list[str] = []
    for one in dataclasses.fields(ResultRow):
        names += [metric.name for metric in metrics_in("benchmark")] if one.name == "values" else [one.name]
    return tuple(names)


def to_csv(rows: Iterable[ResultRow]) -> str:
    """Comma-separated text with a header; None is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column_names())
    for row in rows:
        writer.writerow(["" if value is None else value for value in row.columns().values()])
    return text.getvalue()


def from_csv(text: str) -> list[ResultRow]:
    """The rows in what `to_csv` wrote, also before a metric was added.

    Raises:
        ObliqError: naming the line that is no row.
    """
    try:
        header, *lines = list(csv.reader(io.StringIO(text))) or [[]]
    except csv.Error as error:
        raise ObliqError(
            f"not readable as comma-separated values ({error}); expected a table of rows"
        ) from error
    known = [name for name in column_names() if name in header or name not in METRICS]
    if header != known:
        raise ObliqError(
            f"columns {', '.join(header)[:80]!r}; expected {', '.join(known[:4])}, ... as this version"
        )
    return [_row(number, header, cells) for number, cells in enumerate(lines, start=2)]


def _row(number: int, header: Sequence[str], cells: Sequence[str]) -> ResultRow:
    if len(cells) != len(header):
        raise ObliqError(f"line {number} has {len(cells)} cells; expected {len(header)}")
    kinds = typing.get_type_hints(ResultRow)
    try:
        values = {
            name: _number(cell, whole=METRICS[name].whole) if name in METRICS else _value(kinds[name], cell)
            for name, cell in zip(header, cells, strict=True)
        }
    except ValueError as error:
        raise ObliqError(f"line {number}: {error}; expected the type of its column") from error
    return ResultRow.from_columns(values)


def _number(cell: str, *, whole: bool) -> int | float | None:
    if cell == "":
        return None
    return int(cell) if whole else float(cell)


def _value(kind: object, cell: str) -> str | int | None:
    choices = typing.get_args(kind)
    if cell == "" and type(None) in choices:
        return None
    return int(cell) if kind is int or int in choices else cell
