"""Trades that were parked over the end of their window still lie in their own candle."""

from __future__ import annotations

from actors.protocol.tracker import TradesArrived, TradesParked, TradesUnparked
from tests.regressions.test_ends import NAME, Tracked
from tests.tracker.builders import at, trade


def late(tracked: Tracked) -> float:
    return tracked.system.telemetry.value("mintwatch_late_trades_total")


def test_a_window_stays_open_for_trades_that_are_parked() -> None:
    tracked = Tracked(capacity=100)
    tracked.system.tell(NAME, TradesArrived((trade(1.0),)))
    tracked.system.tell(NAME, TradesParked(1, at(3)))
    tracked.system.advance_feed(at(7))
    assert tracked.candles() == []
    tracked.system.tell(NAME, TradesArrived((trade(3.0), trade(6.0))))
    tracked.system.tell(NAME, TradesUnparked(1))
    tracked.system.run()
    assert [(each.num_trades, each.timestamp_us) for each in tracked.candles()] == [(2, at(5))]
    tracked.system.advance_feed(at(10))
    assert [each.num_trades for each in tracked.candles()] == [2, 1]
    assert late(tracked) == 0


def test_a_window_that_ends_before_the_first_parked_trade_closes_in_time() -> None:
    tracked = Tracked(capacity=100)
    tracked.system.tell(NAME, TradesArrived((trade(1.0),)))
    tracked.system.tell(NAME, TradesParked(1, at(6)))
    tracked.system.advance_feed(at(7))
    assert [each.timestamp_us for each in tracked.candles()] == [at(5)]


def test_what_is_parked_again_before_the_tracker_is_through_keeps_its_window_open() -> None:
    tracked = Tracked(capacity=100)
    tracked.system.tell(NAME, TradesArrived((trade(1.0),)))
    tracked.system.tell(NAME, TradesParked(1, at(2)))
    tracked.system.run()
    tracked.system.tell(NAME, TradesArrived((trade(2.0),)))
    tracked.system.tell(NAME, TradesUnparked(1))
    tracked.system.tell(NAME, TradesParked(2, at(3)))  # overtakes the two before it
    tracked.system.advance_feed(at(7))
    assert tracked.candles() == []
    tracked.system.tell(NAME, TradesArrived((trade(3.0),)))
    tracked.system.tell(NAME, TradesUnparked(2))
    tracked.system.run()
    assert [each.num_trades for each in tracked.candles()] == [3]
    assert late(tracked) == 0


def test_a_tracker_that_is_restarted_still_knows_that_trades_are_parked() -> None:
    tracked = Tracked(capacity=100)
    tracked.system.tell(NAME, TradesArrived((trade(1.0),)))
    tracked.system.tell(NAME, TradesParked(1, at(3)))
    tracked.system.run()
    tracked.system.restart(NAME)
    tracked.system.advance_feed(at(7))
    assert tracked.candles() == []
