"""The erasure record as a privacy officer uses it: from a new record to closed cases, and what goes wrong."""

import dataclasses
import io
import json
import shutil
import signal
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from obliq.checkpoints.run_folder import load_run
from obliq.cli import main
from obliq.errors import RecordError
from obliq.io.ownership import digest_of_file
from obliq.patch import read_patch_head
from obliq.patch.encryption import unseal
from obliq.record.certificate.envelope import parse_envelope
from obliq.record.certificate.statement import parse_payload
from obliq.record.computing import WantedNetwork
from obliq.record.folder import Record
from obliq.record.found_results import require_audit_of, require_export_of, require_network_of
from obliq.record.keys_folder import OWNER_FILE
from obliq.record.log import LOG_FILE, Entry
from obliq.record.method_settings import method_of
from obliq.record.state import RecordState
from obliq.record.verification import verify_record
from tests.cli.conftest import PEOPLE, SHORT, Said, Way
from tests.cli.refusals import refused
from tests.record.keys import private_key
from tests.record.kills import DiskSteps, in_a_child

pytest.importorskip("cryptography", reason="requests are encrypted: extra patch")
pytest.importorskip("onnxruntime", reason="devices run a file: extra onnx")

Obliq = Callable[..., Said]
RULES = ("--method", "oeu", "--settings", "epochs=1", "--references", "0", "--devices", "3")
BY, OTHER = ("--by", "A. Example"), ("--by", "B. Example")


@dataclass(frozen=True)
class Officer:
    """Somebody with a record."""

    obliq: Obliq
    record: Path
    person: int
    other: int

    def __call__(self, verb: str, *words: object) -> Said:
        return self.obliq("record", verb, self.record, *words)

    def values(self, verb: str, *words: object) -> dict[str, object]:
        said = self(verb, *words, "--json")
        assert said.status == 0, said.err
        return dict(json.loads(said.out))

    def added(self, case: str, person: int) -> None:
        assert self("add", case, "--forget", f"subject={person}", *BY).status == 0
        assert self("approve", case, *OTHER).status == 0

    @property
    def state(self) -> RecordState:
        return Record(self.record).state()

    def record_entries(self) -> list[Entry]:
        return Record(self.record).entries()

    def copied(self, folder: Path, obliq: Obliq) -> "Officer":
        shutil.copytree(self.record, folder / "record")
        shutil.copytree(self.record.with_name("record.keys"), folder / "record.keys")
        return Officer(obliq, folder / "record", self.person, self.other)


def new_officer(obliq: Obliq, way: Way, folder: Path, *rules: object) -> Officer:
    from obliq.workflow.pipeline import same_partition

    said = obliq("record", "init", way.original, "--out", folder / "record", *BY, *RULES, *rules)
    assert said.status == 0, said.err
    arch = rules[rules.index("--arch") + 1] if "--arch" in rules else None
    parts = same_partition(load_run(way.original, arch).checkpoint, None)  # type: ignore[arg-type]
    trained = parts.collection.subjects[parts.train.indices].unique().tolist()  # type: ignore[index]
    return Officer(obliq, folder / "record", *[one for one in trained if one in PEOPLE][:2])


@pytest.fixture
def officer(obliq: Obliq, way: Way, tmp_path: Path) -> Officer:
    return new_officer(obliq, way, tmp_path)


@pytest.fixture(scope="module")
def answered_once(way: Way, tmp_path_factory: pytest.TempPathFactory) -> Officer:
    """A record with one case that was answered and has a certificate."""

    def quietly(*words: object) -> Said:
        out = io.StringIO()
        with redirect_stdout(out):
            return Said(main([*map(str, words), "-q"]), out.getvalue(), "")

    folder = tmp_path_factory.mktemp("answered")
    key = private_key(folder / "private.pem", 1)
    officer = new_officer(quietly, way, folder, "--certificate-key", key)
    officer.added("C-1", officer.person)
    assert officer.values("run", *BY)["state"] == "patched"
    return officer


