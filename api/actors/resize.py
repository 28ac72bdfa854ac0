"""Sizes: threads, writers, trackers, mailboxes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from actors.protocol.operator import ResizeDispatcher, ResizeMailbox, ResizeTrackers, ResizeWriters
from api.actors.schemas import ActorPath  # noqa: TC001 - read at run time
from api.config.schemas import (
    DispatcherSize,
    MailboxSize,
    SizesResponse,
    TrackersSize,
    WritersSize,
)
from api.problems import ProblemError, changes
from api.schemas import DryRunQuery  # noqa: TC001 - read at run time
from api.services import ASK_SECONDS, services

if TYPE_CHECKING:
    from actors.protocol.operator import Resized

blueprint = APIBlueprint("sizes", __name__, abp_tags=[Tag(name="sizes")])

MOVE_SECONDS: Final = 60.0
"""Other writers are in force once each has written or stored what it holds: a database that does
not answer holds each of them up for its statement timeout, 30 s.
"""
_NOT_THERE: Final = "No actor has this name: see /actors for those there are."


@blueprint.patch(
    "/actors/dispatcher",
    summary="Threads that the trackers share",
    responses=changes(SizesResponse, 404, 409, 503, 504),
)
def resize_dispatcher(body: DispatcherSize, query: DryRunQuery) -> dict[str, Any]:
    """Change how many threads there are; a turn that runs ends as it began."""
    return _resized(ResizeDispatcher(body.threads, query.dry_run), query)


@blueprint.patch(
    "/actors/postgres-writer",
    summary="Writers, and the size of their batches",
    responses=changes(SizesResponse, 404, 409, 503, 504),
)
def resize_writers(body: WritersSize, query: DryRunQuery) -> dict[str, Any]:
    """Change the writers; answered once every coin's rows go through its new one."""
    if not body.model_dump(exclude_none=True):
        raise ProblemError(400, "Nothing would change: give at least one value.")
    command = ResizeWriters(
        body.instances, body.batch_size, body.batch_timeout_ms, dry_run=query.dry_run
    )
    return _resized(command, query, MOVE_SECONDS)


@blueprint.patch(
    "/actors/trackers",
    summary="How many coins are tracked at most",
    responses=changes(SizesResponse, 404, 409, 503, 504),
)
def resize_trackers(body: TrackersSize, query: DryRunQuery) -> dict[str, Any]:
    """Change the bound; coins that are tracked already stay."""
    return _resized(ResizeTrackers(body.max_trackers, query.dry_run), query)


@blueprint.patch(
    "/actors/<text:name>",
    summary="The bound of an actor's mailbox",
    responses=changes(SizesResponse, 404, 409, 503, 504),
)
def resize_mailbox(path: ActorPath, body: MailboxSize, query: DryRunQuery) -> dict[str, Any]:
    """Change how many events the mailbox takes; what is in it stays."""
    return _resized(ResizeMailbox(path.name, body.mailbox_capacity, query.dry_run), query)


def _resized(command: Any, query: DryRunQuery, patience_s: float = ASK_SECONDS) -> dict[str, Any]:
    known = services()
    with known.limits.changes.taken():
        resized: Resized = known.ask(command, patience_s)
    if not resized.found:
        raise ProblemError(404, _NOT_THERE)
    if resized.refusal is not None:
        raise ProblemError(409, resized.refusal)
    return SizesResponse(
        before=resized.before,
        after=resized.after,
        effects=list(resized.effects),
        dry_run=query.dry_run,
    ).model_dump()
