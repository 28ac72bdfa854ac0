"""Make the health report out of what the actors last published. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.domain import FeedState
from actors.protocol.supervisor import HealthReport

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from actors.protocol.connection import FeedReport
    from actors.protocol.discovery import CacheStatus
    from actors.protocol.n8n_writer import N8nStatus
    from actors.protocol.postgres_writer import WriterStatus
    from actors.protocol.supervisor import Problem


def health_report(
    *,
    now_us: int,
    started_us: int,
    feed: FeedReport | None,
    cache: CacheStatus | None,
    writers: Sequence[WriterStatus],
    rows_of_past_writers: int,
    n8n: N8nStatus | None,
    trackers: int,
    trades_processed: int,
    draining: bool,
    streams_loaded: bool,
    broken_actors: Iterable[str],
    not_subscribed: int = 0,
    problems: tuple[Problem, ...] = (),
) -> HealthReport:
    """Compose the report; what nobody has published yet counts as nothing."""
    feed_now_us = _feed_now(feed, now_us)
    return HealthReport(
        uptime_seconds=(now_us - started_us) / 1e6,
        started_us=started_us,
        feed_state=(feed.state if feed else FeedState.OFFLINE).value,
        feed_reason=feed.reason if feed else "not started",
        feed_since_us=(feed.since_us or None) if feed else None,
        last_frame_age_seconds=_age_s(now_us, feed.last_frame_us if feed else None),
        connected_us=feed.connected_us if feed else None,
        reconnect_count=feed.reconnects if feed else 0,
        last_error=_last_error(feed, writers, n8n),
        draining=draining,
        streams_loaded=streams_loaded,
        recovering=feed.recovering if feed else False,
        not_subscribed=not_subscribed,
        journal_state=feed.journal if feed else "off",
        broken_actors=tuple(broken_actors),
        problems=problems,
        cache_total=cache.total if cache else 0,
        cache_activated=cache.activated if cache else 0,
        cache_expired=cache.expired if cache else 0,
        cache_oldest_age_seconds=_age_s(feed_now_us, cache.oldest_us if cache else None),
        cache_newest_age_seconds=_age_s(feed_now_us, cache.newest_us if cache else None),
        trackers=trackers,
        trades_processed=trades_processed,
        rows_committed=rows_of_past_writers + sum(each.rows_committed for each in writers),
        rows_waiting=sum(writer.rows_waiting for writer in writers),
        rows_spooled=sum(writer.rows_spooled for writer in writers),
        rows_parked=sum(writer.rows_parked for writer in writers),
        database_state=_database_state(writers),
        coins_discovered=cache.discovered if cache else 0,
        n8n_available=n8n.available if n8n else False,
        n8n_waiting=n8n.waiting if n8n else 0,
        n8n_last_success_us=n8n.last_success_us if n8n else None,
    )


def not_subscribed(feed: FeedReport | None, coins: int) -> int:
    """Count the coins that are to be tracked and have no route, or no subscription that was sent.

    Where no trades are subscribed (a recording, a key without funds) nothing is waited for.
    """
    if feed is None or feed.state is not FeedState.LIVE:
        return 0
    return max(0, coins - feed.routes) + feed.unsent_routes


def _age_s(now_us: int, then_us: int | None) -> float | None:
    return None if then_us is None else max(0.0, (now_us - then_us) / 1e6)


def _feed_now(feed: FeedReport | None, now_us: int) -> int:
    """Tell the feed's time: in a replay, coins are as old as the recording says."""
    return feed.covered_us if feed and feed.covered_us else now_us


def _last_error(
    feed: FeedReport | None, writers: Sequence[WriterStatus], n8n: N8nStatus | None
) -> str | None:
    errors = [feed.last_error if feed else None]
    errors += [writer.last_error for writer in writers]
    errors.append(n8n.last_error if n8n else None)
    return next((error for error in errors if error), None)


def _database_state(writers: Sequence[WriterStatus]) -> str:
    states = {writer.database for writer in writers}
    return next((state for state in ("away", "refusing", "up") if state in states), "unknown")
