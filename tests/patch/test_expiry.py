"""A patch that expires: until when it is applied, by whom it is refused, and that nobody can change the time."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from obliq.checkpoints import save_checkpoint
from obliq.cli import patch_files
from obliq.errors import PatchError
from obliq.patch import content_digest, decode_patch, encode_patch, read_patch_head
from obliq.patch.decoder import EXPIRY, PATCH_HEAD
from obliq.patch.device.flash import Flash
from obliq.patch.device.store import NO_CLOCK, DeviceStore
from obliq.patch.expiry import parse_expiry
from tests.cli.conftest import Said, obliq  # noqa: F401 - a fixture
from tests.patch.networks import saved_pair
from tests.patch.plain import decoder
from tests.patch.samples import damaged, sample_pair, sample_patch

Obliq = Callable[..., Said]
END = datetime(2030, 1, 31, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
AT = int(END.timestamp())
PATCH, BASE, RESULT = sample_patch(expires=END)
FIELD = range(PATCH_HEAD.size, PATCH_HEAD.size + EXPIRY.size)


def answer(patch: bytes, now: int | None) -> int | bytes:
    """The new image or the reason of a refusal."""
    try:
        return bytes(decoder.apply_to_image(patch, BASE, 0, now))
    except decoder.Refused as refused:
        return int(refused.args[0])


def test_it_is_applied_up_to_the_second_before() -> None:
    old, new = sample_pair()
    assert read_patch_head(PATCH).expires == END
    assert {answer(PATCH, now) for now in (0, 1, AT - 1, NO_CLOCK)} == {RESULT}
    assert {answer(PATCH, now) for now in (AT, AT + 1, 2**64 - 1, -1)} == {decoder.EXPIRED}
    assert content_digest(decode_patch(PATCH, old, 6, END - SECOND)) == content_digest(new)
    with pytest.raises(PatchError, match="patch refused: expired"):
        decode_patch(PATCH, old, 6, END)
    assert [read_patch_head(PATCH).has_expired(END + step * SECOND) for step in (-1, 0, 1)] == [
        False,
        True,
        True,
    ]


def test_a_patch_without_a_time_is_of_version_1_and_never_expires() -> None:
    plain, *_ = sample_patch()
    head = read_patch_head(plain)
    assert (plain[4], head.expires, head.has_expired(datetime.max.replace(tzinfo=UTC))) == (1, None, False)
    assert answer(plain, 2**64 - 1) == RESULT
    assert (
        sha256(plain).hexdigest() == "ddfa669ac1cb3dbc0b4d5df1846c107de12ccc700b1d691567cb0de682538435"
    )  # as before there was such a field


def test_an_older_decoder_reads_the_version_and_refuses() -> None:
    """By the rules of version 1 the file is whole, so that the version is what it is refused for."""
    *_, length = PATCH_HEAD.unpack_from(PATCH)
    assert len(PATCH) == PATCH_HEAD.size + length + 32
    assert sha256(PATCH[:-32]).digest() == PATCH[-32:]
    assert PATCH[4:8] == b"\2\0\0\0"


def test_nobody_changes_the_time() -> None:
    """Neither by accident, nor with a checksum of his own where there is a signature or an encryption."""
    pytest.importorskip("cryptography", reason="the extra `patch` is not installed")
    from obliq.patch.encryption import seal, unseal
    from obliq.patch.signing import require_signed, sign
    from tests.patch.test_signing import PRIVATE, PUBLIC

    assert {answer(wrong, NO_CLOCK) for wrong in damaged(PATCH)} == {decoder.DAMAGED}
    signature, sealed = sign(PATCH, PRIVATE), seal(PATCH, bytes(32))
    for place in (4, *FIELD):  # the version, too: as of version 1 it would have no time
        later = bytearray(PATCH)
        later[place] ^= 3
        later[-32:] = sha256(later[:-32]).digest()
        assert answer(bytes(later), 0) != decoder.DAMAGED
        with pytest.raises(PatchError, match="this key did not sign"):
            require_signed(bytes(later), signature, PUBLIC)
        within = bytearray(sealed)
        within[20 + place] ^= 3
        with pytest.raises(PatchError, match="altered"):
            unseal(bytes(within), bytes(32))


def test_a_device_with_a_clock_installs_no_expired_patch() -> None:
    store = DeviceStore.create(Flash.empty(40), BASE)
    before = bytes(store.flash.data)
    for now in (AT, 2**64 - 1, -1):
        with pytest.raises(PatchError, match="expired"):
            store.install(PATCH, now=now)
    assert bytes(store.flash.data) == before
    for now in (AT - 1, NO_CLOCK):
        store = DeviceStore.create(Flash.empty(40), BASE)
        store.install(PATCH, now=now)
        assert store.boot() == RESULT


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    "expires",
    [
        datetime(2030, 1, 31),
        END + timedelta(microseconds=1),
        END.replace(tzinfo=timezone(timedelta(microseconds=1))),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(-timedelta(hours=14))),  # by UTC in the year 10000
        END.date(),
        "2030-01-31",
        AT,
    ],
)
def test_times_that_are_none(expires: Any) -> None:
    with pytest.raises(
        PatchError, match=r"expected whole seconds after 1970 and before the year 10000.* time zone"
    ):
        encode_patch(*sample_pair(), expires=expires)


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize("now", [datetime(2020, 1, 31), END.date(), AT])
def test_the_clock_has_a_time_zone(now: Any) -> None:
    """A time without one would be read in that of the computer."""
    with pytest.raises(PatchError, match="expected a time with a time zone"):
        read_patch_head(PATCH).has_expired(now)
    with pytest.raises(PatchError, match="expected a time with a time zone"):
        decode_patch(PATCH, sample_pair()[0], 6, now)


def test_the_format_has_room_for_times_that_no_calendar_has() -> None:
    last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert read_patch_head(encode_patch(*sample_pair(), expires=last)).expires == last
    for seconds in (int(last.timestamp()) + 1, 2**63, 2**64 - 1):
        patch = PATCH[: FIELD.start] + EXPIRY.pack(seconds) + PATCH[FIELD.stop : -32]
        with pytest.raises(PatchError, match="expected a time before the year 10000"):
            read_patch_head(patch + sha256(patch).digest())


def test_times_as_they_are_typed() -> None:
    now = END - SECOND
    for text, expected in (
        ("2030-01-31T12:00:00Z", END),
        ("2030-01-31T12:00Z", END),
        ("2030-02-01", datetime(2030, 2, 1, tzinfo=UTC)),
    ):
        assert parse_expiry(text, now) == expected
    assert parse_expiry("2030-02-01", now.astimezone(timezone(timedelta(hours=9)))).tzinfo is UTC
    for text in (
        "",
        "soon",
        "2030",
        "20300201",
        "2030-W05-1",
        "2030-02-30",
        "2030-02-01T25:00Z",
        "2030-02-01T12:00:00",  # of which time zone?
        "2030-02-01T12:00:00+01:00",
        "2030-02-01 12:00:00Z",
        "2030-02-01T12:00:00.5Z",
        "2030-02-01T23:59:60Z",
        " 2030-02-01",
        "2030-02-01\n",
        "\u0662\u0660\u0663\u0660-02-01",  # digits of another script
    ):
        with pytest.raises(PatchError, match="expected a day in UTC such as"):
            parse_expiry(text, now)
    for text in ("2030-01-31", "2030-01-31T11:59:59Z", "1970-01-01", "0001-01-01"):
        with pytest.raises(PatchError, match="has passed; expected a time after 2030-01-31T11:59:59Z"):
            parse_expiry(text, now)


def test_on_the_command_line(tmp_path: Path, obliq: Obliq, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    for name, saved in zip(("old", "new"), saved_pair(), strict=True):
        save_checkpoint(tmp_path / name, saved)
    old, patch = tmp_path / "old", tmp_path / "patch"
    make = ("patch", "make", old, tmp_path / "new", "--out", patch, "--expires")
    clock = [AT - 1.5]
    monkeypatch.setattr(patch_files, "time", SimpleNamespace(time=lambda: clock[0]))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")  # fixes what is written, and is no clock
    past = obliq(*make, "2030-01-31T11:59:58Z", "--plain")
    assert (past.status, past.err.count("\n"), "has passed" in past.err) == (1, 1, True)
    assert "--expires 2030-01-31T12:00:00Z --plain'" in obliq(*make, "2030-01-31T12:00:00Z").err
    assert not patch.exists()
    made = json.loads(obliq(*make, "2030-01-31T12:00:00Z", "--plain", "--json").out)
    assert (made["expires"], made["expired"]) == ("2030-01-31T12:00:00Z", False)

    clock[0] = AT + 0.5
    assert "\nhas expired, at 2030-01-31T12:00:00Z\n" in obliq("patch", "info", patch).out
    late = ("patch", "apply", old, patch, "--out", tmp_path / "late")
    assert obliq(*late).err == (
        "obliq: error: patch refused: it expired at 2030-01-31T12:00:00Z, and the clock shows 2030-01-31T12:00:00Z; "
        "expected a newer patch, or --allow-expired\n"
    )
    assert not list(tmp_path.glob("late*"))
    allowed = obliq(*late, "--allow-expired")
    assert allowed.status == 0
    assert "WARNING: the patch expired at 2030-01-31T12:00:00Z (--allow-expired)" in allowed.out
