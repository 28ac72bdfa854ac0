"""The settings that a tracker goes by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from actors.domain import US_PER_SECOND
from actors.tracker.candle import Thresholds
from actors.tracker.phases import US_PER_MINUTE

if TYPE_CHECKING:
    from settings import Settings


class TrackerRules(msgspec.Struct, frozen=True):
    """What of the settings concerns one coin; one object serves all trackers."""

    thresholds: Thresholds
    age_offset_us: int
    """Taken off every age."""
    ath_interval_us: int
    watchdog_seconds: float
    keep_trades: bool
    """Whether a closed candle brings its trades along."""


def rules_of(settings: Settings) -> TrackerRules:
    """Take the rules of tracking from the settings."""
    return TrackerRules(
        thresholds=Thresholds.of_sol(
            settings.sol_reserves_initial,
            settings.sol_reserves_full,
            settings.whale_threshold_sol,
            settings.koth_market_cap_sol,
        ),
        age_offset_us=settings.age_calculation_offset_min * US_PER_MINUTE,
        ath_interval_us=round(settings.ath_flush_interval * US_PER_SECOND),
        watchdog_seconds=settings.watchdog_seconds,
        keep_trades=settings.store_trades,
    )
