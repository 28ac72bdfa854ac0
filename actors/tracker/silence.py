"""When to doubt a subscription that delivers nothing.

Pure. A coin without trades is mostly a dead coin, sometimes a subscription that was acknowledged
and never delivers. Nothing tells the two apart, so the subscription is repeated, ever more rarely.
Times are microseconds of the feed clock.
"""

from __future__ import annotations

from typing import Final

from actors.domain import US_PER_SECOND
from actors.tracker.effects import Arm, RenewSubscription, TimerKey

_LONGEST_PAUSE: Final = 1_024
"""In multiples of the first one (WATCHDOG_SECONDS): a week at the default."""


class SilenceWatch:
    """Doubts after `patience_us` without a trade; pauses double until a trade comes.

    A subscription is repeated at most once per `patience_us`, whoever asks for it.
    """

    __slots__ = ("_called_us", "_pause_us", "_seen_us", "in_doubt", "patience_us")

    def __init__(self, patience_seconds: float) -> None:
        self.patience_us = round(patience_seconds * US_PER_SECOND)
        self.in_doubt = False
        self._pause_us = self.patience_us
        self._seen_us: int | None = None
        self._called_us: int | None = None

    def be_patient_for(self, seconds: float) -> None:
        """Doubt after another time from now on; pauses begin anew with it."""
        patience_us = round(seconds * US_PER_SECOND)
        if patience_us != self.patience_us:
            self.patience_us = self._pause_us = patience_us

    @property
    def due_us(self) -> int:
        """When to `check` next. Before anything was seen: at once, to learn what time it is."""
        if self._seen_us is None:
            return 0
        due_us = self._seen_us + self.patience_us
        return due_us if self._called_us is None else max(due_us, self._called_us + self._pause_us)

    @property
    def timer(self) -> Arm:
        """The timer for the next `check`."""
        return Arm(TimerKey.WATCHDOG, self.due_us)

    def saw_trade(self, at_us: int) -> None:
        """End the doubt."""
        if self._seen_us is None or at_us > self._seen_us:
            self._seen_us = at_us
        self.in_doubt = False
        self._pause_us = self.patience_us

    def check(self, now_us: int) -> bool:
        """Say whether to doubt the subscription (again) now; a call that follows is noted."""
        if self._seen_us is None:
            self._seen_us = now_us
        if now_us < self.due_us:
            return False
        self._pause_us = min(self._pause_us * 2, self.patience_us * _LONGEST_PAUSE)
        self.in_doubt = True
        self._called_us = now_us
        return True

    def doubt(self, now_us: int) -> list[RenewSubscription]:
        """Repeat the subscription where it is (again) in doubt now; see `check`."""
        is_first = not self.in_doubt
        return (
            [RenewSubscription(in_doubt=True, first_doubt=is_first)] if self.check(now_us) else []
        )

    def may_call(self, now_us: int) -> bool:
        """Say whether it may be repeated for another reason now; a call that follows is noted."""
        if self._called_us is not None and now_us < self._called_us + self.patience_us:
            return False
        self._called_us = now_us
        return True