@pytest.fixture
def answered(answered_once: Officer, obliq: Obliq, tmp_path: Path) -> Officer:
    return answered_once.copied(tmp_path, obliq)


def texts_below(*folders: Path) -> bytes:
    return b"\n".join(
        file.read_bytes() for folder in folders for file in sorted(folder.rglob("*")) if file.is_file()
    )


def test_from_a_request_to_a_closed_case_twice(answered: Officer, tmp_path: Path) -> None:
    officer = answered
    head = officer.state.head
    same = ("add", "C-2", "--forget", f"subject={officer.person}", *BY)
    refused(officer(*same), "samples were forgotten before (batch 1)", "--reject REASON")
    assert officer.state.head == head
    assert "record confirm" in officer("list").out
    refused(officer("close", "C-1", *BY), "0 of 3 devices have confirmed batch 1")
    assert officer("confirm", "--floor", 1, "--devices", 3, "--by", "fleet").status == 0
    backup = officer.copied(tmp_path / "backup", officer.obliq)
    shutil.rmtree(backup.record.with_name("record.keys"))
    closed = officer.values("close", "C-1", *BY)
    assert closed["state"] == "closed"
    for verb in ("show", "close"):
        again = officer(verb, "C-1", *(BY if verb == "close" else ()))
        assert again.status == 0
    refused(officer("show", "C-1", "--reveal"), "C-1 is closed and its key was destroyed")
    assert list((officer.record / "requests").iterdir()) == [], "the encrypted request went after its key"
    (kept,) = (backup.record / "requests").iterdir()
    for content, status, words in (
        (b"x", 3, "PROBLEM"),
        (kept.read_bytes(), 0, "the next command removes it"),
    ):
        (officer.record / "requests" / kept.name).write_bytes(content)
        verified = officer("verify")
        assert (verified.status, words in verified.out) == (status, True)
    assert officer("close", "C-1", *BY).status == 0
    assert officer("verify", "--head", closed["head"]).status == 0
    # nothing that can be read names the person, neither here nor in the backup without keys
    for left in (officer.record, backup.record):
        assert str(officer.person).encode() not in texts_below(left)

    # the second request: who was forgotten before is still left out, although nobody can read who it was
    before = officer.state.batches[0].planned.samples
    refused(
        officer("add", "C-1b", "--forget", f"subject={officer.person}", *BY),
        "forgotten before (closed cases)",
    )
    officer.added("C-2", officer.other)
    refused(officer("run", *BY, "--expires", "2020-01-31"), "2020-01-31 has passed")
    refused(officer("run", *BY, "--operator", "E.\nOfficer"), "expected one line")
    named = ("--operator", "E. Officer", "--expires", "9999-12-31")
    assert officer.values("run", *BY, *named)["state"] == "patched"
    batch = officer.state.batches[1]
    assert batch.planned.samples == 2 * before
    assert [made.base for made in batch.patched.patches] == [0, 1]
    certificate = officer.record / "batches" / "2" / "certificates" / "case-1.cert.json"
    stated, shipped = parse_payload(parse_envelope(certificate.read_bytes()).payload)
    assert (stated.earlier_requests, stated.request.joined) == (1, None)
    assert stated.operator == "E. Officer", "who answers for it, and not who ran it"
    assert [one.digest for one in stated.earlier] == [officer.state.batches[0].planned.splits]
    assert [one.name for one in shipped] == ["network.onnx", "from-0.patch", "from-1.patch"]
    unlearned = officer.record / "batches" / "2" / "exported" / "network.onnx"
    for base in (0, 1):
        old = officer.record / "batches" / str(base) / "exported" / "network.onnx"
        patch, out = (
            officer.record / "batches" / "2" / "patches" / f"from-{base}.patch",
            tmp_path / f"{base}.onnx",
        )
        key = officer.record.with_name("record.keys") / "fleet.key"
        expires = read_patch_head(unseal(patch.read_bytes(), key.read_bytes())).expires
        assert expires == datetime(9999, 12, 31, tzinfo=UTC)
        floor = ("--floor", base, "--key-file", key)
        assert officer.obliq("patch", "apply", old, patch, "--out", out, *floor).status == 0
        assert out.read_bytes() == unlearned.read_bytes()
    residue_leaves_what_a_record_needs(officer)


