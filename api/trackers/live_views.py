"""From what an actor says of a coin to what the API shows of it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.domain import LAMPORTS_PER_SOL
from actors.protocol.supervisor import CachedCoinReport, TrackerReport
from api.actors.views import actor_of
from api.health.views import iso, iso_or_none
from api.trackers.schemas import Ath, CachedCoin, LiveCandle, TrackerFigures, TrackerResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.protocol.operator import TrackerOverview


def live_tracking(
    report: TrackerReport | CachedCoinReport | None,
) -> LiveCandle | CachedCoin | None:
    """Show the open candle of a tracked coin, the cache entry of a waiting one, or nothing."""
    match report:
        case TrackerReport():
            return _candle(report)
        case CachedCoinReport():
            return _cached(report)
        case None:
            return None


def overview(
    mint: str, found: TrackerOverview, mask: Callable[[str | None], str | None]
) -> TrackerResponse:
    """Show a coin as its actors see it; `mask` hides secrets in a last error."""
    return TrackerResponse(
        mint=mint,
        actor=None if found.actor is None else actor_of(found.actor, mask),
        tracker=_figures(found.live) if isinstance(found.live, TrackerReport) else None,
        cached=_cached(found.live) if isinstance(found.live, CachedCoinReport) else None,
    )


def _figures(report: TrackerReport) -> TrackerFigures:
    ath = report.ath
    return TrackerFigures(
        phase_id=report.phase_id,
        window_start=iso_or_none(report.window_start_us),
        window_end=iso_or_none(report.window_end_us),
        candle=_candle(report),
        trades_total=report.trades_total,
        candles_total=report.candles_total,
        ath=None if ath is None else Ath(price_sol=ath.price_sol, at=iso(ath.at_us)),
        age_since=iso(report.created_us),
        creator=report.creator,
        covered=report.covered,
        graduated=report.graduated,
    )


def _cached(report: CachedCoinReport) -> CachedCoin:
    return CachedCoin(
        discovered_at=iso(report.discovered_us),
        n8n_sent=report.n8n_sent,
        activated=report.activated,
        subscription_active=report.subscription_active,
        cached_trades=report.cached_trades,
    )


def _candle(report: TrackerReport) -> LiveCandle:
    return LiveCandle(
        price_open=report.price_open,
        price_high=report.price_high,
        price_low=report.price_low,
        price_close=report.price_close,
        volume_sol=report.volume_lamports / LAMPORTS_PER_SOL,
        buy_volume_sol=report.buy_volume_lamports / LAMPORTS_PER_SOL,
        sell_volume_sol=report.sell_volume_lamports / LAMPORTS_PER_SOL,
        num_buys=report.num_buys,
        num_sells=report.num_sells,
        unique_wallets=report.unique_wallets,
        market_cap_sol=report.market_cap_sol,
        interval_seconds=report.interval_seconds,
        next_flush_seconds=report.next_flush_seconds,
    )
