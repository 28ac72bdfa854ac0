"""How long to wait before the next attempt. Pure: chance and time are passed in."""

from __future__ import annotations

from typing import Final

BAN_FIRST_S: Final = 300.0
BAN_MAX_S: Final = 3600.0
PROVEN_AFTER_S: Final = 10.0
"""A connection that still delivers data at this age has proven its health."""

_JITTER: Final = 0.25
_GROWTH: Final = 0.5
_MOST_DOUBLINGS: Final = 30


def backoff_s(
    failures: int, first_s: float, longest_s: float, *, chance: float = 0.0, jitter: float = 0.0
) -> float:
    """Give the pause after so many failures in a row: the first one, doubling, up to the longest.

    Args:
        failures: at least 1.
        first_s: the pause after the first failure.
        longest_s: the bound.
        chance: a random number in 0..1.
        jitter: the share, in 0..1, that chance takes off at most, so that those who lost the same
            server do not all come back at the same moment.
    """
    doublings = min(failures - 1, _MOST_DOUBLINGS)
    return min(first_s * 2.0**doublings, longest_s) * (1.0 - jitter * chance)


class Backoff:
    """Counts failed attempts to connect in a row, and waits as the original service does.

    The n-th wait (from 0) is `min(retry x (1 + n x 0.5), max)`, shortened by chance by up to a
    quarter so that many clients do not return together. A ban (HTTP 403) waits 5 minutes, doubling
    to an hour, and is never shortened.
    """

    def __init__(self, retry_s: float, max_s: float) -> None:
        self._retry_s = retry_s
        self._max_s = max_s
        self._failures = 0
        self._bans = 0

    def reconfigure(self, retry_s: float, max_s: float) -> None:
        """Wait by other settings from the next failure on; what was counted stays."""
        self._retry_s, self._max_s = retry_s, max_s

    def after_failure(self, chance: float) -> float:
        """Seconds to wait after one more failure or loss; `chance` in [0, 1)."""
        delay = min(self._retry_s * (1 + self._failures * _GROWTH), self._max_s)
        self._failures += 1
        return delay * (1 - _JITTER * chance)

    def after_ban(self) -> float:
        """Seconds to wait after one more refused upgrade."""
        self._bans += 1
        return backoff_s(self._bans, BAN_FIRST_S, BAN_MAX_S)

    def data_arrived(self, connected_s: float) -> None:
        """Start anew if a data frame came `connected_s` seconds after opening, and that is long."""
        if connected_s >= PROVEN_AFTER_S:
            self._failures = 0
            self._bans = 0
