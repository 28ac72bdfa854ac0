"""What the API takes and gives about how prices have moved, with examples."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from api.schemas import Schema


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
