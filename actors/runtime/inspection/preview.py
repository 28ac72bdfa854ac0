"""Values as short lines that people read: bounded in work and length, harmless in a terminal. Pure.

Guarantees: never longer than asked for; no control characters and no half surrogate pairs, whatever
a coin is called; of an object that is no plain value only its type; of a mapping only its keys
unless asked, because settings that an operator typed are mappings, and some of them are secrets.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import msgspec

from settings.masking import CUT, cut

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

SUMMARY_CHARS: Final = 400
_ITEMS: Final = 8
"""Shown of a collection; how many more there are is said."""
_TEXT_CHARS: Final = 120
"""Shown of a text: a signature, the longest of our values, has 88 characters."""
_DEPTH: Final = 5
_INT_BITS: Final = 256
"""Longer integers are no figures of ours, and slow to spell."""


def summary_of(value: Any, limit: int = SUMMARY_CHARS, *, values: bool = False) -> str:
    """Describe a value in one line of at most `limit` characters.

    Args:
        value: anything; a message, mostly.
        limit: the most characters, at least 3.
        values: show the values of mappings too, not their keys alone.
    """
    parts: list[str] = []
    left = limit
    for piece in _pieces(value, _DEPTH, values):
        if len(piece) > left:
            return cut("".join(parts) + piece, limit)
        parts.append(piece)
        left -= len(piece)
    return "".join(parts)


def _pieces(value: Any, depth: int, values: bool) -> Iterator[str]:
    match value:
        case Enum():
            yield value.name
        case None | bool() | float():
            yield repr(value)
        case int():
            yield repr(value) if value.bit_length() <= _INT_BITS else "a very long integer"
        case str():
            yield repr(value[:_TEXT_CHARS]) + (CUT if len(value) > _TEXT_CHARS else "")
        case bytes() | bytearray() | memoryview():
            yield f"{len(value)} bytes"
        case msgspec.Struct() | tuple() | list() | dict() | set() | frozenset() if depth == 0:
            yield CUT
        case msgspec.Struct():
            yield from _struct(value, depth - 1, values)
        case dict():
            yield from _mapping(value, depth - 1, values)
        case tuple() | list() | set() | frozenset():
            yield from _collection(value, depth - 1, values)
        case _:
            yield type(value).__name__


def _struct(value: msgspec.Struct, depth: int, values: bool) -> Iterator[str]:
    yield type(value).__name__ + "("
    for index, name in enumerate(value.__struct_fields__):
        yield f", {name}=" if index else f"{name}="
        yield from _pieces(getattr(value, name), depth, values)
    yield ")"


def _mapping(value: dict[Any, Any], depth: int, values: bool) -> Iterator[str]:
    yield "{"
    for index, (key, item) in enumerate(_first(value.items())):
        yield ", " if index else ""
        yield from _pieces(key, depth, values)
        if values:
            yield ": "
            yield from _pieces(item, depth, values)
    yield _more(value) + "}"


def _collection(value: Collection[Any], depth: int, values: bool) -> Iterator[str]:
    yield "("
    for index, item in enumerate(_first(value)):
        yield ", " if index else ""
        yield from _pieces(item, depth, values)
    yield _more(value) + ")"


def _first(items: Iterable[Any]) -> Iterator[Any]:
    for _, item in zip(range(_ITEMS), items, strict=False):
        yield item


def _more(items: Collection[Any]) -> str:
    return f", and {len(items) - _ITEMS} more" if len(items) > _ITEMS else ""
