"""Workers on Ray: the processors of one machine, or of a cluster that shares the folder of the cache."""

import importlib
import os
from collections.abc import Sequence
from typing import Any

import torch

from obliq.bench.pools import THREADS, Job, Outcome, attempt, changed_code, one_line
from obliq.bench.warming import warm_up
from obliq.bench.workshop import Workshop
from obliq.errors import ObliqError

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
"""A Ray of our own, on this machine alone, reports nothing to its makers and leaves no token in the home folder."""


class RayWorker:
    """One actor: a workshop that stays between tasks."""

    def __init__(self, workshop: Workshop) -> None:
        torch.set_num_threads(1)
        warm_up(workshop.run(0))
        self._workshop, self._refused = workshop, changed_code(workshop)

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
            ObliqError: when Ray is not installed, or cannot be reached.
        """
        try:
            ray: Any = importlib.import_module("ray")
        except ImportError as error:
            raise ObliqError("--ray needs the package ray; expected `pip install 'obliq[ray]'`") from error
        joins = "RAY_ADDRESS" in os.environ
        if not joins:
            os.environ.update(QUIET)
        try:
            ray.init(
                include_dashboard=False if not joins else None, log_to_driver=False, configure_logging=False,
                runtime_env={"env_vars": THREADS}, num_cpus=None if joins or not size else size,
            )  # fmt: skip
        except Exception as error:
            raise ObliqError(f"Ray does not start: {one_line(str(error))}") from error
        self._ray = ray
        self.size = size or max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._workshop = ray.put(workshop)
        self._kind = ray.remote(num_cpus=1, max_restarts=0)(RayWorker)
        self._idle: list[Any] = []
        self._running: dict[Any, tuple[Any, Job]] = {}

    def submit(self, job: Job) -> None:
        """Send the job to an actor that has none."""
        worker = self._idle.pop() if self._idle else self._kind.remote(self._workshop)
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
