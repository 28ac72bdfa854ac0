"""Adding a trade: the candle alone, the whole decision of a tracker, and the original's buffer.

The peer is the buffer update of the program that this one replaces: floats in a dictionary, without
a memory of what was seen, without the order of arrival, without the reserve chain.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import msgspec

from actors.connection.decoder import decode
from actors.domain import Mint, Phase, Trade
from actors.tracker import rules_of
from actors.tracker.candle import OpenCandle
from actors.tracker.state import TrackerState
from bench.decoding import recorded
from bench.figures import Figure
from bench.original import OriginalBuffer
from settings import load

if TYPE_CHECKING:
    from collections.abc import Callable

TRADES: Final = 100_000
PHASES: Final = (Phase(1, "Baby Zone", 5, 0, 10_000_000), Phase(99, "Finished", 0, 0, 0))
START_US: Final = 1_783_089_923_000_000
_GAP_US: Final = 20_000


def run() -> list[Figure]:
    """Add 100,000 trades in each way; takes about 3 s."""
    trades = _trades()
    peer = _us_per_trade(OriginalBuffer().process_trade, [_frame(trade) for trade in trades])
    ways = {
        "candle, adding a trade": OpenCandle(1_000_000_000).add,
        "tracker, deciding about a trade": _state(trades[0].mint).add,
    }
    return [
        Figure(
            what,
            "us",
            _us_per_trade(add, trades),
            peer,
            "the original's dictionary of floats",
            more_is_better=False,
        )
        for what, add in ways.items()
    ]


def _trades() -> list[Trade]:
    """Make a coin's trades of recorded ones, each with an identity and a time of its own."""
    seen = [
        event for frame in recorded("market") if isinstance(event := decode(frame, 1, 1), Trade)
    ]
    return [
        msgspec.structs.replace(
            seen[seq % len(seen)],
            seq=seq,
            mint=seen[0].mint,
            signature=f"signature {seq}",
            arrived_us=START_US + seq * _GAP_US,
        )
        for seq in range(TRADES)
    ]


def _frame(trade: Trade) -> dict[str, Any]:
    return {
        "txType": "buy" if trade.is_buy else "sell",
        "solAmount": (trade.sol_lamports or 0) / 1e9,
        "vSolInBondingCurve": (trade.virtual_sol_lamports or 0) / 1e9,
        "vTokensInBondingCurve": (trade.virtual_token_units or 0) / 1e6,
        "traderPublicKey": trade.trader,
    }


def _state(mint: Mint) -> TrackerState:
    state = TrackerState(
        mint=mint,
        phases=PHASES,
        phase_id=1,
        started_us=START_US,
        rules=rules_of(load({}, None)),
    )
    state.finish_hand_over(None)
    state.settle()
    return state


def _us_per_trade(add: Callable[[Any], object], trades: list[Any]) -> float:
    began = time.perf_counter()
    for trade in trades:
        add(trade)
    return (time.perf_counter() - began) / len(trades) * 1e6
