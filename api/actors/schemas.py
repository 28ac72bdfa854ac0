"""What the API takes and gives about actors, their messages and failures, with examples."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.schemas import Schema

_MINT = "Ai3qS9nAJhGkW4pA2s1nHbzHqVr7TgP8d3cL5yZmpump"
_AT = "2026-07-03T12:00:00.000001+00:00"


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
