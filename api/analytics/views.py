"""How the price of a coin has moved: windows, changes, trends. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from actors.domain import FINISHED_PHASE, US_PER_SECOND
from api.analytics.schemas import Performance

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actors.domain import Phase
    from db.candles import PricePoint

MAX_WINDOWS: Final = 20
MAX_WINDOW_SECONDS: Final = 30 * 86_400
_FLAT_PCT: Final = 1.0
"""A change beyond this is a trend."""
_UNIT_SECONDS: Final = {"s": 1, "m": 60, "": 60, "h": 3_600}
_WINDOW: Final = re.compile(r"([0-9]{1,7})([smh]?)")


class WindowsRefused(ValueError):  # noqa: N818 - it names what happened
    """The list of windows cannot be read; the text is a sentence that says what to do."""


def windows_of(text: str) -> dict[str, int]:
    """Read windows such as `30s,5m,1h`, in seconds, by what the caller calls them.

    A number without a unit means minutes.

    Raises:
        WindowsRefused: there is none, there are too many, or one cannot be read.
    """
    names = [name.strip() for name in text.split(",")]
    if len(names) > MAX_WINDOWS:
        raise WindowsRefused(f"There are {len(names)} windows: give {MAX_WINDOWS} at most.")
    return {name: _seconds(name) for name in names}


def _seconds(name: str) -> int:
    found = _WINDOW.fullmatch(name)
    seconds = int(found[1]) * _UNIT_SECONDS[found[2]] if found else 0
    if not 1 <= seconds <= MAX_WINDOW_SECONDS:
        raise WindowsRefused(
            f"The window {name[:20]!r} cannot be read: give a number of 1 or more with s, m or h, "
            "30 days at most, such as 30s,5m,1h."
        )
    return seconds


def tolerance_us(phases: Iterable[Phase]) -> int:
    """Tell how much older than a window's start a row may be: two of the longest intervals.

    A coin is written once an interval while it is traded.
    """
    intervals = [phase.interval_seconds for phase in phases if phase.id < FINISHED_PHASE]
    return 2 * max(intervals, default=60) * US_PER_SECOND


def performance(price_sol: float | None, old: PricePoint | None, now_us: int) -> Performance:
    """Compare the current price with the one at a window's start.

    Without either, or with one of 0 at the start, there is nothing to compare.
    """
    if price_sol is None or old is None or old.price_sol <= 0:
        return Performance(
            price_change_pct=None,
            old_price=None,
            trend="NO_DATA",
            data_found=False,
            data_age_seconds=None,
        )
    change_pct = (price_sol - old.price_sol) / old.price_sol * 100
    return Performance(
        price_change_pct=change_pct,
        old_price=old.price_sol,
        trend="UP" if change_pct > _FLAT_PCT else "DOWN" if change_pct < -_FLAT_PCT else "FLAT",
        data_found=True,
        data_age_seconds=(now_us - old.timestamp_us) / US_PER_SECOND,
    )
