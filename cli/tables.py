"""Columns for a terminal, from what strangers may have named. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_WIDEST: Final = 100
_GAP: Final = "  "


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Write rows below a head, numbers to the right; a text longer than 100 is cut."""
    cells = [[cell_of(value) for value in row] for row in rows]
    kinds = [list(column) for column in zip(*cells, strict=True)] if cells else []
    widths = [
        max(len(name), *(len(text) for text, _ in kinds[place]), 0) if kinds else len(name)
        for place, name in enumerate(head)
    ]
    to_right = [bool(kinds) and all(number for _, number in kinds[p]) for p in range(len(head))]
    lines = [list(head), *([text for text, _ in row] for row in cells)]
    return [_line(line, widths, to_right) for line in lines]


def pairs(rows: Iterable[tuple[str, Any]]) -> list[str]:
    """Write labels with what belongs to them."""
    found = list(rows)
    width = max((len(label) for label, _ in found), default=0)
    return [f"{label:<{width}}{_GAP}{cell_of(value)[0]}".rstrip() for label, value in found]


def cell_of(value: Any) -> tuple[str, bool]:
    """Write a value, and say whether it is a number, or none at all."""
    match value:
        case None:
            return "-", True
        case bool():
            return ("yes" if value else "no"), False
        case int():
            return f"{value:,}", True
        case float():
            return f"{value:.6g}", True
        case _:
            return plain(str(value))[:_WIDEST], False


def plain(text: str) -> str:
    """Take out what a terminal would obey, such as escape sequences in the name of a coin."""
    return "".join(c if c.isprintable() else " " for c in text)


def _line(cells: Sequence[str], widths: Sequence[int], to_right: Sequence[bool]) -> str:
    written = [
        text.rjust(width) if right else text.ljust(width)
        for text, width, right in zip(cells, widths, to_right, strict=True)
    ]
    return _GAP.join(written).rstrip()
