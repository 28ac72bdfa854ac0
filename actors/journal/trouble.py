"""What the journal knows of its own trouble: pure, time comes in as an argument."""

from __future__ import annotations

import errno
from typing import Final

from actors.backoff import backoff_s

_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0


class Trouble:
    """Remembers the failure of the last attempt, when to try again, and what went unprotected."""

    def __init__(self) -> None:
        self.fault: str | None = None
        """Why the last attempt failed; None after one that succeeded."""
        self.last_error: str | None = None
        """The last failure of all, also if it is over."""
        self.lost = 0
        """Records lost to the journal since the start."""
        self.gap = 0
        """Records lost since the last one that was written."""
        self._failures = 0
        self._retry_at_s = 0.0

    def may_try(self, now_s: float) -> bool:
        """Say whether an attempt is due: always while all is well, else after the pause."""
        return self.fault is None or now_s >= self._retry_at_s

    def failed(self, sentence: str, now_s: float) -> None:
        """Note a failed attempt; the pause after it is 1 s and doubles up to 60 s."""
        self.fault = self.last_error = sentence
        self._failures += 1
        self._retry_at_s = now_s + backoff_s(self._failures, _FIRST_PAUSE_S, _LONGEST_PAUSE_S)

    def succeeded(self) -> None:
        """Note an attempt that wrote everything."""
        self.fault, self._failures = None, 0

    def lose(self, records: int) -> None:
        """Count records that are not certainly in the journal."""
        self.lost += records
        self.gap += records

    def gap_is_written(self) -> None:
        """Note that the journal itself now says how many records are missing."""
        self.gap = 0


def sentence(what: str, error: OSError) -> str:
    """Say what failed, why, and what it means, without naming a path."""
    name = errno.errorcode.get(error.errno or 0, "unknown")
    return (
        f"{what}: {name} ({error.strerror}); "
        "frames are not protected until the disk accepts them again"
    )
