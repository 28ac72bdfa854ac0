"""What the API takes and gives about the ledger, with examples."""

from __future__ import annotations

from pydantic import Field

from api.schemas import Schema


class LedgerResponse(Schema):
    """Where every received trade is."""

    received: int = Field(examples=[182_334])
    places: dict[str, int] = Field(examples=[{"committed": 182_000, "open": 300, "cached": 34}])
    balanced: bool = Field(description="the places add up to what was received")
