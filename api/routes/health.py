"""Is the service well, ready, alive?"""

from __future__ import annotations

from typing import Any

from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from actors.control import GetHealth, HealthReport
from api.gateway import NotAnswered
from api.health import health_of, health_unknown, obstacles
from api.problems import ProblemError, open_answers
from api.schemas import Alive, HealthResponse, Ready
from api.services import Services, services

blueprint = APIBlueprint("health", __name__, abp_tags=[Tag(name="health")])


@blueprint.get(
    "/health",
    summary="State of the service",
    responses=open_answers(HealthResponse),
    openapi_extensions={"security": []},
)
def health() -> dict[str, Any]:
    """Say how the feed, the database and the actors are; always with status 200."""
    known = services()
    return _health(known, database_answers=known.database.answers()).model_dump()


@blueprint.get(
    "/livez",
    summary="The process answers",
    responses=open_answers(Alive),
    openapi_extensions={"security": []},
)
def livez() -> dict[str, Any]:
    """Answer, and ask nobody else."""
    return Alive().model_dump()


@blueprint.get(
    "/readyz",
    summary="The service does its work",
    responses=open_answers(Ready, 503, 504),
    openapi_extensions={"security": []},
)
def readyz() -> dict[str, Any]:
    """Answer 200 when rows can be written or spooled, the socket is open, streams are loaded."""
    known = services()
    report: HealthReport = known.ask(GetHealth())
    found = obstacles(report, database_answers=known.database.answers())
    if found:
        why = known.redactor.text("; ".join(found))
        raise ProblemError(503, f"The service is not ready, because {why}: see /health.")
    return Ready(database=report.database_state, feed=report.feed_state).model_dump()


def _health(known: Services, *, database_answers: bool) -> HealthResponse:
    try:
        report: HealthReport = known.ask(GetHealth())
    except NotAnswered as error:
        return health_unknown(
            database_answers=database_answers,
            uptime_seconds=known.monotonic_s() - known.started_s,
            reason=str(error),
        )
    return health_of(
        report,
        database_answers=database_answers,
        last_error=known.plain(report.last_error),
        feed_reason=known.redactor.text(report.feed_reason),
    )
