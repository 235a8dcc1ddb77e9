"""Power is cut at every write: the device boots old or new, then only new, and nothing is left of the old."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pytest

from obliq.errors import PatchError
from obliq.patch import TensorRecord, encode_patch, to_device_image
from obliq.patch.device.flash import Flash
from obliq.patch.device.journal import UpdateState
from obliq.patch.device.store import NO_CLOCK, DeviceStore
from tests.patch.samples import changed, random_codes

WINDOW = 64


def network() -> tuple[tuple[TensorRecord, ...], tuple[TensorRecord, ...]]:
    draw = np.random.default_rng(5)
    old = (
        TensorRecord(b"codes", 4, random_codes(draw, 4, 400)),
        TensorRecord(b"scales", None, np.frombuffer(draw.bytes(64), "<u4")),
    )
    return old, tuple(changed(draw, record, 0.1) for record in old)


CONTENTS = network()
OLD, NEW = (to_device_image(content) for content in CONTENTS)
PATCH = encode_patch(*CONTENTS, sequence=4)
BACK = encode_patch(*reversed(CONTENTS), sequence=3)
OLD_ONLY = {OLD[at : at + WINDOW] for at in range(len(OLD) - WINDOW + 1)} - {
    NEW[at : at + WINDOW] for at in range(len(NEW) - WINDOW + 1)
}


def device() -> DeviceStore:
    return DeviceStore.create(Flash.empty(10, page=32, block=128), OLD, sequence=2)


def copy(flash: Flash) -> Flash:
    return Flash(page=flash.page, block=flash.block, data=bytearray(flash.data))


def cuts(
    flash: Flash, act: Callable[[DeviceStore], object], lengths: Callable[[int], Iterable[int]] = range
) -> Iterator[Flash]:
    """The memory after a cut at each write of an action, torn at each of some lengths, and after all of it."""
    states: list[Flash] = []

    def watch(memory: Flash, address: int, content: bytes) -> None:
        for length in lengths(len(content)):
            torn = copy(memory)
            torn.tear(address, content, length)
            states.append(torn)

    whole = copy(flash)
    whole.watch = watch
    act(DeviceStore(whole))
    whole.watch = None
    yield from states
    yield whole


def old_windows(flash: Flash) -> int:
    data = bytes(flash.data)
    return sum(window in data for window in OLD_ONLY)


def some(length: int) -> set[int]:
    return {*range(0, length, 4), length - 1}


def few(length: int) -> set[int]:
    return {0, 1, length // 2, length - 1}


def finish(store: DeviceStore) -> None:
    """What the fleet does sooner or later, whatever happened."""
    store.boot()
    if store.entry.state is UpdateState.STABLE and store.entry.floor < 4:
        store.install(PATCH, now=NO_CLOCK)
    if store.entry.state is UpdateState.TRIAL:
        store.confirm()


def require_only_new(store: DeviceStore) -> None:
    assert store.boot() == NEW
    assert store.entry.state is UpdateState.STABLE
    assert store.entry.floor == 4
    assert old_windows(store.flash) == 0
    for patch in (BACK, PATCH):
        with pytest.raises(PatchError, match="expected more than 4"):
            store.install(patch, now=NO_CLOCK)


def test_old_windows_are_found_where_they_are() -> None:
    store = device()
    assert old_windows(store.flash) == len(OLD_ONLY) > 100
    store.install(PATCH, now=NO_CLOCK)
    assert old_windows(store.flash) == len(OLD_ONLY)
    assert store.boot() == NEW


def test_without_cuts() -> None:
    store = device()
    assert store.boot() == OLD
    finish(store)
    require_only_new(store)


def test_cut_while_installing() -> None:
    booted = set()
    states: set[bytes] = set()
    number = 0
    for flash in cuts(device().flash, lambda store: store.install(PATCH, now=NO_CLOCK)):
        number += 1
        store = DeviceStore(flash)
        booted.add(store.boot())
        states.add(bytes(flash.data))
    assert number > 1000
    assert len(states) > 100  # many cuts leave the same behind once the device has started
    for state in states:
        store = DeviceStore(Flash(page=flash.page, block=flash.block, data=bytearray(state)))
        finish(store)
        require_only_new(store)
    assert booted == {OLD, NEW}


def test_cut_while_confirming() -> None:
    """Once the record is whole, only the new network is booted, and booting ends the erasure."""
    store = device()
    store.install(PATCH, now=NO_CLOCK)
    before, after = 0, 0
    for flash in cuts(store.flash, DeviceStore.confirm, some):
        torn = DeviceStore(flash)
        confirmed = torn.entry.state is not UpdateState.TRIAL
        assert torn.boot() == NEW
        if confirmed:
            after += 1
            assert (torn.entry.state, torn.entry.floor) == (UpdateState.STABLE, 4)
            assert old_windows(flash) == 0
            with pytest.raises(PatchError, match="expected one on trial"):
                torn.reject()
        else:
            before += 1
    assert min(before, after) > 50
    require_only_new(torn)


def test_cut_again_while_recovering() -> None:
    store = device()
    store.install(PATCH, now=NO_CLOCK)
    states = 0
    for first in cuts(store.flash, DeviceStore.confirm, few):
        if DeviceStore(first).entry.state is UpdateState.CONFIRMED:
            for second in cuts(first, DeviceStore.boot, few):
                states += 1
                assert DeviceStore(second).boot() == NEW
                assert old_windows(second) == 0
    assert states > 500


def test_cut_while_going_back() -> None:
    store = device()
    store.install(PATCH, now=NO_CLOCK)
    booted = {DeviceStore(flash).boot() for flash in cuts(store.flash, DeviceStore.reject)}
    assert booted == {OLD, NEW}
    assert store.reject() == OLD
    finish(store)
    require_only_new(store)


def test_a_damaged_trial_falls_back_and_a_damaged_network_is_not_run() -> None:
    store = device()
    store.install(PATCH, now=NO_CLOCK)
    slot = 2 * store.flash.block + store.slot_bytes
    store.flash.data[slot + 40] ^= 1
    assert store.boot() == OLD
    store.flash.data[2 * store.flash.block + 40] ^= 1
    with pytest.raises(PatchError, match="damaged"):
        store.boot()


def test_refuses_what_is_out_of_turn() -> None:
    store = device()
    for action in (store.confirm, store.reject):
        with pytest.raises(PatchError, match="is stable; expected one on trial"):
            action()
    before = bytes(store.flash.data)
    with pytest.raises(PatchError, match="cut off or altered"):
        store.install(PATCH[:-1], now=NO_CLOCK)
    with pytest.raises(PatchError, match="other values"):
        store.install(encode_patch(CONTENTS[1], CONTENTS[0], sequence=9), now=NO_CLOCK)
    assert bytes(store.flash.data) == before
    store.install(PATCH, now=NO_CLOCK)
    with pytest.raises(PatchError, match="an update is trial"):
        store.install(PATCH, now=NO_CLOCK)


def test_flash_behaves_like_flash() -> None:
    flash = Flash.empty(2, page=32, block=128)
    flash.write(32, b"abc")
    with pytest.raises(PatchError, match="is not erased"):
        flash.write(32, b"abc")
    with pytest.raises(PatchError, match="multiple of 128"):
        flash.erase(32)
    with pytest.raises(PatchError, match="multiple of 32"):
        flash.write(256, b"")
    flash.erase(0)
    assert flash.read(0, 256) == b"\xff" * 256
    with pytest.raises(PatchError, match="whole pages"):
        Flash.empty(1, page=48, block=128)
    with pytest.raises(PatchError, match="image of at most"):
        DeviceStore.create(Flash.empty(4), b"no image")


def test_a_device_that_checks_signatures_installs_nothing_else() -> None:
    seen: list[bytes] = []

    def require_signed(patch: bytes) -> None:
        seen.append(patch)
        if patch != PATCH:
            raise PatchError("not signed")

    store = device()
    for patch in (b"", b"OBQP", PATCH + b"x"):
        with pytest.raises(PatchError, match="not signed"):
            store.install(patch, require_signed, now=NO_CLOCK)
    assert store.boot() == OLD
    store.install(PATCH, require_signed, now=NO_CLOCK)
    assert store.boot() == NEW
    assert len(seen) == 4
