"""The same rows from Ray, started for real on this machine."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from obliq.benchmark.collect import read_rows
from obliq.benchmark.run import BenchmarkResult, run_suite
from obliq.errors import ObliqError
from tests.benchmark.toys import but_for_times, options, suite

HERE = Path(__file__).parents[2]
SLOW = "Ray does not start: The current node timed out during startup"
PROGRAM = """
import sys
from pathlib import Path
from obliq.benchmark.run import run_suite
from tests.benchmark.toys import FIXED, options, suite

if __name__ == "__main__":
    data, folder = sys.argv[1], Path(sys.argv[2])
    run_suite(suite(data, FIXED), options(folder, ray=True, jobs=2))
"""


@pytest.mark.timeout(600)
def test_ray_gives_the_same_rows(
    data: str, tmp_path: Path, fixed: BenchmarkResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)  # its own Ray, never somebody's cluster
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, data, str(tmp_path / "ray")],
        capture_output=True,
        text=True,
        timeout=580,  # for 25 s of computing in eleven processes, which a busy machine stretches
        cwd=HERE,
    )
    if SLOW in process.stderr:
        pytest.skip(
            "the machine is too busy for Ray's own limit of 15 s on its start (ray-project/ray#65983)"
        )
    assert process.returncode == 0, process.stderr
    rows = read_rows(tmp_path / "ray" / "results" / "toy")
    assert but_for_times(rows) == but_for_times(fixed.rows)


def test_without_ray_it_says_what_is_missing(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "192.0.2.1:6379")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ObliqError, match=r"pip install '\.\[ray\]'"):
        run_suite(suite(data), options(tmp_path, ray=True))


def test_more_jobs_than_the_cluster_has_processors_are_refused_and_the_connection_closed(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []
    cluster = SimpleNamespace(
        init=lambda **given: called.append("init"),
        cluster_resources=lambda: {"CPU": 2.0},
        shutdown=lambda: called.append("shutdown"),
    )
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    monkeypatch.setitem(sys.modules, "ray", cluster)
    with pytest.raises(ObliqError, match="jobs 3; expected no more than Ray's processors, 2"):
        run_suite(suite(data), options(tmp_path, ray=True, jobs=3))
    assert called == ["init", "shutdown"]
