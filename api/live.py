"""From what an actor says of a coin to what `/database/coins/{mint}` shows of it. Pure."""

from __future__ import annotations

from actors.control import CachedCoinReport, TrackerReport
from actors.domain import LAMPORTS_PER_SOL
from api.health import iso
from api.schemas import CachedCoin, LiveCandle


def live_tracking(
    report: TrackerReport | CachedCoinReport | None,
) -> LiveCandle | CachedCoin | None:
    """Show the open candle of a tracked coin, the cache entry of a waiting one, or nothing."""
    match report:
        case TrackerReport():
            return _candle(report)
        case CachedCoinReport():
            return CachedCoin(
                discovered_at=iso(report.discovered_us),
                n8n_sent=report.n8n_sent,
                activated=report.activated,
                subscription_active=report.subscription_active,
                cached_trades=report.cached_trades,
            )
        case None:
            return None


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
