"""The requests that a network has answered: from its folder, from next to its file, and as the user names them."""

from collections.abc import Sequence
from dataclasses import replace

from obliq.checkpoints import Provenance
from obliq.checkpoints.run_folder import SavedRun
from obliq.cli.options import RequestOptions
from obliq.data.request_file import REQUEST_FILE, Request, load_request
from obliq.errors import DataError
from obliq.workflow.earlier_requests import requests_behind
from obliq.workflow.gate import require_passed


def earlier_of_folder(arguments: RequestOptions, base: SavedRun, *, retrains: bool) -> tuple[Request, ...]:
    """The requests whose samples do not remain, oldest first.

    Raises:
        DataError: when one of them is not at hand, or was given although the network has forgotten nothing.
        ModelError: when the network failed its gate.
    """
    folder, provenance = arguments.original, base.checkpoint.provenance
    given = [load_request(file) for file in arguments.forgotten]
    if provenance.role != "original":
        require_passed(provenance, str(folder), accept=False)
        return _behind(provenance, given, base.request, str(folder))
    if not retrains:
        _refuse_forgotten(arguments)
    return _each_once(given)


def earlier_of_file(arguments: RequestOptions, base: Provenance | None) -> tuple[Request, ...]:
    """The requests that an exported file answers, oldest first; those that the user names, where it has no record.

    Raises:
        DataError: when one of them is not at hand.
        ModelError: when the file failed its gate.
    """
    file = arguments.original
    given = [load_request(one) for one in arguments.forgotten]
    if base is None:
        return _each_once(given)
    if base.role == "original":
        _refuse_forgotten(arguments)
        return ()
    require_passed(base, str(file), accept=False)
    nearby = file.parent / REQUEST_FILE
    return _behind(base, given, load_request(nearby) if nearby.exists() else None, str(file))


def _behind(
    provenance: Provenance, given: list[Request], nearby: Request | None, name: str
) -> tuple[Request, ...]:
    """What a network answers. A request that lies near it counts only where the network records its digest."""
    known = [nearby] if nearby is not None and provenance.records_newest else []
    return requests_behind(provenance, [*given, *known], name)


def _refuse_forgotten(arguments: RequestOptions) -> None:
    """Raise where the user names earlier requests of an original.

    Raises:
        DataError: naming the first.
    """
    if arguments.forgotten:
        raise DataError(
            f"--forgotten {arguments.forgotten[0]}, but {arguments.original} is an original, which has forgotten "
            "nothing; expected --forget request=FILE for each request that it is to forget"
        )


def _each_once(requests: Sequence[Request]) -> tuple[Request, ...]:
    """Requests and those before them."""
    single = (replace(one, earlier=()) for request in requests for one in (*request.earlier, request))
    return tuple({one.digest: one for one in single}.values())
