"""What an audit holds: numbers, intervals and coarse histograms of each network, never a value of a single sample."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from obliq.auditing.device_answers import DeviceAnswers
from obliq.auditing.exposure import Exposure
from obliq.auditing.histograms import Histogram
from obliq.auditing.intervals import Interval
from obliq.auditing.measured_values import HasMetrics, metrics_in
from obliq.auditing.metric import Aim, Values
from obliq.auditing.metrics import COST
from obliq.auditing.verdict import Verdict
from obliq.errors import AuditError
from obliq.io.strict_json import OMITTED_BY_DEFAULT
from obliq.io.visible_text import visible_line

Kind = Literal["original", "unlearned", "retrained"]


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many samples each number rests on.

    Attributes:
        forget, retain, holdout, test: samples of each role.
        test_scored: test samples that count for test accuracy (forgotten classes left out).
        test_most_frequent: how many of these are of one class, the most frequent; 0 where this was not counted.
        unseen: test samples of the forget set's classes, the non-members of the AUC.
        attack_members, attack_non_members: samples that the SVC attack learned from.
        retrained: retrained networks that the verdict compares with.
    """

    forget: int
    retain: int
    holdout: int
    test: int
    test_scored: int
    unseen: int
    attack_members: int
    attack_non_members: int
    retrained: int
    test_most_frequent: int = field(default=0, metadata=OMITTED_BY_DEFAULT)

    @property
    def baseline(self) -> float:
        """Test accuracy, in percent, of answering always with the most frequent class."""
        return 100 * self.test_most_frequent / max(1, self.test_scored)


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """The exported file that an entry is about.

    Attributes:
        file_digest: SHA-256 of its bytes.
        content_digest: SHA-256 of everything that it computes with, whatever the container.
        runtime: what ran it, with its version.
        form: `integer`, `compact` or `float`.
        precision: bits of weights and activations, and the type that weights are stored in.
        network: name of the entry that it was exported from; None where only the file was audited.
        moved: fields in which it lies outside the 95 % interval of that entry, in the order of `intervals`.
    """

    file_digest: str
    content_digest: str
    runtime: str
    form: str
    precision: str
    network: str | None
    moved: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Measurement(HasMetrics):
    """What was measured of one network. Each metric is an attribute, too: `entry.average_gap`, `entry.test_accuracy`.

    Attributes:
        name: of the network, as tables and pages show it.
        kind: the network before, one after unlearning, or one trained without the forget set.
        artifact: the file that was run, if the entry is of an exported file and not of a network in PyTorch.
        device: the recording, if the answers were recorded on a device.
        exposure: what this network and the original reveal together; None where this was not measured.
        weights_digest: SHA-256 over its integer content; None for a file, which has digests of its own.
        values: the numbers by the name of their metric, for all of `METRICS` that audits have; None where there is
            no such number.
        intervals: 95 % intervals, by the name of the metric.
        verdict: what the measurements allow to conclude; None for the original and the retrained network.
        confidence: histograms of the true-class confidence in the roles forget, retain and test (here: of the
            forget set's classes). A role with fewer than 10 samples is left out.
        entropy: the same for entropy over log C, from 0 to 1.
    """

    name: str
    kind: Kind
    artifact: Artifact | None
    weights_digest: str | None
    values: Values
    intervals: Mapping[str, Interval]
    verdict: Verdict | None
    confidence: Mapping[str, Histogram]
    entropy: Mapping[str, Histogram]
    device: DeviceAnswers | None = field(default=None, metadata=OMITTED_BY_DEFAULT)
    exposure: Exposure | None = field(default=None, metadata=OMITTED_BY_DEFAULT)


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What was measured of an original network, of networks after unlearning, and of a retrained one.

    Attributes:
        entries: the original first, then the unlearned networks and files, then the retrained network if there
            is one.
        counts: samples behind the numbers.
        classes: how many classes the networks distinguish.
        precision: bits of weights and activations, for instance W4A4.
        aim: what the numbers are compared with.
        digests: of the partition, of the request's splits (keyed with the request's salt), and of files.
        settings: the audit's own choices, as text.
        case: the number under which the request is handled; empty where none was given.
        operator: who audited; empty where nobody was named, and never guessed.
    """

    entries: tuple[Measurement, ...]
    counts: Counts
    classes: int
    precision: str
    aim: Aim
    digests: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    case: str = field(default="", metadata=OMITTED_BY_DEFAULT)
    operator: str = field(default="", metadata=OMITTED_BY_DEFAULT)

    def __str__(self) -> str:
        """The numbers as a table of 80 columns, with the verdicts below it."""
        return "\n".join(_lines(self))

    def __post_init__(self) -> None:
        require_one_line(case=self.case, operator=self.operator)
        kinds = [entry.kind for entry in self.entries]
        if kinds[:1] != ["original"] or "original" in kinds[1:] or "retrained" in kinds[:-1]:
            raise AuditError(
                f"entries are {', '.join(kinds) or 'none'}; expected the original first and a retrained one last"
            )
        names = {entry.name for entry in self.entries}
        for entry in self.artifacts:
            assert entry.artifact is not None
            if entry.kind != "unlearned" or entry.artifact.network not in (names - {entry.name}) | {None}:
                raise AuditError(
                    f"the file {entry.name!r} is {entry.kind} and of {entry.artifact.network!r}; expected an unlearned "
                    "one, exported from a network of the same audit"
                )
        for entry in self.devices:
            assert entry.device is not None
            if entry.kind != "unlearned" or entry.device.network not in names - {entry.name}:
                raise AuditError(
                    f"{entry.name!r} is a recording of {entry.device.network!r}; expected a network or file of the "
                    "same audit"
                )
        for entry in self.entries:
            for histogram in (*entry.confidence.values(), *entry.entropy.values()):
                if len(histogram.edges) != len(histogram.shares) + 1:
                    raise AuditError(
                        f"a histogram of {entry.name!r} has {len(histogram.edges)} edges for "
                        f"{len(histogram.shares)} shares; expected one more edge than shares"
                    )

    @property
    def original(self) -> Measurement:
        """The network before the request."""
        return self.entries[0]

    @property
    def unlearned(self) -> tuple[Measurement, ...]:
        """The networks and files after the request."""
        return tuple(entry for entry in self.entries if entry.kind == "unlearned")

    @property
    def artifacts(self) -> tuple[Measurement, ...]:
        """Those of them that are exported files."""
        return tuple(entry for entry in self.entries if entry.artifact is not None)

    @property
    def devices(self) -> tuple[Measurement, ...]:
        """Those of them that were recorded on a device."""
        return tuple(entry for entry in self.entries if entry.device is not None)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What keeps an audit from a conclusion: no test samples, and networks that a constant answer equals."""
        if not self.counts.test:
            return (
                "no test samples were given, so TA, MIA and AUC are left out; what is left does not show "
                "whether samples were forgotten",
            )
        baseline = self.counts.baseline
        return tuple(
            f"{entry.name}: test accuracy {entry.values['test_accuracy']:.1f} % is not above the {baseline:.1f} % of "
            "answering always with the most frequent class; nothing follows from its other numbers"
            for entry in self.entries
            if baseline and (entry.values["test_accuracy"] or 0) <= baseline + _ROUNDING
        )

    @property
    def retrained(self) -> Measurement | None:
        """The network trained without the forget set, if there is one."""
        return self.entries[-1] if self.entries[-1].kind == "retrained" else None


