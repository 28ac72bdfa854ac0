"""Which trades a message carries, so that one that nobody handles is still in the books. Pure."""

from __future__ import annotations

from typing import Any

from actors.domain import Coin, Mint, Trade
from actors.protocol.postgres_writer import (
    AthReached,
    CandleClosed,
    StoreCoin,
    StoreTrade,
    StreamEnded,
    StreamPhaseChanged,
    StreamStarted,
)
from actors.protocol.tracker import CreatorBuy
from actors.runtime.messages import Batch


def mint_of(message: Any) -> Mint | None:
    """Tell which mint a message to a postgres-writer is about; None: it is about none."""
    match message:
        case CandleClosed(candle):
            return candle.mint
        case AthReached(ath):
            return ath.mint
        case StreamStarted(coin) | StoreCoin(coin):
            return coin.mint
        case StoreTrade(trade):
            return trade.mint
        case StreamPhaseChanged(mint) | StreamEnded(mint):
            return mint
        case _:
            return None


def trades_in(message: Any) -> int:
    """Count the trades that are gone when this message is."""
    match message:
        case Trade():
            return 1
        case Coin(buy=buy) | CreatorBuy(coin=Coin(buy=buy)):
            return 0 if buy is None else 1
        case CandleClosed(candle):
            return candle.num_trades
        case Batch(events):
            return sum(trades_in(event) for event in events)
        case _:
            return 0
