"""Where windows lie: those of the original's rows, holes between them, trades moved over a cut.

A row of the original says when its window ended and not when it began. Its loop looks once a second
whether a coin's interval is over, so a window is an interval long and up to a second more, and
begins where the window before it ended, if that is later. Pure; times are microseconds UTC.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import msgspec

from actors.compare.rows import (
    NOTHING,
    SECOND_US,
    Figures,
    Precision,
    Prices,
    Row,
    added,
    figures_of,
    larger,
    less,
    prices_of,
    smaller,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

TICK_US: Final = SECOND_US
"""How often the original's loop looks."""
CLOCK_US: Final = SECOND_US
"""Two machines, and two connections to the feed, may disagree about a time by so much."""
CACHE_US: Final = 360 * SECOND_US
"""The first row of a coin may hold what was cached before it: 120 s, in the successor 360 s."""
USUAL_INTERVAL_US: Final = 60 * SECOND_US
"""Of a phase that nobody describes."""

Span = tuple[int, int]


def placed(ends: Sequence[Row], intervals: Mapping[int, int]) -> list[Row]:
    """Say of each row of the original when its window began, at the earliest.

    Args:
        ends: Rows of one coin in order of their ends.
        intervals: How long a window of each phase is, microseconds.
    """
    found: list[Row] = []
    for row in ends:
        reach_us = interval_of(row, intervals) + TICK_US
        if found:
            start_us = max(found[-1].end_us, row.end_us - reach_us)
        else:
            start_us = row.end_us - reach_us - CACHE_US
        found.append(msgspec.structs.replace(row, start_us=start_us))
    return found


def interval_of(row: Row, intervals: Mapping[int, int]) -> int:
    """Tell how long the windows of a row's phase are, microseconds."""
    return intervals.get(row.phase_id or 0, USUAL_INTERVAL_US)


def holes(theirs: Sequence[Row]) -> list[Span]:
    """Find where a window has to have ended between two rows, and no row says so.

    A coin without a trade leaves such holes too: only with trades of ours in it is one a loss.
    """
    return [
        (before.end_us, after.start_us + TICK_US)
        for before, after in pairwise(theirs)
        if after.start_us > before.end_us
    ]


class Cut(msgspec.Struct, frozen=True):
    """What may lie on another side of an instant in their rows than in ours.

    A window that reaches over the instant, or to within a second of it, counts as a whole for one
    side of it. So its trades may count as later on one side and as earlier on the other; they are
    then in rows of both, so no more are than the smaller of the two has.
    """

    least: Figures = NOTHING
    """Trades that we count as later and they as earlier, negative."""
    most: Figures = NOTHING
    """Trades that they count as later and we as earlier."""
    their_earlier: Prices = Prices()
    their_later: Prices = Prices()
    our_earlier: Prices = Prices()
    our_later: Prices = Prices()


def cut_at(at_us: int, theirs: Sequence[Row], ours: Sequence[Row], precision: Precision) -> Cut:
    """Find what may have moved over an instant, from the rows around it."""
    their_later, our_later = list(_later(theirs, at_us)), list(_later(ours, at_us))
    if not their_later and not our_later:
        return Cut()
    our_earlier = _earlier(ours, at_us, their_later)
    their_earlier = _earlier(theirs, at_us, our_later)
    moved_here = smaller(figures_of(our_later), figures_of(their_earlier))
    moved_there = smaller(figures_of(their_later), figures_of(our_earlier))
    buys, sells, lamports, *_ = larger(moved_here, moved_there)
    their_rows = len(their_later) + len(their_earlier)
    our_rows = len(our_later) + len(our_earlier)
    off = precision.of_figures(their_rows, our_rows, buys + sells, lamports)
    return Cut(
        least=less(NOTHING, added(moved_here, off)),
        most=added(moved_there, off),
        their_earlier=prices_of(their_earlier),
        their_later=prices_of(their_later),
        our_earlier=prices_of(our_earlier),
        our_later=prices_of(our_later),
    )


def _later(rows: Sequence[Row], at_us: int) -> Iterator[Row]:
    """Give the rows that end behind an instant and begin before it, or within a second of it."""
    for place in range(bisect_right(rows, at_us, key=_end), len(rows)):
        if rows[place].start_us >= at_us + CLOCK_US:
            return
        yield rows[place]


def _earlier(rows: Sequence[Row], at_us: int, later: Sequence[Row]) -> Sequence[Row]:
    """Give the rows that end by an instant, and lie where rows of the other side reach back to."""
    if not later:
        return ()
    from_us = min(at_us, *(row.start_us for row in later)) - CLOCK_US
    return rows[bisect_right(rows, from_us, key=_end) : bisect_right(rows, at_us, key=_end)]


def _end(row: Row) -> int:
    return row.end_us
