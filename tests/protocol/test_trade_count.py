"""Which trades are gone when a message is."""

from __future__ import annotations

from typing import Any

import pytest

from actors.domain import AllTimeHigh, Candle, Coin
from actors.protocol.connection import RouteMint
from actors.protocol.discovery import FeedSlice
from actors.protocol.n8n_writer import CoinDiscovered
from actors.protocol.postgres_writer import AthReached, CandleClosed, StreamStarted
from actors.protocol.tracker import CreatorBuy, HandOver, HandOverDone, TradesArrived
from actors.protocol.trade_count import trades_in
from actors.tracker.effects import WindowClosed
from tests.tracker.builders import MINT, coin, migration, state, trade


def candle_of(*seconds: float) -> Candle:
    made = state()
    made.add(trade(seconds[0]))
    for second in seconds[1:]:
        made.add(trade(second))
    [closed] = (
        effect for effect in made.cut(made.life.started_us) if isinstance(effect, WindowClosed)
    )
    return made.candle_of(closed)


WITH_BUY: Coin = coin(buy=trade())
WITHOUT_BUY: Coin = coin()


@pytest.mark.parametrize(
    ("message", "trades"),
    [
        (trade(), 1),
        (WITH_BUY, 1),
        (WITHOUT_BUY, 0),
        (migration(1), 0),
        (CreatorBuy(WITH_BUY), 1),
        (CreatorBuy(WITHOUT_BUY), 0),
        (CandleClosed(candle_of(1, 2, 3)), 3),
        (TradesArrived((trade(1), migration(2), trade(3))), 2),
        (FeedSlice((WITH_BUY, WITHOUT_BUY, trade(1), migration(2))), 2),
        (HandOver((trade(1), trade(2), HandOverDone(MINT, WITH_BUY))), 2),
        (TradesArrived(()), 0),
        (RouteMint(MINT), 0),
        ("a text", 0),
        (None, 0),
    ],
)
def test_a_message_holds_so_many_trades(message: Any, trades: int) -> None:
    assert trades_in(message) == trades


@pytest.mark.parametrize(
    "message",
    [
        # Their trades are counted where the coin is: in the cache, or in the tracker's candle.
        CoinDiscovered(WITH_BUY),
        StreamStarted(WITH_BUY, 1, 0),
        HandOverDone(MINT, WITH_BUY),
        AthReached(AllTimeHigh(MINT, 1e-7, 0)),
    ],
)
def test_a_message_that_only_tells_of_a_coin_holds_none(message: Any) -> None:
    assert trades_in(message) == 0