LONGEST_LINE = 200  # characters


def require_one_line(**texts: str) -> None:
    """Refuse texts by their names that are longer than `LONGEST_LINE`, cannot be printed on one line, or are blank.

    An empty text names nobody and is allowed.

    Raises:
        AuditError: for such a text.
    """
    for name, text in texts.items():
        if len(text) > LONGEST_LINE or not text.isprintable() or text.isspace():
            raise AuditError(
                f"{name} {text[:40]!r} has {len(text)} characters; expected one line of at most {LONGEST_LINE} "
                "that can all be printed, and not of spaces alone"
            )


_ROUNDING = 0.005  # points
WIDTH = 80
"""Columns of a terminal."""
AIMS: dict[Aim, str] = {
    "retrained": "Target: the retrained network's values; of Avg. Gap: 0.",
    "chance": "Target of the AUC: 50, the value for unseen data, since the forget set is a random share. RA and TA "
    "should not fall below the original's. Other targets are not known without retraining.",
    "unknown": "RA and TA should not fall below the original's. Other targets are not known without retraining, since "
    "the forget set is not a random share.",
}
"""What an audit aims at, in a sentence."""


def _lines(audit: Audit) -> list[str]:
    columns = [
        metric
        for metric in metrics_in("terminal")
        if metric.group != COST and any(entry.values[metric.name] is not None for entry in audit.entries)
    ]
    rows = [["", *(metric.label for metric in columns), "verdict"]]
    for entry in audit.entries:
        values = ((entry.values[metric.name], metric.digits) for metric in columns)
        numbers = ["-" if value is None else f"{value:.{digits}f}" for value, digits in values]
        rows.append([entry.name, *numbers, entry.verdict.word if entry.verdict else ""])
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    name_width = max(9, min(widths[0], WIDTH - sum(widths[1:]) - 2 * len(widths[1:])))
    lines = []
    for name, *numbers, verdict in rows:
        cells = [f"{cell:>{width}}" for cell, width in zip(numbers, widths[1:-1], strict=True)]
        lines.append("  ".join([f"{name[:name_width]:<{name_width}}", *cells, verdict]).rstrip())
    counts = audit.counts
    notes = [
        f"In percent, {audit.precision}. {AIMS[audit.aim]}",
        f"Samples: {counts.forget:,} forget, {counts.retain:,} retain, {counts.test:,} test. Retrained networks: "
        f"{counts.retrained}.",
        *(f"WARNING: {warning}." for warning in audit.warnings),
        *(
            f"{entry.name}: {entry.verdict.reason} {entry.verdict.advice}"
            for entry in audit.unlearned
            if entry.verdict
        ),
    ]
    wrapped = (line for note in notes for line in textwrap.wrap(note, WIDTH))
    return [visible_line(line) for line in (*lines, *wrapped)]
