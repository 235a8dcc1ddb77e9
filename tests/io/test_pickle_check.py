"""What a pickle would build is counted before anything is built, whatever writes it."""

import io
import pickle
import pickletools
from collections import OrderedDict
from typing import Any

import pytest

from obliq.errors import ObliqError
from obliq.io.budget import STEP, Budget
from obliq.io.pickle_check import check_pickle

SHARED = ["shared"]
PLAIN: list[Any] = [
    None,
    [],
    {"a": (1, 2.5, "x", b"y", True), "b": [{}, set(), frozenset({3})]},
    [SHARED, SHARED, (SHARED,) * 4],
    OrderedDict(a=1, b=[2]),
    bytearray(b"abc"),
    [list(range(1100))],
]


def counted(pickled: bytes, without: tuple[str, ...] = ()) -> Budget:
    budget = Budget(len(pickled))
    opened = io.BytesIO(pickled + b"behind it")
    check_pickle(opened, budget, without)
    assert opened.read() == b"behind it"
    return budget


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_are_accepted_and_every_opcode_is_counted(protocol: int) -> None:
    for value in PLAIN:
        pickled = pickle.dumps(value, protocol)
        opcodes = list(pickletools.genops(pickled))
        texts = sum(len(one) for _, one, _ in opcodes if isinstance(one, str | bytes | bytearray))
        budget = counted(pickled)
        assert (budget.memory, budget.work) == (512 * len(opcodes) + 2 * texts, 5 * STEP * len(opcodes))


def nested(depth: int) -> Any:
    value: Any = ()
    for _ in range(depth - 1):
        value = (value,)
    return value


def doubled(times: int) -> Any:
    """Two to the power of `times` references to one value."""
    value: Any = 1
    for _ in range(times):
        value = [value, value]
    return value


@pytest.mark.parametrize(
    ("accepted", "refused"),
    [
        (nested(99), nested(100)),
        ([{"a": nested(97)}], [{"a": nested(98)}]),
        (doubled(23), [*doubled(23), 1]),  # 2^24 values with the end of the pickle
    ],
)
def test_values_in_values_have_an_end(accepted: object, refused: object) -> None:
    for protocol in (0, 2, 4):
        counted(pickle.dumps(accepted, protocol))
        with pytest.raises(ObliqError, match="values in values without end"):
            counted(pickle.dumps(refused, protocol))


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_names_that_may_not_be_called(protocol: int) -> None:
    pickled = pickle.dumps(OrderedDict(), protocol)
    counted(pickled, ("Ordered", "dict"))
    if protocol < 4:  # newer ones put the name together on the stack
        with pytest.raises(ObliqError, match="a pickle that calls collections OrderedDict; expected plain"):
            counted(pickled, ("OrderedDict",))
    with pytest.raises(ObliqError, match="a pickle that calls a b; expected"):
        counted(b"(ia\nb\n.", ("b",))


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (b"", "a damaged pickle"),
        (b".", "a damaged pickle"),  # nothing to return
        (b"N", "a damaged pickle"),  # no end
        (b"]N", "a damaged pickle"),
        (b"(0.", "a damaged pickle"),
        (b"(q\x00.", r"a damaged pickle \(a mark is kept\)"),
        (b"(\x94.", r"a damaged pickle \(a mark is kept\)"),
        (b"](a.", r"a damaged pickle \(a value is missing\)"),
        (b"h\x00.", "a damaged pickle"),  # nothing is kept there
        (b"Ntu.", "a damaged pickle"),  # no mark
        (b"]r\xe9\x03\x00\x00.", "keeps a value at place 1001; expected the next one"),
        (b"]p1001\n.", "keeps a value at place 1001; expected the next one"),
    ],
)
def test_damage_is_one_line(pickled: bytes, message: str) -> None:
    with pytest.raises(ObliqError, match=message) as refused:
        counted(pickled)
    assert "\n" not in str(refused.value)


def test_places_may_leave_gaps() -> None:
    """Writers in C number places as they like: up to 1,000 beyond twice as many as there are."""
    counted(b"]r\xe8\x03\x00\x00r\xea\x03\x00\x00.")
    with pytest.raises(ObliqError, match="at place 1003"):
        counted(b"]r\xe8\x03\x00\x00r\xeb\x03\x00\x00.")
