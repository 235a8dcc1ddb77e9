"""A network is unlearned again and again: references, audits, patches and residue follow."""

import io
import json
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from obliq.checkpoints.run_folder import load_run
from obliq.cli import main
from tests.cli.conftest import Said, Way
from tests.cli.refusals import refused

Obliq = Callable[..., Said]
BRIEF = ("fine-tune", "--epochs", "1")


@pytest.fixture(scope="module")
def chain(way: Way, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two more requests after the first one: a class, then samples at random; and a reference without all of them."""
    folder = tmp_path_factory.mktemp("chain")
    second, third = str(folder / "second"), str(folder / "third")
    with redirect_stdout(io.StringIO()) as said:
        assert main(["unlearn", str(way.unlearned), "--forget", "class=1", "--out", second, *BRIEF]) == 0
    hint = said.getvalue().splitlines()[-1]
    assert hint.startswith(f"next: obliq audit {way.original} {second} --references 4 --out ")
    random = ["--forget", "random=6", "--accept", "--accept-large"]
    assert main(["unlearn", second, *random, "--out", third, *BRIEF]) == 0
    request = f"request={folder / 'third' / 'request.json'}"
    with redirect_stderr(io.StringIO()) as printed:
        assert (
            main(["retrain", str(way.original), "--forget", request, "--out", str(folder / "retrained")]) == 0
        )
    assert "without 6 and the " in printed.getvalue(), "samples of earlier requests are counted, too"
    return folder


def test_nothing_that_was_forgotten_is_trained_on_again(obliq: Obliq, way: Way, chain: Path) -> None:
    original = load_run(way.original).checkpoint.provenance
    shown = json.loads(obliq("show", chain / "third", "--json").out)["forgotten_so_far"]
    first = json.loads((way.unlearned / "request.json").read_text())["ids"]
    retrained = load_run(chain / "retrained")
    assert retrained.request is not None
    gone = {number for one in retrained.request.every for number in one.ids}
    assert set(first) < gone
    assert shown == {"requests": 3, "samples": len(gone)}
    assert f"3 requests forgotten so far, {len(gone)} samples" in obliq("show", chain / "third").out
    assert len(retrained.request.every) == len(retrained.checkpoint.provenance.forgotten_so_far) == 3
    assert retrained.checkpoint.provenance.original_digest == retrained.checkpoint.provenance.base_digest
    assert "ids" not in (chain / "third" / "model.json").read_text()
    assert "forget" not in json.loads((chain / "third" / "model.json").read_text())["provenance"]["counts"]
    assert original.forgotten_so_far == ()


def test_an_audit_measures_every_request_on_its_own(
    obliq: Obliq, way: Way, chain: Path, tmp_path: Path
) -> None:
    words = ("audit", way.original, chain / "third", "--retrained", chain / "retrained", "--out")
    said = obliq(*words, tmp_path / "all", "--requests", "all", "--json")
    assert said.status == 0, said.err
    values = json.loads(said.out)
    assert [one["request"] for one in values["requests"]] == [
        "1: one subject",
        "2: one class",
        "3: a random share of the samples",
    ]
    assert [one["samples"] for one in values["requests"]][::2] == [12, 6]
    folders = sorted(path.name for path in (tmp_path / "all").iterdir() if path.is_dir())
    assert folders == ["request-1", "request-2", "request-3"]
    page = (tmp_path / "all" / "report.html").read_text()
    assert "a random share of the samples, after 2 requests before" in page
    assert str(way.person) not in page
    wrong = ("audit", way.original, chain / "third", "--retrained", way.retrained, "--out", tmp_path / "x")
    refused(obliq(*wrong), "answers another request; expected networks that forgot the same samples")


def test_the_original_forgets_all_requests_together_or_none(
    obliq: Obliq, way: Way, chain: Path, tmp_path: Path
) -> None:
    file = chain / "third" / "request.json"
    words = ("unlearn", way.original, "--out", tmp_path / "union", "--accept-large", "--accept")
    refused(obliq(*words, "--forget", f"request={file}", *BRIEF), "follows 2 requests", "requests=FILE")
    assert obliq(*words, "--forget", f"requests={file}", *BRIEF).status == 0
    assert "3 requests forgotten so far" in obliq("show", tmp_path / "union").out
    for name, network in (("first", way.unlearned), ("alike", chain / "third")):
        shutil.copytree(network, tmp_path / name)
        export = ("export", tmp_path / name, "--out", tmp_path / f"{name}.onnx", "--check-samples", 5)
        assert obliq(*export).status == 0
    listed = json.loads(obliq("residue", tmp_path, "--json").out)["found"]
    kinds = {one["file"]: one["kind"] for one in listed}
    assert kinds["first/model.safetensors"] == "original", (
        "no other one began with it, but it remembers later ones"
    )
    assert kinds["first.onnx"] == "export"
    assert not kinds.keys() & {"union/model.safetensors", "alike/model.safetensors", "alike.onnx"}
    both = ("audit", way.original, chain / "third", tmp_path / "union")
    assert obliq(*both, "--out", tmp_path / "both").status == 0  # the same samples, in another way


def test_a_patch_skips_releases_and_never_leads_back(
    obliq: Obliq, way: Way, chain: Path, tmp_path: Path
) -> None:
    devices = {"original": way.original, "unlearned": way.unlearned, "second": chain / "second"}
    results = set()
    for name, old in devices.items():
        patch = tmp_path / f"{name}.patch"
        made = obliq("patch", "make", old, chain / "third", "--plain", "--accept", "--out", patch, "--json")
        assert json.loads(made.out)["sequence"] == 3  # the new network's, whatever a device has now
        applied = obliq("patch", "apply", old, patch, "--out", tmp_path / name, "--json")
        results.add(json.loads(applied.out)["weights_digest"])
        assert json.loads(applied.out)["floor"] == 3
    assert len(results) == 1
    for number, earlier in enumerate(devices.values()):
        back = tmp_path / f"back-{number}.patch"
        words = ("patch", "make", chain / "third", earlier, "--plain", "--sequence", 9, "--out", back)
        refused(obliq(*words), "would bring back what was forgotten")
        assert obliq(*words, "--go-back").status == 0
        refused(obliq("patch", "apply", chain / "third", back, "--out", tmp_path / "x"), "it leads back")


def test_networks_between_two_requests_are_residue(obliq: Obliq, chain: Path) -> None:
    found = json.loads(obliq("residue", chain, "--json").out)["found"]
    kinds = {one["file"]: one["kind"] for one in found}
    assert kinds["second/model.safetensors"] == "original"  # it remembers what the third forgot
    assert "third/model.safetensors" not in kinds
    assert [name for name, kind in kinds.items() if kind == "request"] == [
        "retrained/request.json",
        "second/request.json",
        "third/request.json",
    ]


def test_the_cost_is_counted_by_the_recipe_of_the_first_original(
    obliq: Obliq, way: Way, tmp_path: Path
) -> None:
    words = ("--forget", "random=5", "--threads", 1, "--json", "--out", tmp_path / "more", *BRIEF)
    said = obliq("unlearn", way.unlearned, *words)
    assert said.status == 0, said.err
    cost = json.loads(said.out)["cost"]
    assert cost["retraining"] == 2 * cost["most"], "two epochs of training, and one of fine-tuning"
