"""Running the server."""

import contextlib
import importlib
import ipaddress
import logging
import re
import socket
from collections.abc import Iterator

from obliq.errors import RecordError
from obliq.record.server.site import LOOPBACK, Site

SECONDS_TO_END = 10
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
"""A name of a host (RFC 1123, section 2.1)."""


def require_server_packages() -> None:
    """Raise unless the packages of the server are there.

    Raises:
        RecordError: naming the extra.
    """
    for name in ("starlette", "uvicorn", "python_multipart"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise RecordError(
                f"{name} is not installed ({error}); expected the extra serve: pip install '.[serve]' in a checkout "
                "of obliq"
            ) from error


def require_private(host: str, https_name: str | None) -> None:
    """Refuse to be reached from other machines without encryption.

    Args:
        host: the address to bind to.
        https_name: the name under which a TLS proxy serves the page.

    Raises:
        RecordError: for an address of a network without such a name.
    """
    if https_name is None and not _is_loopback(host):
        raise RecordError(
            f"--host {host} is reachable from other machines, and passwords would be sent without encryption; expected "
            "127.0.0.1, or --https-name NAME of a TLS proxy in front of this server"
        )


def allowed_hosts(https_name: str | None) -> frozenset[str]:
    """The names under which browsers may call the page.

    Raises:
        RecordError: for a name that no browser sends as a host.
    """
    if https_name is None:
        return LOOPBACK
    if not _NAME.fullmatch(https_name) or len(https_name) > 253:
        raise RecordError(
            f"--https-name {https_name[:80]!r}; expected the name of a host alone, such as records.example.org"
        )
    return frozenset({https_name.lower(), *LOOPBACK})


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket that listens, so that a used port is known before anything else begins.

    Raises:
        RecordError: when the address cannot be used.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        found = socket.socket(family)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
    except OSError as error:
        raise RecordError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; expected a free --port"
        ) from error
    return found


def serve(site: Site, listening: socket.socket) -> None:
    """Answer requests until the process is interrupted or terminated."""
    import uvicorn

    from obliq.record.server.application import application
    from obliq.record.server.connections import MOST_CONNECTIONS, TimedConnection

    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # it prints what a hostile form holds
    config = uvicorn.Config(
        application(site),
        http=TimedConnection,
        access_log=False,  # addresses of pages name cases
        log_level="warning",
        server_header=False,
        proxy_headers=False,  # nothing depends on the address of the client
        lifespan="off",
        ws="none",
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=SECONDS_TO_END,
        h11_max_incomplete_event_size=16 * 2**10,
    )
    with _quiet_end():
        uvicorn.Server(config).run(sockets=[listening])


@contextlib.contextmanager
def _quiet_end() -> Iterator[None]:
    """An interrupt is how a server ends, not an error."""
    with contextlib.suppress(KeyboardInterrupt):
        yield


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
