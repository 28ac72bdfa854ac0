"""Secrets in texts from elsewhere, also those that come with a change of the settings."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from telemetry import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterable

_LEARNED: Final = 1_000
"""Some 200 changes of an address with a password; dead letters hold no older ones."""


class Mask:
    """Masks the secrets of the start and those learned since. Thread-safe."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._lock = threading.Lock()
        self._first = frozenset(secrets)
        self._learned: deque[str] = deque(maxlen=_LEARNED)
        self._redactor = Redactor(self._first)

    def learn(self, secrets: Iterable[str]) -> None:
        """Mask these from now on, too; past the bound the oldest learned one is forgotten."""
        with self._lock:
            new = set(secrets) - self._first - set(self._learned)
            if new:
                self._learned.extend(sorted(new))
                self._redactor = Redactor([*self._first, *self._learned])

    def text(self, text: str) -> str:
        """Mask the secrets in a text."""
        return self._redactor.text(text)

    def value(self, value: object) -> object:
        """Mask the secrets in texts, and in the texts that dicts, lists, tuples and sets hold."""
        return self._redactor.value(value)
