"""The grid of windows and the ladder of phases.

Pure. Windows are half-open cells `[start, end)` of a grid of whole intervals counted from
1970-01-01 UTC, so that the candles of all coins in a phase end at the same instants. Times are
microseconds UTC.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import msgspec

from actors.domain import FINISHED_PHASE, US_PER_SECOND, Phase

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

US_PER_MINUTE: Final = 60 * US_PER_SECOND


class Window(msgspec.Struct, frozen=True):
    """The time of one candle, `[start_us, end_us)`, and the phase it was opened under."""

    start_us: int
    end_us: int
    phase_id: int
    interval_seconds: int


def cell_end_us(at_us: int, interval_seconds: int) -> int:
    """Give the first boundary of the interval's grid strictly after an instant."""
    interval_us = interval_seconds * US_PER_SECOND
    return at_us - at_us % interval_us + interval_us


def window_of(at_us: int, phase: Phase, previous_end_us: int) -> Window:
    """Give the window that an instant belongs to, behind everything that ended before.

    It starts with its grid cell, or where the previous span ended inside that cell, so spans never
    overlap. An instant before `previous_end_us` gets the first window after it.
    """
    end_us = cell_end_us(max(at_us, previous_end_us), phase.interval_seconds)
    start_us = max(end_us - phase.interval_seconds * US_PER_SECOND, previous_end_us)
    return Window(start_us, end_us, phase.id, phase.interval_seconds)


def reach_back(window: Window, at_us: int, previous_end_us: int) -> Window:
    """Let a window begin with the cell of an earlier instant, but not before `previous_end_us`."""
    interval_us = window.interval_seconds * US_PER_SECOND
    start_us = max(at_us - at_us % interval_us, previous_end_us)
    return msgspec.structs.replace(window, start_us=min(start_us, window.start_us))


def regular(phases: Iterable[Phase]) -> tuple[Phase, ...]:
    """Give the phases a coin can be in, lowest id first: ids 1..98, an interval of at least 1 s."""
    return tuple(sorted((p for p in phases if p.is_regular), key=lambda phase: phase.id))


def find(ladder: Sequence[Phase], phase_id: int) -> Phase | None:
    """Look a regular phase up by its id."""
    return next((phase for phase in ladder if phase.id == phase_id), None)


def phase_at(ladder: Sequence[Phase], current_id: int, age_us: int) -> int:
    """Tell which phase a coin of this age is in when it was last in `current_id`.

    It stays until its age reaches the phase's `max_age_minutes`, then goes to the first later phase
    whose `max_age_minutes` exceeds the age. A phase that no longer exists counts as outlived.
    Behind the last one the coin is finished (99). A coin that has ended (99, 100) stays where it
    is.

    Args:
        ladder: Regular phases, lowest id first (see `regular`).
        current_id: The phase so far.
        age_us: Age of the coin; negative is younger than any phase.
    """
    if current_id >= FINISHED_PHASE:
        return current_id
    open_to_it = (
        phase.id
        for phase in ladder
        if phase.id >= current_id and phase.max_age_minutes * US_PER_MINUTE > age_us
    )
    return next(open_to_it, FINISHED_PHASE)


def outlived_us(ladder: Sequence[Phase], phase_id: int, born_us: int) -> int:
    """Tell when a coin born at `born_us` outlives its phase.

    `born_us` itself when there is no such phase.
    """
    phase = find(ladder, phase_id)
    return born_us if phase is None else born_us + phase.max_age_minutes * US_PER_MINUTE


def phase_warnings(phases: Iterable[Phase]) -> tuple[str, ...]:
    """Name what is odd about a table of phases that is nevertheless accepted, one sentence each."""
    phases = tuple(phases)
    ladder = regular(phases)
    broken = (
        f"Phase {p.id} ({p.name}) has an interval of {p.interval_seconds} s "
        "and is ignored; give it at least 1 s."
        for p in sorted(phases, key=lambda phase: phase.id)
        if p.id < FINISHED_PHASE and p not in ladder
    )
    by_age = sorted(ladder, key=lambda phase: (phase.min_age_minutes, phase.id))
    overlapping = (
        f"Phases {a.id} ({a.name}) and {b.id} ({b.name}) overlap: {a.id} lasts until "
        f"{a.max_age_minutes} min, {b.id} begins at {b.min_age_minutes} min."
        for a, b in pairwise(by_age)
        if b.min_age_minutes < a.max_age_minutes
    )
    return (*broken, *overlapping)
