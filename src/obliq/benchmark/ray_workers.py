"""Workers on Ray: the processors of one machine, or of a cluster that shares the folder of the cache."""

import os
import secrets
from collections.abc import Sequence
from typing import Any

import torch

from obliq.benchmark.worker_state import WorkerState
from obliq.benchmark.workers import (
    THREADS,
    Job,
    TaskOutcome,
    changed_source,
    run_job,
    single_threaded_children,
    warm_up,
)
from obliq.errors import ObliqError
from obliq.run import keep_memory
from obliq.workflow.ray_cluster import join_cluster, load_ray, one_line, require_answer, source_digest

LOCAL_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
"""For a Ray started here: no usage reports, and access by token only, because Ray listens on all networks."""
STORE_BYTES = 100 * 2**20
"""Shared memory of a Ray started here: jobs and outcomes are small, and results go through the cache's folder."""


class RayWorker:
    """One actor, whose state stays between tasks."""

    def __init__(self, state: WorkerState, source: str) -> None:
        torch.set_num_threads(1)
        keep_memory()
        warm_up(state.run(0))
        self._state, self._refused = state, changed_source(source)

    def run_job(self, job: Job) -> TaskOutcome:
        """Run a task."""
        return TaskOutcome(job.key, self._refused) if self._refused else run_job(job, self._state)


class RayPool:
    """One worker per processor, in the cluster that `RAY_ADDRESS` names, or in a Ray started on this machine."""

    def __init__(self, state: WorkerState, size: int = 0) -> None:
        """Connect.

        Args:
            state: what every worker gets; its folders must be the same place on all machines.
            size: number of workers; 0 for one per processor.

        Raises:
            ObliqError: when Ray is not installed, cannot be reached, or has fewer processors.
        """
        address = os.environ.get("RAY_ADDRESS")
        if address is None:  # before the import, which reads them
            os.environ.update(LOCAL_SETTINGS)
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # not in a file of the home folder
        ray = load_ray()
        if address is not None:
            if address != "local":
                require_answer(address)
            join_cluster(ray, address, THREADS)
        else:
            start_ray(ray, size)
        processors = int(ray.cluster_resources().get("CPU", 0))
        if not max(1, size) <= processors:  # an actor that gets no processor would wait for ever
            ray.shutdown()
            raise ObliqError(f"jobs {size}; expected no more than Ray's processors, {processors}")
        self._ray = ray
        self.size = size or processors
        self._state, self._source = ray.put(state), source_digest()
        self._kind = ray.remote(num_cpus=1, max_restarts=0)(RayWorker)
        self._idle: list[Any] = []
        self._running: dict[Any, tuple[Any, Job]] = {}

    def submit(self, job: Job) -> None:
        """Send the job to an idle actor."""
        worker = self._idle.pop() if self._idle else self._kind.remote(self._state, self._source)
        self._running[worker.run_job.remote(job)] = worker, job

    def wait(self, seconds: float | None = None) -> Sequence[TaskOutcome]:
        """Wait for the first actor that finishes or dies."""
        ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=seconds)
        return [self._receive(one) for one in ready]

    def _receive(self, ready: Any) -> TaskOutcome:
        worker, job = self._running.pop(ready)
        try:
            outcome: TaskOutcome = self._ray.get(ready)
        except self._ray.exceptions.RayError as error:  # the actor is gone; another one takes its place
            return TaskOutcome(job.key, one_line(f"its process ended: {error}"))
        self._idle.append(worker)
        return outcome

    def __enter__(self) -> "RayPool":
        return self

    def __exit__(self, *ended: object) -> None:
        self._ray.shutdown()


def start_ray(ray: Any, size: int) -> None:
    """Start a Ray on this machine, even where another one runs.

    Raises:
        ObliqError: when it does not start.
    """
    try:
        with single_threaded_children():  # by `runtime_env`, every worker would be started twice
            ray.init(
                address="local",
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
                num_cpus=size or None,
                object_store_memory=STORE_BYTES,
            )
    except Exception as error:
        raise ObliqError(f"Ray does not start: {one_line(str(error))}") from error
