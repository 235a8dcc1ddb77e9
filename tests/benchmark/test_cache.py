"""The cache: keys, entries, the lock; and which trial is chosen."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obliq.benchmark.cache import Store, StoreError, key_of
from obliq.benchmark.cache_keys import Keys, Origins
from obliq.benchmark.entrants import Contender
from obliq.benchmark.plan import Line, lines
from obliq.benchmark.sources import Sources
from obliq.benchmark.tuning import Tuned, smallest
from obliq.errors import ObliqError
from obliq.io.lock import locked
from tests.benchmark.test_values import origins
from tests.benchmark.toys import Tunable, suite

MADE_BY = {"seed": 1}


def filled(folder: Path) -> Store:
    store = Store(folder)
    store.put(MADE_BY, {"accuracy": 0.5}, lambda draft: (draft / "data").write_bytes(b"content"))
    return store


def test_what_is_put_is_found(tmp_path: Path) -> None:
    store = filled(tmp_path)
    entry = store.find(key_of(MADE_BY))
    assert entry is not None
    assert (entry.values, entry.read("data")) == ({"accuracy": 0.5}, b"content")
    assert store.find(key_of({"seed": 2})) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda place: (place / "data").write_bytes(b"CONTENT"),
        lambda place: (place / "data").unlink(),
        lambda place: (place / "entry.json").write_text("{}"),
        lambda place: (place / "entry.json").unlink(),
        lambda place: _replace(place / "entry.json", "0.5", "0.6"),
        lambda place: _replace(place / "entry.json", '"seed": 1', '"seed": 2'),
    ],
    ids=["other file", "no file", "empty", "no entry", "other number", "made by something else"],
)
def test_what_does_not_agree_with_its_digest_is_refused(
    damage: Callable[[Path], object], tmp_path: Path
) -> None:
    store = filled(tmp_path)
    damage(store.place(key_of(MADE_BY)))
    with pytest.raises(StoreError):
        store.find(key_of(MADE_BY)).read("data")  # type: ignore[union-attr]


def _replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_half_written_entries_are_swept_and_whole_ones_stay(tmp_path: Path) -> None:
    store = filled(tmp_path)
    draft = store.place(key_of(MADE_BY)).with_name(".draft-of-a-dead-process")
    draft.mkdir()
    store.sweep()
    assert not draft.exists()
    assert store.find(key_of(MADE_BY)) is not None


HOLD = "import sys, time; from pathlib import Path; from obliq.io.lock import locked\n" + (
    "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
)


def test_one_run_at_a_time_and_the_dead_do_not_count(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(ObliqError, match=f"in use by process {process.pid} "), locked(tmp_path):
        pass
    process.kill()
    process.communicate()
    with locked(tmp_path):  # nobody had to delete anything
        pass


def _line(contender: Contender, **changes: object) -> tuple[Keys, Line]:
    made = suite("digits", contender, **changes)
    *_, last = lines(made, Tuned({}))
    return Keys(origins(made)), last


def test_a_changed_field_seed_or_bit_width_is_another_key() -> None:
    def key(rate: float, **changes: object) -> str:
        keys, line = _line(Contender(name="a", kind=Tunable, fixed={"learning_rate": rate}), **changes)
        return keys.of(line.tasks[0])

    assert key(0.1) == key(0.1)
    assert len({key(0.1), key(0.2), key(0.1, seeds=(2,)), key(0.1, references=2)}) == 4


def test_changed_data_or_code_is_another_key() -> None:
    keys, line = _line(Contender(name="a", kind=Tunable, fixed={"learning_rate": 0.1}))
    changed = [
        Origins(data={"digits": "1" * 64}, code=keys.origins.code, versions={}),
        *(
            Origins(data=keys.origins.data, code={**keys.origins.code, name: "changed"}, versions={})
            for name in ("training", "auditing", Tunable.__module__)
        ),
    ]
    assert keys.of(line.tasks[0]) not in {Keys(one).of(line.tasks[0]) for one in changed}


def test_an_audit_that_changes_leaves_networks_as_they_are() -> None:
    keys, line = _line(Contender(name="a", kind=Tunable, fixed={"learning_rate": 0.1}))
    other = Keys(
        Origins(data=keys.origins.data, code={**keys.origins.code, "auditing": "changed"}, versions={})
    )
    assert line.of is not None
    assert keys.of(line.of) == other.of(line.of)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (("the old words", "new words"), True),
        (("# a comment", "# another"), True),
        (("(1, 2)", "(3, 4)"), True),
        (("x + 1", "x + 2"), False),
    ],
    ids=["docstring", "comment", "search", "code"],
)
def test_the_digest_of_code_is_about_what_it_does(
    change: tuple[str, str], same: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"sourced_{abs(hash(change))}"
    text = (
        '"""Some, the old words."""\nfrom typing import ClassVar\nimport json\n\nclass A:\n'
        '    search: ClassVar[dict[str, tuple[int, ...]]] = {"a": (1, 2)}\n\n'
        "    def f(self, x):  # a comment\n        return x + 1\n"
    )
    (tmp_path / f"{name}_inner.py").write_text(text)
    (tmp_path / f"{name}.py").write_text(f"from {name}_inner import A\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = Sources().digest([name], alone=[f"{name}_inner"])
    (tmp_path / f"{name}_inner.py").write_text(text.replace(*change))
    assert (Sources().digest([name], alone=[f"{name}_inner"]) == before) is same


def test_imports_count_unless_a_module_stands_alone() -> None:
    whole = Sources().digest(["obliq.data.batches"])
    assert whole != Sources().digest((), alone=["obliq.data.batches"])
    assert whole == Sources().digest(["obliq.data.batches", "obliq.errors"])  # which it imports anyway
    with pytest.raises(ObliqError, match="in no file"):
        Sources().digest(["there.is.no.such.module"])


@given(st.lists(st.none() | st.floats(0, 100), max_size=8))
def test_the_first_of_the_smallest_gaps_is_chosen(gaps: list[float | None]) -> None:
    best = smallest(gaps)
    numbers = [gap for gap in gaps if gap is not None]
    if best is None:
        assert numbers == []
    else:
        assert gaps[best] == min(numbers)
        assert gaps[best] not in gaps[:best]
