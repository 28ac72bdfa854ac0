"""What the API takes and gives where sizes and settings are changed, with examples.

`null` leaves a size as it is, and gives a setting back to the environment or its default.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from api.schemas import Body, Done, Problem, Schema

Shown = str | int | float | bool | None


class ConfigResponse(Schema):
    """The values in force, secrets masked."""

    n8n_webhook_url: str | None = Field(examples=["https://n8n.example/webhook/coins"])
    n8n_webhook_method: Literal["POST", "GET"]
    db_dsn: str | None = Field(examples=["postgresql://mintwatch:***@db:5432/coins"])
    coin_cache_seconds: int = Field(examples=[120])
    db_refresh_interval: int = Field(examples=[10])
    batch_size: int = Field(examples=[10])
    batch_timeout: int = Field(examples=[30])
    bad_names_pattern: str = Field(examples=["test|bot|rug|scam|cant|honey|faucet"])
    spam_burst_window: int = Field(examples=[30])
    sol_reserves_full: float = Field(examples=[85.0])
    whale_threshold_sol: float = Field(examples=[1.0])
    age_calculation_offset_min: int = Field(examples=[0])
    trade_buffer_seconds: int = Field(
        examples=[120], description="trades of a coin are kept as long as the coin is cached"
    )
    ath_flush_interval: float = Field(examples=[5.0])


class ConfigReloaded(Done):
    """Streams and phases were read again."""

    config: ConfigResponse
    updated_streams: int = Field(
        examples=[0], description="active streams in phases whose interval was another one before"
    )


# Sizes.


class DispatcherSize(Body):
    """How many threads the trackers share."""

    threads: Annotated[int, Field(ge=1, le=64, examples=[2])]


class WritersSize(Body):
    """What changes of the postgres-writers; at least one value."""

    instances: Annotated[int, Field(ge=1, le=16, examples=[4])] | None = None
    batch_size: Annotated[int, Field(ge=1, le=50_000, examples=[2000])] | None = None
    batch_timeout_ms: Annotated[int, Field(ge=1, le=60_000, examples=[200])] | None = None


class TrackersSize(Body):
    """How many coins are tracked at most."""

    max_trackers: Annotated[int, Field(ge=1, le=1_000_000, examples=[20_000])]


class MailboxSize(Body):
    """How many events an actor's mailbox takes."""

    mailbox_capacity: Annotated[int, Field(ge=64, le=1_000_000, examples=[4096])]


class SizesResponse(Schema):
    """A change of size, made or tried out."""

    before: dict[str, int] = Field(examples=[{"threads": 1}])
    after: dict[str, int] = Field(examples=[{"threads": 2}])
    effects: list[str] = Field(
        examples=[["1 more thread takes turns of trackers."]],
        description="what it does to the running system, a sentence each",
    )
    dry_run: bool = Field(examples=[False], description="nothing was done")


# Settings.


def _describe_changes(schema: dict[str, Any]) -> None:
    """Show the settings that clients of the original know; the service judges the values."""
    kinds: dict[str, tuple[str, Shown]] = {
        "db_dsn": ("string", "postgresql://mintwatch:password@db:5432/coins"),
        "n8n_webhook_url": ("string", "https://n8n.example/webhook/coins"),
        "n8n_webhook_method": ("string", "POST"),
        "coin_cache_seconds": ("integer", 120),
        "db_refresh_interval": ("integer", 10),
        "batch_size": ("integer", 10),
        "batch_timeout": ("integer", 30),
        "bad_names_pattern": ("string", "test|bot|rug"),
        "spam_burst_window": ("integer", 30),
    }
    schema["properties"] = {
        name: {**_any_of(kind, "null"), "example": example}
        for name, (kind, example) in kinds.items()
    }
    schema["additionalProperties"] = _any_of("string", "number", "boolean", "null")
    schema["example"] = {"batch_size": 20, "spam_burst_window": 60}


def _any_of(*kinds: str) -> dict[str, Any]:
    return {"anyOf": [{"type": kind} for kind in kinds]}


class ConfigChange(Schema):
    """Settings by their names in lower case; /config/settings has all that may be changed."""

    model_config = ConfigDict(frozen=True, extra="allow", json_schema_extra=_describe_changes)


class ConfigRefused(Problem):
    """Why settings were refused; nothing is changed."""

    errors: list[str] = Field(
        default=[],
        examples=[["BATCH_SIZE is 0, but a whole number from 1 to 100 is expected: correct it."]],
        description="one sentence a mistake",
    )


class Difference(Schema):
    """A setting that changes, secrets masked."""

    before: Shown = Field(examples=[10])
    after: Shown = Field(examples=[20])


class ConfigChanged(Done):
    """Settings are changed, or would be."""

    updated_fields: list[str] = Field(examples=[["batch_size"]])
    new_config: ConfigResponse
    changed: dict[str, Difference] = Field(examples=[{"batch_size": {"before": 10, "after": 20}}])
    restarts: bool = Field(
        examples=[False], description="the service drains and starts again for it"
    )
    dry_run: bool = Field(examples=[False], description="nothing was done")


class Setting(Schema):
    """One setting in force, masked where it is secret."""

    name: str = Field(examples=["coin_cache_seconds"])
    value: Shown = Field(examples=[120])
    acts: Literal["at once", "by a restart", "not at all"] = Field(
        examples=["at once"],
        description="how a change acts; not at all: it is set in the environment alone",
    )


class SettingsResponse(Schema):
    """Every setting in force."""

    settings: list[Setting]
    count: int = Field(examples=[60])


class HistoryQuery(Schema):
    """Which changes of the settings."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 50
    offset: Annotated[int, Field(ge=0, le=1_000_000)] = 0


class PastChange(Schema):
    """A change of the settings, secrets masked."""

    at: str = Field(examples=["2026-07-03T12:00:00.000001+00:00"])
    by: str = Field(examples=["127.0.0.1"], description="the address that asked for it")
    changed: dict[str, Difference] = Field(examples=[{"batch_size": {"before": 10, "after": 20}}])


class HistoryResponse(Schema):
    """Changes of the settings, newest first."""

    changes: list[PastChange]
    count: int = Field(examples=[1])
    limit: int = Field(examples=[50])
    offset: int = Field(examples=[0])
