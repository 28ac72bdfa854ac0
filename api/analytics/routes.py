"""Analytics: how prices have moved."""

from __future__ import annotations

from typing import Any, Final

from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from actors.domain import US_PER_SECOND, Mint
from actors.protocol.supervisor import CachedCoinReport, GetLiveCoin, TrackerReport
from api.analytics.schemas import AnalyticsQuery, AnalyticsResponse
from api.analytics.views import WindowsRefused, performance, tolerance_us, windows_of
from api.health.views import iso
from api.problems import ProblemError, answers
from api.schemas import MintPath  # noqa: TC001 - read at run time
from api.services import services
from db import candles, coins, phases, streams
from db.candles import PricePoint

blueprint = APIBlueprint("analytics", __name__, abp_tags=[Tag(name="analytics")])

_EVER_US: Final = 100 * 365 * 86_400 * US_PER_SECOND


@blueprint.get(
    "/analytics/<text:mint>",
    summary="How the price of a coin has moved",
    responses=answers(AnalyticsResponse, 404, 503, 504),
)
def read_analytics(path: MintPath, query: AnalyticsQuery) -> dict[str, Any]:
    """Compare the current price with those at the windows' starts."""
    try:
        windows = windows_of(query.windows)
    except WindowsRefused as refusal:
        raise ProblemError(400, str(refusal)) from refusal
    known, mint, now_us = services(), Mint(path.mint), services().now_us()
    starts_us = [now_us - seconds * US_PER_SECOND for seconds in windows.values()]
    with known.database.connection() as connection:
        stream = streams.get_stream(connection, mint)
        is_known = stream is not None or coins.get_coin(connection, mint) is not None
        [newest] = candles.prices_at(connection, mint, [now_us], _EVER_US)
        is_known = is_known or candles.latest(connection, mint) is not None
        tolerance = tolerance_us(phases.all_phases(connection))
        old = candles.prices_at(connection, mint, starts_us, tolerance)
    live: TrackerReport | CachedCoinReport | None = known.ask(GetLiveCoin(mint))
    if live is None and not is_known:
        raise ProblemError(404, "No coin has this mint: check it for a missing character.")
    current = _current(live, newest, now_us)
    price_sol = current.price_sol if current else None
    pairs = zip(windows, old, strict=True)
    return AnalyticsResponse(
        mint=mint,
        current_price=price_sol,
        last_updated=iso(current.timestamp_us) if current else None,
        is_active=isinstance(live, TrackerReport) or bool(stream and stream["is_active"]),
        performance={name: performance(price_sol, point, now_us) for name, point in pairs},
    ).model_dump()


def _current(
    live: TrackerReport | CachedCoinReport | None, newest: PricePoint | None, now_us: int
) -> PricePoint | None:
    """Take the price of the open candle, else that of the newest row."""
    if isinstance(live, TrackerReport) and live.price_close is not None:
        return PricePoint(now_us, live.price_close)
    return newest
