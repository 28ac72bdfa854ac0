"""Time, passed in: the arrival clock of the running service and a manual one for tests."""

from __future__ import annotations

import threading
import time
from typing import Final, Protocol

STEP_US: Final = 2_000_000
"""An offset between wall clock and arrival clock beyond this is worth a warning."""

_SLEW_US_PER_CALL: Final = 500


class Clock(Protocol):
    """Two readings of time: one for stamps, one for deadlines."""

    def now_us(self) -> int:
        """UTC in microseconds; never goes backwards."""

    def monotonic_ns(self) -> int:
        """Nanoseconds that only measure durations."""


class ArrivalClock:
    """UTC as an anchor plus the monotonic clock: a step of the wall clock never reaches a stamp.

    Guarantees: `now_us` never goes backwards. `discipline`, called about once a second, brings the
    anchor towards the wall clock by at most 0.5 ms a call. Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._anchor_us = time.time_ns() // 1000 - time.monotonic_ns() // 1000
        self._last_us = 0

    def now_us(self) -> int:
        """UTC in microseconds; never goes backwards."""
        with self._lock:
            now = self._anchor_us + time.monotonic_ns() // 1000
            self._last_us = max(self._last_us, now)
            return self._last_us

    monotonic_ns = staticmethod(time.monotonic_ns)
    """Nanoseconds that only measure durations; itself, as it is read several times a message."""

    def discipline(self) -> int:
        """Slew the anchor towards the wall clock; return the offset found, in us."""
        with self._lock:
            offset = time.time_ns() // 1000 - (self._anchor_us + time.monotonic_ns() // 1000)
            self._anchor_us += max(-_SLEW_US_PER_CALL, min(_SLEW_US_PER_CALL, offset))
        return offset


class ManualClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now_us: int = 1_700_000_000_000_000) -> None:
        self._now_us = now_us
        self._monotonic_ns = 0

    def now_us(self) -> int:
        """UTC in microseconds."""
        return self._now_us

    def monotonic_ns(self) -> int:
        """Nanoseconds since the clock was made."""
        return self._monotonic_ns

    def advance(self, seconds: float) -> None:
        """Move both readings forward."""
        self._monotonic_ns += round(seconds * 1e9)
        self._now_us += round(seconds * 1e6)
