"""From the supervisor's report to what `/health` and `/readyz` say. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

from actors.domain import FeedState
from api.health.schemas import (
    CacheStats,
    DiscoveryStats,
    HealthProblem,
    HealthResponse,
    TrackingStats,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.protocol.supervisor import HealthReport

FRESH_SECONDS: Final = 300.0
"""A feed whose last data frame is older does not count as connected."""
_KEEPING: Final = ("away", "refusing")
"""Of the database: rows are kept in memory and on disk."""
_OPEN: Final = (FeedState.LIVE, FeedState.DISCOVERY_ONLY)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def iso(us: int) -> str:
    """Write microseconds since 1970 UTC as ISO 8601."""
    return (_EPOCH + timedelta(microseconds=us)).isoformat()


def iso_or_none(us: int | None) -> str | None:
    """Write microseconds since 1970 UTC as ISO 8601, if there are any."""
    return None if us is None else iso(us)


def health_of(
    report: HealthReport, *, database_answers: bool, masked: Callable[[str], str]
) -> HealthResponse:
    """Say how the service is; words from elsewhere go through `masked`."""
    age_s = report.last_frame_age_seconds
    connected = age_s is not None and age_s < FRESH_SECONDS
    return HealthResponse(
        status=_status(
            connected,
            database_answers,
            broken=bool(report.broken_actors),
            troubled=bool(report.problems),
        ),
        ws_connected=connected,
        db_connected=database_answers,
        uptime_seconds=report.uptime_seconds,
        last_message_ago=age_s,
        reconnect_count=report.reconnect_count,
        last_error=masked(report.last_error) if report.last_error is not None else None,
        last_n8n_success=iso_or_none(report.n8n_last_success_us),
        connection_start=iso_or_none(report.connected_us),
        cache_stats=_cache(report),
        tracking_stats=TrackingStats(
            active_coins=report.trackers,
            total_trades=report.trades_processed,
            metrics_saved=report.rows_committed,
            total_metrics_saved=report.rows_committed,
        ),
        discovery_stats=DiscoveryStats(
            total_discovered=report.coins_discovered,
            total_coins_discovered=report.coins_discovered,
            n8n_available=report.n8n_available,
            buffer_size=report.n8n_waiting,
            n8n_buffer_size=report.n8n_waiting,
        ),
        feed_state=report.feed_state,
        feed_reason=masked(report.feed_reason),
        feed_since=iso_or_none(report.feed_since_us),
        database_state=report.database_state,
        rows_waiting=report.rows_waiting,
        rows_spooled=report.rows_spooled,
        draining=report.draining,
        recovering=report.recovering,
        journal_state=report.journal_state,
        broken_actors=list(report.broken_actors),
        problems=[
            HealthProblem(
                kind=each.kind, since=iso(each.since_us), says=masked(each.says), do=each.do
            )
            for each in report.problems
        ],
    )


def health_unknown(*, database_answers: bool, uptime_seconds: float, reason: str) -> HealthResponse:
    """Say that the supervisor gives no answer: nothing about the feed and the coins is known."""
    return HealthResponse(
        status="unhealthy",
        ws_connected=False,
        db_connected=database_answers,
        uptime_seconds=uptime_seconds,
        last_message_ago=None,
        reconnect_count=0,
        last_error=reason,
        last_n8n_success=None,
        connection_start=None,
        cache_stats=CacheStats(
            total_coins=0,
            activated=0,
            activated_coins=0,
            expired=0,
            expired_coins=0,
            oldest_age_seconds=None,
            newest_age_seconds=None,
        ),
        tracking_stats=TrackingStats(
            active_coins=0, total_trades=0, metrics_saved=0, total_metrics_saved=0
        ),
        discovery_stats=DiscoveryStats(
            total_discovered=0,
            total_coins_discovered=0,
            n8n_available=False,
            buffer_size=0,
            n8n_buffer_size=0,
        ),
        feed_state="unknown",
        feed_reason=reason,
        feed_since=None,
        database_state="up" if database_answers else "unknown",
        rows_waiting=0,
        rows_spooled=0,
        draining=False,
        recovering=False,
        journal_state="unknown",
        broken_actors=["supervisor"],
        problems=[],
    )


def obstacles(report: HealthReport, *, database_answers: bool) -> list[str]:
    """Say what keeps the service from doing its work. Empty: it is ready.

    A database that is away, or takes no row, is none while the writers store their rows on disk.
    """
    found = []
    if report.draining:
        found.append("it is stopping")
    if report.broken_actors:
        found.append(f"these actors do not run: {', '.join(report.broken_actors)}")
    if report.database_state in _KEEPING:
        if report.rows_parked:
            found.append("rows can neither be written nor kept on disk")
    elif not database_answers:
        found.append("the database does not answer")
    if report.feed_state not in _OPEN:
        reason = f" ({report.feed_reason})" if report.feed_reason else ""
        found.append(f"the feed is {report.feed_state}{reason}")
    if not report.streams_loaded:
        found.append("the streams are not loaded yet")
    elif report.recovering:
        found.append("the journal is still being replayed")
    elif report.not_subscribed:
        found.append(f"{report.not_subscribed:,} coins are not subscribed yet")
    return found


def _status(
    ws_up: bool, db_up: bool, *, broken: bool, troubled: bool
) -> Literal["healthy", "degraded", "unhealthy"]:
    if broken or not (ws_up or db_up):
        return "unhealthy"
    return "healthy" if ws_up and db_up and not troubled else "degraded"


def _cache(report: HealthReport) -> CacheStats:
    return CacheStats(
        total_coins=report.cache_total,
        activated=report.cache_activated,
        activated_coins=report.cache_activated,
        expired=report.cache_expired,
        expired_coins=report.cache_expired,
        oldest_age_seconds=report.cache_oldest_age_seconds,
        newest_age_seconds=report.cache_newest_age_seconds,
    )
