"""What ships or forgets more than usual needs an acceptance in words: a refused audit, and a very large request."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from obliq.checkpoints.folder import DOCUMENT_FILE
from obliq.workflow.last_audit import LAST_AUDIT_DOCUMENT, VERDICT_FILE, LastAudit
from tests.cli.conftest import Said, Way
from tests.cli.refusals import refused

Obliq = Callable[..., Said]
FORGET = ("--threads", 1, "--out")


def kept(folder: Path, verdict: str) -> None:
    digest = json.loads((folder / DOCUMENT_FILE).read_text())["weights_digest"]
    found = LastAudit(digest=digest, verdict=verdict, audited="2026-01-01T00:00:00+00:00")  # type: ignore[arg-type]
    LAST_AUDIT_DOCUMENT.write(folder / VERDICT_FILE, found, overwrite=True)


def test_a_refused_network_ships_only_if_that_is_accepted(obliq: Obliq, own_way: Way, tmp_path: Path) -> None:
    unlearned = own_way.unlearned
    ways = [
        ("export", unlearned, "--out", tmp_path / "n.onnx"),
        ("export", unlearned, "--to", "network", "--out", tmp_path / "n"),
        ("patch", "make", "--plain", own_way.original, unlearned, "--out", tmp_path / "p"),
    ]
    for verdict in ("REMEMBERED", "OVER-FORGOTTEN", "DAMAGED"):
        kept(unlearned, verdict)
        for words in ways:
            refused(obliq(*words), f"found {verdict} (2026-01-01)", "--accept")
    assert not list(tmp_path.glob("[np]*"))
    for words in ways:
        assert obliq(*words, "--accept").status == 0
    for verdict in ("INDISTINGUISHABLE", "INCONCLUSIVE", "NOTHING TO MEASURE"):
        kept(unlearned, verdict)
        assert obliq(*ways[2], "--overwrite").status == 0
    kept(own_way.retrained, "DAMAGED")
    (own_way.retrained / VERDICT_FILE).replace(unlearned / VERDICT_FILE)  # of another network
    assert obliq(*ways[2], "--overwrite").status == 0


def test_an_audit_keeps_its_verdict_and_the_folder_stays_ours(
    obliq: Obliq, own_way: Way, tmp_path: Path
) -> None:
    request = ("--forget", "class=1", *FORGET, own_way.unlearned, "--overwrite", "--accept")
    assert obliq("unlearn", own_way.original, *request, "oeu", "--epochs", 1).status == 0
    for number in range(2):  # the second verdict replaces the first
        out = tmp_path / f"audit-{number}"
        said = obliq("audit", own_way.original, own_way.unlearned, "--out", out, "--json")
        assert said.status == 0, said.err
        found = LAST_AUDIT_DOCUMENT.read(own_way.unlearned / VERDICT_FILE)
        assert found.verdict == json.loads(said.out)["entries"][1]["verdict"]
    assert obliq("unlearn", own_way.original, *request, "oeu", "--epochs", 1).status == 0
    assert not (own_way.unlearned / VERDICT_FILE).exists()


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        ("random=60%", ("training samples; expected at most 50 %",)),
        ("ids", ("last training samples of class 2",)),
    ],
)
def test_a_large_request_needs_an_acceptance(
    selector: str, words: tuple[str, ...], obliq: Obliq, way: Way, tmp_path: Path
) -> None:
    if selector == "ids":
        listed = obliq(
            "unlearn",
            way.original,
            "--forget",
            "class=2",
            *FORGET,
            tmp_path / "c",
            "--accept",
            "oeu",
            "--epochs",
            1,
        )
        assert listed.status == 0  # a class by its name is meant
        ids = json.loads((tmp_path / "c" / "request.json").read_text())["ids"]
        (tmp_path / "ids").write_text("\n".join(map(str, ids)))
        selector = f"ids={tmp_path / 'ids'}"
    request = ("unlearn", way.original, "--forget", selector, *FORGET, tmp_path / "out", "--accept")
    refused(obliq(*request, "oeu", "--epochs", 1), *words, "--accept-large")
    assert not (tmp_path / "out").exists()
    assert obliq(*request, "--accept-large", "oeu", "--epochs", 1).status == 0
