"""What the API takes and gives, with examples for the OpenAPI document.

Amounts are SOL (floats, for reading), times ISO 8601 in UTC, durations seconds.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Row = dict[str, Any]
"""One row of a table by column name: numbers, texts, ISO 8601 times, null."""

MintText = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        pattern=r"^[\x21-\x7e]+$",
        description="1 to 64 printable ASCII characters",
        json_schema_extra={"example": "Ai3qS9nAJhGkW4pA2s1nHbzHqVr7TgP8d3cL5yZmpump"},
    ),
]


def _show_examples(schema: dict[str, Any]) -> None:
    """Write the first of a field's `examples` as its `example`.

    The OpenAPI document's maker knows only that word and drops the other one.
    """
    for field in schema.get("properties", {}).values():
        for place in (field, *field.get("anyOf", ())):
            if "examples" in place:
                field["example"] = place["examples"][0]


class Schema(BaseModel):
    """Base of all bodies: immutable, nothing unnamed."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=_show_examples)


class Problem(Schema):
    """Why a request was refused, and what to do (RFC 9457)."""

    type: str = "about:blank"
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["No coin has this mint: check it for a missing character."])
    instance: str = Field(examples=["/database/coins/unknown"])


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


class ConfigResponse(Schema):
    """The values in force, secrets masked."""

    n8n_webhook_url: str | None = Field(examples=["https://n8n.example/webhook/coins"])
    n8n_webhook_method: Literal["POST", "GET"]
    db_dsn: str | None = Field(examples=["postgresql://mintwatch:***@db:5432/coins"])
    coin_cache_seconds: int = Field(examples=[120])
    db_refresh_interval: int = Field(examples=[10])
    batch_size: int = Field(examples=[10])
    batch_timeout: int = Field(examples=[30])
    bad_names_pattern: str = Field(examples=["test|bot|rug|scam|cant|honey|faucet"])
    spam_burst_window: int = Field(examples=[30])
    sol_reserves_full: float = Field(examples=[85.0])
    whale_threshold_sol: float = Field(examples=[1.0])
    age_calculation_offset_min: int = Field(examples=[0])
    trade_buffer_seconds: int = Field(
        examples=[120], description="trades of a coin are kept as long as the coin is cached"
    )
    ath_flush_interval: float = Field(examples=[5.0])


class Phase(Schema):
    """One row of ref_coin_phases."""

    id: int = Field(examples=[1])
    name: str | None = Field(examples=["Baby Zone"])
    interval_seconds: int | None = Field(examples=[5])
    min_age_minutes: int | None = Field(examples=[0])
    max_age_minutes: int | None = Field(examples=[10])


class PhasesResponse(Schema):
    """Every phase, by id."""

    phases: list[Phase]
    count: int = Field(examples=[5])


class StreamsQuery(Schema):
    """How many streams."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 50


class StreamsResponse(Schema):
    """Rows of coin_streams, newest id first."""

    streams: list[Row]
    count: int = Field(examples=[50])
    limit: int = Field(examples=[50])


class StreamStatsResponse(Schema):
    """How many streams there are."""

    total_streams: int = Field(examples=[120])
    active_streams: int = Field(examples=[41])
    ended_streams: int = Field(examples=[79])
    streams_by_phase: dict[str, int] = Field(examples=[{"1": 30, "2": 11, "99": 79}])


class MetricsQuery(Schema):
    """How many candles, and of which coin."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    mint: MintText | None = None


class MetricsResponse(Schema):
    """Rows of coin_metrics, newest first."""

    metrics: list[Row]
    count: int = Field(examples=[100])
    limit: int = Field(examples=[100])
    mint_filter: str | None = Field(examples=[None])


class MintPath(Schema):
    """A coin by its mint."""

    mint: MintText


class LiveCandle(Schema):
    """The open candle of a tracked coin."""

    price_open: float | None = Field(examples=[2.8e-8])
    price_high: float | None = Field(examples=[3.1e-8])
    price_low: float | None = Field(examples=[2.8e-8])
    price_close: float | None = Field(examples=[3.0e-8])
    volume_sol: float = Field(examples=[12.5])
    buy_volume_sol: float = Field(examples=[8.25])
    sell_volume_sol: float = Field(examples=[4.25])
    num_buys: int = Field(examples=[31])
    num_sells: int = Field(examples=[12])
    unique_wallets: int = Field(examples=[27])
    market_cap_sol: float | None = Field(examples=[30.0])
    interval_seconds: int = Field(examples=[5])
    next_flush_seconds: float | None = Field(examples=[3.2])


