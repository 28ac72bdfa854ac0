"""What the API takes and gives about dead letters, with examples."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from api.schemas import Schema


class LettersQuery(Schema):
    """How many dead letters."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 50


class LetterPath(Schema):
    """A dead letter by its id."""

    id: Annotated[int, Field(ge=1, le=2**53 - 1, json_schema_extra={"example": 1})]


class DeadLetter(Schema):
    """A message that nobody handled."""

    id: int = Field(examples=[1])
    at: str = Field(examples=["2026-07-03T12:00:00.000001+00:00"])
    actor: str = Field(
        examples=["tracker:Ai3qS9nAJhGkW4pA2s1nHbzHqVr7TgP8d3cL5yZmpump"],
        description="whom it was for",
    )
    reason: str = Field(
        examples=["failed"], description="failed, full, gone, stopped, or refused by the actor"
    )
    message_type: str = Field(examples=["Trade"])
    message: Any = Field(
        examples=[{"seq": 7, "sol_lamports": 1_000_000_000}],
        description="its content, cut where it is long",
    )
    error: str | None = Field(examples=["ValueError: sol_lamports is below 0"])
    traceback: str | None


class DeadLettersResponse(Schema):
    """The newest dead letters, newest first."""

    dead_letters: list[DeadLetter]
    count: int = Field(examples=[1])
    limit: int = Field(examples=[50])
