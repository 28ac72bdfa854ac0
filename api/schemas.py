"""What every noun of the API takes and gives, with examples for the OpenAPI document.

Amounts are SOL (floats, for reading), times ISO 8601 in UTC, durations seconds. `null` in what is
sent leaves a value as it is.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Row = dict[str, Any]
"""One row of a table by column name: numbers, texts, ISO 8601 times, null."""


MintText = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        pattern=r"^[\x21-\x7e]+$",
        description="1 to 64 printable ASCII characters",
        json_schema_extra={"example": "Ai3qS9nAJhGkW4pA2s1nHbzHqVr7TgP8d3cL5yZmpump"},
    ),
]


def _show_examples(schema: dict[str, Any]) -> None:
    """Write the first of a field's `examples` as its `example`.

    The OpenAPI document's maker knows only that word and drops the other one.
    """
    for field in schema.get("properties", {}).values():
        for place in (field, *field.get("anyOf", ())):
            if "examples" in place:
                field["example"] = place["examples"][0]


class Schema(BaseModel):
    """Base of all bodies: immutable, nothing unnamed."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=_show_examples)


class Problem(Schema):
    """Why a request was refused, and what to do (RFC 9457)."""

    type: str = "about:blank"
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["No coin has this mint: check it for a missing character."])
    instance: str = Field(examples=["/database/coins/unknown"])


class MintPath(Schema):
    """A coin by its mint."""

    mint: MintText


class Body(Schema):
    """Base of what is sent: a number is a number, and nothing is unnamed."""

    model_config = ConfigDict(strict=True)


class DryRunQuery(Schema):
    """Whether it is done, or only said what would be."""

    dry_run: bool = Field(default=False, description="say what would happen, and do nothing")


class Done(Schema):
    """A change is made."""

    status: Literal["success"] = "success"
    message: str = Field(examples=["The dead letter is deleted."])
