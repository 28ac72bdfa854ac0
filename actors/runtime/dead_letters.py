"""Messages that nobody handled, with the reason: a failure, a full mailbox, no such actor."""

from __future__ import annotations

import itertools
import threading
import traceback
from collections import deque
from typing import Any, Final

import msgspec

CAPACITY: Final = 1_000
_TEXT_LIMIT: Final = 8_192


class DeadLetter(msgspec.Struct, frozen=True):
    """One message that was not handled."""

    id: int
    at_us: int
    actor: str
    reason: str
    """"failed", "full" (or paused), "gone", "stopped" or "refused" (by the actor itself)."""
    message: Any
    error: str | None
    traceback: str | None


class DeadLetters:
    """The newest dead letters, and how many there were.

    Past the bound the oldest is dropped; counts stay. Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._letters: deque[DeadLetter] = deque(maxlen=CAPACITY)
        self._counts: dict[str, int] = {}

    def add(
        self, at_us: int, actor: str, reason: str, message: Any, error: BaseException | None
    ) -> DeadLetter:
        """Keep a message that was not handled."""
        letter = DeadLetter(
            id=next(self._ids),
            at_us=at_us,
            actor=actor,
            reason=reason,
            message=message,
            error=describe(error) if error else None,
            traceback=traceback_of(error) if error else None,
        )
        with self._lock:
            self._letters.append(letter)
            self._counts[reason] = self._counts.get(reason, 0) + 1
        return letter

    def all(self) -> list[DeadLetter]:
        """List what is kept, oldest first."""
        with self._lock:
            return list(self._letters)

    def get(self, letter_id: int) -> DeadLetter | None:
        """Find one that is kept; None when there is none of this id."""
        with self._lock:
            return next((letter for letter in self._letters if letter.id == letter_id), None)

    def remove(self, letter_id: int) -> DeadLetter | None:
        """Let one go and return it; None when there is none of this id. Counts stay."""
        with self._lock:
            for index, letter in enumerate(self._letters):
                if letter.id == letter_id:
                    del self._letters[index]
                    return letter
        return None

    def counts(self) -> dict[str, int]:
        """Count all dead letters so far by reason."""
        with self._lock:
            return dict(self._counts)


def describe(error: BaseException) -> str:
    """Name an error in one bounded line."""
    return f"{type(error).__name__}: {error}"[:500]


def traceback_of(error: BaseException) -> str:
    """Give the traceback as text: its end, bounded, without the values of variables."""
    return "".join(traceback.format_exception(error))[-_TEXT_LIMIT:]
