"""From what the runtime says of actors to what the API shows of them, and their tree. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from api.actors.schemas import Actor, ActorNode, ActorTreeResponse, HandledMessage
from api.health.views import iso

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from actors.runtime import ActorReport
    from actors.runtime.inspection.recent_messages import RecentMessage
    from telemetry import Redactor

ORDER: Final = (
    "connection",
    "discovery",
    "tracker",
    "postgres-writer",
    "n8n-writer",
    "stream-watch",
    "auditor",
)
"""Kinds below the supervisor, as they stand in the tree."""
_ROOT: Final = "supervisor"
_TRACKER: Final = "tracker"
_RUNNING: Final = "running"


def actor_of(report: ActorReport, mask: Callable[[str | None], str | None]) -> Actor:
    """Show one actor; `mask` hides secrets in its last error."""
    return Actor(
        name=report.name,
        kind=report.kind,
        state=report.state,
        mailbox_depth=report.mailbox_depth,
        mailbox_peak=report.mailbox_peak,
        mailbox_capacity=report.mailbox_capacity,
        oldest_age_seconds=report.oldest_age_seconds,
        handled=report.handled,
        restarts=report.restarts,
        last_error=mask(report.last_error),
        busy_share=report.busy_share,
        pinned=report.own_thread,
    )


def tree_of(reports: Sequence[ActorReport], shown_trackers: int) -> ActorTreeResponse:
    """Arrange the actors under the supervisor, with at most `shown_trackers` of the trackers.

    The API stands in it as well: it is a child of the supervisor, though no actor.
    """
    trackers = [report for report in reports if report.kind == _TRACKER]
    shown = sorted(trackers, key=lambda report: report.state == _RUNNING)[:shown_trackers]
    others = [report for report in reports if report.kind not in {_TRACKER, _ROOT}]
    children = sorted([*others, *shown], key=lambda report: _rank(report.kind))
    api = ActorNode(name="api", kind="api", state=_RUNNING, restarts=0, children=[])
    root = next((report for report in reports if report.kind == _ROOT), None)
    return ActorTreeResponse(
        tree=ActorNode(
            name=_ROOT,
            kind=_ROOT,
            state=_RUNNING if root is None else root.state,
            restarts=0 if root is None else root.restarts,
            children=[*map(_node, children), api],
        ),
        tracker_count=len(trackers),
        trackers_by_state=dict(Counter(report.state for report in trackers)),
    )


def _rank(kind: str) -> int:
    return ORDER.index(kind) if kind in ORDER else len(ORDER)


def _node(report: ActorReport) -> ActorNode:
    return ActorNode(
        name=report.name,
        kind=report.kind,
        state=report.state,
        restarts=report.restarts,
        children=[],
    )


def handled_of(message: RecentMessage, redactor: Redactor) -> HandledMessage:
    """Show a handled message, with secrets masked."""
    return HandledMessage(
        at=iso(message.at_us),
        message=message.message,
        summary=redactor.text(message.summary),
        events=message.weight,
        waited_seconds=message.waited_s,
        taken_seconds=message.taken_s,
        failed=message.failed,
    )
