"""Phases: how often a coin of a certain age is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from api.phases.schemas import (
    Phase,
    PhaseCreate,
    PhaseCreated,
    PhaseDeleted,
    PhaseDifference,
    PhasePath,
    PhasePreset,
    PhasesResponse,
    PhasesSwitched,
    PhaseUpdate,
    PhaseUpdated,
    StreamsMoved,
)
from api.problems import ProblemError, answers, changes
from api.schemas import DryRunQuery  # noqa: TC001 - read at run time
from api.services import services
from db import phases

if TYPE_CHECKING:
    from actors.domain import Phase as Row
    from db.phases import PhaseSwitch

blueprint = APIBlueprint("phases", __name__, abp_tags=[Tag(name="phases")])

_UNKNOWN = "There is no phase of this id: see /database/phases."


@blueprint.get("/database/phases", summary="Every phase", responses=answers(PhasesResponse, 503))
def list_phases() -> dict[str, Any]:
    """Give every phase, by id."""
    with services().database.connection() as connection:
        rows = phases.all_phases(connection)
    shown = [_phase(row) for row in rows]
    return PhasesResponse(phases=shown, count=len(shown)).model_dump()


@blueprint.post("/database/phases", summary="Add a phase", responses=changes(PhaseCreated, 503))
def create_phase(body: PhaseCreate) -> dict[str, Any]:
    """Add a regular phase under the first free id of 1 to 98."""
    with services().database.connection() as connection:
        row = phases.create_phase(connection, **body.model_dump())
    return PhaseCreated(message=f"Phase {row.id} is added.", phase=_phase(row)).model_dump()


@blueprint.put(
    "/database/phases",
    summary="Replace the phases by a preset",
    responses=changes(PhasesSwitched, 503),
)
def switch_phases(body: PhasePreset, query: DryRunQuery) -> dict[str, Any]:
    """Replace the regular phases by those of a preset, all or none; 99 and 100 stay."""
    with services().database.connection() as connection:
        switch = phases.switch_phases(connection, body.preset, dry_run=query.dry_run)
    changed = _differences(switch)
    return PhasesSwitched(
        message=_message(body.preset, is_changed=bool(changed), dry_run=query.dry_run),
        phases=[_phase(row) for row in switch.after],
        count=len(switch.after),
        changed=changed,
        moved_streams=[
            StreamsMoved(from_phase_id=move.from_id, to_phase_id=move.to_id, streams=move.streams)
            for move in switch.moves
        ],
        dry_run=query.dry_run,
    ).model_dump()


@blueprint.put(
    "/database/phases/<id>",
    summary="Change a phase",
    responses=changes(PhaseUpdated, 404, 503),
)
def update_phase(path: PhasePath, body: PhaseUpdate) -> dict[str, Any]:
    """Change some values of a regular phase; running windows end as they began."""
    changes = body.model_dump(exclude_none=True)
    if not changes:
        raise ProblemError(400, "Nothing would change: give at least one value.")
    with services().database.connection() as connection:
        row = phases.update_phase(connection, path.id, changes)
        if row is None:
            raise ProblemError(404, _UNKNOWN)
        streams = phases.streams_in_phase(connection, path.id)
    return PhaseUpdated(
        message=f"Phase {row.id} is changed.", phase=_phase(row), updated_streams=streams
    ).model_dump()


@blueprint.delete(
    "/database/phases/<id>",
    summary="Delete a phase",
    responses=changes(PhaseDeleted, 404, 503),
)
def delete_phase(path: PhasePath) -> dict[str, Any]:
    """Delete a regular phase; its active streams move to the next higher one, else to 99."""
    with services().database.connection() as connection:
        moved = phases.delete_phase(connection, path.id)
    if moved is None:
        raise ProblemError(404, _UNKNOWN)
    return PhaseDeleted(
        message=f"Phase {path.id} is deleted.", deleted_phase_id=path.id, affected_streams=moved
    ).model_dump()


def _differences(switch: PhaseSwitch) -> list[PhaseDifference]:
    before = {row.id: row for row in switch.before}
    after = {row.id: row for row in switch.after}
    return [
        PhaseDifference(
            id=number,
            before=_phase(before[number]) if number in before else None,
            after=_phase(after[number]) if number in after else None,
        )
        for number in sorted(before.keys() | after.keys())
        if before.get(number) != after.get(number)
    ]


def _message(preset: str, *, is_changed: bool, dry_run: bool) -> str:
    if not is_changed:
        return f"The phases are those of {preset} already."
    if dry_run:
        return "Nothing was changed; this is what would be."
    return f"The phases are those of {preset}; trackers follow at the end of their windows."


def _phase(row: Row) -> Phase:
    return Phase(
        id=row.id,
        name=row.name,
        interval_seconds=row.interval_seconds,
        min_age_minutes=row.min_age_minutes,
        max_age_minutes=row.max_age_minutes,
    )
