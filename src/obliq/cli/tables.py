"""Tables and lists of text that fit a terminal of 80 columns."""

from collections.abc import Mapping, Sequence

COLUMNS = 80
GAP = 2


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table: the first column on the left, the others on the right under their heads.

    A name too long for the first column gets a line of its own, with its cells below.
    """
    widths = [
        max(map(len, column)) + GAP for column in zip(head[1:], *(row[1:] for row in rows), strict=True)
    ]
    longest = max(len(row[0]) for row in [head, *rows])
    first = min(longest, max(COLUMNS - sum(widths), len(head[0])))
    lines = []
    for name, *cells in [head, *rows]:
        texts = "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        lines += [name, " " * first + texts] if len(name) > first else [f"{name:<{first}}{texts}"]
    return lines


def fields(values: Mapping[str, str]) -> list[str]:
    """Names and values under each other."""
    width = max(map(len, values)) + GAP
    return [f"{name:<{width}}{value}" for name, value in values.items()]


def number(value: float | None, digits: int = 1) -> str:
    """A number, or a dash where there is none."""
    return "-" if value is None else f"{value:,.{digits}f}"


def settings(values: Mapping[str, object]) -> str:
    """The settings of a method or a recipe in one line."""
    return ", ".join(f"{name}={value}" for name, value in values.items())
