"""What the API shows of a dead letter: its content as JSON, bounded, secrets masked. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from api.dead_letters.schemas import DeadLetter
from api.health.views import iso

if TYPE_CHECKING:
    from actors.runtime import DeadLetter as Kept
    from telemetry import Redactor

CUT: Final = "..."
"""Stands where something was left out."""
_DEPTH: Final = 8


@dataclass(frozen=True)
class Bounds:
    """How much of a message is shown."""

    values: int
    """Texts and numbers, all together."""
    characters: int
    """Of one text."""


IN_A_LIST: Final = Bounds(values=60, characters=200)
ALONE: Final = Bounds(values=2_000, characters=16_384)


def letter_of(letter: Kept, redactor: Redactor, bounds: Bounds) -> DeadLetter:
    """Show a dead letter. Secrets are masked before anything is cut, so no half of one stays."""
    return DeadLetter(
        id=letter.id,
        at=iso(letter.at_us),
        actor=letter.actor,
        reason=letter.reason,
        message_type=type(letter.message).__name__,
        message=bounded(redactor.value(builtins_of(letter.message)), bounds),
        error=None if letter.error is None else redactor.text(letter.error),
        traceback=None if letter.traceback is None else redactor.text(letter.traceback),
    )


def builtins_of(message: Any) -> Any:
    """Turn a message into what JSON has words for; what it has none for becomes its `repr`."""
    try:
        return msgspec.to_builtins(message, builtin_types=(bytes,), str_keys=True, enc_hook=repr)
    except (TypeError, ValueError, RecursionError):
        return repr(message)


def bounded(value: Any, bounds: Bounds) -> Any:
    """Cut a JSON value to its bounds, and write figures that JSON does not have as text."""
    return _Cutter(bounds).cut(value, 0)


class _Cutter:
    def __init__(self, bounds: Bounds) -> None:
        self._left = bounds.values
        self._characters = bounds.characters

    def cut(self, value: Any, depth: int) -> Any:
        match value:
            case dict():
                return self._fields(value, depth)
            case list() | tuple():
                return self._items(value, depth)
            case _:
                self._left -= 1
                return self._plain(value)

    def _fields(self, value: dict[Any, Any], depth: int) -> Any:
        if depth >= _DEPTH:
            return CUT
        shown: dict[str, Any] = {}
        for name, field in value.items():
            if self._left <= 0:
                shown[CUT] = f"{len(value) - len(shown)} more"
                break
            shown[self._text(str(name))] = self.cut(field, depth + 1)
        return shown

    def _items(self, value: list[Any] | tuple[Any, ...], depth: int) -> Any:
        if depth >= _DEPTH:
            return CUT
        shown: list[Any] = []
        for item in islice(value, max(0, self._left)):
            if self._left <= 0:
                break
            shown.append(self.cut(item, depth + 1))
        if len(shown) < len(value):
            shown.append(f"{CUT} {len(value) - len(shown)} more")
        return shown

    def _plain(self, value: Any) -> Any:
        match value:
            case str():
                return self._text(value)
            case float() if not math.isfinite(value):
                return str(value)
            case None | bool() | int() | float():
                return value
            case _:
                return self._text(repr(value))

    def _text(self, text: str) -> str:
        if len(text) <= self._characters:
            return text
        return text[: self._characters] + CUT
