"""Where only a file is left: integers in, integers out."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from obliq.checkpoints.file_record import export_record_file
from obliq.data.request_file import load_request
from obliq.exporting import read_exported
from tests.cli.conftest import Said, Way
from tests.cli.refusals import refused

onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")

Obliq = Callable[..., Said]


def test_a_file_forgets_and_keeps_everything_but_codes_and_biases(
    way: Way, tmp_path: Path, obliq: Obliq
) -> None:
    before, out = tmp_path / "before.onnx", tmp_path / "after"
    assert obliq("export", way.original, "--form", "compact", "--out", before).status == 0
    words = (
        "unlearn",
        before,
        "--data",
        f"npz:{way.data}",
        "--forget",
        f"request={way.unlearned}/request.json",
    )
    said = obliq(*words, "--threads", 1, "--json", "--out", out, "oeu", "--epochs", 2, "--learning-rate", 0.1)
    assert said.status == 0, said.err
    assert {file.name for file in out.iterdir()} == {
        "files.json",
        "network.onnx",
        "shipped.json",
        "trace.json",
        "request.json",
    }
    before_file, after_file = read_exported(before), read_exported(out / "network.onnx")
    old, new = before_file.contents, after_file.contents
    assert (old.opset, old.nodes, old.kinds) == (new.opset, new.nodes, new.kinds)
    changed = {name for name in old.constants if (old.constants[name] != new.constants[name]).any()}
    assert {"int4", "int32"} <= {old.kinds[name] for name in changed}
    assert {old.kinds[name] for name in changed} <= {"int4", "int8", "int32"}  # codes and biases, no scale
    assert load_request(out / "request.json").digest == load_request(way.unlearned / "request.json").digest
    record = json.loads((out / "shipped.json").read_text())
    assert record["provenance"]["base_digest"] == before_file.content_digest
    assert record["content_digest"] == after_file.content_digest
    assert record["changed_codes_percent"] > 0
    assert record["provenance"]["method_fields"]["steps"] == "frozen"

    again = (
        "unlearn",
        out / "network.onnx",
        *words[2:4],
        "--forget",
        "class=1",
        "--accept",
        "--out",
        tmp_path / "2",
    )
    assert obliq(*again, "oeu", "--epochs", 1).status == 0
    second = json.loads((tmp_path / "2" / "shipped.json").read_text())["provenance"]
    assert [one["base_digest"] for one in second["earlier"]] == [before_file.content_digest]
    assert [one.digest for one in load_request(tmp_path / "2" / "request.json").earlier] == [
        load_request(out / "request.json").digest
    ]

    audited = obliq(
        "audit", way.original, out / "network.onnx", "--retrained", way.retrained, "--out", tmp_path / "a"
    )
    assert audited.status == 0, audited.err
    entry = json.loads((tmp_path / "a" / "audit.json").read_text())["entries"][1]
    assert entry["changed_codes_percent"] == pytest.approx(record["changed_codes_percent"], abs=1e-3)
    assert entry["average_gap"] >= 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "does not record its training data; expected --data"),
        (("--data", "digits"), "digits has samples of shape (1, 8, 8); a.onnx expects (1, 6, 6)"),
    ],
)
def test_what_does_not_fit_a_file(
    way: Way, tmp_path: Path, obliq: Obliq, words: tuple[str, ...], message: str
) -> None:
    file = tmp_path / "a.onnx"
    assert obliq("export", way.original, "--out", file).status == 0
    said = obliq("unlearn", file, "--forget", "class=1", *words, "--out", tmp_path / "out", "oeu")
    assert said.status == 1
    assert message in said.err
    assert {one.name for one in tmp_path.iterdir()} == {"a.onnx", "a.onnx.provenance.json"}


def test_without_a_method_a_file_takes_calibrated_or_stops(way: Way, tmp_path: Path, obliq: Obliq) -> None:
    file = tmp_path / "a.onnx"
    assert obliq("export", way.original, "--out", file).status == 0
    words = ("unlearn", file, "--data", f"npz:{way.data}", "--accept", "--threads", 1, "--json", "--forget")
    refused(
        obliq(*words, "class=1", "--out", tmp_path / "none"), "no method was named", "for instance calibrated"
    )
    assert not (tmp_path / "none").exists()
    said = obliq(*words, f"subject={way.person}", "--out", tmp_path / "some")
    assert (said.status, json.loads(said.out)["advice"]) == (0, ""), said.err
    assert "method: calibrated, because" in said.err
    assert (
        json.loads((tmp_path / "some" / "shipped.json").read_text())["provenance"]["method"] == "calibrated"
    )


def test_methods_that_would_move_the_grid_and_files_of_floats_are_refused(
    way: Way, tmp_path: Path, obliq: Obliq
) -> None:
    for form in ("integer", "float"):
        assert obliq("export", way.original, "--form", form, "--out", tmp_path / f"{form}.onnx").status == 0
    words = ("--data", f"npz:{way.data}", "--forget", f"subject={way.person}", "--out", tmp_path / "out")
    said = obliq("unlearn", tmp_path / "integer.onnx", *words, "fine-tune")
    assert "fine-tune moves the scales of a file; expected calibrated or oeu with" in said.err
    said = obliq("unlearn", tmp_path / "float.onnx", *words, "oeu")
    assert "expected a file of the integer or compact form" in said.err
    said = obliq("unlearn", way.original, *words, "--division-seed", 3, "oeu")
    assert "is a folder, which records how its data were divided" in said.err
    assert not (tmp_path / "out").exists()


def test_a_file_knows_the_requests_behind_it_also_renamed_and_patched(
    way: Way, tmp_path: Path, obliq: Obliq
) -> None:
    files = {
        name: tmp_path / f"{name}.onnx" for name in ("original", "unlearned", "renamed", "device", "alone")
    }
    for name in ("original", "unlearned"):
        assert obliq("export", getattr(way, name), "--out", files[name]).status == 0
    shutil.copy(files["unlearned"], files["renamed"])  # its record keeps the other name
    request = load_request(way.unlearned / "request.json")
    other = 72019  # trained on, too
    data, out = ("--data", f"npz:{way.data}"), tmp_path / "out"

    def forget(file: Path, *words: object, person: int = way.person, method: str = "fine-tune") -> Said:
        command = ("unlearn", file, *data, "--forget", f"subject={person}", *words, "--out", out)
        return obliq(*command, "--accept", method, "--epochs", 1)

    patch = tmp_path / "a.patch"
    assert (
        obliq("patch", "make", "--plain", files["original"], files["unlearned"], "--out", patch).status == 0
    )
    assert obliq("patch", "apply", files["original"], patch, "--out", files["device"]).status == 0
    for name in ("unlearned", "renamed", "device"):
        said = forget(files[name])
        assert (said.status, out.exists()) == (1, False)
        assert f"{name}.onnx answers 1 request, of which 1 not at hand" in said.err
        assert "--forgotten FILE" in said.err

    # a device knows that it was patched, but not for which request
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for file in (files["original"], export_record_file(files["original"]), patch):
        shutil.copy(file, elsewhere)
    files["alone"] = elsewhere / "alone.onnx"
    words = (elsewhere / "original.onnx", elsewhere / "a.patch", "--out", files["alone"])
    assert obliq("patch", "apply", *words).status == 0
    assert (
        "does not record the newest request that it answers, as after a patch" in forget(files["alone"]).err
    )

    forgotten = ("--forgotten", way.unlearned / "request.json")
    assert (
        "the network has forgotten 1 request before" in forget(files["alone"], *forgotten, person=other).err
    )

    said = forget(files["original"], "--forgotten", way.unlearned / "request.json")
    assert "is an original, which has forgotten nothing" in said.err
    said = forget(files["original"])
    assert "fine-tune moves the scales" in said.err
    assert "WARNING: no record" not in said.err
    said = forget(files["original"], "--division-seed", 7)
    assert "the data or their division are not those that" in said.err
    assert "--division-seed 0 --limit 0 --holdout" in said.err

    export_record_file(files["original"]).unlink()
    assert "WARNING: no record next to this file names earlier requests" in forget(files["original"]).err

    said = forget(files["unlearned"], *forgotten, person=other, method="oeu")
    assert said.status == 0, said.err
    found = load_request(out / "request.json")
    assert [one.digest for one in found.earlier] == [request.digest]
    assert not set(found.ids) & set(request.ids)
