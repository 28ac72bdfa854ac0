"""Coins: what is known of one, in the database and in memory."""

from __future__ import annotations

from typing import Any

from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from actors.domain import Mint
from actors.protocol.supervisor import GetLiveCoin
from api.coins.schemas import CoinResponse
from api.problems import ProblemError, answers
from api.schemas import MintPath  # noqa: TC001 - read at run time
from api.services import services
from api.trackers.live_views import live_tracking
from db import candles, coins, streams

blueprint = APIBlueprint("coins", __name__, abp_tags=[Tag(name="coins")])


@blueprint.get(
    "/database/coins/<text:mint>",
    summary="One coin",
    responses=answers(CoinResponse, 404, 503, 504),
)
def read_coin(path: MintPath) -> dict[str, Any]:
    """Give the rows of a coin, its newest candle, and what an actor holds of it."""
    known, mint = services(), Mint(path.mint)
    with known.database.connection() as connection:
        coin = coins.get_coin(connection, mint)
        stream = streams.get_stream(connection, mint)
        latest = candles.latest(connection, mint)
    live = live_tracking(known.ask(GetLiveCoin(mint)))
    if coin is None and stream is None and latest is None and live is None:
        raise ProblemError(404, "No coin has this mint: check it for a missing character.")
    return CoinResponse(
        coin=coin, stream=stream, latest_metrics=latest, live_tracking=live
    ).model_dump()
