"""Workers on Ray: the processors of one machine, or of a cluster that shares the folder of the cache."""

import importlib
import os
import secrets
from collections.abc import Sequence
from typing import Any

import torch

from obliq.benchmark.worker_state import Workshop
from obliq.benchmark.workers import (
    THREADS,
    Job,
    Outcome,
    attempt,
    changed_source,
    one_line,
    source_digest,
    starting_with_one_thread,
    warm_up,
)
from obliq.errors import ObliqError
from obliq.run import keep_memory

OWN = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
"""A Ray of our own reports nothing to its makers, and refuses who has not its token: it listens on all networks."""
STORE_BYTES = 100 * 2**20
"""Of shared memory, for a Ray of our own: jobs and outcomes are small, results go through the folder of the cache."""


class RayWorker:
    """One actor: a workshop that stays between tasks."""

    def __init__(self, workshop: Workshop, source: str) -> None:
        torch.set_num_threads(1)
        keep_memory()
        warm_up(workshop.run(0))
        self._workshop, self._refused = workshop, changed_source(source)

    def attempt(self, job: Job) -> Outcome:
        """Do a task."""
        return Outcome(job.key, self._refused) if self._refused else attempt(job, self._workshop)


class RayPool:
    """One worker a processor; joins the cluster that `RAY_ADDRESS` names, or starts Ray on this machine."""

    def __init__(self, workshop: Workshop, size: int = 0) -> None:
        """Connect.

        Args:
            workshop: what every worker gets; its folders must be the same place on all machines.
            size: how many workers; 0 for one a processor.

        Raises:
            ObliqError: when Ray is not installed, cannot be reached, or has not so many processors.
        """
        joins = "RAY_ADDRESS" in os.environ
        if not joins:  # before the import, which reads them
            os.environ.update(OWN)
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # here only, no file in the home
        try:
            ray: Any = importlib.import_module("ray")
        except ImportError as error:
            raise ObliqError("--ray needs the package ray; expected `pip install 'obliq[ray]'`") from error
        try:
            join(ray) if joins else start(ray, size)
        except Exception as error:
            raise ObliqError(f"Ray does not start: {one_line(str(error))}") from error
        processors = int(ray.cluster_resources().get("CPU", 0))
        if not max(1, size) <= processors:  # an actor that gets no processor would wait for ever
            ray.shutdown()
            raise ObliqError(f"jobs {size}; expected no more than Ray's processors, {processors}")
        self._ray = ray
        self.size = size or processors
        self._workshop, self._source = ray.put(workshop), source_digest()
        self._kind = ray.remote(num_cpus=1, max_restarts=0)(RayWorker)
        self._idle: list[Any] = []
        self._running: dict[Any, tuple[Any, Job]] = {}

    def submit(self, job: Job) -> None:
        """Send the job to an actor that has none."""
        worker = self._idle.pop() if self._idle else self._kind.remote(self._workshop, self._source)
        self._running[worker.attempt.remote(job)] = worker, job

    def wait(self) -> Sequence[Outcome]:
        """Wait for the first actor that is done, or dead."""
        ready, _ = self._ray.wait(list(self._running), num_returns=1)
        return [self._heard(one) for one in ready]

    def _heard(self, ready: Any) -> Outcome:
        worker, job = self._running.pop(ready)
        try:
            outcome: Outcome = self._ray.get(ready)
        except self._ray.exceptions.RayError as error:  # the actor is gone; another one takes its place
            return Outcome(job.key, one_line(f"its process ended: {error}"))
        self._idle.append(worker)
        return outcome

    def __enter__(self) -> "RayPool":
        return self

    def __exit__(self, *ended: object) -> None:
        self._ray.shutdown()


def join(ray: Any) -> None:
    """Connect to the cluster that `RAY_ADDRESS` names."""
    ray.init(log_to_driver=False, configure_logging=False, runtime_env={"env_vars": THREADS})


def start(ray: Any, size: int) -> None:
    """Start Ray on this machine, whatever other one runs here."""
    with starting_with_one_thread():  # said in `runtime_env`, every worker would be started twice
        ray.init(
            address="local", include_dashboard=False, log_to_driver=False, configure_logging=False,
            num_cpus=size or None, object_store_memory=STORE_BYTES,
        )  # fmt: skip
