import json
import re
import shlex
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from obliq.cli.next_command import free_name
from tests.cli.conftest import SHORT, Said, Way, pictures, start

Obliq = Callable[..., Said]


def only_json(said: Said) -> dict[str, object]:
    """The one JSON object on standard output, which nothing else may touch."""
    assert said.status == 0, said.err
    assert said.out.count("\n") == 1
    values = json.loads(said.out)
    assert isinstance(values, dict)
    return values


def test_the_usual_way_with_one_json_object_a_command(obliq: Obliq, tmp_path: Path, way: Way) -> None:
    original, unlearned, retrained = (tmp_path / name for name in ("o", "u", "r"))
    made = only_json(obliq("train", f"npz:{way.data}", "--out", original, "--json", *SHORT))
    assert made["role"] == "original"
    assert made["folder"] == str(original)
    request = ("--forget", f"subject={way.person}", "--threads", 1, "--json", "--out")
    forgot = only_json(obliq("unlearn", original, *request, unlearned, "fine-tune", "--epochs", 1))
    assert forgot["role"] == "unlearned"
    assert forgot["counts"]["forget"] == 12
    assert forgot["weights_digest"] != made["weights_digest"]
    assert only_json(obliq("retrain", original, *request, retrained))["role"] == "retrained"

    plain = only_json(obliq("audit", original, unlearned, "--out", tmp_path / "a", "--json"))
    assert [entry["kind"] for entry in plain["entries"]] == ["original", "unlearned"]
    assert all(entry["average_gap"] is None for entry in plain["entries"])
    full = only_json(
        obliq("audit", original, unlearned, "--retrained", retrained, "--out", tmp_path / "b", "--json")
    )
    assert [entry["kind"] for entry in full["entries"]] == ["original", "unlearned", "retrained"]
    assert full["entries"][1]["average_gap"] >= 0
    for folder in (tmp_path / "a", tmp_path / "b"):
        assert sorted(file.name for file in folder.iterdir()) == ["audit.json", "files.json", "report.html"]
        assert json.loads((folder / "audit.json").read_text())["version"] >= 1

    for folder, values in ((original, made), (unlearned, forgot)):
        shown = only_json(obliq("show", folder, "--json"))
        assert shown["weights_digest"] == values["weights_digest"]
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]


def test_reference_networks_add_an_attack(obliq: Obliq, way: Way, tmp_path: Path) -> None:
    words = ("audit", *way.folders[:2], "--retrained", way.retrained, "--threads", 1, "--out")
    plain = only_json(obliq(*words, tmp_path / "plain", "--json"))["entries"]
    full = only_json(obliq(*words, tmp_path / "full", "--json", "--references", 2))["entries"]
    assert [entry["rmia_auc"] for entry in plain] == [None] * 3
    assert all(0 <= entry["rmia_auc"] <= 100 for entry in full)
    assert [entry["auc_forget_vs_test"] for entry in full] == [entry["auc_forget_vs_test"] for entry in plain]
    assert full[2]["tow"] == 1
    for folder, attacked in (("plain", False), ("full", True)):
        page = (tmp_path / folder / "report.html").read_text()
        assert ("RMIA" in page) is attacked
        assert "ToW" in page
    told = obliq(*words, tmp_path / "told", "--references", 3)
    assert (
        "retraining network 3 of 3 (the original took" in told.err
    )  # the second is kept from the audit before
    assert "retraining network 2" not in told.err
    assert "RMIA" in told.out
    for count in (1, -2, 65):
        refused = obliq(*words, tmp_path / "odd", "--references", count)
        assert refused.status == 1
        assert f"{count} retrained networks; expected 2 to 64" in refused.err
        assert not (tmp_path / "odd").exists()


def test_what_is_told_to_people(obliq: Obliq, way: Way, tmp_path: Path) -> None:
    said = obliq("audit", *way.folders[:2], "--retrained", way.retrained, "--out", tmp_path / "audit")
    assert said.status == 0
    assert "auditing" in said.err
    lines = said.out.splitlines()
    assert max(map(len, lines[: 1 + len(way.folders)])) <= 80
    assert lines[-2] == f"report: {tmp_path / 'audit' / 'report.html'}"
    important = "\n".join(lines[-6:-2])
    assert all(
        words in important for words in ("average gap", "test accuracy", "AUC", "as long as retraining")
    )
    shown = obliq("show", way.unlearned)
    assert re.search(r"^method +oeu: .*objective=", shown.out, re.MULTILINE)
    assert not re.search(r"[{}]", shown.out)
    assert shown.err == ""


