"""The fields of ExecuTorch's tables, by the names in the schemas that its package carries.

A schema (`.fbs`) is text: `table NAME { field: type; ... }`, `union NAME { MEMBER, MEMBER: TABLE, ... }` and
`enum NAME : type { ... }`. Fields are numbered in the order in which they stand, a union takes two numbers: one
for its kind, one for its value. Only these rules are followed, since the schemas use no others.
"""

import functools
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from obliq.errors import ModelError

PROGRAM = "exir/_serialize/program.fbs"
"""The schema of a program, within the package."""

XNNPACK = "backends/xnnpack/serialization/schema.fbs"
"""The schema of what a program hands to XNNPACK, within the package."""

_LETTERS = {
    "bool": "?",
    "byte": "b",
    "ubyte": "B",
    "short": "h",
    "ushort": "H",
    "int": "i",
    "uint": "I",
    "uint32": "I",
    "long": "q",
    "int64": "q",
    "ulong": "Q",
    "uint64": "Q",
    "float": "f",
    "double": "d",
}
"""The letter of each number type in `struct`."""


@dataclass(frozen=True)
class TableField:
    """Where a table keeps a value.

    Attributes:
        slot: its number in the table; for a union that of its value, one less is that of its kind.
        kind: its type in the schema, such as `uint`, `[XNode]` or the name of a table.
    """

    slot: int
    kind: str


@dataclass(frozen=True)
class Schema:
    """The tables, unions and enumerations of one schema, by name.

    Attributes:
        tables: the fields of each table.
        unions: the members of each union, from 1, with the table that each holds.
        enumerations: the number type of each enumeration.
    """

    tables: Mapping[str, Mapping[str, TableField]]
    unions: Mapping[str, tuple[tuple[str, str], ...]]
    enumerations: Mapping[str, str]

    def field(self, table: str, name: str) -> TableField:
        """Find a field.

        Raises:
            ModelError: when the schema has no such field.
        """
        try:
            return self.tables[table][name]
        except KeyError:
            raise ModelError(
                f"no field {name} of {table} in the schema of the installed ExecuTorch; expected a release that "
                "obliq supports"
            ) from None

    def letter(self, kind: str) -> str:
        """The letter in `struct` of a type of numbers."""
        return _LETTERS[self.enumerations.get(kind, kind)]


def parse_schema(text: str) -> Schema:
    """Read a schema from its text."""
    text = re.sub(r"//[^\n]*", "", text)
    blocks = re.findall(r"\b(table|union|enum)\s+(\w+)\s*(?::\s*(\w+))?\s*\{([^}]*)\}", text)
    unions = {
        name: tuple(
            (member, table or member)
            for member, table in re.findall(r"(\w+)\s*(?::\s*(\w+))?\s*(?:,|$)", body)
        )
        for word, name, _, body in blocks
        if word == "union"
    }
    tables = {}
    for word, name, _, body in blocks:
        if word != "table":
            continue
        fields, slot = {}, 0
        for field, kind in re.findall(r"(\w+)\s*:\s*(\[?\w+\]?)[^;]*;", body):
            slot += kind in unions
            fields[field] = TableField(slot, kind)
            slot += 1
        tables[name] = fields
    return Schema(tables, unions, {name: kind for word, name, kind, _ in blocks if word == "enum"})


@functools.cache
def installed_schema(path: str) -> Schema:
    """Read a schema of the installed package, without importing the package.

    Args:
        path: `PROGRAM` or `XNNPACK`.

    Raises:
        ModelError: when ExecuTorch is not installed or has no such schema.
    """
    package = importlib.util.find_spec("executorch")
    for folder in (package.submodule_search_locations or ()) if package else ():
        if (Path(folder) / path).is_file():
            return parse_schema((Path(folder) / path).read_text(encoding="utf-8"))
    raise ModelError(
        f"no {path} of ExecuTorch is installed; expected the extra executorch: pip install '.[executorch]' in a "
        "checkout of obliq"
    )
