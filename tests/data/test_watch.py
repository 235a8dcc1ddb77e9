"""Motion of a smart watch from files in the form of seglearn's, and files that are no such recordings."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from obliq.data import Collection, load_dataset
from obliq.data.watch import CHANNELS, STEPS, WATCH_FILE
from obliq.errors import DataError
from obliq.io.isolated.reader import ReadArrays

NAMES = ["PEN", "ABD", "FEL", "IR", "ER", "TRAP", "ROW"]


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OBLIQ_DATA", raising=False)


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading without a child, which would take most of the time of many files."""
    monkeypatch.setattr("obliq.io.isolated.child.can_isolate", lambda: False)


def recordings(*lengths: int, kind: str = "<f8", **changed: Any) -> dict[str, Any]:
    """Recordings of these lengths in the order of columns, as in the original, with what else its dictionary has."""
    draw = np.random.default_rng(0)
    count = len(lengths)
    return {
        "X": [np.asfortranarray(draw.normal(size=(length, CHANNELS)).astype(kind)) for length in lengths],
        "y_labels": NAMES,
        "y": np.arange(count) % len(NAMES),
        "subject": np.arange(count) // len(NAMES) + 1,
        "side": np.arange(count) % 2.0,
        "X_labels": ["ax", "ay", "az", "wx", "wy", "wz"],
    } | changed


def as_file(content: object, protocol: int = 2) -> bytes:
    """NumPy's file of an array of one object; the original has protocol 2."""
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "|O", "fortran_order": False, "shape": ()})
    held = np.empty((), object)
    held[()] = content
    return out.getvalue() + pickle.dumps(held, protocol=protocol)


def load(folder: Path, content: bytes) -> Collection:
    (folder / WATCH_FILE).write_bytes(content)
    return load_dataset("watch", folder)


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("kind", ["<f8", ">f8", "<f4"])
def test_windows_classes_and_people(tmp_path: Path, kind: str, protocol: int) -> None:
    held = recordings(2 * STEPS + 7, STEPS - 1, STEPS, 3 * STEPS, kind=kind, subject=np.array([4, 4, 9, 2]))
    collection = load(tmp_path, as_file(held, protocol))
    first, _, third, last = (one.astype(np.float32).T for one in held["X"])
    windows = [first[:, :100], first[:, 100:200], third, last[:, :100], last[:, 100:200], last[:, 200:]]
    assert np.array_equal(collection.inputs.numpy(), np.stack(windows))
    assert collection.labels.tolist() == [0, 0, 2, 3, 3, 3]
    assert collection.subjects is not None
    assert collection.subjects.tolist() == [4, 4, 9, 2, 2, 2]
    assert (collection.class_names, collection.sample_shape) == (tuple(NAMES), (CHANNELS, STEPS))
    assert collection.official_test is None


def test_what_numpy_saves_today_is_read_wherever_the_package_was_unpacked(tmp_path: Path) -> None:
    place = tmp_path / "seglearn" / "data"
    place.mkdir(parents=True)
    held = np.empty((), object)
    held[()] = recordings(STEPS, 2 * STEPS)
    np.save(place / WATCH_FILE, held)
    assert len(load_dataset("watch", tmp_path)) == 3


def test_a_missing_file_names_the_package(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"watch_dataset\.npy in .*get the package with `pip download --no-deps"
    ) as caught:
        load_dataset("watch", tmp_path)
    assert str(caught.value).isprintable()