def test_case_and_operator_are_stated_as_given(obliq: Obliq, way: Way, tmp_path: Path) -> None:
    words = ("audit", *way.folders[:2], "--threads", 1, "--out")
    assert obliq(*words, tmp_path / "filed", "--case", "DSR-7", "--operator", "A. <b>Example</b>").status == 0
    assert obliq(*words, tmp_path / "plain").status == 0
    filed, plain = (json.loads((tmp_path / name / "audit.json").read_text()) for name in ("filed", "plain"))
    assert (filed.pop("case"), filed.pop("operator")) == ("DSR-7", "A. <b>Example</b>")
    assert filed == plain
    page = (tmp_path / "filed" / "report.html").read_text()
    assert "A. &lt;b&gt;Example&lt;/b&gt;" in page
    refused = obliq(*words, tmp_path / "odd", "--operator", "A\x1b[2J")
    assert refused.status == 1
    assert "expected one line of at most 200" in refused.err
    assert "auditing" not in refused.err


def test_the_next_command_of_each_verb_leads_from_training_to_a_file(
    obliq: Obliq, way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
    monkeypatch.chdir(tmp_path)
    command = shlex.join(["train", f"npz:{way.data}", "--out", "runs/first try", *SHORT])
    verbs = []
    while not command.startswith("patch make "):
        words = shlex.split(command)
        verbs.append(words[0])
        said = obliq(*words)
        assert said.status == 0, said.err
        last = said.out.splitlines()[-1]
        assert last.startswith("next: obliq ")
        command = last.removeprefix("next: obliq ")
        assert "requests=" not in command, "one request is called so by every verb"
    assert verbs == ["train", "unlearn", "audit", "export", "export"]
    assert command.startswith("patch make runs/original.onnx runs/unlearned.onnx --out runs/forget.patch --")
    again = obliq("export", "runs/unlearned", "--out", "runs/again.onnx")
    assert "next: obliq patch make runs/original.onnx runs/again.onnx " in again.out, "the file is there now"
    for file in Path("runs").glob("again*"):
        file.unlink()
    folders = sorted(path.name for path in Path("runs").iterdir())
    assert folders == [
        "audit",
        "first try",
        "first try.retrained",
        "original.onnx",
        "original.onnx.provenance.json",
        "unlearned",
        "unlearned.onnx",
        "unlearned.onnx.provenance.json",
    ]


def test_nothing_is_proposed_at_a_path_that_is_taken(tmp_path: Path) -> None:
    for name in ("audit", "audit-2", "a.onnx"):
        (tmp_path / name).touch()
    (tmp_path / "a-2.onnx").symlink_to("nowhere")
    assert free_name(tmp_path / "x", "audit") == tmp_path / "audit-3"
    assert free_name(tmp_path / "x", "a.onnx") == tmp_path / "a-3.onnx"
    assert free_name(tmp_path / "x", "b") == tmp_path / "b"


def test_quiet_prints_no_progress(obliq: Obliq, way: Way, tmp_path: Path) -> None:
    said = obliq("-q", "audit", *way.folders[:2], "--out", tmp_path / "audit")
    assert (said.status, said.err) == (0, "")
    assert "report: " in said.out


def test_options_of_the_run_may_follow_the_method(obliq: Obliq, way: Way, tmp_path: Path) -> None:
    words = ("unlearn", way.original, "--forget", "class=1", "--out", tmp_path / "u")
    values = only_json(obliq(*words, "oeu", "--epochs", 1, "--json", "--threads", 1, "--seed", 5))
    assert only_json(obliq("show", tmp_path / "u", "--json"))["provenance"]["seed"] == 5
    assert values["role"] == "unlearned"


def test_who_was_forgotten_stands_in_the_request_alone(obliq: Obliq, way: Way, tmp_path: Path) -> None:
    audited = tmp_path / "audit"
    said = obliq("audit", *way.folders[:2], "--retrained", way.retrained, "--out", audited)
    file = way.unlearned / "request.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    request = json.loads(file.read_text())
    assert request["selector"] == f"subject={way.person}"
    ids = request["ids"]
    secrets = (
        request["selector"],
        str(way.person),
        request["salt"],
        str(ids)[1:-1],
        "\n".join(map(str, ids)),
    )
    open_files = [folder / name for folder in way.folders[1:] for name in ("model.json", "trace.json")]
    for place in (*open_files, audited / "audit.json", audited / "report.html"):
        text = place.read_text()
        assert not [secret for secret in secrets if secret in text], place
        assert json.dumps(ids, indent=2)[1:-1].strip() not in text
        assert '"ids"' not in text
    assert not any(secret in said.out + said.err for secret in secrets)
    assert not (way.original / "request.json").exists()


def test_same_seed_and_threads_same_integers_in_another_process(
    obliq: Obliq, way: Way, tmp_path: Path
) -> None:
    words = (
        "unlearn",
        way.original,
        "--forget",
        "random=10%",
        "--threads",
        1,
        "--seed",
        3,
        "--json",
        "--out",
    )
    method = ("oeu", "--epochs", 1)
    here = only_json(obliq(*words, tmp_path / "here", *method))
    process = start(*words, tmp_path / "there", *method)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "Traceback" not in err
    assert json.loads(out)["weights_digest"] == here["weights_digest"]


def test_training_again_gives_the_same_network(obliq: Obliq, way: Way, tmp_path: Path) -> None:
    made = only_json(obliq("train", f"npz:{way.data}", "--out", tmp_path / "again", "--json", *SHORT))
    assert made["weights_digest"] == only_json(obliq("show", way.original, "--json"))["weights_digest"]


def test_overwrite_replaces_what_is_ours(obliq: Obliq, own_way: Way) -> None:
    before = only_json(obliq("show", own_way.original, "--json"))["weights_digest"]
    words = ("train", f"npz:{own_way.data}", "--out", own_way.original, *SHORT, "--seed", 9)
    assert obliq(*words).status == 1
    assert only_json(obliq("show", own_way.original, "--json"))["weights_digest"] == before
    assert only_json(obliq(*words, "--overwrite", "--json"))["weights_digest"] != before
    assert sorted(p.name for p in own_way.original.parent.iterdir()) == ["original", "retrained", "unlearned"]


def test_forgotten_images_only_when_asked_for(obliq: Obliq, way: Way, tmp_path: Path) -> None:
    sizes = {}
    for count in (0, 3):
        out = tmp_path / str(count)
        said = obliq("audit", *way.folders[:2], "--show-forgotten", count, "--out", out)
        assert said.status == 0
        sizes[count] = (out / "report.html").read_text().count("data:image/png;base64")
    assert sizes == {0: 0, 3: 3}


def test_several_networks_in_one_audit(obliq: Obliq, way: Way, tmp_path: Path) -> None:
    ids = json.loads((way.unlearned / "request.json").read_text())["ids"]
    listed = tmp_path / "ids.txt"
    listed.write_text("# asked on Monday\n" + "\n".join(map(str, ids)))
    other = tmp_path / "other"
    words = ("unlearn", way.original, "--forget", f"ids={listed}", "--out", other, "fine-tune", "--epochs", 1)
    assert obliq(*words).status == 0
    said = obliq("audit", way.original, way.unlearned, other, "--out", tmp_path / "audit", "--json")
    assert [entry["name"] for entry in only_json(said)["entries"]] == ["original", "unlearned", "other"]


@pytest.mark.parametrize(
    ("selector", "count"), [("class=1", None), ("class=0,1", None), ("random=10%", None), ("random=7", 7)]
)
def test_selectors(selector: str, count: int | None, obliq: Obliq, way: Way, tmp_path: Path) -> None:
    words = ("unlearn", way.original, "--forget", selector, "--out", tmp_path / "u", "--json")
    counts = only_json(obliq(*words, "--accept-large", "fine-tune", "--epochs", 1))["counts"]
    assert counts["forget"] == count or count is None
    assert 0 < counts["forget"] < counts["retain"] + counts["forget"]


def test_signals_choose_a_network_in_one_dimension(obliq: Obliq, tmp_path: Path) -> None:
    data, original, unlearned = tmp_path / "watch.npz", tmp_path / "o", tmp_path / "u"
    np.savez(data, **pictures(shape=(2, 24)))
    assert obliq("train", f"npz:{data}", "--out", original, *SHORT).status == 0
    shown = only_json(obliq("show", original, "--json"))
    assert shown["blueprint"]["architecture"] == "signal-convnet"
    assert obliq("unlearn", original, "--forget", "random=9", "--out", unlearned, "oeu").status == 0
    assert obliq("audit", original, unlearned, "--out", tmp_path / "a").status == 0
    refused = obliq("audit", original, unlearned, "--show-forgotten", 2, "--out", tmp_path / "b")
    assert refused.status == 1
    assert "cannot be shown" in refused.err
    assert not (tmp_path / "b").exists()


OWN_CODE = """
import torch
from torch import nn

def build(shape, classes):
    return nn.Sequential(
        nn.Conv2d(shape[0], 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(4, classes),
    )

class Items(torch.utils.data.Dataset):
    subjects = torch.arange(90) // 9

    def __len__(self):
        return 90

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        return torch.randn(1, 6, 6, generator=generator) + index % 3, index % 3

def data():
    return Items()
"""


HIGHEST = """
class Highest(nn.Module):
    def forward(self, values):
        return values.topk(1, 2)[0]
"""


def test_a_network_and_data_of_the_users_own(
    obliq: Obliq, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "users_own_code.py").write_text(OWN_CODE)
    monkeypatch.chdir(tmp_path)
    consent = ("--arch", "users_own_code:build")
    assert obliq("train", "users_own_code:data", *consent, "--out", "o", *SHORT).status == 0
    forget = ("unlearn", "o", "--forget", "random=9", "--out", "u")
    audit = ("audit", "o", "u", "--out", "a")
    method = ("oeu", "--epochs", 1)
    for words in ((*forget, *method), ("show", "o"), ("retrain", *forget[1:])):
        refused = obliq(*words)
        assert refused.status == 1
        assert "never imported only because a file names it" in refused.err
    data = ("--data", "users_own_code:data")
    only_network = obliq(*forget, *consent, *method)
    assert only_network.status == 1
    assert "--data users_own_code:data" in only_network.err
    assert obliq(*forget, *consent, *data, *method).status == 0
    assert obliq(*audit, *data).status == 1
    assert obliq(*audit, *consent).status == 1
    assert obliq(*audit, *consent, *data).status == 0
    assert only_json(obliq("show", "u", *consent, "--json"))["blueprint"]["architecture"] == consent[1]
    changed = OWN_CODE.replace("nn.Flatten(), ", "Highest(), nn.Flatten(), ") + HIGHEST
    (tmp_path / "users_own_code.py").write_text(changed)
    for words in ((*audit, *data, "--overwrite"), ("show", "u"), (*forget, *data, "--overwrite", *method)):
        sys.modules.pop("users_own_code", None)
        refused = obliq(words[0], *consent, *words[1:])
        assert refused.status == 1
        assert re.fullmatch(r"obliq: error: .*model.json: 4.topk gives several tensors, .*\n", refused.err)
    sys.modules.pop("users_own_code", None)


def test_digits_need_no_files(obliq: Obliq, tmp_path: Path) -> None:
    words = ("train", "digits", "--limit", 300, "--out", tmp_path / "o", "--epochs", 1, "--threads", 1)
    assert only_json(obliq(*words, "--bits", "W2A8", "--json"))["counts"]["train"] <= 450
    assert obliq("show", tmp_path / "o").out.startswith("original convnet W2A8, input 1x8x8, 10 classes")
    float_words = (
        "train",
        "digits",
        "--out",
        tmp_path / "f",
        "--epochs",
        1,
        "--bits",
        "FP32",
        "--limit",
        300,
    )
    assert obliq(*float_words).status == 0
    assert (
        obliq("unlearn", tmp_path / "f", "--forget", "random=9", "--out", tmp_path / "u", "oeu").status == 0
    )
    assert obliq("audit", tmp_path / "f", tmp_path / "u", "--out", tmp_path / "a").status == 0


def test_data_found_in_another_folder(obliq: Obliq, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    for part, count in (("train", 60), ("t10k", 24)):
        header = b"\0\0\x08\x03" + b"".join(size.to_bytes(4, "big") for size in (count, 28, 28))
        images = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8).tobytes()
        (here / f"{part}-images-idx3-ubyte").write_bytes(header + images)
        labels = b"\0\0\x08\x01" + count.to_bytes(4, "big") + bytes(i % 10 for i in range(count))
        (here / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    words = ("train", "fashion-mnist", "--data-folder", here, "--out", tmp_path / "o", *SHORT)
    assert obliq(*words).status == 0
    here.rename(there)
    forget = ("unlearn", tmp_path / "o", "--forget", "random=5", "--out", tmp_path / "u", "--data-folder")
    missing = obliq(*forget, here, "oeu", "--epochs", 1)
    assert missing.status == 1
    assert missing.err.count("obliq: error:") == 1
    assert obliq(*forget, there, "--accept", "oeu", "--epochs", 1).status == 0  # noise: nothing is learned
