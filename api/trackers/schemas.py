"""What the API takes and gives of one tracked or cached coin, with examples.

Amounts are SOL, times ISO 8601 in UTC, durations seconds.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from api.actors.schemas import Actor, HandledMessage
from api.schemas import Body, Done, MintText, Schema

_MINT = "Ai3qS9nAJhGkW4pA2s1nHbzHqVr7TgP8d3cL5yZmpump"
_AT = "2026-07-03T12:00:00.000001+00:00"


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


class TrackerStart(Body):
    """The coin to track."""

    mint: MintText


class TrackerStarted(Done):
    """The coin's stream is active; its tracker starts as soon as that has been noticed."""

    mint: str = Field(examples=["Ai3qS9nAJhGkW4pA2s1nHbzHqVr7TgP8d3cL5yZmpump"])
    phase_id: int = Field(examples=[1], description="where it begins; its age may take it further")


class PhaseChoice(Body):
    """The phase to move to."""

    phase_id: Annotated[int, Field(ge=1, le=98, examples=[2])]


class Ath(Schema):
    """The highest price since the coin is tracked."""

    price_sol: float = Field(examples=[3.1e-8])
    at: str = Field(examples=["2026-07-03T12:00:03.250000+00:00"])


class TrackerFigures(Schema):
    """What a running tracker holds."""

    phase_id: int = Field(examples=[1])
    window_start: str | None = Field(examples=["2026-07-03T12:00:00+00:00"])
    window_end: str | None = Field(examples=["2026-07-03T12:00:05+00:00"])
    candle: LiveCandle = Field(description="the open one; without a trade yet, empty")
    trades_total: int = Field(examples=[43])
    candles_total: int = Field(examples=[1])
    ath: Ath | None
    age_since: str = Field(examples=["2026-07-03T12:00:00+00:00"])
    creator: str | None = Field(examples=["7bQx7ySgVKz8nyzCNS1cJmEkEYB3nN2rNNhgcFTfS1Zp"])
    covered: bool = Field(description="its trades reach this machine, as far as is known")
    graduated: bool


class TrackerResponse(Schema):
    """A tracked or cached coin, as its actors see it."""

    mint: str = Field(examples=["Ai3qS9nAJhGkW4pA2s1nHbzHqVr7TgP8d3cL5yZmpump"])
    actor: Actor | None = Field(description="null: it has no tracker")
    tracker: TrackerFigures | None = Field(description="null: its tracker does not run")
    cached: CachedCoin | None = Field(description="null: it is not in the cache")


class Timer(Schema):
    """A timer of an actor."""

    key: str = Field(examples=["window"])
    in_seconds: float | None = Field(
        examples=[None], description="null: it runs on the feed clock, see feed_at"
    )
    feed_at: str | None = Field(
        examples=[_AT], description="when the feed clock passes this, all earlier trades are in"
    )


class Route(Schema):
    """A mint as the connection sees it."""

    routed: bool = Field(examples=[True], description="its trades go to a tracker")
    subscription: str | None = Field(
        examples=["acknowledged"],
        description="pending, sent, acknowledged or doubted; null: the server is not asked for it",
    )
    covered: bool = Field(examples=[True], description="its trades reach this machine")
    parked_trades: int = Field(examples=[0], description="in the journal until its tracker goes on")
    parked_since: str | None = Field(examples=[None])
    last_subscribed: str | None = Field(examples=[_AT])


class LensResponse(TrackerResponse):
    """A tracked or cached coin, as its actors see it."""

    paused: bool = Field(examples=[False], description="an operator holds it: trades are parked")
    pinned: bool = Field(
        examples=[False], description="an operator keeps it tracked beyond its last phase"
    )
    timers: list[Timer]
    route: Route | None = Field(description="null: the connection did not say")
    recent: list[HandledMessage] = Field(description="last messages of its tracker, oldest first")


class TraceChoice(Body):
    """For how long every message of the tracker is logged."""

    seconds: Annotated[
        float,
        Field(ge=0, le=3600, allow_inf_nan=False, examples=[60], description="0 ends it"),
    ]


class JournalQuery(Schema):
    """How many frames."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class RawFrame(Schema):
    """A frame as it came off the socket."""

    seq: int = Field(examples=[182_334])
    at: str = Field(examples=[_AT], description="arrival")
    frame: str = Field(
        examples=['{"txType":"buy","mint":"Ai3q"}'],
        description="as received, cut at 16,384 characters",
    )
    cut: bool = Field(examples=[False])


class JournalResponse(Schema):
    """The newest frames of a mint that the journal has, oldest first."""

    mint: str = Field(examples=[_MINT])
    frames: list[RawFrame]
    count: int = Field(examples=[100])
    limit: int = Field(examples=[100])
    complete: bool = Field(
        examples=[False], description="there are no older ones in the journal than these"
    )


class WhyNote(Schema):
    """One thing that happened to a coin."""

    at: str = Field(examples=[_AT])
    actor: str = Field(examples=["discovery"], description="who noted it")
    event: str = Field(examples=["activated"])
    details: dict[str, str | int | float | bool | None] = Field(examples=[{"by": "trades"}])
    text: str = Field(examples=["It was activated by trades."])


class WhyResponse(Schema):
    """What has happened to a coin, oldest first."""

    mint: str = Field(examples=[_MINT])
    notes: list[WhyNote]
    count: int = Field(examples=[12])
