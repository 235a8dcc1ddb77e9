"""The work of a record on a Ray cluster: the same integers, and what a worker that ends or a wrong cluster leaves."""

import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from obliq.cli.parsing import parse
from obliq.cli.serve import _run_options
from obliq.record import cluster_worker
from obliq.record.log import Entry
from obliq.training import continuation
from obliq.training.continuation import KeptTraining
from tests.cli.conftest import Way
from tests.cli.refusals import refused
from tests.cli.test_record import BY, Obliq, Officer, new_officer
from tests.record.ray_in_process import RayActorError, RayInProcess

pytest.importorskip("cryptography", reason="requests are encrypted: extra patch")
pytest.importorskip("onnxruntime", reason="devices run a file: extra onnx")

ON_RAY = ("--ray", "auto", "--threads", "1")


def without_times(value: Any) -> Any:
    """What a result states, without durations and what is keyed by a batch."""
    if isinstance(value, dict):
        dropped = {"seconds", "time_ratio", "created", "splits", "splits_digest"}
        return {name: without_times(one) for name, one in value.items() if name not in dropped}
    return [without_times(one) for one in value] if isinstance(value, list) else value


def results_of(officer: Officer) -> dict[str, Any]:
    """All that a batch computed."""
    batch, found = officer.record / "batches" / "1", {}
    for file in sorted(batch.rglob("*")):
        if file.suffix in (".safetensors", ".onnx"):
            found[str(file.relative_to(batch))] = file.read_bytes()
        elif file.suffix == ".json" and file.name != "files.json":
            found[str(file.relative_to(batch))] = without_times(json.loads(file.read_text()))
    return found


def kinds(officer: Officer) -> list[object]:
    return [entry["event"] for entry in map(Entry.values, officer.record_entries())]


class LosingWorkers(RayInProcess):
    """Its workers end in the middle of a training, after the state of the training was fetched."""

    def __init__(self, times: int) -> None:
        super().__init__(before=self._watch)
        self._left = times

    def _watch(self, worker: Any, method: str) -> None:
        if method == "network":
            worker._steps = _Steps(self._step)

    def _step(self, stage: str) -> None:
        self.pause()
        if stage == "train" and self._left:
            self._left -= 1
            self.pause()
            raise RayActorError("it was killed")


class _Steps(list[Any]):
    def __init__(self, hear: Callable[[str], None]) -> None:
        self._hear = hear

    def append(self, step: Any) -> None:
        super().append(step)
        self._hear(step[0])


def test_a_cluster_computes_the_same_and_learns_no_name_or_key(
    obliq: Obliq, way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    officer = new_officer(obliq, way, tmp_path, "--references", "2")
    officer.added("CASE-OF-NOBODY", officer.person)
    monkeypatch.setattr(continuation, "SECONDS_BETWEEN", -1.0)
    epochs, keep = list[int](), KeptTraining.keep
    monkeypatch.setattr(
        KeptTraining, "keep", lambda kept, measured: (epochs.append(len(kept.rows) + 1), keep(kept, measured))
    )
    elsewhere = officer.copied(tmp_path / "copy", officer.obliq)
    assert officer.values("run", *BY, "--threads", "1")["state"] == "patched"
    assert epochs == [1, 2, 1, 2]
    ray = LosingWorkers(times=4)
    monkeypatch.setitem(sys.modules, "ray", ray)
    said = elsewhere("run", *BY, *ON_RAY)
    error = "obliq: error: 3 workers of the cluster ended, the last one with: it was killed; expected"
    assert (said.status, said.err.splitlines()[-1].startswith(error)) == (1, True)
    assert elsewhere.state.batches[0].state == "unlearned"
    said = elsewhere("run", *BY, *ON_RAY)
    assert said.status == 0, said.err
    assert said.err.count("a worker of the cluster ended; another one goes on") == 1
    assert epochs[4:] == epochs[:4], "no epoch was trained twice"
    assert results_of(elsewhere) == results_of(officer)
    assert kinds(elsewhere) == kinds(officer)
    assert not (elsewhere.record / "batches" / "1" / "trainings").exists()
    assert not ray.connected
    sent = b"".join(ray.sent)
    keys = [
        file.read_bytes()
        for file in elsewhere.record.with_name("record.keys").glob("[!r]*")
        if file.is_file()
    ]
    assert len(keys) >= 3
    for secret in (
        b"CASE-OF-NOBODY",
        b"subject=",
        way.data.name.encode(),
        b"A. Example",
        *filter(None, keys),
    ):
        assert secret not in sent


def test_a_cluster_that_cannot_compute_is_one_line_before_any_work(
    obliq: Obliq, way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    officer = new_officer(obliq, way, tmp_path)
    officer.added("C-1", officer.person)
    head = officer.state.head
    with socket.socket() as taken:  # bound, and listening to nobody
        taken.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{taken.getsockname()[1]}"
        for address, problem in (
            (nobody, f"no Ray cluster answers at {nobody}"),
            ("http://cluster", "expected HOST:PORT of the cluster's head"),
        ):
            monkeypatch.setitem(sys.modules, "ray", RayInProcess())
            refused(officer("run", *BY, "--ray", address), problem)
    monkeypatch.setitem(sys.modules, "ray", None)
    refused(officer("run", *BY, *ON_RAY), "--ray needs the package ray", r"pip install '.[ray]'")
    ray = RayInProcess()
    monkeypatch.setitem(sys.modules, "ray", ray)
    refused(
        officer("run", *BY, "--ray", "auto", "--threads", "2"), "has 2 processors", "--threads 1 or fewer"
    )
    refused(officer("run", *BY, *ON_RAY, "--device", "cuda"), "an accelerator", "--device cpu")
    with monkeypatch.context() as other:
        other.setattr(cluster_worker, "source_digest", iter(("ours", "theirs")).__next__)
        refused(officer("run", *BY, *ON_RAY), "another version of Obliq")
    monkeypatch.setattr(ray, "init", lambda **options: sys.exit(15))
    refused(officer("run", *BY, *ON_RAY), "cannot join the Ray cluster at auto: what answers there is no Ray")
    assert (officer.state.head, ray.connected) == (head, False)


def test_what_the_page_starts_goes_to_the_same_cluster() -> None:
    words = ["serve", "record", "--ray", "cluster:6379"]
    assert "--ray=cluster:6379" in _run_options(parse(words).arguments)
