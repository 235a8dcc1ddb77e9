"""Requests that keep coming: what earlier ones took, and several of them as one.

A network records only keyed digests of the requests that it answers. The samples themselves are in the requests, which
are personal data and may be elsewhere, or deleted. What remains can be computed only while all of them are at hand.
"""

import dataclasses
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from obliq.checkpoints import Checkpoint, Provenance
from obliq.checkpoints.metadata import EarlierRequest
from obliq.data import Partition
from obliq.data.request_file import Request
from obliq.errors import DataError
from obliq.quantization import weights_digest


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
        _require_for(one, parts)
    taken = samples_of(before)
    named = samples_of(single)
    left = named[~torch.isin(named, taken)]
    if len(left) == 0:
        raise DataError(
            f"all {len(named)} samples of the request were forgotten before; expected some that remain"
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
        at_hand: requests, in any order, with others among them; also those that are only their earlier ones.
        name: what errors call the network.

    Raises:
        DataError: where the network does not record what it answers, or one of its requests is not at hand.
    """
    if provenance.role != "original" and provenance.splits_digest is None:
        raise DataError(
            f"{name} is {provenance.role} but does not record the request that it answers, as after a patch; expected "
            "the folder that `obliq unlearn` wrote"
        )
    known = {
        one.digest: dataclasses.replace(one, earlier=())
        for given in at_hand
        for one in (*given.earlier, given)
    }
    entries = provenance.forgotten_so_far
    if missing := [entry for entry in entries if entry.request not in known]:
        raise DataError(
            f"{name} answers {counted_requests(entries)}, of which {len(missing)} not at hand (digest "
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
            "has, or each of them too (--forget request=FILE, several times)"
        )


def earlier_entries(base: Checkpoint, requests: Sequence[Request]) -> tuple[EarlierRequest, ...]:
    """What a new network records of the requests before its own.

    Args:
        base: what it is computed from.
        requests: those that count as answered, oldest first. Where the base has not answered one, the new network is
            retrained without its samples.
    """
    known = {entry.request: entry for entry in base.provenance.forgotten_so_far}
    original = base.provenance.original_digest or weights_digest(base.model)
    return tuple(
        known.get(one.digest)
        or EarlierRequest(
            request=one.digest,
            parts=tuple(part.digest for part in one.parts),
            method="retrain",
            base_digest=original,
        )
        for one in requests
    )


def _require_for(request: Request, parts: Partition) -> None:
    """Raise unless a request is for this division of these data."""
    named = request.ids
    splits = parts.forgetting(torch.tensor(named), salt=bytes.fromhex(request.salt))
    if splits.digest != request.digest:
        raise DataError(
            f"a request has digest {request.digest[:12]}..., but these data and its ids have {splits.digest[:12]}...; "
            "expected a request for these data and this division"
        )


def counted_requests(requests: Sequence[object]) -> str:
    """How many there are, in words; single ones, where several were joined."""
    count = sum(len(getattr(one, "parts", ())) or 1 for one in requests)
    return "1 request" if count == 1 else f"{count} requests"