def residue_leaves_what_a_record_needs(officer: Officer) -> None:
    """Of a record with two batches, the second one not confirmed."""
    folder, batches = officer.record.parent, officer.record / "batches"
    shutil.rmtree(folder / "backup")
    (folder / "copy.patch").write_bytes((batches / "2" / "patches" / "from-1.patch").read_bytes())
    found = {one["file"]: one for one in json.loads(officer.obliq("residue", folder, "--json").out)["found"]}
    kinds = {name.removeprefix("record/batches/"): one["kind"] for name, one in found.items()}
    assert kinds["1/unlearned/model.safetensors"] == "original", "it remembers the second case"
    assert kinds["1/exported/network.onnx"] == "export"
    assert not kinds.keys() & {"2/unlearned/model.safetensors", "2/exported/network.onnx"}
    assert {one.get("record") for name, one in found.items() if name.startswith("record/")} == {"record"}
    assert "record" not in found["copy.patch"]
    for within in (folder, batches / "2" / "patches"):
        said = officer.obliq("residue", within, "--destroy")
        assert said.status == 0, said.err
        due = "--floor 2 --devices 3 --by NAME"
        assert said.out.splitlines()[-1] == f"next: obliq record confirm {officer.record} {due}"
    assert not (folder / "copy.patch").exists()
    assert officer("verify").status == 0
    words = ("residue", folder, "--only", "patch", "--destroy", "--record", folder / "second.json")
    refused(officer.obliq(*words, "--give-up-record", folder), "no record in that folder", "record")
    assert officer.obliq(*words, "--give-up-record", officer.record).status == 0
    assert officer("verify").out.count("PROBLEM") == 3


def test_every_case_gets_one_certificate(
    answered: Officer, answered_once: Officer, obliq: Obliq, tmp_path: Path
) -> None:
    officer, key = answered, answered_once.record.with_name("private.pem")
    folder = officer.record / "batches" / "1"
    shown = officer.values("show", "C-1")
    certificate = Path(str(shown["certificate_file"]))
    assert digest_of_file(certificate) == shown["certificate"]
    assert "signed" in officer("list").out
    for file in ("exported/network.onnx", "patches/from-0.patch"):
        verify = (
            "certificate",
            "verify",
            certificate,
            "--file",
            folder / file,
            "--key",
            key.with_suffix(".pub"),
        )
        said = obliq(*verify, "--json")
        assert said.status == 3, "valid, and with no references no verdict passes"
    predicate = json.loads(said.out)["predicate"]
    assert (predicate["case"], predicate["operator"]) == ("C-1", "A. Example")
    assert predicate["times"]["requested"].startswith(str(shown["received"]))
    assert predicate["patch"]["sequence"] == 1
    assert predicate["patch"]["encrypted"]
    assert officer("verify", "--head", predicate["record"]["digest"]).status == 0
    texts = texts_below(officer.record)
    assert b"PRIVATE KEY" not in texts
    assert officer.values("run", *BY)["certificates"] == [], "it is issued once"

    # a process that was killed before it noted the certificate: it is noted as it is, even without the key
    log, before = officer.record / LOG_FILE, certificate.read_bytes()
    noted = log.read_bytes()
    patched = noted[: noted.rstrip().rfind(b"\n") + 1]
    owner = officer.record.with_name("record.keys") / OWNER_FILE
    owner.unlink()  # the log is as before the event, and the keys know of no newer one
    log.write_bytes(patched)
    key.rename(tmp_path / "moved.pem")
    assert officer.values("run", *BY)["certificates"] == [str(certificate)]
    assert certificate.read_bytes() == before
    # one that was killed before it was written, and a key that is not there: the rest goes on
    owner.unlink()
    log.write_bytes(patched)
    shutil.rmtree(folder / "certificates")
    said = officer("run", *BY)
    assert said.status == 0
    assert "signed  nothing for batch 1: the key that signs certificates" in said.out
    assert "no certificates were issued for batch 1" in officer("verify").out
    sign = ("run", *BY, "--certificate-key")
    refused(officer(*sign, tmp_path / "none.pem"), "none.pem")
    refused(officer(*sign, private_key(tmp_path / "other.pem", 2)), "expected that key")
    assert officer.values(*sign, tmp_path / "moved.pem")["certificates"] == [str(certificate)]
    (tmp_path / "moved.pem").rename(key)
    assert officer("verify").status == 0


