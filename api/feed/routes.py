"""The feed: what arrives, and what it is worth."""

from __future__ import annotations

from typing import Any

from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from actors.domain import Mint
from actors.protocol.connection import FeedReport, GetFeed
from actors.protocol.supervisor import CONNECTION
from api.feed.schemas import FeedResponse, GapsQuery, GapsResponse
from api.gateway import NotAnswered
from api.health.views import iso, iso_or_none
from api.problems import answers
from api.services import ASK_SECONDS, Services, services
from db import gaps

blueprint = APIBlueprint("feed", __name__, abp_tags=[Tag(name="feed")])


@blueprint.get("/feed", summary="State of the feed", responses=answers(FeedResponse, 504))
def read_feed() -> dict[str, Any]:
    """Give the feed's state, what has arrived and what it costs."""
    known = services()
    report: FeedReport | None = known.ask(GetFeed())
    if report is None:
        raise NotAnswered(CONNECTION, ASK_SECONDS)
    return _feed(report, known).model_dump()


@blueprint.get(
    "/feed/gaps",
    summary="What was not observed",
    responses=answers(GapsResponse, 503),
)
def list_gaps(query: GapsQuery) -> dict[str, Any]:
    """Give rows of feed_gaps, newest first, of all or of what concerns one coin."""
    mint = None if query.mint is None else Mint(query.mint)
    with services().database.connection() as connection:
        rows = list(gaps.recent_gaps(connection, query.limit, mint))
    return GapsResponse(gaps=rows, count=len(rows), limit=query.limit).model_dump()


def _feed(report: FeedReport, known: Services) -> FeedResponse:
    return FeedResponse(
        state=report.state,
        reason=known.redactor.text(report.reason),
        since=iso(report.since_us),
        source=known.redactor.text(report.source),
        connected_since=iso_or_none(report.connected_us),
        last_frame_at=iso_or_none(report.last_frame_us),
        last_trade_at=iso_or_none(report.last_trade_us),
        # The clock stands at 0 until the first slice.
        covered_until=iso_or_none(report.covered_us or None),
        next_seq=report.next_seq,
        frames=report.frames,
        billed_frames=report.billed_frames,
        estimated_cost_sol=report.estimated_cost_sol,
        reconnects=report.reconnects,
        last_error=known.plain(report.last_error),
        subscriptions=report.subscriptions,
        routes=report.routes,
        recovering=report.recovering,
        journal=report.journal,
    )
