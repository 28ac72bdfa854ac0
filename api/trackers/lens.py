"""One coin under the lens: held, kept, traced, listened to, and looked up in the journal."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from actors.domain import Mint
from actors.protocol.operator import (
    GetTimeline,
    OpenTap,
    PauseTracker,
    PinTracker,
    ResumeTracker,
    TraceTracker,
)
from api.problems import ProblemError, answers, changes, check, refused
from api.schemas import (
    Done,
    MintPath,
)
from api.services import services
from api.trackers.journal_views import journal_of
from api.trackers.schemas import JournalQuery, JournalResponse, TraceChoice, WhyResponse
from api.trackers.sentences import why_of
from api.trackers.tap_events import TapContext, events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flask_openapi3.types import ResponseDict

    from actors.protocol.operator import Outcome
    from actors.runtime.inspection.taps import Tap
    from actors.runtime.inspection.timeline import Note

blueprint = APIBlueprint("lens", __name__, abp_tags=[Tag(name="lens")])

_NO_TRACKER: Final = (
    "This mint has no tracker: see /actors?kind=tracker for those there are, or POST /trackers."
)
_GONE: Final = "waitress.client_disconnected"
"""Where the server keeps the question whether its client is still there."""
_EVENTS: ResponseDict = {
    200: {
        "description": "Events `begin`, `handled`, `note`, `dropped` and `end`, for 15 minutes",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
    **refused(400, 401, 404, 503, 504),
}


@blueprint.post(
    "/trackers/<text:mint>/pause",
    summary="Hold a tracker",
    responses=changes(Done, 404, 409, 504),
)
def pause_tracker(path: MintPath) -> dict[str, Any]:
    """Hold the tracker: its trades stay in the journal until it is resumed."""
    return _commanded(PauseTracker(Mint(path.mint)), "The tracker is paused; its trades wait.")


@blueprint.post(
    "/trackers/<text:mint>/resume",
    summary="Let a paused tracker go on",
    responses=changes(Done, 404, 409, 504),
)
def resume_tracker(path: MintPath) -> dict[str, Any]:
    """Let the tracker go on, with the trades that have waited first."""
    return _commanded(ResumeTracker(Mint(path.mint)), "The tracker goes on.")


@blueprint.post(
    "/trackers/<text:mint>/pin",
    summary="Keep a coin tracked",
    responses=changes(Done, 404, 409, 504),
)
def pin_tracker(path: MintPath) -> dict[str, Any]:
    """Keep the coin tracked when it outlives its last phase."""
    return _commanded(PinTracker(Mint(path.mint), pinned=True), "The coin is pinned.")


@blueprint.post(
    "/trackers/<text:mint>/unpin",
    summary="Let a pinned coin end",
    responses=changes(Done, 404, 409, 504),
)
def unpin_tracker(path: MintPath) -> dict[str, Any]:
    """Let the coin end in its time again."""
    return _commanded(PinTracker(Mint(path.mint), pinned=False), "The coin is pinned no longer.")


@blueprint.post(
    "/trackers/<text:mint>/trace",
    summary="Log every message of a tracker",
    responses=changes(Done, 404, 409, 504),
)
def trace_tracker(path: MintPath, body: TraceChoice) -> dict[str, Any]:
    """Log what the tracker handles, for a while."""
    said = f"Every message is logged for {body.seconds:g} s." if body.seconds else "Traced no more."
    return _commanded(TraceTracker(Mint(path.mint), body.seconds), said)


@blueprint.get(
    "/trackers/<text:mint>/why",
    summary="What has happened to a coin, and why",
    responses=answers(WhyResponse, 404, 504),
)
def read_why(path: MintPath) -> dict[str, Any]:
    """Give the coin's timeline, oldest first."""
    known = services()
    notes: tuple[Note, ...] | None = known.ask(GetTimeline(Mint(path.mint)))
    if notes is None:
        raise ProblemError(
            404, "Nothing is noted of this mint: check it, or look into /database/coins/{mint}."
        )
    return why_of(path.mint, notes, known.redactor).model_dump()


@blueprint.get(
    "/trackers/<text:mint>/journal",
    summary="The raw frames of a coin",
    responses=answers(JournalResponse, 404, 409, 503),
)
def read_journal(path: MintPath, query: JournalQuery) -> dict[str, Any]:
    """Give the newest frames of the coin that the journal has, oldest first."""
    known = services()
    if known.journal is None:
        raise ProblemError(409, "There is no journal: a recording is being replayed.")
    with known.limits.searches.taken():
        found = known.journal(Mint(path.mint), limit=query.limit)
    if not found.frames:
        raise ProblemError(404, "The journal has no frame of this mint, as far back as it goes.")
    return journal_of(path.mint, found, query.limit, known.redactor).model_dump()


@blueprint.get(
    "/trackers/<text:mint>/tap",
    summary="Listen in on a coin",
    responses=_EVENTS,
)
def tap_tracker(path: MintPath) -> Response:
    """Send what the coin's tracker handles, and what is noted of the coin, as it happens."""
    if request.method == "HEAD":
        # Its answer has no body, whose end would close the tap.
        return _stream(())
    known = services()
    with ExitStack() as stack:
        stack.enter_context(known.limits.streams.taken())
        tap: Tap | None = known.ask(OpenTap(Mint(path.mint)))
        if tap is None:
            raise ProblemError(404, _NO_TRACKER)
        stack.callback(tap.close)
        gone: Callable[[], bool] = request.environ.get(_GONE, lambda: False)
        around = TapContext(known.monotonic_s, gone, known.limits.closing.is_set, known.redactor)
        answer = _stream(events(path.mint, tap, around))
        # Also when nothing of it was ever sent, where a generator's own end would not be reached.
        answer.call_on_close(stack.pop_all().close)
    return answer


def _stream(body: Iterable[bytes]) -> Response:
    answer = Response(body, content_type="text/event-stream")
    answer.headers["X-Accel-Buffering"] = "no"
    return answer


def _commanded(command: Any, done: str) -> dict[str, Any]:
    outcome: Outcome = services().ask(command)
    check(outcome, _NO_TRACKER)
    return Done(message=done).model_dump()
