"""Whether an actor has ended, for whoever waits for it."""

from __future__ import annotations

import threading
from typing import ClassVar


class StopFlag:
    """What Pykka reads an actor's life from: a `threading.Event` that is made when one is needed.

    There is one for each coin, and hardly anybody ever waits for one.
    """

    __slots__ = ("_event", "_is_set")

    _lock: ClassVar = threading.Lock()

    def __init__(self) -> None:
        self._is_set = False
        self._event: threading.Event | None = None

    def is_set(self) -> bool:
        """Whether the actor has ended."""
        return self._is_set

    def set(self) -> None:
        """Say that it has."""
        with self._lock:
            self._is_set = True
            event = self._event
        if event is not None:
            event.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has, in seconds; False after the timeout."""
        with self._lock:
            if self._is_set:
                return True
            event = self._event = self._event or threading.Event()
        return event.wait(timeout)
