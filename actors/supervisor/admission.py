"""Who is tracked, who is on the way out, and who waits for a place. Pure."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from actors.domain import Mint
    from actors.protocol.supervisor import TrackMint


MAX_WAITING: Final = 100_000
"""About three days of every coin that is created; 30 MB."""


class AdmissionDecision(Enum):
    """What to do about a wish to track a mint."""

    START = auto()
    KNOWN = auto()
    """It is tracked, or will be again once its tracker has ended."""
    WAIT = auto()
    """All places are taken; it starts when one becomes free."""
    FULL = auto()
    """All places are taken and the queue for them is full too."""


class Admission:
    """The mints that have a tracker, at most `limit`, and those that wait for a place.

    Past `max_waiting` a wish is refused; a mint that stays active in the database is tracked after
    the next start then.
    """

    def __init__(self, limit: int, max_waiting: int = MAX_WAITING) -> None:
        self.limit = limit
        self._max_waiting = max_waiting
        self._leaving: dict[Mint, bool] = {}
        self._again: dict[Mint, TrackMint] = {}
        self._waiting: dict[Mint, TrackMint] = {}

    def __contains__(self, mint: Mint) -> bool:
        return mint in self._leaving

    def __len__(self) -> int:
        return len(self._leaving)

    def mints(self) -> tuple[Mint, ...]:
        """List the tracked mints, oldest first."""
        return tuple(self._leaving)

    def is_leaving(self, mint: Mint) -> bool:
        """Say whether a mint's tracker has been told to end and has not ended yet."""
        return self._leaving.get(mint, False)

    @property
    def staying(self) -> int:
        """How many mints are tracked and not on their way out."""
        return sum(1 for is_leaving in self._leaving.values() if not is_leaving)

    @property
    def waiting(self) -> int:
        """How many mints wait for a place."""
        return len(self._waiting)

    def wish(self, track: TrackMint) -> AdmissionDecision:
        """Take a wish to track a mint; START enters it."""
        mint = track.mint
        if mint in self._leaving:
            if self._leaving[mint]:
                self._again[mint] = track
            return AdmissionDecision.KNOWN
        if mint in self._waiting:
            return AdmissionDecision.KNOWN
        if len(self._leaving) >= self.limit:
            if len(self._waiting) >= self._max_waiting:
                return AdmissionDecision.FULL
            self._waiting[mint] = track
            return AdmissionDecision.WAIT
        self._leaving[mint] = False
        return AdmissionDecision.START

    def put_off(self, track: TrackMint) -> bool:
        """Let a wish wait for `next_waiting`; False when too many wait already."""
        if track.mint not in self._waiting and len(self._waiting) >= self._max_waiting:
            return False
        self._waiting[track.mint] = track
        return True

    def next_waiting(self) -> TrackMint | None:
        """Take out the oldest wish that waits, when there is a place for it."""
        if self._waiting and len(self._leaving) < self.limit:
            return self._waiting.pop(next(iter(self._waiting)))
        return None

    def end(self, mint: Mint) -> bool:
        """Mark a mint as on its way out; False when it is not tracked, or leaving already."""
        self._waiting.pop(mint, None)
        self._again.pop(mint, None)
        if self._leaving.get(mint, True):
            return False
        self._leaving[mint] = True
        return True

    def ended(self, mint: Mint) -> TrackMint | None:
        """Strike a mint whose tracker has stopped; return who is to be tracked next, if anyone."""
        self._leaving.pop(mint, None)
        again = self._again.pop(mint, None)
        return self.next_waiting() if again is None else again
