"""Answers that were recorded on a device, audited next to those of the network or file that the device runs."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int
from numpy import ndarray
from torch import Tensor

from obliq.auditing import AuditedModel, DeviceAnswers, RoleSignals, Signals
from obliq.auditing.accuracy import share_estimate
from obliq.auditing.measure import ROLES
from obliq.data import Collection, Examples, MissingExamples, Splits
from obliq.data.answers_file import Recorded, RecordedAnswers, read_answers
from obliq.data.names import Lookup, listed
from obliq.errors import AuditError, DataError
from obliq.exporting import sha256_of

DEVICE: Final = "device"
"""Name of the entry of a recording in an audit."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DeviceRecording:
    """What a device answered to some samples of each role.

    Attributes:
        recorded: what there is of each answer.
        places: of the samples within their role, ascending, by role.
        values: a row for each of these samples; of classes, one-hot rows.
        file_digest: SHA-256 of the file; None where the answers were given in memory.
    """

    recorded: Recorded
    places: Mapping[str, Int[ndarray, " samples"]] = field(repr=False)
    values: Mapping[str, Float64[ndarray, "samples classes"]] = field(repr=False)
    file_digest: str | None = None

    def __post_init__(self) -> None:
        lacking = [role for role in ("forget", "retain") if not len(self.places.get(role, ()))]
        if lacking:
            raise DataError(
                f"the device answered no {' and no '.join(lacking)} samples; expected some of every role "
                "(`obliq inputs` writes them)"
            )

    @property
    def floor(self) -> float | None:
        """Half of the smallest probability that the device records, where it rounds some to zero."""
        if self.recorded != "probabilities":
            return None
        every = np.concatenate(list(self.values.values()))
        return float(every[every > 0].min()) / 2 if (every == 0).any() else None

    def __len__(self) -> int:
        return sum(map(len, self.places.values()))


def load_recording(file: Path, splits: Splits, classes: int) -> DeviceRecording:
    """Read a file of answers and find the role of each sample.

    Args:
        file: see `obliq.data.answers_file.read_answers`.
        splits: the roles of the samples under the request.
        classes: how many the network distinguishes.

    Raises:
        DataError: as `read_answers`; for ids that are not in the data, have no role or occur twice; and without answers
            to forget or retain samples.
    """
    collection = splits.partition.collection
    names = collection.class_names if len(collection.class_names) == classes else ()
    given = read_answers(file, classes, names)
    samples = torch.tensor(_samples(file, given, collection))
    rows = {int(sample): row for row, sample in enumerate(samples)}
    places, values = {}, {}
    for role in ROLES:
        indices = getattr(splits, role).indices
        places[role] = torch.isin(indices, samples).nonzero().flatten().numpy()
        values[role] = given.values[[rows.pop(int(sample)) for sample in indices[places[role]]]]
    if rows:
        raise DataError(
            f"{file}: {len(rows):,} of {len(samples):,} ids have no role, the first {given.ids[min(rows.values())]}; "
            "expected samples of the training, holdout or test part (`obliq inputs` writes them)"
        )
    try:
        return DeviceRecording(
            recorded=given.recorded,
            places=places,
            values=values,
            file_digest=sha256_of(file.read_bytes()),
        )
    except DataError as error:
        raise DataError(f"{file}: {error}") from error


def recording_of(logits: Mapping[str, Any], splits: Splits, classes: int) -> DeviceRecording:
    """Logits by role, in the order of the sets that a caller gave.

    Args:
        logits: a row for each sample of a set, by the name of the set: forget, retain, test or holdout.
        splits: the sets.
        classes: how many the network distinguishes.

    Raises:
        DataError: for another name, another shape, and NaN or infinity.
    """
    known = [role for role in ROLES if not isinstance(getattr(splits, role), MissingExamples)]
    strange = next((name for name in logits if name not in known), None)
    if strange is not None:
        raise DataError(f"answers: {strange!r}; expected logits by the name of a set: {', '.join(known)}")
    values = {name: np.asarray(rows, dtype=np.float64) for name, rows in logits.items()}
    for name, found in values.items():
        wanted = (len(getattr(splits, name)), classes)
        if found.shape != wanted:
            raise DataError(
                f"answers: {name} has shape {found.shape}; expected {wanted}, a row of logits for each sample"
            )
        if not np.isfinite(found).all():
            raise DataError(f"answers: {name} holds NaN or infinity; expected finite logits")
    places = {name: np.arange(len(found)) for name, found in values.items()}
    return DeviceRecording(recorded="logits", places=places, values=values)


def add_device(models: Sequence[AuditedModel], recording: DeviceRecording) -> list[AuditedModel]:
    """The networks of an audit on the samples that the device answered, and the device's answers.

    Args:
        models: every network, on all samples. One of them is what the device runs: the only exported file that
            unlearned, or, without files, the only network that did.
        recording: the answers of the device.

    Raises:
        AuditError: when it is not clear which network the device runs, or one is called `device`.
    """
    runs = _network_on_device(models)
    floor = recording.floor
    narrowed = [
        dataclasses.replace(one, answers=_on_recorded(one.answers, recording, floor)) for one in models
    ]
    there = _signals(recording, narrowed[0].answers, floor)
    here = _on_recorded(runs.answers, recording, None)
    device = AuditedModel(
        kind="unlearned",
        name=DEVICE,
        answers=there,
        seconds=runs.seconds,
        changed_codes_percent=runs.changed_codes_percent,
        device=_agreement(runs.title, recording, there, here),
    )
    return [*narrowed, device]


