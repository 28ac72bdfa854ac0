"""Streams: the coins that are, or were, tracked."""

from __future__ import annotations

from typing import Any

from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from api.problems import answers
from api.services import services
from api.streams.schemas import StreamsQuery, StreamsResponse, StreamStatsResponse
from db import streams

blueprint = APIBlueprint("streams", __name__, abp_tags=[Tag(name="streams")])


@blueprint.get(
    "/database/streams",
    summary="Newest streams",
    responses=answers(StreamsResponse, 503),
)
def list_streams(query: StreamsQuery) -> dict[str, Any]:
    """Give rows of coin_streams, newest id first."""
    with services().database.connection() as connection:
        rows = list(streams.page(connection, query.limit))
    return StreamsResponse(streams=rows, count=len(rows), limit=query.limit).model_dump()


@blueprint.get(
    "/database/streams/stats",
    summary="How many streams there are",
    responses=answers(StreamStatsResponse, 503),
)
def stream_stats() -> dict[str, Any]:
    """Count the streams, active and ended, and by phase."""
    with services().database.connection() as connection:
        found = streams.stats(connection)
    return StreamStatsResponse.model_validate(found).model_dump()
