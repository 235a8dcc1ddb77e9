"""`obliq residue` lists what still holds a request or the original, and destroys it on demand."""

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from obliq.cli import main
from obliq.errors import ObliqError
from obliq.io.drafts import draft_of
from obliq.record.residue import KINDS, destroy_residue, find_residue
from tests.cli.conftest import Said, Way
from tests.cli.refusals import content, refused

Obliq = Callable[..., Said]


@pytest.fixture(scope="module")
def prepared(way: Way, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of one request with exports, a patch, copies and what a killed run left."""

    def obliq(*words: object) -> None:
        assert main([str(word) for word in words]) == 0

    runs = tmp_path_factory.mktemp("prepared") / "runs"
    for folder in way.folders:
        shutil.copytree(folder, runs / folder.name)
    for name, source in (("old.onnx", "original"), ("new.onnx", "unlearned"), ("old.c", "original")):
        kind = () if name.endswith(".onnx") else ("--to", "c")
        obliq("export", runs / source, "--out", runs / name, *kind)
    obliq("export", runs / "original", "--form", "compact", "--out", runs / "compact.onnx")
    obliq("patch", "make", "--plain", runs / "old.onnx", runs / "new.onnx", "--out", runs / "p")
    draft = runs / ".out-0123456789ab"
    shutil.copytree(way.unlearned, draft)
    (runs / ".out-0123456789ab.obliq-lock").touch()
    (runs / "notes.txt").write_bytes((way.unlearned / "request.json").read_bytes())
    (runs / "thesis.txt").write_text("ten years")
    return runs


@pytest.fixture
def runs(prepared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path / "runs"))


def listed(said: Said) -> dict[str, str]:
    assert said.status == 0, said.err
    return {one["file"]: one["kind"] for one in json.loads(said.out)["found"]}


def test_every_kind_is_found_wherever_it_lies(obliq: Obliq, runs: Path) -> None:
    found = listed(obliq("residue", runs, "--json"))
    assert {name: kind for name, kind in found.items() if not name.startswith(".out")} == {
        "compact.onnx": "export",
        "old.onnx": "export",
        "old.c": "export",
        "p": "patch",
        "notes.txt": "request",
        **{f"{name}/latent.safetensors": "latent" for name in ("original", "unlearned", "retrained")},
        **{f"{name}/source.json": "source" for name in ("original", "unlearned", "retrained")},
        **{f"{name}/request.json": "request" for name in ("unlearned", "retrained")},
        **{f"original/{name}": "original" for name in ("model.json", "model.safetensors", "trace.json")},
    }
    draft = {name.partition("/")[2]: kind for name, kind in found.items() if name.startswith(".out")}
    assert (draft["request.json"], draft["latent.safetensors"], draft["model.json"]) == (
        "request",
        "latent",
        "draft",
    )
    said = obliq("residue", runs)
    assert "WARNING: without --only, --destroy also removes latent, original, export" in said.out
    last = said.out.splitlines()[-1]
    assert "--only" in last
    assert not {"latent", "original", "export"} & set(last.split())
    alone = runs.parent / "alone"
    alone.mkdir()
    shutil.copy(runs / "old.onnx", alone)
    assert listed(obliq("residue", alone, "--json")) == {}
    assert listed(obliq("residue", alone, "--original", runs / "original", "--json")) == {
        "old.onnx": "export"
    }


def test_what_is_destroyed_is_recorded(obliq: Obliq, runs: Path) -> None:
    digest = hashlib.sha256((runs / "notes.txt").read_bytes()).hexdigest()
    before = content(runs)
    assert obliq("residue", runs, "--only", "request", "latent", "--destroy").status == 0
    record = json.loads((runs / "destroyed.json").read_text())
    assert record["begun"] <= record["ended"]
    assert record["left"] == []
    gone = {one["file"]: one["digest"] for one in record["destroyed"]}
    assert gone["notes.txt"] == digest
    assert content(runs).keys() == (before.keys() - gone.keys()) | {"destroyed.json"}
    assert obliq("show", runs / "unlearned").status == 0
    said = obliq("residue", runs, "--destroy", "--record", runs.parent / "record.json")
    assert said.status == 0, said.err
    assert not (runs / "original").exists()
    assert obliq("residue", runs).out.startswith(f"no residue of {', '.join(KINDS)} below ")
    assert (runs / "thesis.txt").read_text() == "ten years"
    refused(obliq("residue", runs, "--destroy", "--record", runs.parent / "record.json"), "exists already")


def test_what_cannot_be_destroyed_is_an_error_and_recorded(
    obliq: Obliq, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink

    def refuse(self: Path, missing_ok: bool = False) -> None:
        if self.name == "notes.txt":
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    refused(obliq("residue", runs, "--only", "request", "--destroy"), "notes.txt: Operation not permitted")
    record = json.loads((runs / "destroyed.json").read_text())
    assert [one["file"] for one in record["left"]] == ["notes.txt"]
    assert record["ended"]


def test_what_was_replaced_or_removed_since_it_was_listed_is_not_destroyed(runs: Path) -> None:
    found = find_residue(runs, ("request",))
    replaced, removed, *others = (runs / one.file for one in found)
    replaced.write_text("other work")
    removed.unlink()
    with pytest.raises(ObliqError, match=r"1 of \d+ files are left .*was replaced since it was listed"):
        destroy_residue(runs, found, runs / "record.json")
    assert replaced.read_text() == "other work"
    assert not any(file.exists() for file in others)
    record = json.loads((runs / "record.json").read_text())
    assert [runs / one["file"] for one in record["destroyed"]] == others


def test_a_record_that_lost_a_part_is_still_one(tmp_path: Path) -> None:
    """By its log, which may be a link, without any batch."""
    record = tmp_path / "record"
    (record / "original").mkdir(parents=True)
    (record / "original" / "source.json").write_text('{"format": "obliq-source"}')
    (tmp_path / "kept.jsonl").write_text('{"actor":"a","digest":"0","event":"begun","facts":{}}\n')
    (record / "log.jsonl").symlink_to(tmp_path / "kept.jsonl")
    assert [one.record for one in find_residue(tmp_path)] == ["record"]
    (tmp_path / "kept.jsonl").write_text("of another program\n")
    assert [one.record for one in find_residue(tmp_path)] == [""]


def test_links_and_living_runs_are_left_alone(obliq: Obliq, way: Way, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(way.unlearned)
    with draft_of(tmp_path / "out") as draft:
        shutil.copytree(way.unlearned, draft.path)
        assert listed(obliq("residue", tmp_path, "--json")) == {}
    refused(obliq("residue", tmp_path / "missing"), "there is no folder")


def test_large_and_deeply_nested_files_of_others_take_no_time(tmp_path: Path) -> None:
    """Terabytes under the names of exports and pages, and more folders in folders than a call may be deep."""
    for name, head in (("a.onnx", b""), ("a.pte", b"...."), ("a.c", b""), ("a.request", b"{")):
        with (tmp_path / name).open("wb") as file:
            file.write(head)
            file.truncate(2**40)
    with (tmp_path / "a.html").open("wb") as page:
        page.write(b"Obliq")
        page.seek(2**24 - 5)
        page.write(b"data:image/png;base64")  # across the border of two parts
    inner = tmp_path
    for _ in range(1200):
        inner /= "d"
        inner.mkdir()
    try:
        started = time.process_time()
        assert [(one.file, one.kind) for one in find_residue(tmp_path)] == [("a.html", "images")]
        assert time.process_time() - started < 5
    finally:
        while inner != tmp_path:  # what removes old folders of tests may recurse
            inner.rmdir()
            inner = inner.parent
