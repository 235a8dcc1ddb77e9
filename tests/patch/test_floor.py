"""What `obliq patch apply` keeps beside a network, and that no patch goes back unless that is asked for in words."""

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from obliq.checkpoints import Provenance, load_checkpoint, save_checkpoint
from obliq.checkpoints.metadata import EarlierRequest
from obliq.errors import PatchError
from obliq.quantization import weights_digest
from obliq.workflow.patch_floor import require_as_forgetful
from tests.cli.conftest import Said, obliq  # noqa: F401 - a fixture
from tests.patch.networks import saved_pair

Obliq = Callable[..., Said]


@pytest.fixture
def networks(tmp_path: Path, obliq: Obliq) -> Path:  # noqa: F811
    """Two networks, a patch from one to the other, and unsigned patches back."""
    for name, saved in zip(("old", "new"), saved_pair(), strict=True):
        save_checkpoint(tmp_path / name, saved)
    for words in (("old", "new", 3), ("new", "old", 2), ("new", "old", 4)):
        before, after, number = words
        out = tmp_path / f"{before}-{after}-{number}"
        made = obliq(
            "patch",
            "make",
            "--plain",
            tmp_path / before,
            tmp_path / after,
            "--sequence",
            number,
            "--out",
            out,
            "--accept",
        )
        assert made.status == 0, made.err
    return tmp_path


def test_no_patch_leads_back_unless_asked_in_words(networks: Path, obliq: Obliq) -> None:  # noqa: F811
    old, device = networks / "old", networks / "device"
    first = obliq("patch", "apply", old, networks / "old-new-3", "--out", device)
    assert first.status == 0
    assert "no signature was checked" in first.out
    assert "no floor is kept beside" in first.out
    kept = json.loads((networks / "device.floor").read_text())
    digests = [weights_digest(load_checkpoint(networks / name).model) for name in ("old", "new")]
    assert (kept["floor"], kept["left"]) == (3, digests[:1])

    back = ("patch", "apply", device, networks / "new-old-2", "--out", networks / "back")
    again = ("patch", "apply", device, networks / "new-old-4", "--out", networks / "back")
    assert "leads back to network" in obliq(*back).err
    assert "leads back to network" in obliq(*again).err  # a higher number, which nobody signed
    (networks / "device.floor").unlink()
    assert "leads back to network" in obliq(*back).err  # the folder names the network that it came from
    document = (device / "model.json").read_text()
    (device / "model.json").write_text(
        document.replace(f'"base_digest": "{digests[0]}"', '"base_digest": null')
    )
    (networks / "device.floor").write_text(json.dumps(kept | {"left": []}))
    assert "sequence 2; expected more than 3" in obliq(*back).err
    assert "below the kept one, 3" in obliq(*back, "--floor", 1).err
    assert "sequence 4; expected more than 4" in obliq(*again, "--floor", 4).err
    assert not list(networks.glob("back*"))

    (networks / "device.floor").write_text(json.dumps(kept))
    asked = obliq(*back, "--go-back")
    assert asked.status == 0
    assert "were switched off (--go-back)" in asked.out
    after = json.loads((networks / "back.floor").read_text())
    assert (after["floor"], after["left"]) == (3, digests[1:])  # the floor does not fall


def test_a_patch_is_to_a_network_that_answers_all_requests_of_the_old_one() -> None:
    original = saved_pair()[0].provenance

    def after(*requests: str, parts: tuple[str, ...] = ()) -> Provenance:
        entries = [EarlierRequest(request=one * 64, method="oeu", base_digest="0" * 64) for one in requests]
        return replace(
            original,
            role="unlearned",
            splits_digest=requests[-1] * 64,
            base_digest="0" * 64,
            earlier=tuple(entries[:-1]),
            parts=tuple(one * 64 for one in parts),
        )

    joined = after("c", parts=("a", "b"))
    for old, new in (
        (original, after("a")),
        (None, original),
        (after("a"), None),
        (after("a"), after("a", "b")),
        (after("a", "b"), after("a", "b")),
        (after("a", "b"), joined),
        (joined, after("b", "a")),
    ):
        require_as_forgetful(old, new, ("old", "new"))
    for old, new in ((after("a"), original), (after("a"), after("b")), (joined, after("a"))):
        with pytest.raises(PatchError, match="and new is not known to answer 1 of them"):
            require_as_forgetful(old, new, ("old", "new"))


def test_the_floor_at_the_place_of_the_result_counts_too(networks: Path, obliq: Obliq) -> None:  # noqa: F811
    out = ("--out", networks / "device")
    words = ("patch", "apply", networks / "old", networks / "old-new-3", *out)
    assert obliq(*words).status == 0
    assert "exists already" in obliq(*words).err
    assert "sequence 3; expected more than 3" in obliq(*words, "--overwrite").err
    (networks / "device.floor").write_text("{}")
    assert "device.floor" in obliq(*words, "--overwrite").err


def test_numbers_that_would_end_all_patching_are_refused(networks: Path, obliq: Obliq) -> None:  # noqa: F811
    make = (
        "patch",
        "make",
        "--plain",
        networks / "old",
        networks / "new",
        "--out",
        networks / "last",
        "--sequence",
    )
    assert "expected 1 to 4294967295" in obliq(*make, 2**64 - 1).err
    patch = bytearray((networks / "old-new-3").read_bytes())
    patch[8:16] = (2**64 - 1).to_bytes(8, "little")
    patch[-32:] = sha256(patch[:-32]).digest()
    (networks / "last").write_bytes(patch)
    said = obliq("patch", "apply", networks / "old", networks / "last", "--out", networks / "device")
    assert "leaves no higher number" in said.err
    assert not list(networks.glob("device*"))
