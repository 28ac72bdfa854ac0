"""What the API gives of one coin or actor under the lens, with examples.

Amounts are SOL, times ISO 8601 in UTC, durations seconds.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.bodies import Body, TrackerResponse
from api.schemas import Schema

_MINT = "Ai3qS9nAJhGkW4pA2s1nHbzHqVr7TgP8d3cL5yZmpump"
_AT = "2026-07-03T12:00:00.000001+00:00"


class HandledMessage(Schema):
    """A message that an actor has handled."""

    at: str = Field(examples=[_AT], description="when its turn came")
    message: str = Field(examples=["Trade"], description="its type")
    summary: str = Field(examples=["Trade(seq=7, sol_lamports=1000000000)"])
    events: int = Field(examples=[1], description="how many are in it")
    waited_seconds: float = Field(examples=[0.000_21])
    taken_seconds: float = Field(examples=[0.000_035])
    failed: bool = Field(examples=[False])


class RecentResponse(Schema):
    """The last messages of an actor, oldest first; at most 20 are kept."""

    actor: str = Field(examples=["discovery"])
    recent: list[HandledMessage]
    count: int = Field(examples=[20])


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


class DossiersQuery(Schema):
    """How many failures, and of which actor."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    actor: (
        Annotated[
            str,
            Field(min_length=1, max_length=128, json_schema_extra={"example": "discovery"}),
        ]
        | None
    ) = None


class DossierPath(Schema):
    """A failure by its id."""

    id: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9_.-]{1,100}$",
            json_schema_extra={"example": "01783080000000000-0001"},
        ),
    ]


class DossierSummary(Schema):
    """A failure on record."""

    id: str = Field(examples=["01783080000000000-0001"])
    at: str = Field(examples=[_AT])
    actor: str = Field(examples=[f"tracker:{_MINT}"])
    kind: str = Field(examples=["tracker"])
    error: str = Field(examples=["ValueError: sol_lamports is below 0"])
    message: str | None = Field(
        examples=["Trade"], description="type of what failed; null: the actor's start or stop"
    )
    decision: str = Field(examples=["restart"], description="restart, quarantine, stop or escalate")


class DossiersResponse(Schema):
    """The failures on record, newest first."""

    dossiers: list[DossierSummary]
    count: int = Field(examples=[1])
    limit: int = Field(examples=[50])


class Dossier(DossierSummary):
    """A failure in full."""

    traceback: str = Field(examples=["Traceback (most recent call last): ..."])
    summary: str | None = Field(examples=["Trade(seq=7)"], description="what failed, in short")
    recent: list[HandledMessage] = Field(
        description="the last messages, oldest first; the one that failed is the last"
    )
    state: str | None = Field(
        examples=["TrackerState(phase_id=1)"], description="what the actor said about itself"
    )
    restart_after_seconds: float | None = Field(examples=[0.5])
    restarts: int = Field(examples=[1], description="before this failure")
