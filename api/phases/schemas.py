"""What the API takes and gives about phases, with examples."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.schemas import Body, Done, Schema
from db.phases import Preset


class Phase(Schema):
    """One row of ref_coin_phases."""

    id: int = Field(examples=[1])
    name: str | None = Field(examples=["Baby Zone"])
    interval_seconds: int | None = Field(examples=[5])
    min_age_minutes: int | None = Field(examples=[0])
    max_age_minutes: int | None = Field(examples=[10])


class PhasesResponse(Schema):
    """Every phase, by id."""

    phases: list[Phase]
    count: int = Field(examples=[5])


_INT_MAX = 2**31 - 1


PhaseName = Annotated[str, Field(min_length=1, max_length=50, examples=["Baby Zone"])]


IntervalSeconds = Annotated[int, Field(ge=1, le=_INT_MAX, examples=[5])]


MinAge = Annotated[int, Field(ge=0, le=_INT_MAX, examples=[0])]


MaxAge = Annotated[
    int, Field(ge=1, le=_INT_MAX, examples=[10], description="above min_age_minutes")
]


class PhaseCreate(Body):
    """A new regular phase."""

    name: PhaseName
    interval_seconds: IntervalSeconds
    min_age_minutes: MinAge
    max_age_minutes: MaxAge


class PhaseUpdate(Body):
    """What changes of a phase; at least one value."""

    name: PhaseName | None = None
    interval_seconds: IntervalSeconds | None = None
    min_age_minutes: MinAge | None = None
    max_age_minutes: MaxAge | None = None


class PhasePreset(Body):
    """Which table of regular phases."""

    preset: Annotated[Preset, Field(examples=["pump-platform"])]


class PhasePath(Schema):
    """A phase by its id."""

    id: Annotated[int, Field(ge=1, le=_INT_MAX, json_schema_extra={"example": 1})]


class PhaseCreated(Done):
    """The new phase, under the first free id."""

    phase: Phase


class PhaseUpdated(Done):
    """The phase as it is now."""

    phase: Phase
    updated_streams: int = Field(examples=[30], description="active streams in this phase")


class PhaseDeleted(Done):
    """A phase is gone."""

    deleted_phase_id: int = Field(examples=[1])
    affected_streams: int = Field(
        examples=[30], description="active streams that moved to the next phase, else to 99"
    )


class PhaseDifference(Schema):
    """A phase that is added, changed or deleted."""

    id: int = Field(examples=[1])
    before: Phase | None
    after: Phase | None


class StreamsMoved(Schema):
    """Active streams of a phase that goes."""

    from_phase_id: int = Field(examples=[4])
    to_phase_id: int = Field(examples=[99], description="99: they end")
    streams: int = Field(examples=[30])


class PhasesSwitched(Done):
    """The regular phases are those of a preset, or would be."""

    phases: list[Phase]
    count: int = Field(examples=[10])
    changed: list[PhaseDifference]
    moved_streams: list[StreamsMoved]
    dry_run: bool = Field(examples=[False], description="nothing was done")
