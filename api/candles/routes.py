"""Candles: the rows of coin_metrics."""

from __future__ import annotations

from typing import Any

from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from actors.domain import Mint
from api.candles.schemas import MetricsQuery, MetricsResponse
from api.problems import answers
from api.services import services
from db import candles

blueprint = APIBlueprint("candles", __name__, abp_tags=[Tag(name="candles")])


@blueprint.get(
    "/database/metrics",
    summary="Newest candles",
    responses=answers(MetricsResponse, 503),
)
def list_metrics(query: MetricsQuery) -> dict[str, Any]:
    """Give rows of coin_metrics, newest first, of all coins or of one."""
    mint = None if query.mint is None else Mint(query.mint)
    with services().database.connection() as connection:
        rows = list(candles.recent(connection, query.limit, mint))
    return MetricsResponse(
        metrics=rows, count=len(rows), limit=query.limit, mint_filter=query.mint
    ).model_dump()
