"""Tables are read as the reference library writes them, and nothing outside the bytes is."""

import pytest

from obliq.errors import ModelError
from obliq.exporting.executorch.flatbuffer import Table, root, stretch
from obliq.exporting.executorch.schema import TableField, parse_schema
from obliq.io.budget import Budget

flatbuffers = pytest.importorskip("flatbuffers", reason="flatbuffers comes with the extra `onnx`")

SCHEMA = parse_schema("""
enum Colour : ushort { red = 0, blue = 1 }
union Held { Inner, Again: Inner, Nothing }  // numbered from 1
table Inner { number: uint; }
table Outer {
  name: string;      // a text: with a colon
  missing: uint;
  share: float = 1;
  numbers: [uint];
  inner: [Inner] (required);
  one: Inner;
  long: uint64;
  held: Held;
  colour: Colour;
}
root_type Outer;
""")


def test_a_schema_numbers_its_fields_and_a_union_takes_two() -> None:
    assert SCHEMA.tables["Outer"] == {
        "name": TableField(0, "string"),
        "missing": TableField(1, "uint"),
        "share": TableField(2, "float"),
        "numbers": TableField(3, "[uint]"),
        "inner": TableField(4, "[Inner]"),
        "one": TableField(5, "Inner"),
        "long": TableField(6, "uint64"),
        "held": TableField(8, "Held"),
        "colour": TableField(9, "Colour"),
    }
    assert SCHEMA.unions["Held"] == (("Inner", "Inner"), ("Again", "Inner"), ("Nothing", "Nothing"))
    assert (SCHEMA.letter("Colour"), SCHEMA.letter("uint64")) == ("H", "Q")
    with pytest.raises(ModelError, match="no field colours of Outer in the schema"):
        SCHEMA.field("Outer", "colours")


def outer(data: bytes) -> Table:
    return root(memoryview(data), "Outer", SCHEMA, Budget(len(data)))


def written() -> bytes:
    """An `Outer`, without its field `missing`."""
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
    builder.StartObject(10)
    builder.PrependUOffsetTRelativeSlot(0, text, 0)
    builder.PrependFloat32Slot(2, 0.5, 0)
    builder.PrependUOffsetTRelativeSlot(3, numbers, 0)
    builder.PrependUOffsetTRelativeSlot(4, tables, 0)
    builder.PrependUOffsetTRelativeSlot(5, inner[1], 0)
    builder.PrependUint64Slot(6, 2**40, 0)
    builder.PrependUint8Slot(7, 2, 0)
    builder.PrependUOffsetTRelativeSlot(8, inner[0], 0)
    builder.PrependUint16Slot(9, 1, 0)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())


def everything(data: bytes) -> list[object]:
    table = outer(data)
    member, held = table.member("held")
    return [
        table.text("name"),
        table.whole("missing"),
        table.number("share"),
        table.wholes("numbers", 3),
        [one.whole("number") for one in table.tables("inner", 2)],
        table.table("one").whole("number"),
        table.whole("long"),
        (member, held.whole("number")),
        table.whole("colour"),
    ]


def test_what_was_written_is_read() -> None:
    assert everything(written()) == [b"a name", 0, 0.5, (1, 2, 3), [7, 300], 300, 2**40, ("Again", 7), 1]


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
    data = written()
    table = outer(data)
    with pytest.raises(ModelError, match="a list of 2 entries; expected at most 1"):
        table.tables("inner", 1)
    with pytest.raises(ModelError, match="a list of 3 entries; expected at most 2"):
        table.wholes("numbers", 2)
    other = parse_schema("table Other { a: string; gone: Other; }")
    lacking = Table(memoryview(data), table.position, "Other", other, Budget(len(data)))
    with pytest.raises(ModelError, match="Other without its field gone; expected one"):
        lacking.table("gone")
    narrow = parse_schema(
        "union Held { Inner } table Outer { a: uint; b: uint; c: uint; d: uint; e: uint; f: uint; "
        "g: uint; held: Held; }"
    )
    with pytest.raises(ModelError, match="member 2 of Held; expected 1 to 1"):
        root(memoryview(data), "Outer", narrow, Budget(len(data))).member("held")
    for start, size in ((-1, 2), (3, 2), (0, 5), (2**63, 1)):
        with pytest.raises(ModelError, match="expected them inside"):
            stretch(memoryview(b"four"), start, size)
    with pytest.raises(ModelError, match="expected them inside"):
        Table(memoryview(b"four"), 2**40, "Inner", SCHEMA, Budget(4)).whole("number")
