"""Is the service well, ready, alive?"""

from __future__ import annotations

from typing import Any, Final

from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from actors.protocol.operator import AcknowledgeKept
from actors.protocol.supervisor import GetHealth, HealthReport
from api.gateway import NotAnswered
from api.health.schemas import Acknowledged, Alive, HealthResponse, KeptPath, Ready
from api.health.views import health_of, health_unknown, obstacles
from api.problems import ProblemError, changes, open_answers
from api.services import Services, services

blueprint = APIBlueprint("health", __name__, abp_tags=[Tag(name="health")])

_KEPT: Final = ("ahead", "conflicts")


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
    """Answer 200 when rows can be written or kept, the socket is open, and coins are subscribed.

    At the start that means every active stream: it has its tracker, and its subscription was sent.
    """
    known = services()
    report: HealthReport = known.ask(GetHealth())
    found = obstacles(report, database_answers=known.database.answers())
    if found:
        why = known.redactor.text("; ".join(found))
        raise ProblemError(503, f"The service is not ready, because {why}: see /health.")
    return Ready(database=report.database_state, feed=report.feed_state).model_dump()


@blueprint.post(
    "/problems/<kind>/acknowledge",
    summary="Rows that are kept aside were looked at",
    responses=changes(Acknowledged, 404, 503, 504),
)
def acknowledge(path: KeptPath) -> dict[str, Any]:
    """Have rows of `coin_metrics_ahead` or `coin_metrics_conflicts` be no problem any more."""
    if path.kind not in _KEPT:
        raise ProblemError(
            404,
            "Only problems about rows that are kept aside are acknowledged: `ahead` or "
            "`conflicts`. Every other problem ends with its cause.",
        )
    rows: int | None = services().ask(AcknowledgeKept(path.kind))
    if rows is None:
        raise ProblemError(
            503,
            "The database is needed for this and does not answer: try again, and look at /health "
            "if it stays so.",
            retry_after_s=5,
        )
    return Acknowledged(kind=path.kind, rows=rows).model_dump()


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
        masked=known.redactor.text,
    )
