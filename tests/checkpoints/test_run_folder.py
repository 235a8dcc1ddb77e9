import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from obliq.checkpoints import Blueprint
from obliq.checkpoints.run_folder import SavedRun, load_run, save_run
from obliq.data import Partition
from obliq.errors import ModelError, ObliqError
from obliq.methods import FineTune
from obliq.quantization import weights_digest
from obliq.run import Run
from obliq.training.loop import Recipe
from obliq.workflow.new_request import create_request
from obliq.workflow.pipeline import train_original, unlearn_original


@pytest.fixture(scope="module")
def run(parts: Partition) -> SavedRun:
    form = Blueprint(architecture="convnet", input_shape=(1, 6, 6), classes=3)
    original = train_original(parts, form, Recipe(epochs=1, batch_size=32), Run(seed=1))
    return unlearn_original(
        original.checkpoint, *create_request(parts, "random=7", 0), FineTune(epochs=1), Run(seed=2)
    )


@pytest.fixture
def folder(run: SavedRun, tmp_path: Path) -> Path:
    save_run(tmp_path / "network", run)
    return tmp_path / "network"


def test_a_saved_run_is_loaded(run: SavedRun, folder: Path) -> None:
    found = load_run(folder)
    assert weights_digest(found.checkpoint.model) == weights_digest(run.checkpoint.model)
    assert found.checkpoint.provenance == run.checkpoint.provenance.as_saved()
    assert list(found.trace) == list(run.trace)
    assert found.request == run.request
    assert stat.S_IMODE((folder / "request.json").stat().st_mode) == 0o600


def test_the_time_of_saving_is_noted_in_utc(
    run: SavedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def noted(folder: str) -> str:
        return str(json.loads((tmp_path / folder / "model.json").read_text())["created"])

    save_run(tmp_path / "given", run, created=datetime(2026, 3, 1, 9, 5, tzinfo=UTC))
    assert noted("given") == "2026-03-01T09:05:00+00:00"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1772355960")
    save_run(tmp_path / "fixed", run)
    assert noted("fixed") == "2026-03-01T09:06:00+00:00"


def test_request_and_record_may_be_deleted(folder: Path) -> None:
    (folder / "request.json").unlink()
    (folder / "trace.json").unlink()
    assert (load_run(folder).request, list(load_run(folder).trace)) == (None, [])


def test_an_existing_folder_is_kept_unless_it_may_be_replaced(run: SavedRun, folder: Path) -> None:
    with pytest.raises(ObliqError, match="exists already"):
        save_run(folder, run)
    save_run(folder, run, overwrite=True)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no folder"):
        load_run(tmp_path / "nowhere")


def test_a_folder_of_networks_is_no_network(folder: Path) -> None:
    with pytest.raises(
        ModelError, match=f"holds folders of networks and is none itself; .* instance {folder}$"
    ):
        load_run(folder.parent)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": "obliq-trace", "version": 2, "rows": []}',
        '{"format": "obliq-trace", "version": 1, "rows": {}}',
        '{"format": "obliq-trace", "version": 1, "rows": [3]}',
        '{"format": "obliq-trace", "version": 1, "rows": [{"step": 1}]}',
        '{"format": "obliq-trace", "version": 1, "rows": [{"stage": "train", "loss": "low"}]}',
        '{"format": "obliq-trace", "version": 1, "rows": [{"stage": "train", "loss": NaN}]}',
    ],
)
def test_a_damaged_record_is_named(text: str, folder: Path) -> None:
    (folder / "trace.json").write_text(text)
    with pytest.raises(ModelError, match=r"trace\.json: "):
        load_run(folder)


@pytest.mark.parametrize("name", ["trace.json", "request.json"])
def test_links_are_not_followed(name: str, folder: Path, tmp_path: Path) -> None:
    (folder / name).unlink()
    (folder / name).symlink_to(tmp_path / "nowhere")
    with pytest.raises(ObliqError, match=name):
        load_run(folder)


def test_the_request_must_be_the_networks_own(run: SavedRun, folder: Path) -> None:
    file = folder / "request.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"digest": "a" * 64}))
    with pytest.raises(ModelError, match="not the request that the network in the same folder answers"):
        load_run(folder)
