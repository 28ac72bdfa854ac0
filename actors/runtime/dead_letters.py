"""Messages that nobody handled, with the reason: a failure, a full mailbox, no such actor."""

from __future__ import annotations

import itertools
import threading
import traceback
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import msgspec

from settings.masking import cut

if TYPE_CHECKING:
    from collections.abc import Callable

CAPACITY: Final = 1_000
_LINE_LIMIT: Final = 500
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

    Past the bound the oldest is dropped. A message whose type bounds `kept_letters` is not kept
    while so many of that type are. Counts stay. Thread-safe.

    Args:
        count_dropped: Called, in any thread, for each letter that is dropped or not kept.
    """

    def __init__(self, count_dropped: Callable[[], None] = lambda: None) -> None:
        self._count_dropped = count_dropped
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._letters: deque[DeadLetter] = deque()
        self._counts: dict[str, int] = {}

    def add(
        self, at_us: int, actor: str, reason: str, message: Any, error: BaseException | None
    ) -> DeadLetter:
        """Keep a message that was not handled, if there is room for one of its type."""
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
            is_dropping = self._keep(letter)
            self._counts[reason] = self._counts.get(reason, 0) + 1
        if is_dropping:
            self._count_dropped()
        return letter

    def _keep(self, letter: DeadLetter) -> bool:
        """Append a letter; True when this one, or the oldest, found no room."""
        kind = type(letter.message)
        limit: int | None = getattr(kind, "kept_letters", None)
        if limit is not None and limit <= sum(type(each.message) is kind for each in self._letters):
            return True
        self._letters.append(letter)
        if len(self._letters) <= CAPACITY:
            return False
        self._letters.popleft()
        return True

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
    return cut(f"{type(error).__name__}: {error}", _LINE_LIMIT)


def traceback_of(error: BaseException) -> str:
    """Give the traceback as text: its end, bounded, without the values of variables."""
    text = "".join(traceback.format_exception(error))
    if len(text) <= _TEXT_LIMIT:
        return text
    # Whole lines: the end of a secret, cut off from its beginning, would not be found.
    whole = text[-_TEXT_LIMIT:].partition("\n")[2]
    return whole or cut(text.splitlines()[-1], _TEXT_LIMIT)