def test_a_request_that_one_of_two_people_approved_waits(obliq: Obliq, way: Way, tmp_path: Path) -> None:
    officer = new_officer(obliq, way, tmp_path, "--approvals", 2)
    for case, person in (("C-1", officer.person), ("C-2", officer.other)):
        officer.added(case, person)
    said = officer("run", *BY)
    assert said.status == 0
    assert "2 requests wait for approval: C-1, C-2" in said.out
    twice = ("add", "C-3", "--forget", f"subject={officer.person},{officer.other}", *BY)
    values = officer.values(*twice)
    assert values["exposed"] == 0
    assert values["shared"] == [{"case": case, "samples": 12, "of": 24} for case in ("C-1", "C-2")]
    again = officer(*twice).out
    assert "also    12 of 24 samples are in the open case C-1, too" in again
    assert "case    C-3: waiting for approval (noted before)" in again
    assert officer("add", "C-3", "--reject", "the same people", *BY).status == 0
    assert (
        "not counted: b. example approved the case before; another person is needed"
        in officer("approve", "C-1", "--by", "b. example").out
    )
    again = officer.values("approve", "C-1", "--by", " b.  example ")
    assert again["counted"] is False
    assert "record approve" in officer("list").out
    assert (again["approvals"], again["approvals_missing"]) == (["B. Example"], 1)
    assert officer("approve", "C-1", *BY).status == 0
    listed = officer.values("list")["cases"]
    lines = officer("list").out.splitlines()[:-1]
    assert max(map(len, lines)) <= 80
    assert {case["case"]: case["state"] for case in listed if case["case"] != "C-3"} == {  # type: ignore[attr-defined]
        "C-1": "approved",
        "C-2": "waiting for approval",
    }
    assert [case.number for case in officer.state.waiting()] == ["C-1"]


def test_what_an_officer_gets_wrong_is_one_line(officer: Officer, tmp_path: Path) -> None:
    add = ("add", "C-1", *BY)
    refused(officer(*add), "expected --forget WHAT, or --reject REASON")
    refused(officer(*add, "--forget", "subject=1"), "--reject REASON notes it as rejected")
    refused(officer(*add, "--forget", "class=0,1"), "at most 50 %")
    refused(officer(*add, "--forget", f"subject={officer.person}", "--received", "31.1.2026"), "2026-01-31")
    refused(officer(*add, "--forget", f"subject={officer.person}", "--received", "2999-01-01"), "lies ahead")
    assert officer.state.cases == {}
    assert list((officer.record / "requests").iterdir()) == []
    assert officer(*add, "--forget", f"subject={officer.person}").status == 0
    head = officer.state.head
    assert officer(*add, "--forget", f"subject={officer.person}").status == 0, (
        "the same again changes nothing"
    )
    assert officer.state.head == head
    refused(officer(*add, "--forget", f"subject={officer.other}"), "exists already, for other samples")
    parts = Record(officer.record).partition(None)
    others = parts.train.indices[parts.collection.subjects[parts.train.indices] != officer.person]  # type: ignore[index]
    (tmp_path / "many.txt").write_text("\n".join(map(str, others[:40].tolist())))
    many = ("add", "C-2", *BY, "--forget", f"ids={tmp_path / 'many.txt'}")
    refused(officer(*many), "forgets 40 of 96 training samples, after 12 in earlier requests")
    assert officer(*many, "--accept-large").status == 0
    refused(officer("approve", "C-9", *BY), "there is no case C-9")
    refused(officer("close", "C-1", *BY), "C-1 is waiting for approval")
    refused(officer("run", *BY, "--again", "x"), "no batch is under way")
    refused(officer.obliq("record", "list", tmp_path), "there is no record")
    refused(
        officer.obliq("record", "init", tmp_path / "x", "--out", tmp_path / "y", *BY), "there is no folder"
    )
    again = officer.obliq("record", "init", officer.record / "original", "--out", officer.record, *BY)
    refused(again, "exists already; expected the name of a new folder (--out)")
    assert "--overwrite" not in again.err
    assert officer("add", "C-8", "--reject", "not in training", *BY).status == 0
    assert officer("close", "C-8", *BY).status == 0
    assert officer.state.case("C-8").closed.outcome == "rejected: not in training"  # type: ignore[union-attr]


