"""`mintwatch run` with one fault in it: the real tree, and one line of it wrong, once.

The fault says on standard error which trade or window it has hit: `PLANTED <mint> <microseconds>`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec

from actors.domain import Place, Trade
from actors.postgres_writer.actor import PostgresWriterActor
from actors.protocol.postgres_writer import CandleClosed
from actors.tracker.candle import OpenCandle
from actors.tracker.state import TrackerState
from cli.main import main

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.tracker.effects import Effect

HITS_TRADE = 100
"""The fault waits for so many trades, so that there is something right around it."""
HITS_WINDOW = 20


class Once:
    """Says yes once, after so many times no."""

    def __init__(self, after: int) -> None:
        self._left = after

    def __call__(self) -> bool:
        self._left -= 1
        return self._left == 0


def say(mint: str, at_us: int) -> None:
    sys.stderr.write(f"PLANTED {mint} {at_us}\n")
    sys.stderr.flush()


def in_candle(times: int) -> None:
    """Add a trade so many times instead of once."""
    add, is_it = OpenCandle.add, Once(HITS_TRADE)

    def wrong(candle: OpenCandle, trade: Trade) -> None:
        # A candle without a trade would be another fault.
        if candle.num_trades and is_it():
            say(trade.mint, trade.arrived_us)
            for _ in range(times):
                add(candle, trade)
        else:
            add(candle, trade)

    OpenCandle.add = wrong  # type: ignore[method-assign, assignment]


def in_tracker(change: Callable[[Trade], Trade]) -> None:
    """Give a tracker another trade than the one that arrived."""
    add, is_it = TrackerState.add, Once(HITS_TRADE)

    def wrong(state: TrackerState, trade: Trade) -> list[Effect]:
        # Its window has a row without it too: else the end of a coin soon after may excuse it.
        window = state.windows.window
        if state.settled and window is not None and trade.arrived_us < window.end_us and is_it():
            say(trade.mint, trade.arrived_us)
            return add(state, change(trade))
        return add(state, trade)

    TrackerState.add = wrong  # type: ignore[method-assign, assignment]


def in_writer() -> None:
    """Say of a candle that it is written, and do not write it."""
    receive, is_it = PostgresWriterActor.on_receive, Once(HITS_WINDOW)

    def wrong(writer: PostgresWriterActor, message: Any) -> Any:
        if isinstance(message, CandleClosed) and is_it():
            candle = message.candle
            say(candle.mint, candle.window_start_us)
            writer.context.ledger.move(Place.QUEUED, Place.COMMITTED, candle.num_trades)
            return None
        return receive(writer, message)

    PostgresWriterActor.on_receive = wrong  # type: ignore[method-assign, assignment]


def poison() -> None:
    """Let a tracker fail on one trade."""
    add, is_it = TrackerState.add, Once(HITS_TRADE)
    doomed: list[int] = []

    def wrong(state: TrackerState, trade: Trade) -> list[Effect]:
        if state.settled and state.candle is not None and not doomed and is_it():
            doomed.append(trade.seq)
            say(trade.mint, trade.arrived_us)
        if trade.seq in doomed:
            raise ValueError("this trade is poison")
        return add(state, trade)

    TrackerState.add = wrong  # type: ignore[method-assign, assignment]


def _later(trade: Trade) -> Trade:
    return msgspec.structs.replace(trade, arrived_us=trade.arrived_us + 1_000_000)


def _on_the_other_side(trade: Trade) -> Trade:
    return msgspec.structs.replace(trade, is_buy=not trade.is_buy)


def _by_one_lamport(trade: Trade) -> Trade:
    assert trade.sol_lamports is not None
    return msgspec.structs.replace(trade, sol_lamports=trade.sol_lamports + 1)


FAULTS: dict[str, Callable[[], None]] = {
    "a trade dropped": lambda: in_candle(0),
    "a trade counted twice": lambda: in_candle(2),
    "a trade in the wrong window": lambda: in_tracker(_later),
    "a trade on the wrong side": lambda: in_tracker(_on_the_other_side),
    "a trade wrong by one lamport": lambda: in_tracker(_by_one_lamport),
    "a window not written": in_writer,
    "a poisoned trade": poison,
}

if __name__ == "__main__":
    FAULTS[sys.argv.pop(1)]()
    main()
