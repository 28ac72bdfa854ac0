"""The health report out of what the actors published last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from actors.domain import FeedState
from actors.protocol.connection import FeedReport
from actors.protocol.discovery import CacheStatus
from actors.protocol.n8n_writer import N8nStatus
from actors.protocol.postgres_writer import WriterStatus
from actors.supervisor.health import health_report

if TYPE_CHECKING:
    from actors.protocol.supervisor import HealthReport

NOW_US = 1_700_000_100_000_000


def seconds_ago(seconds: float) -> int:
    return NOW_US - round(seconds * 1e6)


def feed(**fields: Any) -> FeedReport:
    values: dict[str, Any] = {
        "state": FeedState.LIVE,
        "reason": "subscribed",
        "since_us": seconds_ago(60),
        "source": "wss://pumpportal.fun/api/data",
        "connected_us": seconds_ago(61),
        "last_frame_us": seconds_ago(1.5),
        "last_trade_us": None,
        "covered_us": NOW_US,
        "next_seq": 1,
        "frames": {},
        "billed_frames": 0,
        "estimated_cost_sol": 0.0,
        "reconnects": 2,
        "last_error": None,
        "subscriptions": {},
        "routes": 0,
    }
    return FeedReport(**values | fields)


def writer(database: str = "up", last_error: str | None = None, **counts: int) -> WriterStatus:
    return WriterStatus(
        database=database,
        last_error=last_error,
        rows_waiting=counts.get("waiting", 0),
        rows_spooled=counts.get("spooled", 0),
        rows_committed=counts.get("committed", 0),
        oldest_waiting_us=None,
    )


def n8n(last_error: str | None = None) -> N8nStatus:
    return N8nStatus(
        available=True,
        configured=True,
        waiting=4,
        last_success_us=seconds_ago(9),
        last_error=last_error,
        state="up",
        needed_from_us=None,
    )


def cache(oldest_us: int | None = None, newest_us: int | None = None) -> CacheStatus:
    return CacheStatus(
        total=3,
        activated=2,
        expired=1,
        cached_trades=5,
        oldest_us=oldest_us,
        newest_us=newest_us,
        discovered=7,
    )


def report(**given: Any) -> HealthReport:
    values: dict[str, Any] = {
        "now_us": NOW_US,
        "started_us": seconds_ago(100),
        "feed": None,
        "cache": None,
        "writers": [],
        "rows_of_past_writers": 0,
        "n8n": None,
        "trackers": 0,
        "trades_processed": 0,
        "draining": False,
        "streams_loaded": False,
        "broken_actors": [],
    }
    return health_report(**values | given)


def test_what_nobody_has_published_counts_as_nothing() -> None:
    found = report()
    assert (found.feed_state, found.feed_reason) == ("offline", "not started")
    assert (found.database_state, found.n8n_available) == ("unknown", False)
    assert found.last_frame_age_seconds is None
    assert found.cache_oldest_age_seconds is None
    assert found.last_error is None
    assert found.uptime_seconds == 100.0


def test_the_feed_is_shown_as_the_connection_sees_it() -> None:
    found = report(feed=feed(state=FeedState.DISCOVERY_ONLY, reason="API key funded with 0.02 SOL"))
    assert found.feed_state == "discovery_only"
    assert found.feed_reason == "API key funded with 0.02 SOL"
    assert found.last_frame_age_seconds == 1.5
    assert (found.connected_us, found.reconnect_count) == (seconds_ago(61), 2)


def test_a_frame_of_the_future_is_no_seconds_old() -> None:
    assert report(feed=feed(last_frame_us=seconds_ago(-3))).last_frame_age_seconds == 0.0


def test_figures_of_several_writers_add_up() -> None:
    found = report(
        writers=[
            writer(committed=10, waiting=2, spooled=1),
            writer(committed=5, waiting=3, spooled=4),
        ]
    )
    assert (found.rows_committed, found.rows_waiting, found.rows_spooled) == (15, 5, 5)
    assert report(rows_of_past_writers=7).rows_committed == 7


@pytest.mark.parametrize(
    ("databases", "shown"),
    [
        ([], "unknown"),
        (["unknown"], "unknown"),
        (["up"], "up"),
        (["up", "unknown"], "up"),
        (["up", "away"], "away"),
        (["away", "unknown"], "away"),
    ],
)
def test_the_database_is_as_the_worst_writer_sees_it(databases: list[str], shown: str) -> None:
    assert report(writers=[writer(state) for state in databases]).database_state == shown


@pytest.mark.parametrize(
    ("of_feed", "of_writer", "of_n8n", "shown"),
    [
        ("lost", "refused", "404", "lost"),
        (None, "refused", "404", "refused"),
        (None, None, "404", "404"),
        (None, None, None, None),
    ],
)
def test_the_last_error_is_the_feeds_then_a_writers_then_n8ns(
    of_feed: str | None, of_writer: str | None, of_n8n: str | None, shown: str | None
) -> None:
    found = report(
        feed=feed(last_error=of_feed),
        writers=[writer(), writer(last_error=of_writer)],
        n8n=n8n(last_error=of_n8n),
    )
    assert found.last_error == shown


def test_coins_in_a_replay_are_as_old_as_the_recording_says() -> None:
    recorded_us = 1_600_000_000_000_000
    found = report(
        feed=feed(covered_us=recorded_us),
        cache=cache(oldest_us=recorded_us - 90_000_000, newest_us=recorded_us - 10_000_000),
    )
    assert (found.cache_oldest_age_seconds, found.cache_newest_age_seconds) == (90.0, 10.0)


def test_coins_are_aged_by_the_clock_before_the_feed_has_begun() -> None:
    assert report(cache=cache(oldest_us=seconds_ago(30))).cache_oldest_age_seconds == 30.0


def test_the_rest_is_handed_through() -> None:
    found = report(
        cache=cache(),
        n8n=n8n(),
        trackers=12,
        trades_processed=345,
        draining=True,
        streams_loaded=True,
        broken_actors=["discovery"],
    )
    assert (found.cache_total, found.cache_activated, found.cache_expired) == (3, 2, 1)
    assert (found.coins_discovered, found.trackers, found.trades_processed) == (7, 12, 345)
    assert (found.n8n_available, found.n8n_waiting) == (True, 4)
    assert found.n8n_last_success_us == seconds_ago(9)
    assert (found.draining, found.streams_loaded) == (True, True)
    assert found.broken_actors == ("discovery",)
