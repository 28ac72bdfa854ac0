"""What the API takes and gives about the feed and its gaps, with examples."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.schemas import MintText, Row, Schema


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
