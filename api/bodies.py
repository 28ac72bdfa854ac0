"""What the API takes and gives where something is changed, retried or worked out, with examples.

`null` leaves a value as it is. Amounts are SOL, times ISO 8601 in UTC, durations seconds.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from api.schemas import Actor, CachedCoin, ConfigResponse, LiveCandle, MintText, Phase, Row, Schema

_INT_MAX = 2**31 - 1

PhaseName = Annotated[str, Field(min_length=1, max_length=50, examples=["Baby Zone"])]
IntervalSeconds = Annotated[int, Field(ge=1, le=_INT_MAX, examples=[5])]
MinAge = Annotated[int, Field(ge=0, le=_INT_MAX, examples=[0])]
MaxAge = Annotated[
    int, Field(ge=1, le=_INT_MAX, examples=[10], description="above min_age_minutes")
]


class Body(Schema):
    """Base of what is sent: a number is a number, and nothing is unnamed."""

    model_config = ConfigDict(strict=True)


class Done(Schema):
    """A change is made."""

    status: Literal["success"] = "success"
    message: str = Field(examples=["The dead letter is deleted."])


# Phases and configuration.


class PhaseCreate(Body):
    """A new regular phase."""

    name: PhaseName
    interval_seconds: IntervalSeconds
    min_age_minutes: MinAge
    max_age_minutes: MaxAge


class PhaseUpdate(Body):
    """What changes of a phase; at least one value."""

    name: PhaseName | None = None
    interval_seconds: IntervalSeconds | None = None
    min_age_minutes: MinAge | None = None
    max_age_minutes: MaxAge | None = None


class PhasePath(Schema):
    """A phase by its id."""

    id: Annotated[int, Field(ge=1, le=_INT_MAX, json_schema_extra={"example": 1})]


class PhaseCreated(Done):
    """The new phase, under the first free id."""

    phase: Phase


class PhaseUpdated(Done):
    """The phase as it is now."""

    phase: Phase
    updated_streams: int = Field(examples=[30], description="active streams in this phase")


class PhaseDeleted(Done):
    """A phase is gone."""

    deleted_phase_id: int = Field(examples=[1])
    affected_streams: int = Field(
        examples=[30], description="active streams that moved to the next phase, else to 99"
    )


class ConfigReloaded(Done):
    """Streams and phases were read again."""

    config: ConfigResponse
    updated_streams: int = Field(
        examples=[0], description="active streams in phases whose interval was another one before"
    )


# Trackers.


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


# Analytics.


class AnalyticsQuery(Schema):
    """How far to look back."""

    windows: Annotated[
        str,
        Field(
            max_length=400,
            description="up to 20, in s, m or h; a number alone means minutes",
            json_schema_extra={
                "example": "30s,5m,1h",
                "pattern": "^[1-9][0-9]{0,4}[smh]?(,[1-9][0-9]{0,4}[smh]?){0,19}$",
            },
        ),
    ] = "30s,1m,3m,5m,15m,30m,1h"


class Performance(Schema):
    """How the price has moved within one window."""

    price_change_pct: float | None = Field(examples=[2.5])
    old_price: float | None = Field(examples=[2.8e-8])
    trend: Literal["UP", "DOWN", "FLAT", "NO_DATA"] = Field(
        description="UP above +1 %, DOWN below -1 %, else FLAT; NO_DATA without a row near the "
        "window's start"
    )
    data_found: bool
    data_age_seconds: float | None = Field(examples=[61.5], description="of old_price")


class AnalyticsResponse(Schema):
    """How the price of a coin has moved."""

    mint: str = Field(examples=["Ai3qS9nAJhGkW4pA2s1nHbzHqVr7TgP8d3cL5yZmpump"])
    current_price: float | None = Field(
        examples=[2.87e-8], description="of the open candle, else of the newest row with a price"
    )
    last_updated: str | None = Field(
        examples=["2026-07-03T12:00:05+00:00"], description="now for an open candle"
    )
    is_active: bool = Field(description="it is tracked, or is to be")
    performance: dict[str, Performance] = Field(
        examples=[
            {
                "5m": {
                    "price_change_pct": 2.5,
                    "old_price": 2.8e-8,
                    "trend": "UP",
                    "data_found": True,
                    "data_age_seconds": 301.5,
                }
            }
        ]
    )


# What was not observed, and what nobody handled.


class GapsQuery(Schema):
    """How many gaps, and of which coin."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    mint: MintText | None = None


class GapsResponse(Schema):
    """Rows of feed_gaps, newest first; with a mint, its own and those of the whole feed."""

    gaps: list[Row] = Field(
        examples=[
            [
                {
                    "id": 7,
                    "mint": None,
                    "started_at": "2026-07-03T12:00:00+00:00",
                    "ended_at": "2026-07-03T12:00:04+00:00",
                    "reason": "the socket was lost",
                }
            ]
        ]
    )
    count: int = Field(examples=[1])
    limit: int = Field(examples=[100])


class LettersQuery(Schema):
    """How many dead letters."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 50


class LetterPath(Schema):
    """A dead letter by its id."""

    id: Annotated[int, Field(ge=1, le=2**53 - 1, json_schema_extra={"example": 1})]


class DeadLetter(Schema):
    """A message that nobody handled."""

    id: int = Field(examples=[1])
    at: str = Field(examples=["2026-07-03T12:00:00.000001+00:00"])
    actor: str = Field(
        examples=["tracker:Ai3qS9nAJhGkW4pA2s1nHbzHqVr7TgP8d3cL5yZmpump"],
        description="whom it was for",
    )
    reason: str = Field(
        examples=["failed"], description="failed, full, gone, stopped, or refused by the actor"
    )
    message_type: str = Field(examples=["Trade"])
    message: Any = Field(
        examples=[{"seq": 7, "sol_lamports": 1_000_000_000}],
        description="its content, cut where it is long",
    )
    error: str | None = Field(examples=["ValueError: sol_lamports is below 0"])
    traceback: str | None


class DeadLettersResponse(Schema):
    """The newest dead letters, newest first."""

    dead_letters: list[DeadLetter]
    count: int = Field(examples=[1])
    limit: int = Field(examples=[50])
