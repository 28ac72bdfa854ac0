"""What a control frame of the server means.

The server acknowledges and refuses in frames of the same look, and a refusal can stand in
`message` or in `errors`; so the text decides, wherever it stands.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from actors.connection.decoder import ControlFrame

REMEMBERED_TEXTS: Final = 200
"""Complaints remembered as logged; past the bound the oldest may be logged again."""

_REFUSALS: Final = ("api key", "0.02 sol", "minimum balance")
_TRADE_CALL: Final = "subscribetokentrade"


class Ack(StrEnum):
    """Which calls an acknowledgement can answer. The text is all there is: no id, no echo."""

    NEW_TOKEN = "new_token"  # noqa: S105 - a kind of acknowledgement, no password
    MIGRATION = "migration"
    KEYS = "keys"
    UNSUBSCRIBED = "unsubscribed"


_ACKS: Final = (
    ("successfully subscribed to token creation", Ack.NEW_TOKEN),
    ("subscribed to 'migration'", Ack.MIGRATION),
    ("successfully subscribed to keys", Ack.KEYS),
    ("unsubscribed", Ack.UNSUBSCRIBED),
)


class SubscriptionAcknowledged(msgspec.Struct, frozen=True):
    """One call was accepted."""

    ack: Ack


class SubscriptionRefused(msgspec.Struct, frozen=True):
    """The server delivers no trades."""

    text: str
    answers_call: bool
    """It stands in place of the acknowledgement of a trade subscription."""


class Complaint(msgspec.Struct, frozen=True):
    """Anything else the server says; changes no state."""

    text: str
    is_error: bool


Meaning = SubscriptionAcknowledged | SubscriptionRefused | Complaint


def meaning_of(control: ControlFrame) -> Meaning:
    """Classify a control frame by its text; a refusal wins over everything else."""
    text = control.text.casefold()
    if any(mark in text for mark in _REFUSALS):
        return SubscriptionRefused(control.text, answers_call=_TRADE_CALL in text)
    if not control.is_error:
        for beginning, ack in _ACKS:
            if text.lstrip().startswith(beginning):
                return SubscriptionAcknowledged(ack)
    return Complaint(control.text, is_error=control.is_error)


class OnceEach:
    """Remembers which texts were seen, within a bound."""

    def __init__(self, limit: int = REMEMBERED_TEXTS) -> None:
        self._limit = limit
        self._seen: dict[str, None] = {}

    def is_new(self, text: str) -> bool:
        """Say whether the text comes for the first time, and remember it."""
        if text in self._seen:
            return False
        self._seen[text] = None
        if len(self._seen) > self._limit:
            del self._seen[next(iter(self._seen))]
        return True
