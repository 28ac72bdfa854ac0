"""From what the runtime says of one actor to what the API shows of it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.actors.views import handled_of
from api.health.views import iso_or_none
from api.trackers.live_views import overview
from api.trackers.schemas import LensResponse, Route, Timer

if TYPE_CHECKING:
    from actors.protocol.connection import RouteReport
    from actors.protocol.operator import TrackerOverview
    from actors.runtime.messages import TimerReport
    from telemetry import Redactor

_PAUSED = "paused"


def lens_of(mint: str, found: TrackerOverview, redactor: Redactor) -> LensResponse:
    """Show a coin as its actors see it, with secrets masked."""
    shown = overview(mint, found, lambda text: None if text is None else redactor.text(text))
    return LensResponse(
        mint=shown.mint,
        actor=shown.actor,
        tracker=shown.tracker,
        cached=shown.cached,
        paused=found.actor is not None and found.actor.state == _PAUSED,
        pinned=found.pinned,
        timers=[_timer(timer) for timer in found.timers],
        route=_route(found.route),
        recent=[handled_of(message, redactor) for message in found.recent],
    )


def _timer(timer: TimerReport) -> Timer:
    return Timer(key=timer.key, in_seconds=timer.in_seconds, feed_at=iso_or_none(timer.feed_us))


def _route(route: RouteReport | None) -> Route | None:
    if route is None:
        return None
    return Route(
        routed=route.routed,
        subscription=route.subscription,
        covered=route.covered,
        parked_trades=route.parked_trades,
        parked_since=iso_or_none(route.parked_from_us),
        last_subscribed=iso_or_none(route.last_subscribed_us),
    )
