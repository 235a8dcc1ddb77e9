"""As much of Ray as the record uses, in this process: actors are objects, and what is sent to them is pickled.

Of this process and the task of an actor only one runs at a time, in turns: a task until it pauses or ends, then this
process until it waits for the task.
"""

import pickle
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

SECONDS = 60


class RayError(Exception):
    """The base of what Ray raises."""


class RayActorError(RayError):
    """The process of an actor ended."""


class Reference:
    """What `put` returns: Ray replaces it by its value where it is an argument."""

    def __init__(self, content: bytes) -> None:
        self.content = content


class _Exceptions:
    RayError, RayActorError = RayError, RayActorError


class RayInProcess:
    """The package `ray`, joined to a cluster of one machine.

    Attributes:
        sent: everything that went to the cluster.
        before: hears the worker and the method before a call.
        connected: whether the connection is open.
    """

    exceptions = _Exceptions

    def __init__(self, before: Callable[[Any, str], object] = lambda worker, method: None) -> None:
        self.sent: list[bytes] = []
        self.before, self.connected = before, False
        self._task, self._here = threading.Semaphore(0), threading.Semaphore(0)

    def init(self, **options: object) -> None:
        self.connected = True

    def shutdown(self) -> None:
        self.connected = False

    def nodes(self) -> list[dict[str, object]]:
        return [{"Alive": True, "Resources": {"CPU": 1.0}}]

    def put(self, value: object) -> Reference:
        self.sent.append(pickle.dumps(value))
        return Reference(self.sent[-1])

    def remote(self, **options: object) -> Callable[[type], Any]:
        return lambda kind: _ActorKind(self, kind)

    def wait(self, given: list[Future[Any]], timeout: float | None = None) -> tuple[list[Any], list[Any]]:
        if not any(one.done() for one in given) and timeout != 0:
            self._task.release()
            assert self._here.acquire(timeout=SECONDS)
        return [one for one in given if one.done()], [one for one in given if not one.done()]

    def pause(self) -> None:
        """Let this process go on; for the task of an actor."""
        self._here.release()
        assert self._task.acquire(timeout=SECONDS)

    def task(self, call: Callable[[], None]) -> None:
        """Begin the task of an actor, which runs when this process waits."""

        def run() -> None:
            assert self._task.acquire(timeout=SECONDS)
            call()
            self._here.release()

        threading.Thread(target=run).start()

    def get(self, given: Future[Any]) -> Any:
        return given.result()


class _ActorKind:
    def __init__(self, ray: RayInProcess, kind: type) -> None:
        self._ray, self._kind = ray, kind

    def remote(self, *arguments: object) -> "_Actor":
        return _Actor(self._ray, self._kind(*arguments))


class _Actor:
    def __init__(self, ray: RayInProcess, worker: Any) -> None:
        self._ray, self._worker = ray, worker

    def __getattr__(self, name: str) -> Any:
        return _Method(self._ray, self._worker, name)


class _Method:
    def __init__(self, ray: RayInProcess, worker: Any, name: str) -> None:
        self._ray, self._worker, self._name = ray, worker, name

    def remote(self, *arguments: object) -> Future[Any]:
        received = []
        for one in arguments:
            if not isinstance(one, Reference):
                self._ray.sent.append(pickle.dumps(one))
            received.append(pickle.loads(one.content if isinstance(one, Reference) else self._ray.sent[-1]))
        future: Future[Any] = Future()

        def call() -> None:
            try:
                self._ray.before(self._worker, self._name)
                future.set_result(getattr(self._worker, self._name)(*received))
            except BaseException as error:
                future.set_exception(error)

        self._ray.task(call) if self._name in ("network", "audit") else call()
        return future
