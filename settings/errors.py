"""What is said about a setting that cannot be used: one sentence a mistake, and never a secret."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import PydanticCustomError

from settings.masking import MASK, mask_misplaced, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

REFUSED: Final = "refused"
_FOUND_CHARACTERS: Final = 200
"""Of a value that is refused: enough to recognise it."""


class SettingsError(Exception):
    """The configuration cannot be used.

    `errors` holds one sentence a mistake: the setting, what was found (never a secret), what is
    expected, what to do.
    """

    def __init__(self, errors: Iterable[str]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(self.errors))


def refuse(expected: str) -> PydanticCustomError:
    """Make the error of a validator: `expected` completes "but ... is expected"."""
    return PydanticCustomError(REFUSED, "{expected}", {"expected": expected})


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean X?` for a misspelled name; empty when nothing is close."""
    by_name = {text.upper(): text for text in known}
    close = difflib.get_close_matches(name.upper(), list(by_name), n=1, cutoff=0.7)
    return f" Did you mean {by_name[close[0]]}?" if close else ""


def mistake(
    name: str, error: ErrorDetails, found: object, fields: Mapping[str, FieldInfo], remedy: str
) -> str:
    """Say what is wrong with one value.

    Args:
        name: The setting's attribute.
        error: What its validator found.
        found: The value as it was given.
        fields: Every setting.
        remedy: What to do besides correcting it, such as "leave it out for 10".
    """
    info = fields[name]
    value = MASK if is_secret(info) else _found(name, found)
    return f"{name.upper()} is {value}, but {_expected(info, error)} is expected: {remedy}."


def default_of(name: str, info: FieldInfo) -> Any:
    """Give the default of a setting as it may be shown."""
    return shown(name.upper(), info.get_default(call_default_factory=True))


def is_secret(info: FieldInfo) -> bool:
    """Say whether a setting may never be shown as it is."""
    return "Secret" in str(info.annotation)


def _found(name: str, found: object) -> str:
    if isinstance(found, dict):
        return "an object"
    if isinstance(found, list):
        return "a list"
    text = shown(name.upper(), found)
    # An address in the wrong place may hold a password. A pattern may hold :// and is no address.
    if isinstance(text, str) and name not in {"ws_uri", "bad_names_pattern"}:
        text = mask_misplaced(text)
    if not isinstance(text, str) or text == MASK:
        return str(text)
    return repr(text if len(text) <= _FOUND_CHARACTERS else f"{text[:_FOUND_CHARACTERS]}...")


def _expected(info: FieldInfo, error: ErrorDetails) -> str:
    kind = str(error["type"])
    if kind == REFUSED:
        return str(error["ctx"]["expected"])
    if kind == "literal_error":
        return str(error["ctx"]["expected"]).replace("'", "")
    if kind == "string_too_long":
        return f"a text of at most {error['ctx']['max_length']} characters"
    if info.annotation is bool:
        return "true or false"
    if info.annotation in {int, float}:
        return _number(info)
    return "a text that fits"


def _number(info: FieldInfo) -> str:
    """Say the bounds of a number, such as "a whole number from 10 to 3600"."""
    noun = "a whole number" if info.annotation is int else "a number"
    limits = {
        kind: getattr(m, kind)
        for m in info.metadata
        for kind in ("gt", "ge", "le")
        if hasattr(m, kind)
    }
    low = f"above {limits['gt']:g} and" if "gt" in limits else f"from {limits['ge']:g}"
    return f"{noun} {low} {'up ' if 'gt' in limits else ''}to {limits['le']:.0f}"
