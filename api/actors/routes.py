"""Actors: what each one does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from actors.protocol.operator import GetRecent
from actors.protocol.supervisor import GetActor, GetActors
from api.actors.schemas import (
    Actor,
    ActorPath,
    ActorsQuery,
    ActorsResponse,
    ActorTreeResponse,
    RecentResponse,
    TreeQuery,
)
from api.actors.views import actor_of, handled_of, tree_of
from api.problems import ProblemError, answers
from api.services import services

if TYPE_CHECKING:
    from actors.runtime import ActorReport
    from actors.runtime.inspection.recent_messages import RecentMessage

blueprint = APIBlueprint("actors", __name__, abp_tags=[Tag(name="actors")])


_UNKNOWN: Final = "No actor has this name: see /actors for those there are."


@blueprint.get("/actors", summary="Every actor", responses=answers(ActorsResponse, 504))
def list_actors(query: ActorsQuery) -> dict[str, Any]:
    """Give what every actor does, of one kind or in one state if asked for."""
    known = services()
    reports: tuple[ActorReport, ...] = known.ask(GetActors())
    found = [
        report
        for report in reports
        if query.kind in {None, report.kind} and query.state in {None, report.state}
    ]
    shown = [actor_of(report, known.plain) for report in found[query.offset :][: query.limit]]
    return ActorsResponse(actors=shown, count=len(shown), total=len(found)).model_dump()


@blueprint.get("/actors/<text:name>", summary="One actor", responses=answers(Actor, 404, 504))
def read_actor(path: ActorPath) -> dict[str, Any]:
    """Give what one actor does."""
    known = services()
    report: ActorReport | None = known.ask(GetActor(path.name))
    if report is None:
        raise ProblemError(404, _UNKNOWN)
    return actor_of(report, known.plain).model_dump()


@blueprint.get(
    "/actors/<text:name>/recent",
    summary="Last messages of an actor",
    responses=answers(RecentResponse, 404, 504),
)
def read_recent(path: ActorPath) -> dict[str, Any]:
    """Give the last messages the actor has handled, oldest first."""
    known = services()
    recent: tuple[RecentMessage, ...] | None = known.ask(GetRecent(path.name))
    if recent is None:
        raise ProblemError(404, _UNKNOWN)
    shown = [handled_of(message, known.redactor) for message in recent]
    return RecentResponse(actor=path.name, recent=shown, count=len(shown)).model_dump()


@blueprint.get(
    "/actor-tree",
    summary="Who supervises whom",
    responses=answers(ActorTreeResponse, 504),
)
def read_tree(query: TreeQuery) -> dict[str, Any]:
    """Give the supervisor and what it supervises."""
    reports: tuple[ActorReport, ...] = services().ask(GetActors())
    return tree_of(reports, query.trackers).model_dump()