class _Touches:
    """A pickle of this makes a file when it is loaded as usual."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


def test_code_in_the_file_never_runs(tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    for held in (_Touches(trace), recordings(STEPS, X=[_Touches(trace)])):
        content = as_file(held)
        with pytest.raises(DataError, match="which is never run"):
            load(tmp_path, content)
        assert not trace.exists()
    np.load(tmp_path / WATCH_FILE, allow_pickle=True)
    assert trace.exists()  # as it would with NumPy


HEADER = as_file(None)[:128]


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no .npy file"),
        (as_file({})[128:], "no .npy file"),
        (HEADER, "damaged"),
        (as_file(recordings(STEPS))[:-9], "damaged"),
        (b"\x93NUMPY\x02" + as_file({})[7:], "another version of NumPy's format"),
        (HEADER.replace(b"'|O'", b"'<u1"), "no .npy file"),
        (HEADER.replace(b"()", b"(1,)"), "of shape"),
        (as_file([1]), "no dictionary of recordings"),
        (as_file({}), "no list of recordings"),
        (as_file(recordings(STEPS, X=[])), "no list of recordings"),
        (as_file(recordings(STEPS, X=[1.5])), "recording 0 is no array"),
        (as_file(recordings(STEPS, X=[np.array([{}], object)])), "recording 0 is no array"),
        (as_file(recordings(STEPS, X=[np.array([["a"]])])), "numbers of at most 64 bits"),
        (as_file(recordings(STEPS, X=[np.zeros((STEPS, 5))])), r"recording 0 has shape \(100, 5\)"),
        (as_file(recordings(STEPS, X=[np.zeros((2, 3, 4))])), "at most two sizes"),
        (as_file(recordings(STEPS - 1)), "no recording has 100 steps"),
        (as_file(recordings(STEPS, X=[np.full((STEPS, 6), 1e300)])), "NaN or infinity"),
        (as_file(recordings(STEPS, y_labels=["a\x1b[2J"])), "no names of classes"),
        (as_file(recordings(STEPS, y_labels=[], y=np.array([60_000]))), "no names of classes"),
        (as_file(recordings(STEPS, y_labels=["a", "b", "a"])), "each once"),
        (as_file(recordings(STEPS, y_labels=[" "])), "no names of classes"),
        (as_file(recordings(STEPS, y_labels=[str(one) for one in range(1001)])), "no names of classes"),
        (as_file(recordings(STEPS, y=np.array([0, 1]))), "a number from 0 for each of 1 recordings"),
        (as_file(recordings(STEPS, y=np.array([1.0]))), "a number from 0 for each"),
        (as_file(recordings(STEPS, subject=np.array([-1]))), "a number from 0 for each"),
        (as_file(recordings(STEPS, y=np.array([7]))), "labels run from 7 to 7; expected 0 to 6"),
    ],
)
def test_other_content_is_refused_in_one_line(content: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said) as caught:
        load(tmp_path, content)
    assert str(caught.value).isprintable()


@pytest.mark.usefixtures("in_this_process")
def test_a_forged_shape_is_refused(tmp_path: Path) -> None:
    whole = as_file(recordings(STEPS))
    (place,) = (at for at in range(len(whole)) if whole[at : at + 4] == b"Kd" + b"K\x06")
    with pytest.raises(DataError, match="claims shape"):
        load(tmp_path, whole[:place] + b"Ke" + whole[place + 2 :])


@pytest.mark.usefixtures("in_this_process")
def test_one_array_named_many_times_is_not_paid_for_by_a_small_file(tmp_path: Path) -> None:
    held = recordings(STEPS)
    held["X"] = [np.zeros((20_000, CHANNELS))] * 1000  # the pickle has it once
    with pytest.raises(DataError, match=r"would take .* of memory"):
        load(tmp_path, as_file(held))


NUMBERS = np.zeros(2, np.int64)


@pytest.mark.parametrize(
    "changed",
    [
        {"lengths": np.array([0.5, 199.5])},
        {"lengths": np.array([2**62, 2**62], np.int64)},
        {"lengths": np.array([-100, 300], np.int64)},
        {"lengths": NUMBERS[:0], "classes": NUMBERS[:0], "people": NUMBERS[:0]},
        {"classes": NUMBERS[:1]},
        {"classes": np.zeros(2, "<U3")},
        {"people": NUMBERS - 2},
        {"names": ["a\x1b[2J"]},
        {"names": None},
    ],
    ids=str,
)
def test_what_no_reader_answers_is_refused(
    changed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = {"lengths": np.array([STEPS, STEPS]), "classes": NUMBERS, "people": NUMBERS, "names": NAMES}
    lengths, classes, people, names = (sound | changed).values()
    steps = np.zeros((2 * STEPS, CHANNELS), np.float32)
    answer = ReadArrays([steps, lengths, classes, people], {"classes": names})
    monkeypatch.setattr("obliq.io.isolated.child.Child.read", lambda *_: answer)
    with pytest.raises(DataError, match="what no such file holds"):
        load(tmp_path, b"")
