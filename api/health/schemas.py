"""What the API takes and gives about the health of the service, with examples."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from api.schemas import Schema


class CacheStats(Schema):
    """The coin cache. A figure that clients know by two names has both."""

    total_coins: int = Field(examples=[12])
    activated: int = Field(examples=[3])
    activated_coins: int = Field(examples=[3])
    expired: int = Field(examples=[140])
    expired_coins: int = Field(examples=[140])
    oldest_age_seconds: float | None = Field(examples=[118.4])
    newest_age_seconds: float | None = Field(examples=[0.7])


class TrackingStats(Schema):
    """Tracked coins, trades added to candles, candles committed."""

    active_coins: int = Field(examples=[41])
    total_trades: int = Field(examples=[182_334])
    metrics_saved: int = Field(examples=[9120])
    total_metrics_saved: int = Field(examples=[9120])


class DiscoveryStats(Schema):
    """Coins that passed the filter, and the hand-over to n8n."""

    total_discovered: int = Field(examples=[512])
    total_coins_discovered: int = Field(examples=[512])
    n8n_available: bool = Field(examples=[True])
    buffer_size: int = Field(examples=[4])
    n8n_buffer_size: int = Field(examples=[4])


class HealthProblem(Schema):
    """Something that somebody should look at."""

    kind: str = Field(
        examples=["n8n"],
        description="n8n, dead_letters, feed, database, coins, journal, spool, clock, disk, gaps, "
        "audit",
    )
    since: str = Field(examples=["2026-07-03T11:00:00+00:00"])
    says: str = Field(examples=["n8n takes nothing (coins waiting: 41): status 503."])
    do: str = Field(examples=["See that the workflow is active and N8N_WEBHOOK_URL is right."])


class HealthResponse(Schema):
    """The state of the service; always with status 200."""

    status: Literal["healthy", "degraded", "unhealthy"] = Field(
        description="healthy: feed and database up, no problem; degraded: one down, or a problem; "
        "unhealthy: both down, or a system actor gone"
    )
    ws_connected: bool = Field(description="the last data frame is younger than 300 s")
    db_connected: bool = Field(description="a query was answered")
    uptime_seconds: float = Field(examples=[86_400.5])
    last_message_ago: float | None = Field(examples=[0.3])
    reconnect_count: int = Field(examples=[1])
    last_error: str | None = Field(examples=[None])
    last_n8n_success: str | None = Field(examples=["2026-07-03T12:00:00+00:00"])
    connection_start: str | None = Field(examples=["2026-07-03T11:00:00+00:00"])
    cache_stats: CacheStats
    tracking_stats: TrackingStats
    discovery_stats: DiscoveryStats
    feed_state: str = Field(examples=["live"])
    feed_reason: str = Field(examples=[""])
    feed_since: str | None = Field(examples=["2026-07-03T11:00:00+00:00"])
    database_state: str = Field(
        examples=["up"],
        description="as the writers last saw it: up, away, refusing (it answers, and takes no row) "
        "or unknown",
    )
    rows_waiting: int = Field(examples=[12])
    rows_spooled: int = Field(examples=[0])
    draining: bool = Field(examples=[False])
    recovering: bool = Field(
        examples=[False], description="the journal of the last run is still being replayed"
    )
    journal_state: str = Field(
        examples=["ok"],
        description="ok; full: the socket is not read; failed: what arrives is not protected",
    )
    broken_actors: list[str] = Field(examples=[[]], description="system actors that do not run")
    problems: list[HealthProblem] = Field(
        examples=[[]], description="what somebody should look at, the oldest first"
    )


class KeptPath(Schema):
    """Rows that are kept aside: `ahead` or `conflicts`."""

    kind: Annotated[
        str, Field(min_length=1, max_length=64, json_schema_extra={"example": "conflicts"})
    ]


class Acknowledged(Schema):
    """Rows that are kept aside are no problem any more; nothing was deleted."""

    kind: str = Field(examples=["conflicts"])
    rows: int = Field(examples=[3], description="that nobody had acknowledged before")


class Alive(Schema):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Ready(Schema):
    """The service does its work."""

    status: Literal["ready"] = "ready"
    database: str = Field(examples=["up"])
    feed: str = Field(examples=["live"])
