"""A new request, from what the user named: classes, people, random or listed samples, and requests of earlier runs."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from obliq.data import Partition, Splits, parse_selector, select
from obliq.data.request_file import Request, load_request
from obliq.data.selection import in_words
from obliq.data.selectors import ACCEPTED, RandomCount, RandomShare, split_selectors
from obliq.workflow.earlier_requests import join_requests, require_all_forgotten, samples_of

FILES = (
    "request=FILE for the request.json of an earlier run, or requests=FILE for that request and all before it"
)


def require_selectors(texts: Sequence[str]) -> None:
    """Refuse a word that is no selector before anything is loaded.

    Raises:
        DataError: with the accepted forms.
    """
    for text in (one for given in texts for one in split_selectors(given)):
        if request_file(text) is None:
            parse_selector(text, accepted=f"{ACCEPTED}, {FILES}")


def create_request(
    parts: Partition,
    selector: str | Sequence[str],
    seed: int,
    earlier: Sequence[Request] = (),
    *,
    retrains: bool = False,
) -> tuple[Splits, Request]:
    """Divide the training part as a request demands.

    Args:
        parts: who was trained on.
        selector: a selector's text, or `request=FILE` for a request of an earlier run, so that networks answer
            one request and record one digest. `requests=FILE` stands for that request and all before it. Several are
            joined to one request.
        seed: decides a random request.
        earlier: requests whose samples do not remain, oldest first. Samples that they name are left out.
        retrains: whether a network is retrained for the request. It never receives the samples of the requests that an
            earlier run answered before, either.

    Raises:
        DataError: when the request does not fit the data, names only samples that do not remain, or follows requests
            that the network has not forgotten.
    """
    texts = [selector] if isinstance(selector, str) else selector
    selectors = [one for text in texts for one in split_selectors(text)]
    loaded = {text: _from_file(text) for text in selectors}
    files = [one for found in loaded.values() for one in found]
    if retrains:
        known = {one.digest for one in earlier}
        earlier = [*earlier, *(one for file in files for one in file.earlier if one.digest not in known)]
    else:
        require_all_forgotten(files, earlier)
    taken = samples_of(earlier)
    remaining = dataclasses.replace(parts, train=parts.remaining(taken)) if len(taken) else parts
    given: list[Request] = []
    for text in selectors:
        if loaded[text]:
            given += loaded[text]
            continue
        parsed = parse_selector(text, accepted=f"{ACCEPTED}, {FILES}")
        drawn = isinstance(parsed, RandomShare | RandomCount)
        chosen = select(parsed, remaining if drawn else parts, seed)
        given.append(Request.of(parts.forgetting(chosen), str(parsed)))
    request = join_requests(given, parts, earlier)
    return request.splits(parts), request


def request_file(selector: str) -> Path | None:
    """The file of `request=FILE` or `requests=FILE`; None for another selector."""
    kind, _, file = selector.partition("=")
    return Path(file.strip()) if kind.strip() in ("request", "requests") and file.strip() else None


def _from_file(selector: str) -> tuple[Request, ...]:
    """What a selector takes from a file; nothing for another selector."""
    file = request_file(selector)
    if file is None:
        return ()
    found = load_request(file)
    return found.every if selector.strip().startswith("requests") else (found,)


def request_in_words(request: Request, splits: Splits) -> str:
    """What a request forgets, for instance `class 'cat' (97 samples) of the training part`."""
    return f"{in_words(parse_selector(request.selector), splits.forget)} of the training part"


def forgotten_before(request: Request) -> int:
    """How many samples that were named are not in a request, since earlier ones took them."""
    return len(samples_of(request.parts)) - len(request.ids) if request.parts else 0
