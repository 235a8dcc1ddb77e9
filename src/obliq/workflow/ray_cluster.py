"""A Ray cluster that exists already: joining it, and whether its machines run the same code."""

import hashlib
import importlib
import re
import signal
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import obliq
from obliq.errors import ObliqError
from obliq.io.visible_text import visible_line

SECONDS_TO_ANSWER = 5.0
"""Ray itself waits for two minutes for a machine that does not answer."""
_PLACE = re.compile(r"(?:ray://)?(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\s:/@]+):(?P<port>\d{1,5})")


def load_ray() -> Any:
    """The package ray.

    Raises:
        ObliqError: naming the extra.
    """
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise ObliqError(
            "--ray needs the package ray; expected the extra ray: pip install '.[ray]' in a checkout of obliq"
        ) from error


def join_cluster(ray: Any, address: str, environment: Mapping[str, str] | None = None) -> None:
    """Connect to a cluster.

    Args:
        ray: the package.
        address: `HOST:PORT` of a cluster that this machine is part of, `ray://HOST:PORT` of one that it is not part of,
            or `auto`, which is Ray's own choice.
        environment: variables of the workers, on top of their own.

    Raises:
        ObliqError: when nothing answers there, or when Ray refuses, for instance another version of itself.
    """
    require_answer(address)
    given = {"runtime_env": {"env_vars": dict(environment)}} if environment else {}
    ending = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False, **given)
    except (Exception, SystemExit) as error:  # Ray exits where the other side is no Ray
        reason = one_line(str(error)) if isinstance(error, Exception) else "what answers there is no Ray"
        raise ObliqError(f"cannot join the Ray cluster at {address}: {reason}") from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, ending)  # Ray's own handler aborts the process with a stack


def require_answer(address: str) -> None:
    """Refuse an address at which nothing answers.

    Raises:
        ObliqError: also for text that is no address.
    """
    if address in ("auto", "local"):
        return
    place = _PLACE.fullmatch(address)
    if place is None or not 0 < int(place["port"]) < 2**16:
        raise ObliqError(
            f"--ray {address[:100]!r}; expected HOST:PORT of the cluster's head, ray://HOST:PORT from a machine "
            "outside of the cluster, or auto"
        )
    try:
        socket.create_connection((place["host"].strip("[]"), int(place["port"])), SECONDS_TO_ANSWER).close()
    except OSError as error:
        raise ObliqError(
            f"no Ray cluster answers at {address} ({error.strerror or error}); expected the address of its head, as "
            "`ray start` prints it"
        ) from error


def source_digest() -> str:
    """SHA-256 over the source files of this package."""
    files = sorted(Path(obliq.__path__[0]).rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def one_line(text: str) -> str:
    """The first 300 printable letters."""
    return visible_line(" ".join(text.split()))[:300] or "an error without a message"
