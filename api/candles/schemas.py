"""What the API takes and gives about candles, with examples."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.schemas import MintText, Row, Schema


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
