"""The erasure record of a network that was trained elsewhere, whose references only its user can retrain."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from obliq.errors import RecordError
from obliq.record.folder import Record
from obliq.record.log import LOG_FILE
from tests.cli.adopting.elsewhere import OWN, Elsewhere, Obliq, network, trained_by_hand
from tests.cli.refusals import refused
from tests.record.keys import private_key

pytest.importorskip("cryptography", reason="requests are encrypted: extra patch")
pytest.importorskip("onnxruntime", reason="devices run a file: extra onnx")

BY = ("--by", "A. Example")
RULES = ("--approvals", 0, "--devices", 1, "--references", 2, "--method", "oeu", "--settings", "epochs=1")
REQUEST = ("C-1", "--forget", "class=1", *BY, "--accept-large")
KINDS = ["unlearned", "retrained", "retrained", "exported", "audited", "patched"]


INTERRUPTED = """
from pathlib import Path
import adoptednet

def train(retain):
    calls = Path({calls!r})
    number = len(calls.read_text()) if calls.exists() else 0
    calls.write_text("." * (number + 1))
    if number == 1:
        raise RuntimeError("no accelerator")
    return adoptednet.train(retain)
"""


def kinds(record: Path) -> list[str]:
    return [entry.event.kind for entry in Record(record).entries()]


def stop(*given: object, **options: object) -> None:
    raise RecordError("stopped here")


def test_references_by_the_training_of_the_user(
    obliq: Obliq, adopted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, key = tmp_path / "record", private_key(tmp_path / "private.pem", 1)
    original, way = adopted / "original", ("--with", "interruptednet:train")
    calls = tmp_path / "calls"
    (tmp_path / "interruptednet.py").write_text(INTERRUPTED.format(calls=str(calls)))
    monkeypatch.syspath_prepend(tmp_path)
    init = ("record", "init", original, "--out", record, *BY, *RULES, *OWN, "--certificate-key", key)
    said = obliq(*init, *way)
    assert said.status == 0, said.err
    assert "references: 2, retrained by interruptednet:train" in said.out
    assert obliq("record", "add", record, *REQUEST).status == 0
    run = ("record", "run", record, *BY, *OWN)
    refused(obliq(*run), "references of this record are retrained by", "--with interruptednet:train")
    refused(obliq(*run, "--with", "adoptednet:train"), "expected --with interruptednet:train")
    assert "planned" not in kinds(record), "nothing has begun"
    assert f"run {record} --by NAME {' '.join(way)}" in obliq("record", "list", record).out
    refused(obliq(*run, *way), "failed on the retain set: RuntimeError: no accelerator")
    assert kinds(record)[-2:] == ["unlearned", "retrained"]
    said = obliq(*run, *way, "--json")
    assert said.status == 0, said.err
    assert calls.read_text() == "...", "the reference that was finished is not retrained again"
    assert [kind for kind in kinds(record) if kind in KINDS] == KINDS
    certificate = json.loads(said.out)["certificates"][0]
    audit = json.loads((record / "batches" / "1" / "audit" / "audit.json").read_text())
    assert audit["counts"]["retrained"] == 2
    assert "interruptednet:train" in audit["settings"]["training of the retrained network"]
    shown = json.loads(obliq("record", "show", record, "C-1", "--json").out)
    assert shown["references"] == "2, retrained by interruptednet:train"
    shipped = record / "batches" / "1" / "exported" / "network.onnx"
    verified = obliq(
        "certificate", "verify", certificate, "--file", shipped, "--key", key.with_suffix(".pub")
    )
    assert verified.status in (0, 3), verified.err
    assert obliq("record", "confirm", record, "--floor", 1, "--devices", 1, *BY).status == 0
    assert obliq("record", "close", record, "C-1", *BY).status == 0
    assert obliq("record", "verify", record, *OWN).status == 0


def test_references_as_files_that_the_user_retrained(
    obliq: Obliq, adopted: Path, elsewhere: Elsewhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, ids = tmp_path / "record", tmp_path / "ids.txt"
    init = ("record", "init", adopted / "original", "--out", record, *BY, *RULES, *OWN, "--weights")
    assert obliq(*init).status == 0
    assert obliq("record", "add", record, *REQUEST).status == 0
    run = ("record", "run", record, *BY, *OWN)
    refused(obliq(*run), "expected --retain-ids FILE first")
    assert obliq(*run, "--retain-ids", ids).status == 0
    refused(obliq(*run, "--retain-ids", ids), "exists already")
    assert ids.stat().st_mode & 0o77 == 0
    retain = [int(line) for line in ids.read_text().splitlines()]
    data = np.load(elsewhere.folder / "data.npz")
    inputs, labels = torch.from_numpy(data["x"])[retain], torch.from_numpy(data["y"])[retain]
    assert 1 not in labels.tolist()
    files = [tmp_path / f"{seed}.pt" for seed in (1, 2)]
    with torch.random.fork_rng():
        for seed, file in enumerate(files):
            torch.manual_seed(seed)
            torch.save(trained_by_hand(network(), inputs, labels).state_dict(), file)
    for given, words in (
        (files[:1], "batch 1 needs 2 networks"),
        ([files[0], files[0]], "two files of --weights are the same"),
        ([files[0], Path("weights.pt")], "holds the weights of the original"),
        ([files[0], tmp_path / "none.pt"], "none.pt: cannot be read"),
    ):
        refused(obliq(*run, "--weights", *given), words)
    assert kinds(record)[-1] == "planned", "a wrong file is known before the network is unlearned"
    monkeypatch.setattr("obliq.record.batch_steps.export_file", stop)  # the rest is as for other networks
    refused(obliq(*run, "--weights", *files), "stopped here")
    assert kinds(record)[-2:] == ["retrained", "retrained"]


def test_what_cannot_be_retrained_is_refused_when_the_record_is_created(
    obliq: Obliq, adopted: Path, elsewhere: Elsewhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tmp_path / "record"
    (tmp_path / "scriptnet.py").write_text("import sys\nsys.exit()")
    monkeypatch.syspath_prepend(tmp_path)
    init = ("record", "init", adopted / "original", "--out", record, *BY, *RULES, *OWN)
    for way, words in (
        ((), "expected --with module:function"),
        (("--with", "adoptednet:train", "--epochs", 2), "--with and --epochs together"),
        (("--learning-rate", 0.1), "learning_rate without epochs"),
        (("--with", "adoptednet:missing"), "cannot import 'adoptednet:missing'"),
        (("--with", "scriptnet:train"), "called sys.exit() (scriptnet.py, line 2: sys.exit())"),
        (("--from-weights", "weights.pt"), "--from-weights was given; expected --with"),
        (("--weights", "--references", 0), "references 0; expected references from 2"),
    ):
        said = obliq(*init, *way)
        refused(said, words)
    refused(
        obliq("record", "init", elsewhere.folder / "data.npz", "--out", record, *BY), "is a file; expected"
    )
    assert not record.exists()
    assert obliq(*init, "--epochs", 1).status == 0
    assert (
        json.loads((record / LOG_FILE).read_text())["facts"]["policy"]["retraining"]["recipe"]["epochs"] == 1
    )
    start = ("train", "npz:data.npz", *OWN, "--epochs", 1, "--threads", 1, "--from-weights", "weights.pt")
    assert obliq(*start, "--out", tmp_path / "started").status == 0
    init = ("record", "init", tmp_path / "started", "--out", tmp_path / "second", *BY, *RULES, *OWN)
    refused(obliq(*init), "expected --from-weights with the same weights")
    refused(
        obliq(*init, "--from-weights", "retrained.pt"),
        "expected the weights that the training of the original",
    )
    again = ("--method", "retrain", "--references", 0, "--approvals", 0)
    refused(
        obliq("record", "init", tmp_path / "started", "--out", record.with_name("third"), *BY, *OWN, *again),
        "method retrain with epochs=20, and the original was trained with epochs=1",
    )
    assert obliq(*init, "--from-weights", "weights.pt").status == 0