class CachedCoin(Schema):
    """A coin that waits in the cache."""

    status: Literal["in_cache"] = "in_cache"
    discovered_at: str = Field(examples=["2026-07-03T12:00:00.000001+00:00"])
    n8n_sent: bool
    activated: bool
    subscription_active: bool
    cached_trades: int = Field(examples=[17])


class CoinResponse(Schema):
    """What is known of one coin, in the database and in memory."""

    coin: Row | None = Field(description="row of discovered_coins")
    stream: Row | None = Field(description="row of coin_streams, and phase_name")
    latest_metrics: Row | None = Field(description="newest row of coin_metrics")
    live_tracking: LiveCandle | CachedCoin | None


class Actor(Schema):
    """What the runtime knows of one actor."""

    name: str = Field(examples=["postgres-writer:0"])
    kind: str = Field(examples=["postgres-writer"])
    state: str = Field(examples=["running"])
    mailbox_depth: int = Field(examples=[0], description="events waiting")
    mailbox_peak: int = Field(examples=[412])
    mailbox_capacity: int = Field(examples=[50_000])
    oldest_age_seconds: float | None = Field(
        examples=[None], description="of the oldest message waiting"
    )
    handled: int = Field(examples=[90_211], description="events since the first start")
    restarts: int = Field(examples=[0])
    last_error: str | None = Field(examples=[None])
    busy_share: float = Field(
        examples=[0.021], description="share of its life spent in handlers, 0 to 1"
    )
    pinned: bool = Field(examples=[True], description="has a thread of its own")


class ActorsQuery(Schema):
    """Which actors, and how many."""

    kind: Annotated[str, Field(max_length=64, json_schema_extra={"example": "tracker"})] | None = (
        None
    )
    state: Annotated[str, Field(max_length=64, json_schema_extra={"example": "running"})] | None = (
        None
    )
    limit: Annotated[int, Field(ge=1, le=1000)] = 1000
    offset: Annotated[int, Field(ge=0, le=1_000_000, description="how many are passed over")] = 0


class ActorsResponse(Schema):
    """Actors in the order in which they were started."""

    actors: list[Actor]
    count: int = Field(examples=[7], description="in this answer")
    total: int = Field(examples=[7], description="that match")


class ActorPath(Schema):
    """An actor by its name."""

    name: Annotated[
        str, Field(min_length=1, max_length=128, json_schema_extra={"example": "discovery"})
    ]


class ActorNode(Schema):
    """One place in the tree."""

    name: str = Field(examples=["discovery"])
    kind: str = Field(examples=["discovery"])
    state: str = Field(examples=["running"])
    restarts: int = Field(examples=[0])
    children: list[ActorNode] = Field(examples=[[]])


class TreeQuery(Schema):
    """How many trackers the tree shows."""

    trackers: Annotated[int, Field(ge=0, le=1000)] = 100


class ActorTreeResponse(Schema):
    """The supervisor and what it supervises; of many trackers those that do not run come first."""

    tree: ActorNode
    tracker_count: int = Field(examples=[41])
    trackers_by_state: dict[str, int] = Field(examples=[{"running": 41}])


class FeedResponse(Schema):
    """The feed as the connection sees it."""

    state: str = Field(examples=["live"])
    reason: str = Field(examples=[""], description="in the server's own words where it has any")
    since: str = Field(examples=["2026-07-03T11:00:00+00:00"])
    source: str = Field(examples=["wss://pumpportal.fun/api/data"])
    connected_since: str | None
    last_frame_at: str | None
    last_trade_at: str | None
    covered_until: str | None = Field(description="every arrival before this is in a mailbox")
    next_seq: int = Field(examples=[182_335])
    frames: dict[str, int] = Field(examples=[{"create": 512, "buy": 91_000, "sell": 90_822}])
    billed_frames: int = Field(examples=[181_822])
    estimated_cost_sol: float = Field(examples=[0.181822])
    reconnects: int = Field(examples=[1])
    last_error: str | None = Field(examples=[None])
    subscriptions: dict[str, int] = Field(examples=[{"acknowledged": 53, "pending": 0}])
    routes: int = Field(examples=[41], description="coins whose trades go to a tracker")
    recovering: bool = Field(examples=[False], description="a journal is being replayed")
    journal: str = Field(examples=["ok"], description="ok, full, failed, closed or off")


class LedgerResponse(Schema):
    """Where every received trade is."""

    received: int = Field(examples=[182_334])
    places: dict[str, int] = Field(examples=[{"committed": 182_000, "open": 300, "cached": 34}])
    balanced: bool = Field(description="the places add up to what was received")
