"""Requests that are answered together: which samples a batch takes out, and the plan that names them by a digest.

Every batch starts from the original network and takes out the samples of all requests so far: those of the new cases,
of earlier cases that are open, and of closed ones, which are known by their fingerprints. So there is no drift, and
nobody who was forgotten before is learned again.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from obliq.data import Partition, Splits
from obliq.data.request_file import Request
from obliq.data.selectors import JOINED
from obliq.errors import RecordError
from obliq.io.strict_json import SettingValue
from obliq.io.utc import utc_text
from obliq.record.batch_events import Planned
from obliq.record.cases import Batch
from obliq.record.folder import Record
from obliq.record.method_settings import method_of
from obliq.record.other_cases import named_samples
from obliq.record.policy import Policy
from obliq.record.state import RecordState
from obliq.record.tidying import withheld_file
from obliq.record.values import parse_time


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What a person chooses for a batch; the rules of the record decide the rest.

    Attributes:
        method: registered name of the method; that of the rules when left out.
        settings: of its fields, those that are not the default.
        seed: of every random draw.
        expires: from when on devices with a clock refuse the patches, as `chosen_expiry` found it.
    """

    method: str | None = None
    settings: dict[str, SettingValue] | None = None
    seed: int = 0
    expires: datetime | None = None


def chosen_method(policy: Policy, choices: Choices) -> tuple[str, dict[str, SettingValue]]:
    """Name and settings of the method of a new batch: those that were chosen, else those of the rules."""
    own = choices.method is not None and choices.method != policy.method
    settings = choices.settings if choices.settings is not None else ({} if own else policy.settings)
    return choices.method or policy.method, settings


def chosen_expiry(
    state: RecordState, given: datetime | None, now: datetime, *, again: bool
) -> datetime | None:
    """When the patches of the batch that is due expire.

    A batch that is under way keeps the time of its plan, and one that takes the place of a batch that was given up
    takes the time over. So nobody who leaves `--expires` out makes patches that never expire by accident.

    Args:
        state: of the record.
        given: the time that was given now; None for none.
        now: the time, with a time zone.
        again: whether the batch that is under way will be given up.

    Raises:
        RecordError: when the time of the plan has passed and no other was given, or another was given before that.
    """
    last = state.last_batch
    stated = None if last is None or last.patched else last.planned.expires
    planned = None if stated is None else parse_time("expires", stated)
    has_passed = planned is not None and planned <= now
    if has_passed and given is None:
        raise RecordError(
            f"the patches were to expire at {stated}, which has passed; expected --expires with a later time"
        )
    if last is None or last.patched or last.abandoned or again or has_passed:
        return given or planned
    if given is None or given == planned:
        return planned
    raise RecordError(
        f"batch {last.number} is under way with patches that expire {f'at {stated}' if stated else 'never'}, and "
        f"{utc_text(given)} was given; expected the same, or --again REASON to begin another batch"
    )


def plan(record: Record, parts: Partition, choices: Choices, actor: str) -> Batch:
    """The batch that is under way; else a new one of all requests that wait.

    Raises:
        RecordError: when no request waits, the data are not those of the record, or a batch is under way with other
            choices.
    """
    with record.appending() as appending:
        state = appending.state
        if parts.digest != state.begun.partition:
            raise RecordError(
                "the data are not those of the record; expected the data of its original network"
            )
        last = state.last_batch
        if last and not (last.patched or last.abandoned):
            _require_same(last.planned, choices)
            return last
        waiting = tuple(case.number for case in state.waiting())
        if not waiting:
            raise RecordError("no request waits; expected at least one that is accepted and approved")
        method, settings = chosen_method(state.begun.policy, choices)
        method_of(method, settings)
        number = len(state.batches) + 1
        splits, _ = _union(record, parts, state, waiting, record.keys.create(f"batch-{number}"))
        planned = Planned(
            batch=number,
            cases=waiting,
            splits=splits.digest,
            samples=len(splits.forget),
            method=method,
            settings=settings,
            seed=choices.seed,
            expires=None if choices.expires is None else utc_text(choices.expires),
        )
        return appending.append(actor, planned).batch(number)


def batch_request(
    record: Record, parts: Partition, state: RecordState, batch: Batch
) -> tuple[Splits, Request]:
    """The roles of the samples under a batch, and the same as a request.

    Raises:
        RecordError: when they are no longer those that were planned.
    """
    salt = record.keys.read(f"batch-{batch.number}")
    splits, request = _union(record, parts, state, batch.planned.cases, salt)
    if splits.digest != batch.planned.splits:
        raise RecordError(
            f"the samples of batch {batch.number} are not those that were planned; expected the requests, keys and "
            "data of then"
        )
    return splits, request


def _union(
    record: Record, parts: Partition, state: RecordState, new: tuple[str, ...], salt: bytes
) -> tuple[Splits, Request]:
    """All samples so far as one request.

    `join_requests` needs every request, and those of closed cases are gone.
    """
    earlier = [
        case for case in state.cases.values() if case.batch and not case.closed and case.number not in new
    ]
    requests, found = named_samples(record, parts, state, [*(state.case(number) for number in new), *earlier])
    splits = parts.forgetting(found, salt=salt)
    file = withheld_file(record, state)
    withheld = [] if file is None else [f"ids={file.name}"]
    selector = JOINED.join(dict.fromkeys([*(one.selector for one in requests), *withheld]))
    return splits, Request.of(splits, selector)


def _require_same(planned: Planned, choices: Choices) -> None:
    """Refuse choices for a batch that is under way with others."""
    given: dict[str, Any] = {
        "method": choices.method,
        "settings": choices.settings,
        "seed": choices.seed or None,
    }
    for name, value in given.items():
        if value is not None and value != getattr(planned, name):
            raise RecordError(
                f"batch {planned.batch} is under way with {name} {getattr(planned, name)}, and {value} was given; "
                "expected the same, or --again REASON to begin another batch"
            )
