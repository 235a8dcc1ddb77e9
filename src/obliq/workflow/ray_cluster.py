"""A Ray cluster that exists already: joining it, and whether its machines run the same code."""

import hashlib
import importlib
import os
import re
import signal
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import obliq
from obliq.errors import ObliqError
from obliq.io.user_code import TerminatedBySignal
from obliq.io.visible_text import visible_line

SECONDS_TO_ANSWER = 5.0
"""Ray itself waits for two minutes for a machine that does not answer."""
_SETTINGS = b"\0\0\0\4\0\0\0\0\0"
"""An HTTP/2 frame of the type SETTINGS without any setting: length, type 4, flags and stream."""
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
        ObliqError: when Ray refuses, for instance another version of itself.
        TerminatedBySignal: when the process is terminated meanwhile.
    """
    given = {"runtime_env": {"env_vars": dict(environment)}} if environment else {}
    ending = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False, **given)
    except TerminatedBySignal:
        raise
    except SystemExit as error:  # Ray's own handler exits with the number of the signal
        raise TerminatedBySignal(128 + signal.SIGTERM) from error
    except Exception as error:
        raise ObliqError(f"cannot join the Ray cluster at {address}: {one_line(str(error))}") from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, ending)  # Ray's own handler aborts the process with a stack


def require_answer(address: str) -> None:
    """Refuse an address at which no cluster answers within seconds.

    Raises:
        ObliqError: also for text that is no address.
    """
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", "auto")  # as Ray does
        if address == "auto":
            return
    place = _PLACE.fullmatch(address)
    if place is None or not 0 < int(place["port"]) < 2**16:
        raise ObliqError(
            f"--ray {address[:100]!r}; expected HOST:PORT of the cluster's head, ray://HOST:PORT from a machine "
            "outside of the cluster, or auto"
        )
    try:
        host, port = place["host"].strip("[]"), int(place["port"])
        with socket.create_connection((host, port), SECONDS_TO_ANSWER) as connection:
            answers = _speaks_tls(connection) if _uses_tls() else _speaks_http2(connection)
    except OSError as error:
        raise ObliqError(
            f"no Ray cluster answers at {address} ({error.strerror or error}); expected the address of its head, as "
            "`ray start` prints it"
        ) from error
    if not answers:
        raise ObliqError(
            f"what answers at {address} is no Ray cluster; expected the address of its head, as `ray start` prints it"
        )


def _speaks_http2(connection: socket.socket) -> bool:
    """Whether the other side begins as every gRPC server does, with its settings (RFC 9113, section 3.4)."""
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _SETTINGS)
    deadline, answer = time.monotonic() + SECONDS_TO_ANSWER, b""
    while len(answer) < len(_SETTINGS):
        connection.settimeout(max(0.01, deadline - time.monotonic()))
        got = connection.recv(len(_SETTINGS) - len(answer))
        if not got:
            return False
        answer += got
    return answer[3:4] == _SETTINGS[3:4]


def _uses_tls() -> bool:
    return os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true")


def _speaks_tls(connection: socket.socket) -> bool:
    """Whether the other side answers a TLS handshake; Ray itself checks whose certificate it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        context.wrap_socket(connection).close()
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")  # it wants another version, or a certificate
    return True


def source_digest() -> str:
    """SHA-256 over the source files of this package."""
    files = sorted(Path(obliq.__path__[0]).rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def one_line(text: str) -> str:
    """The first 300 printable letters."""
    return visible_line(" ".join(text.split()))[:300] or "an error without a message"
