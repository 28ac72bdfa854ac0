"""What an operator changes while a coin is tracked: rules, and how long it stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from actors.domain import FINISHED_PHASE, Candle
from actors.tracker.candle import Thresholds
from actors.tracker.effects import Arm, Effect, Ended, TimerKey, WindowClosed
from tests.tracker.builders import BABY, FINISHED, RULES, at, state, trade

if TYPE_CHECKING:
    from actors.tracker.state import TrackerState

MINUTE = 60.0
STRICTER = msgspec.structs.replace(RULES, thresholds=Thresholds.of_sol(30.0, 85.0, 0.1, 1.0))


def closed(state: TrackerState, effects: list[Effect]) -> Candle:
    [window] = [effect for effect in effects if isinstance(effect, WindowClosed)]
    return state.candle_of(window)


def ends(effects: list[Effect]) -> list[int]:
    return [effect.phase_id for effect in effects if isinstance(effect, Ended)]


def test_the_running_window_is_measured_by_the_rules_it_was_opened_under() -> None:
    coin = state()
    coin.add(trade(1.0, amount=0.5, price=1e-8))
    coin.change_rules(STRICTER)
    coin.add(trade(2.0, amount=0.5, price=1e-8))
    candle = closed(coin, coin.add(trade(6.0, amount=0.5, price=1e-8)))
    assert candle.num_whale_buys == 0
    assert candle.is_koth is False


def test_the_next_window_is_measured_by_the_new_rules() -> None:
    coin = state()
    coin.add(trade(1.0))
    coin.change_rules(STRICTER)
    coin.add(trade(6.0, amount=0.5, price=1e-8))
    candle = closed(coin, coin.add(trade(11.0)))
    assert candle.num_whale_buys == 1
    assert candle.is_koth is True


def test_a_coin_gets_older_at_once_when_less_is_taken_off_its_age() -> None:
    younger = msgspec.structs.replace(RULES, age_offset_us=60_000_000)
    coin = state(rules=younger)
    assert Arm(TimerKey.PHASE, at(10 * MINUTE)) in coin.change_rules(RULES)


def test_the_watchdog_takes_on_another_patience() -> None:
    coin = state()
    coin.add(trade(1.0))
    changed = coin.change_rules(msgspec.structs.replace(RULES, watchdog_seconds=30.0))
    assert Arm(TimerKey.WATCHDOG, at(31.0)) in changed


def test_an_ended_coin_takes_no_timers_from_new_rules() -> None:
    coin = state()
    coin.cut(at(1.0))
    assert coin.change_rules(STRICTER) == []


def test_a_pinned_coin_stays_in_its_last_phase_however_old_it_gets() -> None:
    coin = state(phases=(BABY, FINISHED))
    coin.pin(pinned=True, now_us=at(1.0))
    assert ends(coin.due(TimerKey.PHASE, at(10 * MINUTE), at(10 * MINUTE))) == []
    assert ends(coin.add(trade(11 * MINUTE))) == []
    assert coin.life.phase_id == BABY.id
    assert coin.window is not None


def test_a_coin_that_is_let_go_ends_with_its_running_window() -> None:
    coin = state(phases=(BABY, FINISHED))
    coin.pin(pinned=True, now_us=at(1.0))
    coin.add(trade(11 * MINUTE))
    assert ends(coin.pin(pinned=False, now_us=at(11 * MINUTE + 1))) == []
    assert ends(coin.due(TimerKey.WINDOW, at(11 * MINUTE + 5), at(11 * MINUTE + 5))) == [
        FINISHED_PHASE
    ]


def test_a_coin_without_a_window_ends_when_it_is_let_go() -> None:
    coin = state(phases=(BABY, FINISHED))
    coin.pin(pinned=True, now_us=at(1.0))
    assert ends(coin.pin(pinned=False, now_us=at(11 * MINUTE))) == [FINISHED_PHASE]


def test_a_pinned_coin_goes_to_the_last_phase_when_its_own_is_deleted() -> None:
    coin = state(phase_id=7)
    coin.pin(pinned=True, now_us=at(2000 * MINUTE))
    assert coin.life.phase_id == 3
