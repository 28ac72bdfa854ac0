from __future__ import annotations

from actors.tracker.silence import SilenceWatch
from tests.tracker.builders import at


def _watching() -> SilenceWatch:
    watchdog = SilenceWatch(600.0)
    watchdog.saw_trade(at(0))
    return watchdog


def test_patience_lasts_for_its_seconds() -> None:
    watchdog = _watching()
    assert watchdog.due_us == at(600)
    assert not watchdog.check(at(599))
    assert watchdog.check(at(600))
    assert watchdog.in_doubt


def test_it_learns_the_time_before_it_doubts() -> None:
    watchdog = SilenceWatch(600.0)
    assert watchdog.due_us == 0
    assert not watchdog.check(at(0))
    assert watchdog.due_us == at(600)


def test_pauses_double() -> None:
    watchdog = _watching()
    doubts = [second for second in range(0, 10_000, 100) if watchdog.check(at(second))]
    assert doubts == [600, 1_800, 4_200, 9_000]


def test_a_trade_ends_the_doubt_and_the_doubling() -> None:
    watchdog = _watching()
    watchdog.check(at(600))
    watchdog.check(at(1_800))
    watchdog.saw_trade(at(1_900))
    assert not watchdog.in_doubt
    assert watchdog.due_us == at(2_500)


def test_another_reason_waits_its_turn() -> None:
    watchdog = _watching()
    assert watchdog.may_call(at(100))
    assert not watchdog.may_call(at(699))
    assert watchdog.may_call(at(700))


def test_a_doubt_waits_for_the_call_before() -> None:
    watchdog = _watching()
    watchdog.may_call(at(300))
    assert not watchdog.check(at(600))
    assert watchdog.check(at(900))
