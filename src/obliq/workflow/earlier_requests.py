"""Requests that keep coming: what earlier ones took, and several of them as one.

A network records only keyed digests of the requests that it answers. The samples themselves are in the requests, which
are personal data and may be elsewhere, or deleted. What remains can be computed only while all of them are at hand.
"""

import dataclasses
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from obliq.checkpoints import Provenance
from obliq.checkpoints.metadata import EarlierRequest
from obliq.data import Partition, Splits
from obliq.data.request_file import Request
from obliq.errors import DataError


def join_requests(requests: Sequence[Request], parts: Partition, earlier: Sequence[Request] = ()) -> Request:
    """One request for all samples that several requests name and that no earlier one took.

    A single request without such samples keeps its digest. Otherwise the result has a key and a digest of its own, and
    holds the given requests as its parts, so that each can still be recognised by its own digest.

    Args:
        requests: one or more; samples may be in several of them.
        parts: the data that they are about, and how these were divided for training.
        earlier: the requests that the network answers already, oldest first.

    Returns:
        The request, with `earlier`.

    Raises:
        DataError: for no requests, a request for other data, one that is answered already, and where no sample is left
            to forget.
    """
    if not requests:
        raise DataError("no requests to join; expected at least one")
    before = tuple(dataclasses.replace(one, earlier=()) for one in earlier)
    single = list({part.digest: part for one in requests for part in (one.parts or (one,))}.values())
    single = [dataclasses.replace(one, earlier=()) for one in single]
    answered = {part.digest for one in before for part in (one, *one.parts)}
    if again := [one for one in requests if one.digest in answered]:
        raise DataError(
            f"the request with digest {again[0].digest[:12]}... was answered before; expected one that was not"
        )
    for one in (*single, *before):
        one.splits(parts)  # raises for a request for other data
    taken = samples_of(before)
    named = samples_of(single)
    left = named[~torch.isin(named, taken)]
    if len(left) == 0:
        raise DataError(
            f"all {len(named):,} samples of the request were forgotten before; expected some that remain"
        )
    if len(requests) == 1 and len(left) == len(named):
        return dataclasses.replace(requests[0], earlier=before)
    selector = " + ".join(dict.fromkeys(one.selector for one in single))
    joined = Request.of(parts.forgetting(left, earlier=taken), selector)
    return dataclasses.replace(joined, earlier=before, parts=tuple(single))


def samples_of(requests: Iterable[Request]) -> Int[Tensor, " samples"]:
    """The ids of every sample that some of these requests name, ascending, each once."""
    return torch.tensor(sorted({number for one in requests for number in one.ids}), dtype=torch.int64)


def requests_behind(
    provenance: Provenance, at_hand: Iterable[Request], name: str = "the network"
) -> tuple[Request, ...]:
    """The requests that a network answers, oldest first, found by their digests among those at hand.

    Args:
        provenance: of the network.
        at_hand: requests, in any order, with others among them; also those that are only their earlier ones. Where
            the network does not record its newest request, all of them count as answered, in this order.
        name: what errors call the network.

    Raises:
        DataError: where the network does not record what it answers, or one of its requests is not at hand.
    """
    known = {
        one.digest: dataclasses.replace(one, earlier=())
        for given in at_hand
        for one in (*given.earlier, given)
    }
    entries = provenance.forgotten_so_far
    if missing := [entry for entry in entries if entry.request not in known]:
        raise DataError(
            f"{name} answers {counted_requests(entries)}, of which {len(missing):,} not at hand (digest "
            f"{missing[0].request[:12]}...), so that nobody can tell which samples remain; expected "
            "--forgotten FILE with the request.json of each"
        )
    found = tuple(known[entry.request] for entry in entries)
    for entry, one in zip(entries, found, strict=True):
        if tuple(part.digest for part in one.parts) != entry.parts:
            raise DataError(
                f"the request with digest {entry.request[:12]}... has other parts than {name} records; expected "
                "those that it was joined from"
            )
    if provenance.records_newest:
        return found
    newer = tuple(one for digest, one in known.items() if digest not in {entry.request for entry in entries})
    if not newer:
        raise DataError(
            f"{name} is {provenance.role} but does not record the newest request that it answers, as after a patch; "
            "expected --forgotten FILE with the request.json of each request that it answers, or the network that "
            "`obliq unlearn` wrote"
        )
    return (*found, *newer)


def roles_of_each(request: Request, parts: Partition) -> list[tuple[Request, Splits]]:
    """Every single request behind one, oldest first, with the roles of the samples when it alone is measured.

    What the other requests took has no role, so that all of them are measured with the same retain set.

    Args:
        request: the newest, with those before it and the parts of each.
        parts: the data that they are about.

    Raises:
        DataError: for a request for other data.
    """
    gone = samples_of([*request.earlier, request])
    found = []
    for one in request.every:
        one.splits(parts)  # raises for a request for other data
        named = torch.tensor(one.ids, dtype=torch.int64)
        others = gone[~torch.isin(gone, named)]
        found.append((one, parts.forgetting(named, salt=bytes.fromhex(one.salt), earlier=others)))
    return found


def require_all_forgotten(
    requests: Sequence[Request], forgotten: Sequence[Request], name: str = "the network"
) -> None:
    """Refuse a request that follows earlier ones which the network to unlearn has not forgotten.

    Such a request is one of a network that was unlearned several times. Answered alone by the original, it would leave
    the earlier samples remembered, while they count as forgotten.

    Args:
        requests: what is to be forgotten now.
        forgotten: what the network has forgotten already.
        name: what errors call the network.

    Raises:
        DataError: with the number of such requests.
    """
    done = {number for one in (*forgotten, *requests) for number in one.ids}
    left = [one for given in requests for one in given.earlier if not set(one.ids) <= done]
    if left:
        raise DataError(
            f"the request follows {counted_requests(left)} that {name} has not forgotten; expected the network that "
            "has, or all of them together (--forget requests=FILE, with the same file)"
        )


def earlier_entries(
    base: Provenance | None, digest: str, requests: Sequence[Request]
) -> tuple[EarlierRequest, ...]:
    """What a new network records of the requests before its own.

    Args:
        base: of the network that it is computed from; None for a file without a record.
        digest: of that network.
        requests: those that count as answered, oldest first. Where the base does not record one, the new network is
            retrained without its samples, or its user vouches for the base.
    """
    known = {} if base is None else {entry.request: entry for entry in base.forgotten_so_far}
    original = (base and base.original_digest) or digest
    unknown = "retrain" if base is not None and base.records_newest else "not recorded"
    return tuple(
        known.get(one.digest)
        or EarlierRequest(
            request=one.digest,
            parts=tuple(part.digest for part in one.parts),
            method=unknown,
            base_digest=original,
        )
        for one in requests
    )


def single_requests(answered: Sequence[Request | EarlierRequest]) -> int:
    """How many requests there are, where each part of a joined one counts."""
    return sum(len(one.parts) or 1 for one in answered)


def counted_requests(answered: Sequence[Request | EarlierRequest]) -> str:
    """The same in words."""
    count = single_requests(answered)
    return "1 request" if count == 1 else f"{count} requests"
