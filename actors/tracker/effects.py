"""What follows from an event of a tracker: decided by `state`, carried out by `actor`.

Pure values. Times are microseconds UTC of the feed clock.
"""

from __future__ import annotations

from enum import Enum, auto

import msgspec

from actors.tracker.candle import OpenCandle, Thresholds
from actors.tracker.phases import Window


class Mark(Enum):
    """Something to be counted, once."""

    ADDED = auto()
    """A trade went into a candle."""
    WITHOUT_AMOUNT = auto()
    """The trade that was added did not say how much SOL it moved."""
    DUPLICATE = auto()
    """A trade had been seen before, or lies in rows that are written already."""
    REMEMBERED = auto()
    """A replayed trade lies in rows already, by its number."""
    ORPHAN = auto()
    """A trade came after the tracker's end."""
    LATE = auto()
    """A trade came after its window had closed; it was added to the next one."""
    CHAIN_BREAK = auto()
    """A trade's reserves did not follow from the trade before."""
    STALE_WINDOW = auto()
    """A window ended in which every trade had been seen before; it has no row."""


class TimerKey(Enum):
    """What a tracker waits for on the feed clock; one of each at most."""

    WINDOW = auto()
    """The end of the running window."""
    ATH = auto()
    """The all-time high is to be told."""
    PHASE = auto()
    """The coin outlives its phase."""
    WATCHDOG = auto()
    """The subscription is to be looked after."""


class Arm(msgspec.Struct, frozen=True):
    """Set a timer; replaces one of the same name."""

    timer: TimerKey
    at_us: int


class WindowClosed(msgspec.Struct, frozen=True):
    """A window with trades has ended."""

    candle: OpenCandle
    window: Window
    end_us: int
    thresholds: Thresholds
    """What was in force when the window opened."""


class AthDue(msgspec.Struct, frozen=True):
    """The all-time high is to be told, unless a candle has told it meanwhile."""


class PhaseSwitched(msgspec.Struct, frozen=True):
    """The coin is in another regular phase from now on."""

    phase_id: int


class RenewSubscription(msgspec.Struct, frozen=True):
    """The subscription is to be repeated; `first_doubt` when it was not doubted before."""

    in_doubt: bool
    first_doubt: bool


class Ended(msgspec.Struct, frozen=True):
    """The coin has graduated or outlived its last phase: nothing follows."""

    phase_id: int
    graduated: bool
    at_us: int


Outgoing = WindowClosed | AthDue | PhaseSwitched | RenewSubscription | Ended
Effect = Mark | Arm | Outgoing
