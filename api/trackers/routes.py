"""Trackers: which coins are tracked, and what an operator can do about one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from actors.domain import FINISHED_PHASE, QUOTE_MINTS, US_PER_SECOND, Mint
from actors.protocol.operator import (
    ChoosePhase,
    GetTracker,
    Outcome,
    RestartTracker,
    ReviveTracker,
    TrackerOverview,
)
from api.problems import ProblemError, answers, changes, check
from api.schemas import (
    Done,
    MintPath,
)
from api.services import services
from api.trackers.schemas import LensResponse, PhaseChoice, TrackerStart, TrackerStarted
from api.trackers.views import lens_of
from db import phases, streams

if TYPE_CHECKING:
    from actors.protocol.tracker import PhaseChosen
    from db.pool import Connection

blueprint = APIBlueprint("trackers", __name__, abp_tags=[Tag(name="trackers")])

_US_PER_MINUTE: Final = 60 * US_PER_SECOND
_NO_TRACKER: Final = (
    "This mint has no tracker: see /actors?kind=tracker for those there are, or POST /trackers."
)


@blueprint.post(
    "/trackers",
    summary="Track a coin",
    responses=changes(TrackerStarted, 409, 503, 504, success=202),
)
def start_tracker(body: TrackerStart) -> tuple[dict[str, Any], int]:
    """Make the coin's stream active; its tracker starts when that is noticed, mostly at once."""
    if body.mint in QUOTE_MINTS:
        raise ProblemError(400, "This is what coins are paid with: give the mint of a coin.")
    known, mint = services(), Mint(body.mint)
    offset_min = known.settings_in_force().age_calculation_offset_min
    with known.database.connection() as connection:
        phase_id = _begin(connection, mint, known.now_us(), offset_min)
    started = TrackerStarted(message="The coin's stream is active.", mint=mint, phase_id=phase_id)
    return started.model_dump(), 202


@blueprint.get(
    "/trackers/<text:mint>",
    summary="A tracked or cached coin, live",
    responses=answers(LensResponse, 404, 504),
)
def read_tracker(path: MintPath) -> dict[str, Any]:
    """Give what the coin's tracker holds and does, or what the cache holds of it."""
    known = services()
    found: TrackerOverview = known.ask(GetTracker(Mint(path.mint)))
    if found.actor is None and found.live is None:
        raise ProblemError(404, "This mint is neither tracked nor cached: POST /trackers to start.")
    return lens_of(path.mint, found, known.redactor).model_dump()


@blueprint.delete(
    "/trackers/<text:mint>",
    summary="Track a coin no longer",
    responses=changes(Done, 404, 409, 503, 504, success=202),
)
def stop_tracker(path: MintPath) -> tuple[dict[str, Any], int]:
    """Make the coin's stream inactive, in its phase; its tracker writes what it holds and ends."""
    known, mint = services(), Mint(path.mint)
    tracked: TrackerOverview = known.ask(GetTracker(mint))
    if tracked.pinned:
        raise ProblemError(409, "This coin is pinned: POST /trackers/{mint}/unpin first.")
    with known.database.connection() as connection:
        stream = streams.get_stream(connection, mint)
        if stream is None or not stream["is_active"]:
            raise ProblemError(404, "This mint has no active stream: see /database/streams.")
        phase_id = stream["current_phase_id"]
        streams.end_stream(connection, mint, 1 if phase_id is None else phase_id, graduated=False)
    return Done(message="The coin's stream is no longer active.").model_dump(), 202


@blueprint.put(
    "/trackers/<text:mint>/phase",
    summary="Move a coin to another phase",
    responses=changes(Done, 404, 409, 504),
)
def choose_phase(path: MintPath, body: PhaseChoice) -> dict[str, Any]:
    """Move the coin at the end of its running window."""
    chosen: PhaseChosen | None = services().ask(ChoosePhase(Mint(path.mint), body.phase_id))
    if chosen is None:
        raise ProblemError(404, _NO_TRACKER)
    if chosen.refusal is not None:
        raise ProblemError(409, chosen.refusal)
    return Done(message=f"The coin moves to phase {body.phase_id}.").model_dump()


@blueprint.post(
    "/trackers/<text:mint>/revive",
    summary="End a tracker's quarantine",
    responses=changes(Done, 404, 409, 504),
)
def revive_tracker(path: MintPath) -> dict[str, Any]:
    """Give a quarantined tracker a new instance, and its failures of before no weight."""
    outcome: Outcome = services().ask(ReviveTracker(Mint(path.mint)))
    check(outcome, _NO_TRACKER)
    return Done(message="The tracker starts again.").model_dump()


@blueprint.post(
    "/trackers/<text:mint>/restart",
    summary="Replace a tracker's instance",
    responses=changes(Done, 404, 409, 504),
)
def restart_tracker(path: MintPath) -> dict[str, Any]:
    """Replace the running instance; its open candle and what waits for it stay."""
    outcome: Outcome = services().ask(RestartTracker(Mint(path.mint)))
    check(outcome, _NO_TRACKER)
    return Done(message="The tracker's instance is replaced.").model_dump()


def _begin(connection: Connection, mint: Mint, now_us: int, offset_min: int) -> int:
    """Make a stream active and return the phase it begins in.

    `offset_min` is what a coin counts as younger than it is.

    Raises:
        ProblemError: it is active already, or no phase is for a coin of its age.
    """
    usable = [phase for phase in phases.all_phases(connection) if phase.id < FINISHED_PHASE]
    if not usable:
        raise ProblemError(409, "There is no regular phase: POST /database/phases to make one.")
    stream = streams.get_stream(connection, mint)
    if stream is not None and stream["is_active"]:
        raise ProblemError(409, "This mint has an active stream: see /trackers/{mint}.")
    streams.start_stream(connection, mint, usable[0].id, now_us)
    [begun] = streams.read_streams(connection, [mint])
    age_us = now_us - (begun.created_us or now_us)
    age_min = age_us / _US_PER_MINUTE - offset_min
    if age_min >= max(phase.max_age_minutes for phase in usable):
        raise ProblemError(
            409,
            "The coin is older than the last phase lasts: raise max_age_minutes of that phase.",
        )
    return usable[0].id
