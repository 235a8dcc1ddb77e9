"""What a new request has to do with others: samples that were forgotten before or wait to be, and retained ones."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from obliq.data import Partition, Splits, parse_selector
from obliq.data.request_file import Request
from obliq.errors import RecordError
from obliq.record.cases import Case
from obliq.record.exposed_neighbours import count_exposed_neighbours
from obliq.record.folder import Record
from obliq.record.requests import Understood, request_of
from obliq.record.state import RecordState
from obliq.record.tidying import withheld_file
from obliq.record.withheld import KEY_NAME, WITHHELD_DOCUMENT, withheld_ids
from obliq.workflow.earlier_requests import samples_of
from obliq.workflow.request_limits import require_moderate


@dataclass(frozen=True, kw_only=True)
class SharedSamples:
    """Samples that a request shares with another open case that no batch has answered yet.

    Attributes:
        case: number of the other case.
        samples: how many samples both name.
        of: how many the request names.
    """

    case: str
    samples: int
    of: int

    @property
    def words(self) -> str:
        """The same for people."""
        if self.samples == self.of:
            named = "the only sample is" if self.of == 1 else f"all {self.of:,} samples are"
        else:
            named = f"{self.samples:,} of {self.of:,} samples {'is' if self.samples == 1 else 'are'}"
        return f"{named} in the open case {self.case}, too"


@dataclass(frozen=True, kw_only=True)
class RequestEffects:
    """What a person should know before a request is noted; none of it is a reason to refuse it.

    Attributes:
        before: what was forgotten of it before, in words; empty for nothing.
        shared: other open cases that name some of its samples.
        exposed: how many retained samples it would leave without a close companion, see
            `obliq.record.exposed_neighbours`; None where it is too large to check.
    """

    before: str
    shared: tuple[SharedSamples, ...]
    exposed: int | None

    @property
    def warning(self) -> str:
        """The same about retained samples, in words; empty where there is nothing to say."""
        if self.exposed is None:
            return "the request is too large to check which retained samples it would expose"
        if not self.exposed:
            return ""
        samples = (
            "1 retained sample loses" if self.exposed == 1 else f"{self.exposed:,} retained samples lose"
        )
        return f"{samples} the only sample that is close, and may be easier to recognise afterwards"


def effects_of(
    record: Record, parts: Partition, state: RecordState, case: str, new: Splits
) -> RequestEffects:
    """What a request has to do with other cases, and with samples that are retained.

    Raises:
        RecordError: when nothing remains to forget, or the request of another case cannot be read.
    """
    return RequestEffects(
        before=_forgotten_before(record, parts, state, case, new),
        shared=_shared_samples(record, parts, state, case, new),
        exposed=count_exposed_neighbours(new),
    )


def _shared_samples(
    record: Record, parts: Partition, state: RecordState, case: str, new: Splits
) -> tuple[SharedSamples, ...]:
    """Other open cases that name samples of a request, such as two requests of one person.

    They are no reason to refuse it: the cases are answered together, and each has a deadline of its own.

    Raises:
        RecordError: when a request of these cannot be read.
    """
    named, found = new.forget.indices, []
    for other in state.cases.values():
        patched = other.batch is not None and other.batch.patched
        if not other.accepted or other.rejected or other.closed or patched or other.number == case:
            continue
        taken = torch.isin(named, request_of(record, other, state).splits(parts).forget.indices)
        if count := int(taken.sum()):
            found.append(SharedSamples(case=other.number, samples=count, of=len(named)))
    return tuple(found)


def _count_forgotten(record: Record, parts: Partition, state: RecordState, new: Splits) -> tuple[int, str]:
    """How many samples of a request earlier cases took out whose patches are made, and which, in words.

    Raises:
        RecordError: when earlier requests cannot be read, or the data are others.
    """
    named = new.forget.indices
    found, where = torch.zeros(len(named), dtype=torch.bool), []
    for case in state.cases.values():
        if case.batch and case.batch.patched and not case.closed:
            taken = torch.isin(named, request_of(record, case, state).splits(parts).forget.indices)
            found |= taken
            where += [f"batch {case.batch.number}"] if bool(taken.any()) else []
    taken = torch.isin(named, _withheld_samples(record, parts, state))
    found |= taken
    where += ["closed cases"] if bool(taken.any()) else []
    return int(found.sum()), ", ".join(dict.fromkeys(where))


def _forgotten_before(record: Record, parts: Partition, state: RecordState, case: str, new: Splits) -> str:
    """A line on the samples of a new case that an earlier batch took out; empty where there are none.

    Raises:
        RecordError: when nothing remains to forget.
    """
    if case in state.cases:
        return ""
    count, where = _count_forgotten(record, parts, state, new)
    if count == len(new.forget):
        samples = "the only sample was" if count == 1 else f"all {count:,} samples were"
        raise RecordError(
            f"{samples} forgotten before ({where}), so that nothing remains to unlearn. The request was not noted; "
            "--reject REASON notes it and why no batch answers it"
        )
    return f"{count:,} of {len(new.forget):,} samples were forgotten before ({where})" if count else ""


def require_moderate_together(
    record: Record, parts: Partition, state: RecordState, case: str, new: Understood, *, accept: bool
) -> None:
    """Refuse a new case that takes too much together with all other cases, open and closed.

    Many small requests can take what no single one may: most of the training part, or the last samples of a class.

    Raises:
        DataError: with the numbers, unless its size was accepted in words.
    """
    others = [one for one in state.cases.values() if one.accepted and not one.rejected and one.number != case]
    _, earlier = named_samples(record, parts, state, [one for one in others if not one.closed])
    named = new.splits.forget.indices
    left = named[~torch.isin(named, earlier)]
    if len(earlier) and len(left):
        splits = parts.forgetting(left, earlier=earlier)
        require_moderate(splits, parse_selector(new.request.selector), accept=accept)


def named_samples(
    record: Record, parts: Partition, state: RecordState, cases: Iterable[Case]
) -> tuple[list[Request], Int[Tensor, " samples"]]:
    """The requests of open cases; every sample that they or closed cases name, ascending, each once."""
    requests = [request_of(record, case, state) for case in cases]
    for one in requests:
        one.splits(parts)  # raises for a request for other data
    return requests, torch.unique(torch.cat([samples_of(requests), _withheld_samples(record, parts, state)]))


def _withheld_samples(record: Record, parts: Partition, state: RecordState) -> Int[Tensor, " samples"]:
    """Every sample that closed cases name, which are known by their fingerprints alone."""
    file = withheld_file(record, state)
    if file is None:
        return torch.empty(0, dtype=torch.long)
    return withheld_ids(parts.train, WITHHELD_DOCUMENT.read(file), record.keys.read(KEY_NAME))
