"""Known secrets are replaced by `***`, wherever they turn up."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from settings.masking import MASK, SHORTEST_SECRET, hide, spelled

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["LEARNED", "MASK", "SHORTEST_SECRET", "Redactor"]

LEARNED: Final = 1_000
"""Texts learned while the service runs: some 200 changes of an address with a password."""


class Redactor:
    """Replaces known secrets by `***`, in values of any depth and in the finished line.

    Thread-safe: readers take the tuple that is there, which is replaced and never changed.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._lock = threading.Lock()
        self._first = frozenset(secrets)
        self._learned: deque[str] = deque(maxlen=LEARNED)
        self._secrets = spelled(self._first)

    def learn(self, secrets: Iterable[str]) -> None:
        """Replace these from now on, too; past the bound the one learned first is forgotten."""
        with self._lock:
            new = set(secrets) - self._first - set(self._learned)
            if new:
                self._learned.extend(sorted(new))
                self._secrets = spelled({*self._first, *self._learned})

    def text(self, text: str) -> str:
        """Mask the secrets in a text."""
        return hide(text, self._secrets)

    def value(self, value: object) -> object:
        """Mask the secrets in texts, and in the texts that dicts, lists, tuples and sets hold."""
        match value:
            case str():
                return self.text(value)
            case bytes():
                return self.text(value.decode("utf-8", "replace"))
            case dict():
                return {self.value(key): self.value(item) for key, item in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self.value(item) for item in value]
            case _:
                return value
