"""What people do with a request: note it, reject it, approve it, close it."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from obliq.data import Partition, Splits, parse_selector, select
from obliq.data.request_file import Request, load_request
from obliq.data.selection import in_words
from obliq.data.selectors import Selector
from obliq.errors import RecordError
from obliq.io.atomic import write_file
from obliq.io.ownership import digest_of_file
from obliq.record.appending import Appending
from obliq.record.cases import Case
from obliq.record.encryption import decrypt_request, encrypt_request
from obliq.record.events import Accepted, Approved, Closed, Confirmed, Event, Received, Rejected
from obliq.record.folder import Record
from obliq.record.lookalikes import require_new_number, same_person
from obliq.record.state import RecordState
from obliq.record.tidying import tidy, withheld_file, write_withheld
from obliq.record.values import LONGEST_TEXT, parse_day, require_text
from obliq.record.withheld import (
    KEY_NAME,
    WITHHELD_DOCUMENT,
    Withheld,
    joined,
    sample_fingerprints,
)
from obliq.run import utc_now
from obliq.workflow.report_context import kind_of_request
from obliq.workflow.request_limits import require_moderate

NOT_ABOUT_TRAINING = "a request that was rejected at once"
FIRST_DAY = date(2018, 5, 25)
"""On which the GDPR began to apply (Article 99(2)). An earlier day is a slip of the keys."""


@dataclass(frozen=True)
class Understood:
    """What a request means.

    Attributes:
        request: its samples.
        words: the same for people; it names who is to be forgotten.
        splits: the roles under this request alone.
    """

    request: Request
    words: str
    splits: Splits


def understand(parts: Partition, selector: str | Selector, *, accept_large: bool = False) -> Understood:
    """Find the samples that a request names, and check that it is moderate.

    Args:
        parts: who was trained on.
        selector: as for `obliq unlearn`, or `request=FILE` for a request.json; or what was parsed of one.
        accept_large: whether a large request, or one for the last samples of a class, was accepted in words.

    Raises:
        DataError: when it does not fit the data, or is not moderate.
    """
    kind, _, file = selector.partition("=") if isinstance(selector, str) else ("", "", "")
    if kind.strip() == "request" and file.strip():
        request = load_request(Path(file.strip()))
        splits = request.splits(parts)
    else:
        parsed = parse_selector(selector) if isinstance(selector, str) else selector
        splits = parts.forgetting(select(parsed, parts, 0))
        request = Request.of(splits, str(parsed))
    named = parse_selector(request.selector)
    require_moderate(splits, named, accept=accept_large)
    return Understood(request, f"{in_words(named, splits.forget)} of the training part", splits)


def receive(record: Record, case: str, understood: Understood, actor: str, received: str = "") -> RecordState:
    """Note a request that fits the data. The same request under the same case number is noted once.

    Args:
        record: where.
        case: number of the case.
        understood: the request.
        actor: who notes it.
        received: day on which it arrived; today when left out.

    Raises:
        RecordError: when the case number stands for another request, or the day is none or lies ahead.
    """
    day = _past_day(received)
    with record.appending() as appending:
        tidy(record, appending.state)
        known = appending.state.cases.get(case)
        if known is not None:
            return _complete(record, appending, known, understood, actor)
        require_new_number(case, appending.state.cases)
        name = secrets.token_hex(8)
        key = record.keys.create(name)
        encrypted = encrypt_request(understood.request, key, appending.state.begun.record, name)
        write_file(record.encrypted(name), encrypted, private=True)
        event = Received(
            case=case,
            request=name,
            received=day,
            about=kind_of_request(understood.request.selector),
            digest=understood.request.digest,
            encrypted=hashlib.sha256(encrypted).hexdigest(),
        )
        return appending.append(actor, event, Accepted(case=case))


def reject(record: Record, case: str, reason: str, actor: str, received: str = "") -> RecordState:
    """Note that a request will not be answered by unlearning; a new case is noted as received before.

    Raises:
        RecordError: when the case is closed, or part of a batch.
    """
    day = _past_day(received)
    with record.appending() as appending:
        events: list[Event] = [Rejected(case=case, reason=reason)]
        if case not in appending.state.cases:
            require_new_number(case, appending.state.cases)
            received_event = Received(
                case=case,
                request=secrets.token_hex(8),
                received=day,
                about=NOT_ABOUT_TRAINING,
                digest=None,
                encrypted=None,
            )
            events.insert(0, received_event)
        return appending.append(actor, *events)


def approve(record: Record, case: str, actor: str) -> RecordState:
    """Note that a person approves a request. The same person approves it once, however often they do it.

    Raises:
        RecordError: when it does not wait for approval.
    """
    with record.appending() as appending:
        found = appending.state.case(case)
        if any(same_person(actor, before) for before in found.approvals):
            return appending.state
        return appending.append(actor, Approved(case=case, digest=found.received.digest or ""))


def confirm(record: Record, floor: int, devices: int, actor: str, *, may_lower: bool = True) -> RecordState:
    """Note how many devices confirmed a batch or a later one; the same report twice is noted once.

    Raises:
        RecordError: for a batch without patches, more devices than there are, and fewer than before unless `may_lower`.
    """
    with record.appending() as appending:
        before = appending.state.floors.get(floor)
        if before == devices:
            return appending.state
        if not may_lower and devices < (before or 0):
            raise RecordError(f"{devices} devices; expected at least {before} as before (officers lower it)")
        return appending.append(actor, Confirmed(floor=floor, devices=devices))


def request_of(record: Record, case: Case, state: RecordState) -> Request:
    """The request of an open case.

    Raises:
        RecordError: when its key was destroyed, or its file is not the one that was noted.
    """
    received = case.received
    key = record.keys.read(received.request)
    file = record.encrypted(received.request)
    if not file.is_file() or digest_of_file(file) != received.encrypted:
        raise RecordError(
            f"{file} is not the file that was noted for case {case.number}; expected it unchanged"
        )
    found = decrypt_request(file, key, state.begun.record, received.request)
    if found.digest != received.digest:
        raise RecordError(f"{file} holds another request than was noted for case {case.number}")
    return found


def close(
    record: Record, case: str, actor: str, *, parts: Partition | None = None, reason: str = ""
) -> RecordState:
    """Close a case, destroy the key of its request, and remove the encrypted request.

    Its samples leave fingerprints, so that later batches keep them out. A process that is killed leaves either an open
    case, or a closed one whose key and encrypted request the next command destroys.

    Args:
        record: where.
        case: number of the case.
        actor: who closes it.
        parts: the data; needed for a case that was answered.
        reason: why it is closed before every device has confirmed; empty where they have.

    Raises:
        RecordError: when it is not yet answered, or devices are missing and no reason is given.
    """
    with record.appending() as appending:
        state = appending.state
        found = state.case(case)
        if found.closed is None:
            if record.lost_key_of(found):
                outcome, withheld = _outcome_without_key(record, found, reason), _current(record, state)
            else:
                outcome, withheld = _outcome(state, found, reason), _withhold(record, state, found, parts)
            state = appending.append(actor, Closed(case=case, outcome=outcome, withheld=withheld))
        tidy(record, state)
        return state


def _past_day(text: str) -> str:
    today = utc_now().date()
    day = parse_day("--received", text) if text else today
    if day > today:
        raise RecordError(f"--received {day} lies ahead; expected a day up to {today}")
    if day < FIRST_DAY:
        raise RecordError(f"--received {day} is before the GDPR applied; expected a day from {FIRST_DAY}")
    return day.isoformat()


def _complete(
    record: Record, appending: Appending, known: Case, understood: Understood, actor: str
) -> RecordState:
    """The same request again: what a killed process left out is noted, and otherwise nothing."""
    if known.closed or known.received.digest is None:
        raise RecordError(f"case {known.number} exists already; expected a new number")
    before = request_of(record, known, appending.state)
    if before.ids != understood.request.ids:
        raise RecordError(f"case {known.number} exists already, for other samples; expected a new number")
    if known.accepted or known.rejected:
        return appending.state
    return appending.append(actor, Accepted(case=known.number))


def _outcome(state: RecordState, case: Case, reason: str) -> str:
    if case.rejected:
        return f"rejected: {case.rejected}"[:200]
    batch, wanted = case.batch, state.begun.policy.devices
    if batch is None or batch.patched is None:
        raise RecordError(
            f"case {case.number} is {state.state_of(case)}; expected one that was rejected, or whose patch is made "
            "(`obliq record run`)"
        )
    confirmed = state.confirmed(batch.number)
    if reason:
        require_text(reason=reason)
        return reason
    if wanted == 0 and confirmed == 0:
        raise RecordError(
            f"no device has confirmed batch {batch.number}; expected `obliq record confirm`, or --reason to close the "
            "case without"
        )
    if confirmed < wanted:
        raise RecordError(
            f"{confirmed:,} of {wanted:,} devices have confirmed batch {batch.number}; expected all (`obliq record "
            "confirm`), or --reason to close the case before"
        )
    return f"{confirmed} devices confirmed batch {batch.number}"


def _outcome_without_key(record: Record, case: Case, reason: str) -> str:
    """Of a case whose request nobody can read any more, for instance after an older copy of the log was restored."""
    if not record.keys.owner():
        raise RecordError(
            f"there is no key of case {case.number} in {record.keys.folder}, which is not known to be the folder with "
            "the keys of this record; expected that folder (--keys FOLDER)"
        )
    if not reason:
        raise RecordError(
            f"the key of case {case.number} is gone, so that nobody can read its request, and later batches cannot "
            "leave its samples out unless an earlier list holds them; expected --reason to close it as it is"
        )
    require_text(reason=reason)
    return f"key lost: {reason}"[:LONGEST_TEXT]


def _current(record: Record, state: RecordState) -> str | None:
    """The digest of the list of withheld samples, which stays as it is."""
    return state.withheld[-1] if withheld_file(record, state) else None


def _withhold(record: Record, state: RecordState, case: Case, parts: Partition | None) -> str | None:
    """Add the samples of a case to those that must not be trained on again; the digest of the new file."""
    file = withheld_file(record, state)
    before = WITHHELD_DOCUMENT.read(file) if file else Withheld()
    if case.batch is None or case.rejected:
        return _current(record, state)
    if parts is None:
        raise RecordError(
            f"the data are needed to close case {case.number}; expected the data of the original"
        )
    key = record.keys.read(KEY_NAME) if file else record.keys.read_or_create(KEY_NAME)
    splits = request_of(record, case, state).splits(parts)
    after = joined(before, sample_fingerprints(parts.collection, splits.forget.indices, key))
    return write_withheld(record, after)
