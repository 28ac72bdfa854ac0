"""Phases: how often a coin of a certain age is written."""

from __future__ import annotations

from typing import Any

from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from api.problems import answers
from api.schemas import Phase, PhasesResponse
from api.services import services
from db import phases

blueprint = APIBlueprint("phases", __name__, abp_tags=[Tag(name="phases")])


@blueprint.get("/database/phases", summary="Every phase", responses=answers(PhasesResponse, 503))
def list_phases() -> dict[str, Any]:
    """Give every phase, by id."""
    with services().database.connection() as connection:
        rows = phases.all_phases(connection)
    shown = [
        Phase(
            id=row.id,
            name=row.name,
            interval_seconds=row.interval_seconds,
            min_age_minutes=row.min_age_minutes,
            max_age_minutes=row.max_age_minutes,
        )
        for row in rows
    ]
    return PhasesResponse(phases=shown, count=len(shown)).model_dump()
