"""How many log lines of one kind go out. Pure, but for the lock that all threads share."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

LOG_BURST: Final = 5
LOG_WINDOW_SECONDS: Final = 10.0
LOG_KEYS: Final = 4096
"""How many different events the limit remembers; the one unused longest is forgotten first."""
TRACE_BURST: Final = 2_000
"""Lines in a window for whoever asked to see everything of one coin: more than one ever has."""


class RateLimit:
    """Lets `burst` events of a kind through in each window and counts the rest. Thread-safe."""

    def __init__(self, burst: int, window_s: float, keys: int = LOG_KEYS) -> None:
        self._burst = burst
        self._window_s = window_s
        self._keys = keys
        self._seen: OrderedDict[tuple[str, ...], tuple[float, int]] = OrderedDict()
        # Logging handlers of all threads meet here, as they do in the lock of the stream's handler.
        self._lock = threading.Lock()

    def admit(self, key: tuple[str, ...], now_s: float) -> int | None:
        """Decide about one event.

        Returns:
            None to drop it; else how many of its kind were dropped in the window before.
        """
        with self._lock:
            started_s, count = self._seen.pop(key, (now_s, 0))
            dropped = 0
            if now_s - started_s >= self._window_s:
                dropped, started_s, count = max(0, count - self._burst), now_s, 0
            self._seen[key] = (started_s, count + 1)
            if len(self._seen) > self._keys:
                self._seen.popitem(last=False)
        return dropped if count < self._burst else None