def recording_settings(recording: DeviceRecording | None) -> dict[str, str]:
    """What the settings of an audit state about a recording; nothing without one."""
    if recording is None:
        return {}
    counts = ", ".join(f"{len(places):,} {role}" for role, places in recording.places.items() if len(places))
    text = f"{recording.recorded} of {counts} samples; every network was measured on these alone"
    if recording.floor is not None:
        text += f", with probabilities of at least {recording.floor:.2g}, since the device records no smaller ones"
    return {"recorded on a device": text}


def samples_to_run(splits: Splits, most: int) -> Examples:
    """Samples for a device to answer: some of the forget, retain and test samples, in the order of their ids.

    Args:
        splits: the roles of the samples under the request.
        most: how many of each role at most, spread evenly. Where only some classes are forgotten, there are as many
            test samples of these classes as well, which forget samples are compared with.

    Raises:
        DataError: for a number below 1.
    """
    if most < 1:
        raise DataError(f"samples {most}; expected 1 or more of each role")
    chosen = [splits.forget.spread(most).indices, splits.retain.spread(most).indices]
    if not isinstance(splits.test, MissingExamples):
        same = torch.isin(splits.test.labels, splits.forget.labels)
        chosen += [splits.test.spread(most).indices, splits.test.where(same).spread(most).indices]
    return Examples(splits.partition.collection, torch.unique(torch.cat(chosen)))


def _samples(file: Path, given: RecordedAnswers, collection: Collection) -> list[int]:
    """The positions of the samples in the collection, in the order of the file."""
    lookup, found, unknown = Lookup(collection.sample_names, len(collection)), dict[int, str](), list[str]()
    for word in given.ids:
        try:
            sample = lookup.position(word)
        except DataError as error:
            raise DataError(f"{file}: {error}") from error
        if sample is None or sample >= len(collection):
            unknown.append(word)
        elif sample in found:
            raise DataError(f"{file}: id {word[:40]} has two answers; expected one for each sample")
        else:
            found[sample] = word
    if unknown:
        known = listed(collection.sample_names or list(map(str, range(len(collection)))))
        raise DataError(
            f"{file}: {len(unknown):,} of {len(given.ids):,} ids are not in {collection.name}, the first "
            f"{unknown[0][:40]!r}; expected ids of it ({known})"
        )
    return list(found)


def _network_on_device(models: Sequence[AuditedModel]) -> AuditedModel:
    unlearned = [one for one in models if one.kind == "unlearned"]
    files = [one for one in unlearned if one.artifact is not None]
    candidates = files or unlearned
    if len(candidates) != 1:
        raise AuditError(
            f"answers of a device to {len(candidates)} networks ({', '.join(one.title for one in candidates)}); "
            "expected one exported file, which the device runs, or one network"
        )
    if any(one.title == DEVICE for one in models):
        raise AuditError(
            f"a network is called {DEVICE!r}, as the recording of a device is; expected another name"
        )
    return candidates[0]


def _on_recorded(answers: RoleSignals, recording: DeviceRecording, floor: float | None) -> RoleSignals:
    """The answers to the recorded samples alone, with probabilities as coarse as the device's."""

    def part(role: str) -> Signals | None:
        signals: Signals | None = getattr(answers, role)
        if signals is None or not len(recording.places.get(role, ())):
            return None
        chosen = np.zeros(len(signals), dtype=bool)
        chosen[recording.places[role]] = True
        found = signals.where(chosen)
        return found if floor is None else dataclasses.replace(found, logits=_rounded_up(found.logits, floor))

    forget, retain = part("forget"), part("retain")
    assert forget is not None
    assert retain is not None
    probe = answers.probe if part("test") is not None else None
    return RoleSignals(forget=forget, retain=retain, test=part("test"), holdout=part("holdout"), probe=probe)


def _rounded_up(logits: Tensor, floor: float) -> Tensor:
    """Log probabilities, of which none is below that of `floor`."""
    return logits.double().log_softmax(dim=1).clamp(min=float(np.log(floor))).float()


def _signals(recording: DeviceRecording, beside: RoleSignals, floor: float | None) -> RoleSignals:
    """The device's answers; probabilities as their logarithms, whose softmax they are."""
    found: dict[str, Any] = {}
    for role, values in recording.values.items():
        if len(values):
            scores = (
                values if recording.recorded != "probabilities" else np.log(np.maximum(values, floor or 0.0))
            )
            found[role] = dataclasses.replace(getattr(beside, role), logits=torch.from_numpy(scores).float())
    return RoleSignals(**found, classes_alone=recording.recorded == "classes")


def _agreement(name: str, recording: DeviceRecording, there: RoleSignals, here: RoleSignals) -> DeviceAnswers:
    pairs = [
        (getattr(there, role), getattr(here, role))
        for role in recording.values
        if len(recording.values[role])
    ]
    mine, theirs = (torch.cat([pair[side].logits for pair in pairs]).double() for side in (0, 1))
    same: Bool[Tensor, " samples"] = mine.argmax(dim=1) == theirs.argmax(dim=1)
    share = share_estimate(same.numpy())
    assert share.interval is not None
    largest, scale = None, None
    if recording.recorded == "probabilities":
        largest = float((mine.softmax(dim=1) - theirs.softmax(dim=1)).abs().max())
    if recording.recorded == "logits":
        largest = float((mine - theirs).abs().max())
        spread = theirs - theirs.mean(dim=1, keepdim=True)
        energy = float((spread * spread).sum())
        scale = float((spread * mine).sum()) / energy if energy > 0 else None
    return DeviceAnswers(
        network=name,
        recorded=recording.recorded,
        file_digest=recording.file_digest,
        same_classes=round(share.value, 4),
        interval=share.interval.rounded(4),
        largest_difference=None if largest is None else round(largest, 6),
        scale=None if scale is None else round(scale, 4),
        floor=recording.floor,
    )
