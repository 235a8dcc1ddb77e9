"""Tables are read as the reference library writes them, and nothing outside the bytes is."""

import pytest

from obliq.errors import ModelError
from obliq.exporting.executorch.flatbuffer import Table, root, stretch

flatbuffers = pytest.importorskip("flatbuffers", reason="flatbuffers comes with the extra `onnx`")


def written() -> bytes:
    """A table: 0 a text, 1 left out, 2 a float, 3 a vector of numbers, 4 a vector of tables, 5 a table, 6 a long."""
    builder = flatbuffers.Builder(0)
    text = builder.CreateString("a name")
    inner = []
    for number in (7, 300):
        builder.StartObject(1)
        builder.PrependUint32Slot(0, number, 0)
        inner.append(builder.EndObject())
    builder.StartVector(4, 3, 4)
    for number in (3, 2, 1):
        builder.PrependUint32(number)
    numbers = builder.EndVector()
    builder.StartVector(4, 2, 4)
    for table in reversed(inner):
        builder.PrependUOffsetTRelative(table)
    tables = builder.EndVector()
    builder.StartObject(7)
    builder.PrependUOffsetTRelativeSlot(0, text, 0)
    builder.PrependFloat32Slot(2, 0.5, 0)
    builder.PrependUOffsetTRelativeSlot(3, numbers, 0)
    builder.PrependUOffsetTRelativeSlot(4, tables, 0)
    builder.PrependUOffsetTRelativeSlot(5, inner[1], 0)
    builder.PrependUint64Slot(6, 2**40, 0)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())


def everything(data: bytes) -> list[object]:
    table = root(memoryview(data))
    inner = [one.whole(0) for one in table.tables(4, 2)]
    return [
        table.text(0), table.whole(1), table.number(2, "f"), table.wholes(3, 3), inner, table.table(5).whole(0),
        table.whole(6, "Q"), table.whole(9),
    ]  # fmt: skip


def test_what_was_written_is_read() -> None:
    assert everything(written()) == [b"a name", 0, 0.5, (1, 2, 3), [7, 300], 300, 2**40, 0]


def read_or_none(data: bytes) -> list[object] | None:
    try:
        return everything(data)
    except ModelError:
        return None


def test_a_shorter_buffer_is_refused_or_read_the_same() -> None:
    data = written()
    found = [read_or_none(data[:length]) for length in range(len(data))]
    assert found.count(None) > len(data) / 2
    assert all(values in (None, everything(data)) for values in found)


def test_an_altered_byte_is_refused_or_read_within_the_buffer() -> None:
    data = written()
    found = [
        read_or_none(data[:place] + bytes([value]) + data[place + 1 :])
        for place in range(len(data))
        for value in (0, 1, 127, 255)
    ]
    assert 0 < found.count(None) < len(found)


def test_long_lists_missing_fields_and_places_outside_are_refused() -> None:
    table = root(memoryview(written()))
    with pytest.raises(ModelError, match="a list of 2 entries; expected at most 1"):
        table.tables(4, 1)
    with pytest.raises(ModelError, match="a list of 3 entries; expected at most 2"):
        table.wholes(3, 2)
    with pytest.raises(ModelError, match="a table without its field 1; expected one"):
        table.table(1)
    for start, size in ((-1, 2), (3, 2), (0, 5), (2**63, 1)):
        with pytest.raises(ModelError, match="expected them inside"):
            stretch(memoryview(b"four"), start, size)
    with pytest.raises(ModelError, match="expected them inside"):
        Table(memoryview(b"four"), 2**40).whole(0)
