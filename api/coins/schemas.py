"""What the API takes and gives about one coin, with examples."""

from __future__ import annotations

from pydantic import Field

from api.schemas import Row, Schema
from api.trackers.schemas import CachedCoin, LiveCandle


class CoinResponse(Schema):
    """What is known of one coin, in the database and in memory."""

    coin: Row | None = Field(description="row of discovered_coins")
    stream: Row | None = Field(description="row of coin_streams, and phase_name")
    latest_metrics: Row | None = Field(description="newest row of coin_metrics")
    live_tracking: LiveCandle | CachedCoin | None
