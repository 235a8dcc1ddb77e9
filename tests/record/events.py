"""The events of one record, from its beginning to a closed case, without any network."""

from obliq.record.batch_events import Audited, Exported, MadePatch, Patched, Planned, Retrained, Unlearned
from obliq.record.events import Accepted, Approved, Begun, Closed, Confirmed, Event, Received
from obliq.record.log import Entry
from obliq.record.policy import Policy
from obliq.record.state import RecordState

DIGEST = "a" * 64
DAY = "2026-01-31T09:00:00+00:00"


def begun(**rules: object) -> Begun:
    policy = Policy(**{"approvals": 1, "devices": 10, "references": 0, **rules})  # type: ignore[arg-type]
    return Begun(
        record="0" * 32, network=DIGEST, partition=DIGEST, data="digits", released=DIGEST, policy=policy
    )


def received(case: str = "C-1", day: str = "2026-01-31") -> Received:
    name = case.encode().hex().rjust(16, "0")[-16:]
    return Received(
        case=case, request=name, received=day, about="one subject", digest=DIGEST, encrypted=DIGEST
    )


def planned(batch: int = 1, *cases: str) -> Planned:
    return Planned(
        batch=batch, cases=cases or ("C-1",), splits=DIGEST, samples=5, method="oeu", settings={}, seed=0
    )


def unlearned(batch: int = 1, *failures: str) -> Unlearned:
    return Unlearned(batch=batch, network=DIGEST, base=DIGEST, failures=failures)


def audited(batch: int = 1, verdict: str = "INDISTINGUISHABLE") -> Audited:
    return Audited(batch=batch, verdict=verdict, audit=DIGEST)


def exported(batch: int = 1) -> Exported:
    return Exported(batch=batch, file=DIGEST, content=DIGEST)


def patched(batch: int = 1) -> Patched:
    return Patched(batch=batch, patches=(MadePatch(base=0, file=DIGEST),))


WHOLE: tuple[Event, ...] = (
    begun(references=2),
    received(),
    Accepted(case="C-1"),
    Approved(case="C-1", digest=DIGEST),
    planned(),
    unlearned(),
    Retrained(batch=1, number=1, network=DIGEST),
    Retrained(batch=1, number=2, network=DIGEST),
    exported(),
    audited(),
    patched(),
    Confirmed(floor=1, devices=10),
    Closed(case="C-1", outcome="done", withheld=DIGEST),
)


def chained(*events: Event, actors: tuple[str, ...] = ()) -> list[Entry]:
    """Entries of events; the last actor goes on to the end."""
    entries: list[Entry] = []
    for number, event in enumerate(events):
        actor = actors[min(number, len(actors) - 1)] if actors else "A. Example"
        entries.append(Entry.after(entries[-1] if entries else None, DAY, actor, event))
    return entries


def state_after(*events: Event, actors: tuple[str, ...] = ()) -> RecordState:
    return RecordState.of(chained(*events, actors=actors))
