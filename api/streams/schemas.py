"""What the API takes and gives about streams, with examples."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.schemas import Row, Schema


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