def test_a_refused_batch_stops_until_somebody_decides(
    officer: Officer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from obliq.workflow import gate

    officer.added("C-1", officer.person)
    monkeypatch.setattr(gate, "LARGEST_DROP", -101.0)
    for expires in (("--expires", "9999-12-31"), ()):
        said = officer("run", *BY, *expires)
        assert said.status == 3
        assert "failed its gate" in said.err
    unfinished = officer.record / "batches" / "1" / "trainings" / "of-a-killed-process.safetensors"
    unfinished.parent.mkdir()
    unfinished.touch()
    assert (
        officer("run", *BY, "--again", "ruined", "--method", "fine-tune", "--settings", "epochs=1").status
        == 3
    )
    assert [batch.state for batch in officer.state.batches] == ["abandoned", "unlearned"]
    assert not unfinished.parent.exists(), "what was given up leaves no training"
    shown = officer("show", "C-1").out
    assert "A. Example: ruined" in shown
    assert "--again REASON" in shown
    assert "--expires 9999-12-31T00:00:00Z" in shown
    refused(officer("run", *BY, "--accept", "x", "--expires", "9999-12-30"), "expire at 9999-12-31T00:00:00Z")
    end = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())
    times = iter([end - 1])  # the second look, before patches are made, comes too late
    monkeypatch.setattr("obliq.cli.patch_files.clock", lambda: datetime.fromtimestamp(next(times, end), UTC))
    refused(
        officer("run", *BY, "--accept", "the only one"),
        "9999-12-31T00:00:00Z, which has passed; expected --exp",
    )
    assert officer.state.batches[1].state == "audited"
    monkeypatch.setattr("obliq.cli.patch_files.clock", lambda: datetime.fromtimestamp(end - 1, UTC))
    said = officer("run", *BY)  # the time is that of the batch that was given up
    assert (said.status, "expires 9999-12-31T00:00:00Z" in said.out) == (0, True)
    key = officer.record.with_name("record.keys") / "fleet.key"
    made = officer.record / "batches" / "2" / "patches" / "from-0.patch"
    assert read_patch_head(unseal(made.read_bytes(), key.read_bytes())).expires == datetime(
        9999, 12, 31, tzinfo=UTC
    )


OWN_CODE = """
import torch
from torch import nn

def build(input_shape, classes):
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes))
"""


