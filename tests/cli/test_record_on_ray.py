"""The work of a record on a Ray cluster: the same integers, and what a worker that ends or a wrong cluster leaves."""

import json
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from obliq.cli.parsing import parse
from obliq.cli.serve import _run_options
from obliq.record import cluster_worker
from obliq.record.cluster_results import ComputedFiles
from obliq.record.cluster_worker import ClusterWorker, SentInputs, packed, unpacked
from obliq.record.log import Entry
from obliq.training import continuation
from obliq.training.continuation import KeptTraining
from obliq.workflow import ray_cluster
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


@contextmanager
def answering(words: bytes) -> Iterator[str]:
    """The address of a server that sends these words to the first one who connects."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(ConnectionError), server.accept()[0] as connection:
                connection.sendall(words)
                while connection.recv(100):
                    pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def test_a_cluster_that_cannot_compute_is_one_line_before_any_work(
    obliq: Obliq, way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    officer = new_officer(obliq, way, tmp_path)
    officer.added("C-1", officer.person)
    head = officer.state.head
    monkeypatch.setattr(ray_cluster, "SECONDS_TO_ANSWER", 1.0)
    with socket.socket() as taken, answering(b"") as mute, answering(b"HTTP/1.1 400 Bad Request") as other:
        taken.bind(("127.0.0.1", 0))  # and listening to nobody
        nobody = f"127.0.0.1:{taken.getsockname()[1]}"
        for address, problem in (
            (nobody, f"no Ray cluster answers at {nobody}"),
            ("http://cluster", "expected HOST:PORT of the cluster's head"),
            ("local", "expected HOST:PORT of the cluster's head"),
            (mute, f"no Ray cluster answers at {mute} (timed out)"),
            (other, f"what answers at {other} is no Ray cluster"),
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
    monkeypatch.setattr(ray, "init", lambda **options: sys.exit(signal.SIGTERM))
    assert officer("run", *BY, *ON_RAY).status == 143
    assert (officer.state.head, ray.connected) == (head, False)


def with_digests_of_another(audit: bytes) -> bytes:
    changed = json.loads(audit)
    changed["digests"]["splits"] = "ee" * 32
    return json.dumps(changed).encode()


def test_what_a_machine_of_the_cluster_returns_becomes_a_result_only_if_it_is_one(
    obliq: Obliq, way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    officer = new_officer(obliq, way, tmp_path)
    officer.added("C-1", officer.person)
    batch, network, audit = officer.record / "batches" / "1", ClusterWorker.network, ClusterWorker.audit

    def altered(self: ClusterWorker, sent: SentInputs, *rest: Any) -> ComputedFiles:
        run = unpacked(network(self, sent, *rest).files, sent.architecture)
        stated = replace(run.checkpoint.provenance, splits_digest="ab" * 32, seed=999)
        return ComputedFiles(packed(replace(run, checkpoint=replace(run.checkpoint, provenance=stated))))

    def refused_with(problem: str, **methods: Any) -> None:
        with monkeypatch.context() as hostile:
            for name, method in methods.items():
                hostile.setattr(ClusterWorker, name, method)
            hostile.setitem(sys.modules, "ray", RayInProcess())
            refused(officer("run", *BY, *ON_RAY), problem)

    refused_with("a machine of the cluster returned a NoneType", network=lambda *given: None)
    refused_with("another seed, another set of samples", network=altered)
    assert kinds(officer)[-1] == "planned"
    assert not (batch / "unlearned").exists()
    for alter, problem in (
        (lambda _: b"\xff", "the audit that a machine of the cluster returned: not readable as JSON"),
        (
            with_digests_of_another,
            "auditing network and file: what was returned is the result of something else",
        ),
    ):
        refused_with(
            problem,
            audit=lambda *given, alter=alter: ComputedFiles({"audit": alter(audit(*given).files["audit"])}),
        )
    assert kinds(officer)[-1] == "exported"
    assert sorted(one.name for one in batch.iterdir() if one.is_dir()) == [
        "exported",
        "unlearned",
    ]
    assert officer.values("run", *BY, "--threads", "1")["state"] == "patched"


def test_what_the_page_starts_goes_to_the_same_cluster() -> None:
    words = ["serve", "record", "--ray", "cluster:6379"]
    assert "--ray=cluster:6379" in _run_options(parse(words).arguments)
