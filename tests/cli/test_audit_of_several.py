"""An audit with several retrained networks: given, retrained and kept; and what a script can require of it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from obliq.auditing import parse_audit
from obliq.data.request_file import load_request
from obliq.workflow.retrained_networks import kept_folder
from tests.cli.conftest import Said, Way


def test_retrained_networks_are_completed_kept_and_used_again(
    obliq: Callable[..., Said], own_way: Way, tmp_path: Path
) -> None:
    words = (
        "audit",
        own_way.original,
        own_way.unlearned,
        "--retrained",
        own_way.retrained,
        "--references",
        3,
    )
    first = obliq(*words, "--out", tmp_path / "first")
    assert first.status == 0, first.err
    (kept,) = (own_way.original.with_name("original.retrained")).iterdir()
    folders = sorted(kept.iterdir())
    assert len(folders) == 2
    assert "What to do next" in first.out
    again = obliq(*words, "--out", tmp_path / "again", "--json", "--require", "indistinguishable")
    assert sorted(kept.iterdir()) == folders
    audits = [parse_audit((tmp_path / name / "audit.json").read_text()) for name in ("first", "again")]
    assert audits[0] == audits[1]
    assert audits[0].counts.retrained == 3
    word = json.loads(again.out)["entries"][1]["verdict"]
    assert again.status == (0 if word == "INDISTINGUISHABLE" else 3)
    assert (f"unlearned is {word}; expected INDISTINGUISHABLE" in again.err) == (again.status == 3)
    assert (tmp_path / "again" / "report.html").exists()

    selector = load_request(own_way.unlearned / "request.json").selector
    other = ("unlearn", own_way.original, "--forget", selector, "--out", tmp_path / "other", "--accept")
    assert obliq(*other, "fine-tune", "--epochs", 1).status == 0
    pair = ("audit", own_way.original, tmp_path / "other", "--references", 2, "--out", tmp_path / "pair")
    assert obliq(*pair).status == 0
    assert list(kept.parent.iterdir()) == [kept], "another request for the same samples: nothing is retrained"
    assert sorted(kept.iterdir()) == folders
    # a network that the user names is no second one, and files count after folders
    ours = ("audit", own_way.original, own_way.unlearned, "--references", 2, "--retrained", folders[0])
    named = obliq(*ours, "--out", tmp_path / "named")
    assert named.status == 0, named.err
    assert f"is kept in {folders[1]}" in " ".join(named.err.split())
    assert obliq("export", folders[1], "--out", tmp_path / "r.onnx").status == 0
    mixed = obliq(*ours[:3], "--retrained", folders[0], tmp_path / "r.onnx", "--out", tmp_path / "mixed")
    assert mixed.status == 0, mixed.err
    assert parse_audit((tmp_path / "mixed" / "audit.json").read_text()).counts.retrained == 2
    elsewhere = kept_folder(own_way.original, "0" * 64, load_request(tmp_path / "other" / "request.json"))
    assert elsewhere != kept, "networks of another original do not serve"


@pytest.mark.parametrize("count", [1, 65])
def test_a_number_that_shows_no_spread_is_refused(
    obliq: Callable[..., Said], own_way: Way, tmp_path: Path, count: int
) -> None:
    refused = obliq(
        "audit", own_way.original, own_way.unlearned, "--references", count, "--out", tmp_path / "out"
    )
    assert refused.status == 1
    assert f"{count} retrained networks; expected 2 to 64" in refused.err