def test_a_network_of_own_code_needs_its_code_only_where_it_is_loaded(
    obliq: Obliq, way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_network.py").write_text(OWN_CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    code = ("--arch", "own_network:build")
    assert obliq("train", f"npz:{way.data}", *code, "--out", "o", *SHORT).status == 0
    own = Way(way.data, tmp_path / "o", way.unlearned, way.retrained, way.person)
    officer = new_officer(obliq, own, tmp_path, *code)
    added = officer("add", "C-1", "--forget", f"subject={officer.person}", *BY)
    assert added.status == 0, added.err
    assert "--arch own_network:build" in officer("approve", "C-1", *OTHER).out
    with monkeypatch.context() as patched:
        patched.setattr("obliq.workflow.gate.LARGEST_DROP", -101.0)
        assert officer("run", *BY, *code).status == 3
    head = officer.state.head
    for decision in ("--again", "--accept"):
        refused(officer("run", *BY, decision, "ruined"), "--arch own_network:build")
        refused(officer("run", *BY, "--again", "ruined", "--method", "none", *code), "none")
        assert officer.state.head == head, "what fails leaves no decision"
    verified = officer("verify")
    assert (verified.status, "note: not checked" in verified.out) == (0, True)
    assert officer("verify", *code).status == 0


def test_verify_finds_what_was_changed(answered: Officer) -> None:
    officer = answered
    assert officer("verify", "--head", officer.record_entries()[3].digest).status == 0
    log = officer.record / LOG_FILE
    whole = log.read_bytes()
    lines = whole.splitlines(keepends=True)
    now = officer.state.head
    log.write_bytes(b"".join(lines[:-1]))
    for words in ((), ("--head", now)):
        said = officer("verify", *words)
        assert (said.status, "entries are missing at its end" in said.out) == (3, True)
    log.write_bytes(whole.replace(b"B. Example", b"C. Example"))
    assert officer("verify").status == 3
    log.write_bytes(whole)
    state = officer.state
    request = state.case("C-1").received.request
    for name in (
        f"requests/{request}.encrypted",
        "original/model.safetensors",
        "batches/0/exported/network.onnx",
        "batches/1/unlearned/model.safetensors",
        "batches/1/exported/network.onnx",
        "batches/1/audit/audit.json",
        "batches/1/patches/from-0.patch",
        "batches/1/certificates/case-1.cert.json",
    ):
        file = officer.record / name
        content = file.read_bytes()
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        said = officer("verify")
        assert (said.status, said.out.count("PROBLEM")) == (3, 1), name
        file.write_bytes(content)
    key = officer.record.with_name("record.keys") / f"{request}.key"
    drawn = key.read_bytes()
    for wrong in (bytes(32), None):
        key.write_bytes(wrong) if wrong else key.unlink()
        said = officer("verify")
        assert (said.status, said.out.count("PROBLEM")) == (3, 1)
    key.write_bytes(drawn)
    key.chmod(0o600)
    (officer.record / "batches" / "2").mkdir()
    said = officer("verify")
    assert (said.status, "batches/2 is beyond the log" in said.out) == (3, True)
    refused(officer("add", "C-2", "--forget", f"subject={officer.other}", *BY), "batches/2 is beyond the log")
    (officer.record / "batches" / "2").rmdir()
    assert officer("verify").status == 0


def test_an_older_log_is_refused_until_somebody_decides(answered: Officer) -> None:
    officer = answered
    log = officer.record / LOG_FILE
    older = log.read_bytes()
    assert officer("confirm", "--floor", 1, "--devices", 3, "--by", "fleet").status == 0
    assert officer("close", "C-1", *BY).status == 0
    log.write_bytes(older)
    add = ("add", "C-2", "--forget", f"subject={officer.person}", *BY)
    for words in (add, ("close", "C-1", *BY), ("run", *BY)):
        refused(officer(*words), "it was restored from an older copy")
    assert officer("verify").status == 3
    lists = sorted((officer.record / "withheld").iterdir())
    assert len(lists) == 1, "evidence stays"
    assert "close record C-1" in officer("recover", *BY, "--reason", "disk failed").out.replace(
        str(officer.record), "record"
    )
    assert sorted((officer.record / "withheld").iterdir()) == lists
    refused(officer(*add), "close its case with --reason if the key is lost")
    refused(officer("close", "C-1", *BY), "the key of case C-1 is gone", "--reason")
    assert officer("close", "C-1", *BY, "--reason", "older copy").status == 0
    refused(officer(*add), "forgotten before (closed cases)")
    assert officer("verify").status == 0
    refused(officer("recover", *BY, "--reason", "again"), "the log lacks nothing that is known")


def test_what_lies_in_a_batch_is_read_only_if_it_answers_the_batch(answered: Officer, tmp_path: Path) -> None:
    batch, network = answered.state.batches[0], answered.state.begun.network
    folder = answered.record / "batches" / "1"
    planned = batch.planned
    method = method_of(planned.method, planned.settings)
    wanted = WantedNetwork(name="unlearned", method=method, seed=planned.seed)
    require_network_of(folder / "unlearned", planned.splits, network, wanted)
    require_audit_of(folder / "audit", batch, network)
    for splits, other, words in (
        ("b" * 64, wanted, "another set of samples"),
        (planned.splits, dataclasses.replace(wanted, seed=5), "another seed"),
        (planned.splits, dataclasses.replace(wanted, method=method_of("fine-tune", {})), "another method"),
        (planned.splits, dataclasses.replace(wanted, method=None), "another role"),
    ):
        with pytest.raises(RecordError, match=words):
            require_network_of(folder / "unlearned", splits, network, other)
    with pytest.raises(
        RecordError, match="another method, another original, another role, another set of samples"
    ):
        require_network_of(
            answered.record / "original", planned.splits, network, dataclasses.replace(wanted, seed=0)
        )
    original = load_run(answered.record / "original").checkpoint
    with pytest.raises(RecordError, match="another network"):
        require_export_of(folder / "exported" / "network.onnx", original)
    assert batch.unlearned is not None
    batch.unlearned = dataclasses.replace(batch.unlearned, network="c" * 64)
    with pytest.raises(RecordError, match="another network"):
        require_audit_of(folder / "audit", batch, network)


def test_the_export_names_cases_and_no_person(officer: Officer, tmp_path: Path) -> None:
    officer.added("C-1", officer.person)
    assert officer("export", "--out", tmp_path / "cases.json").status == 0
    text = (tmp_path / "cases.json").read_text()
    assert str(officer.person) not in text
    written = json.loads(text)
    assert [case["case"] for case in written["cases"]] == ["C-1"]
    assert [entry["event"] for entry in written["entries"]] == ["begun", "received", "accepted", "approved"]


def killed(officer: Officer, at: int, verb: str, *words: object) -> None:
    typed = ["record", verb, str(officer.record), *map(str, words), "-q"]
    status, _ = in_a_child(lambda: main(typed), DiskSteps(officer.record.parent, kill_at=at))
    assert status == -signal.SIGKILL


def test_what_is_killed_goes_on_and_nothing_is_done_twice(officer: Officer) -> None:
    """`benchmarks/record_crashes.py` kills every verb at every step on the disk."""
    add = ("add", "C-1", "--forget", f"subject={officer.person}", *BY)
    for step in (9, 16, 26):
        killed(officer, step, *add)
        assert officer("verify").status == 0
    assert officer(*add).status == 0
    keys = officer.record.with_name("record.keys")
    killed(officer, 11, "approve", "C-1", *OTHER)
    assert any(path.name.startswith(".") for path in keys.iterdir())
    assert officer("approve", "C-1", *OTHER).status == 0
    assert not any(path.name.startswith(".") for path in keys.iterdir()), "no draft is left"
    results: list[tuple[str, int]] = []
    for step in (30, 75, 60):
        killed(officer, step, "run", *BY)
        found = verify_record(Record(officer.record))
        assert found.problems == ()
        done = sorted((officer.record / "batches" / "1").glob("[a-z]*"))
        assert [one for one in results if one not in [(path.name, path.stat().st_ino) for path in done]] == []
        results = [(path.name, path.stat().st_ino) for path in done]
    assert officer.values("run", *BY)["state"] == "patched"
    kinds = [entry["event"] for entry in map(Entry.values, officer.record_entries())]
    assert kinds == [
        "begun",
        "received",
        "accepted",
        "approved",
        "planned",
        "unlearned",
        "exported",
        "audited",
        "patched",
    ]
    folders = (officer.record, officer.record.with_name("record.keys"))
    left = [path.name for folder in folders for path in folder.rglob(".*")]
    assert set(left) <= {".lock", ".lock-holder", ".log-lock"}
    assert sorted(
        file.stem for file in folders[1].iterdir() if file.stem not in ("fleet", "batch-1", "record")
    ) == [officer.state.case("C-1").received.request]
