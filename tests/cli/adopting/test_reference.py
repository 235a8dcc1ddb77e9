"""The retrained reference of a network that was trained elsewhere."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from obliq.auditing import Verdict, parse_audit
from obliq.cli.audit import AuditArguments
from obliq.cli.next_steps import after_audit
from tests.cli.adopting.elsewhere import OWN, Obliq
from tests.cli.refusals import refused


@pytest.mark.parametrize(
    "way", [("--with", "adoptednet:train"), ("--weights", "retrained.pt"), ("--epochs", "3")]
)
def test_the_reference_of_an_adopted_network(
    way: tuple[str, str], obliq: Obliq, adopted: Path, tmp_path: Path
) -> None:
    request = ("--forget", f"request={adopted / 'unlearned' / 'request.json'}", "--threads", 1)
    retrained, audit = tmp_path / "retrained", tmp_path / "audit"
    said = obliq("retrain", adopted / "original", *OWN, *request, *way, "--out", retrained)
    assert said.status == 0, said.err
    elsewhere = way[0] != "--epochs"
    assert ("fine-tuned" in said.out) is elsewhere
    provenance = json.loads((retrained / "model.json").read_text())["provenance"]
    assert provenance["role"] == "retrained"
    if elsewhere:
        assert all(
            found["forget"] < 20 < found["retain"] for found in provenance["loaded"]["accuracy"].values()
        )
    if way[0] != "--with":
        return
    networks = (adopted / "original", adopted / "unlearned")
    said = obliq("audit", *networks, "--retrained", retrained, *OWN, "--out", audit, "--json")
    assert said.status == 0, said.err
    entries = json.loads(said.out)["entries"]
    assert [entry["kind"] for entry in entries] == ["original", "unlearned", "retrained"]
    assert entries[0]["seconds"] is None  # of the training elsewhere
    assert entries[2]["seconds"] > 0
    assert entries[1]["average_gap"] >= 0
    settings = json.loads((audit / "audit.json").read_text())["settings"]
    assert "by its user (adoptednet:train)" in settings["training of the retrained network"]
    measured = parse_audit((audit / "audit.json").read_text())
    few = Verdict("INCONCLUSIVE", "", "more references", 1, 4)
    undecided = [replace(one, verdict=few) if one.kind == "unlearned" else one for one in measured.entries]
    arguments = AuditArguments(networks=networks, retrained=(retrained,), out=audit)
    again = after_audit(arguments, replace(measured, entries=tuple(undecided)))
    assert again[4:8] == ["--with", "adoptednet:train", "--seed", "1"]


def test_several_references_are_named_and_none_counts_twice(
    obliq: Obliq, adopted: Path, tmp_path: Path
) -> None:
    """The same training with the same seed is one network, whatever its folder is called."""
    request = ("--forget", f"request={adopted / 'unlearned' / 'request.json'}", "--threads", 1)
    for name, way in (
        ("own", "--with adoptednet:train"),
        ("twice", "--with adoptednet:train"),
        ("ours", "--epochs 1"),
    ):
        said = obliq("retrain", adopted / "original", *OWN, *request, *way.split(), "--out", tmp_path / name)
        assert said.status == 0, said.err
    audit = ("audit", adopted / "original", adopted / "unlearned", *OWN, "--retrained", tmp_path / "own")
    refused(
        obliq(*audit, tmp_path / "twice", "--out", tmp_path / "a"), "one training twice", "torch.manual_seed"
    )
    said = obliq(*audit, tmp_path / "ours", "--out", tmp_path / "b", "--json")
    assert said.status == 0, said.err
    training = json.loads((tmp_path / "b" / "audit.json").read_text())["settings"][
        "training of the retrained network"
    ]
    assert training.startswith("by its user (adoptednet:train), by a recipe of Obliq (")
    assert training.endswith("; the original: elsewhere")


def test_ways_to_retrain_that_do_not_fit(obliq: Obliq, adopted: Path, tmp_path: Path) -> None:
    words = (
        "retrain",
        adopted / "original",
        *OWN,
        "--forget",
        "class=1",
        "--threads",
        1,
        "--out",
        tmp_path / "r",
    )
    for way, message in (
        ((), "expected --with module:function (your own training), --weights FILE"),
        (("--from-weights", "weights.pt"), "expected --with module:function"),
        (("--with", "adoptednet:train", "--epochs", 2), "--with and --epochs together"),
        (("--learning-rate", 0.1), "learning_rate without epochs"),
        (("--with", "adoptednet:missing"), "cannot import 'adoptednet:missing'"),
        (
            ("--with", "adoptednet:fails"),
            "'adoptednet:fails' failed on the retain set: RuntimeError: no accel",
        ),
        (("--with", "adoptednet:other"), "adoptednet:other: tensor "),
        (("--weights", "weights.pt"), "holds the weights of the original"),
    ):
        said = obliq(*words, *way)
        assert said.status == 1, way
        assert message in said.err.splitlines()[-1]
        assert not (tmp_path / "r").exists()
    audit = ("audit", adopted / "original", adopted / "unlearned", *OWN, "--out", tmp_path / "a")
    assert "the original was trained elsewhere" in obliq(*audit, "--references", 2).err
