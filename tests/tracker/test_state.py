from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from actors.domain import AllTimeHigh, Candle, Mint, Phase
from actors.tracker.effects import (
    Arm,
    AthDue,
    Effect,
    Ended,
    Mark,
    PhaseSwitched,
    RenewSubscription,
    TimerKey,
    WindowClosed,
)
from tests.tracker.builders import (
    BABY,
    CREATOR,
    FINISHED,
    MATURE,
    MINT,
    RULES,
    SURVIVAL,
    at,
    coin,
    migration,
    sol,
    state,
    trade,
)

if TYPE_CHECKING:
    from actors.tracker.state import TrackerState

FULL = (sol(114.575), None)


def candles(tracker: TrackerState, effects: list[Effect]) -> list[Candle]:
    return [tracker.candle_of(effect) for effect in effects if isinstance(effect, WindowClosed)]


def spans(tracker: TrackerState, effects: list[Effect]) -> list[tuple[float, float]]:
    return [
        ((c.window_start_us - at(0)) / 1e6, (c.timestamp_us - at(0)) / 1e6)
        for c in candles(tracker, effects)
    ]


def end_window(tracker: TrackerState, seconds: float) -> list[Effect]:
    return tracker.due(TimerKey.WINDOW, at(seconds), at(seconds))


# Windows.


def test_the_first_trade_opens_its_cell_and_waits_for_its_end() -> None:
    tracker = state()
    assert tracker.add(trade(7)) == [
        Arm(TimerKey.WINDOW, at(10)),
        Mark.ADDED,
        Arm(TimerKey.ATH, at(12)),
    ]
    assert tracker.window is not None
    assert (tracker.window.start_us, tracker.window.end_us) == (at(5), at(10))


def test_the_windows_end_closes_it() -> None:
    tracker = state()
    tracker.add(trade(7))
    assert spans(tracker, end_window(tracker, 10)) == [(5, 10)]
    assert tracker.window is None


def test_a_trade_at_the_window_end_opens_the_next_candle() -> None:
    tracker = state()
    tracker.add(trade(7, amount=1))
    effects = tracker.add(trade(10, amount=2))
    [candle] = candles(tracker, effects)
    assert candle.volume_lamports == 1_000_000_000
    assert tracker.window is not None
    assert tracker.window.start_us == at(10)


def test_an_overtaken_timer_closes_nothing() -> None:
    tracker = state()
    tracker.add(trade(7))
    tracker.add(trade(11))
    assert end_window(tracker, 10) == []
    assert spans(tracker, end_window(tracker, 15)) == [(10, 15)]


def test_a_window_without_a_trade_has_no_candle() -> None:
    tracker = state()
    tracker.add(trade(1))
    end_window(tracker, 5)
    assert spans(tracker, tracker.add(trade(31))) == []
    assert spans(tracker, end_window(tracker, 35)) == [(30, 35)]


@pytest.mark.parametrize(
    ("started", "created", "last_row", "first"),
    [
        (0.0, None, None, 5.0),
        (6.0, None, None, 6.0),
        (6.0, 0.0, None, 6.0),
        (0.0, None, 6.5, 6.5),
        (20.0, 6.25, None, 6.25),
        (20.0, None, None, 7.0),
    ],
)
def test_the_first_candle_begins_where_the_coin_was_first_observed(
    started: float, created: float | None, last_row: float | None, first: float
) -> None:
    tracker = state(started=started, created=created, last_row=last_row)
    tracker.add(trade(7))
    assert tracker.window is not None
    assert tracker.window.start_us == at(first)


def test_a_candle_says_how_much_of_it_was_covered() -> None:
    tracker = state()
    tracker.coverage.change(covered=True, at_us=at(6))
    tracker.add(trade(7))
    [first] = candles(tracker, end_window(tracker, 10))
    tracker.coverage.change(covered=False, at_us=at(11))
    tracker.add(trade(12))
    [second] = candles(tracker, end_window(tracker, 15))
    assert (first.covered_us, second.covered_us) == (4_000_000, 1_000_000)


# Trades that come twice, late, or not at all.


def test_a_duplicate_counts_once() -> None:
    tracker = state()
    tracker.add(trade(1))
    assert tracker.add(trade(1)) == [Mark.DUPLICATE]
    [candle] = candles(tracker, end_window(tracker, 5))
    assert candle.num_trades == 1


def test_a_window_of_duplicates_is_stale_and_not_written() -> None:
    tracker = state()
    tracker.add(trade(1, signature="s"))
    end_window(tracker, 5)
    assert tracker.add(trade(6, signature="s")) == [Mark.DUPLICATE, Arm(TimerKey.WINDOW, at(10))]
    assert tracker.add(trade(7, signature="s")) == [Mark.DUPLICATE]
    assert end_window(tracker, 10) == [Mark.STALE_WINDOW]
    assert end_window(tracker, 10) == []


def test_a_duplicate_in_a_window_with_a_new_trade_is_not_stale() -> None:
    tracker = state()
    tracker.add(trade(1, signature="s"))
    end_window(tracker, 5)
    tracker.add(trade(6, signature="s"))
    tracker.add(trade(7, signature="new"))
    assert spans(tracker, end_window(tracker, 10)) == [(5, 10)]
    assert Mark.STALE_WINDOW not in tracker.add(trade(11))


def test_two_honest_windows_with_equal_figures_are_both_written() -> None:
    tracker = state()
    first = tracker.add(trade(1, seq=1)) + end_window(tracker, 5)
    second = tracker.add(trade(6, seq=2)) + end_window(tracker, 10)
    assert spans(tracker, first + second) == [(0, 5), (5, 10)]


def test_a_replayed_trade_that_lies_in_rows_by_its_number_is_remembered_and_counts_nowhere() -> (
    None
):
    tracker = state(last_row=5, rows_seq=2)
    assert tracker.add(trade(1, seq=1)) == [Mark.REMEMBERED]
    assert tracker.add(trade(4, seq=2)) == [Mark.REMEMBERED]
    assert Mark.ADDED in tracker.add(trade(6, seq=3))
    assert spans(tracker, end_window(tracker, 10)) == [(5, 10)]


def test_a_remembered_trade_that_comes_again_is_a_duplicate() -> None:
    tracker = state(rows_seq=1)
    first = trade(1, seq=1)
    tracker.add(first)
    assert Mark.DUPLICATE in tracker.add(msgspec.structs.replace(first, seq=5))


def test_a_live_trade_from_before_the_newest_row_counts_in_the_window_behind_it() -> None:
    tracker = state(last_row=10)
    effects = tracker.add(trade(9))
    assert Mark.ADDED in effects
    assert Mark.LATE in effects
    assert spans(tracker, end_window(tracker, 15)) == [(10, 15)]


def test_a_trade_behind_later_ones_extends_the_first_window() -> None:
    tracker = state(started=2)
    tracker.add(trade(11))
    assert Mark.LATE not in tracker.add(trade(4))
    assert spans(tracker, end_window(tracker, 15)) == [(2, 15)]


def test_a_late_trade_is_added_to_the_next_candle_and_marked() -> None:
    tracker = state()
    tracker.add(trade(1))
    end_window(tracker, 5)
    effects = tracker.add(trade(3, seq=9))
    assert Mark.LATE in effects
    assert Mark.ADDED in effects
    assert spans(tracker, end_window(tracker, 10)) == [(5, 10)]


def test_a_trade_behind_the_end_is_an_orphan() -> None:
    tracker = state()
    tracker.cut(at(0))
    assert tracker.add(trade(1)) == [Mark.ORPHAN]


@pytest.mark.parametrize(
    "poison",
    [
        trade(11, mint=Mint("other")),
        trade(11, amount=-1.0),
        trade(11, tokens=-1),
        trade(11, price=0.0),
        trade(11, price=float("nan")),
        trade(11, price=float("inf")),
    ],
)
def test_a_poisonous_trade_changes_nothing(poison: object) -> None:
    tracker = state()
    tracker.add(trade(7))
    with pytest.raises(ValueError, match=r"trade|tracker"):
        tracker.add(poison)  # type: ignore[arg-type] # parametrized
    assert tracker.window is not None
    assert tracker.window.end_us == at(10)
    assert tracker.trades_total == 1
    assert Mark.ADDED in tracker.add(trade(11))


def test_a_create_with_a_poisonous_buy_changes_nothing() -> None:
    tracker = state()
    with pytest.raises(ValueError, match="negative"):
        tracker.see_create(coin(buy=trade(1, amount=-1.0)))
    assert tracker.creator is None


def test_chain_breaks_are_counted_in_their_candle() -> None:
    tracker = state()
    tracker.add(trade(1, tokens=10, reserves=(None, 1_000)))
    assert Mark.CHAIN_BREAK in tracker.add(trade(2, tokens=10, reserves=(None, 900)))
    tracker.add(trade(3, tokens=10, reserves=(None, 890)))
    [candle] = candles(tracker, end_window(tracker, 5))
    assert candle.chain_breaks == 1


def test_mayhem_coins_have_no_chain() -> None:
    tracker = state()
    tracker.learn(coin(is_mayhem=True))
    assert Mark.CHAIN_BREAK not in tracker.add(trade(2, tokens=10, reserves=(None, 900)))


def test_trades_come_along_when_they_are_kept() -> None:
    tracker = state(rules=msgspec.structs.replace(RULES, keep_trades=True))
    one, two = trade(1), trade(2)
    tracker.add(one)
    tracker.add(two)
    [closed] = end_window(tracker, 5)
    assert isinstance(closed, WindowClosed)
    assert closed.candle.kept_trades == (one, two)


# Phases.


def test_a_phase_change_acts_at_the_end_of_the_running_window() -> None:
    tracker = state(started=-597)
    tracker.add(trade(1))
    assert tracker.due(TimerKey.PHASE, at(3), at(3)) == []
    effects = end_window(tracker, 5)
    assert spans(tracker, effects) == [(0, 5)]
    assert PhaseSwitched(2) in effects
    tracker.add(trade(6))
    assert spans(tracker, end_window(tracker, 30)) == [(5, 30)]


def test_a_phase_change_acts_at_once_without_a_window() -> None:
    tracker = state()
    assert tracker.due(TimerKey.PHASE, at(600), at(600)) == [
        PhaseSwitched(2),
        Arm(TimerKey.PHASE, at(3_600)),
        RenewSubscription(in_doubt=False, first_doubt=False),
    ]


def test_a_candle_keeps_the_phase_it_was_opened_under() -> None:
    tracker = state(started=-597)
    tracker.add(trade(1))
    [candle] = candles(tracker, end_window(tracker, 5))
    assert (candle.phase_id, candle.interval_seconds) == (1, 5)


def test_a_trade_after_the_phase_is_put_on_the_new_grid_without_any_timer() -> None:
    tracker = state()
    effects = tracker.add(trade(601))
    assert PhaseSwitched(2) in effects
    assert tracker.window is not None
    assert (tracker.window.start_us, tracker.window.end_us) == (at(600), at(630))


def test_phase_switches_repeat_the_subscription_at_most_once_per_watchdog_time() -> None:
    tracker = state()
    tracker.set_phase(2, at(0))
    [switched, _timer] = tracker.set_phase(3, at(599))[1]
    assert switched == PhaseSwitched(3)
    again = tracker.set_phase(2, at(601))[1]
    assert RenewSubscription(in_doubt=False, first_doubt=False) in again


def test_a_create_that_comes_later_moves_the_age() -> None:
    tracker = state(started=0)
    assert tracker.learn(coin(-300)) == [Arm(TimerKey.PHASE, at(300))]
    assert tracker.learn(coin(-500)) == []
    assert tracker.creator == CREATOR


def test_changed_phases_act_at_the_end_of_the_running_window() -> None:
    tracker = state()
    tracker.add(trade(1))
    slower = Phase(1, "Slower", 10, 0, 20)
    assert tracker.change_phases((slower, SURVIVAL), at(2)) == [Arm(TimerKey.PHASE, at(1_200))]
    assert spans(tracker, end_window(tracker, 5)) == [(0, 5)]
    tracker.add(trade(6))
    assert spans(tracker, end_window(tracker, 10)) == [(5, 10)]


def test_a_deleted_phase_is_left_at_once_without_a_window() -> None:
    tracker = state(phase_id=2)
    assert PhaseSwitched(3) in tracker.change_phases((BABY, MATURE), at(1))


def test_a_table_without_phases_ends_nothing() -> None:
    tracker = state()
    with pytest.raises(ValueError, match="found none"):
        tracker.change_phases((FINISHED,), at(1))
    assert not tracker.ended


def test_an_operators_phase_waits_for_the_window() -> None:
    tracker = state()
    tracker.add(trade(1))
    assert tracker.set_phase(3, at(2)) == (None, [])
    assert PhaseSwitched(3) in end_window(tracker, 5)


def test_tracking_without_any_phase_is_refused() -> None:
    with pytest.raises(ValueError, match="found none"):
        state(phases=(FINISHED,))


# The end.


def test_a_coin_that_outlives_its_last_phase_is_finished() -> None:
    tracker = state(phase_id=3)
    effects = tracker.due(TimerKey.PHASE, at(86_400), at(86_400))
    assert effects == [AthDue(), Ended(99, graduated=False, at_us=at(86_400))]
    assert tracker.add(trade(86_401)) == [Mark.ORPHAN]


def test_a_finished_coin_writes_its_last_window_first() -> None:
    tracker = state(phase_id=3)
    tracker.add(trade(86_399))
    effects = tracker.due(TimerKey.PHASE, at(86_400), at(86_400))
    assert spans(tracker, effects) == [(86_340, 86_400)]
    assert effects[-1] == Ended(99, graduated=False, at_us=at(86_400))


def test_a_full_curve_ends_with_its_window() -> None:
    tracker = state()
    tracker.add(trade(1, reserves=FULL))
    assert tracker.graduated
    tracker.add(trade(2, pool="pump-amm"))
    effects = end_window(tracker, 5)
    [candle] = candles(tracker, effects)
    assert candle.num_trades == 2
    assert effects[-1] == Ended(100, graduated=True, at_us=at(5))


def test_almost_full_is_not_graduated() -> None:
    tracker = state()
    tracker.add(trade(1, reserves=(sol(114.575) - 1, None)))
    assert not tracker.graduated


def test_a_migration_ends_a_coin_without_a_window_at_once() -> None:
    tracker = state()
    assert tracker.migrate(migration(3)) == [AthDue(), Ended(100, graduated=True, at_us=at(3))]
    assert tracker.migrate(migration(4)) == []


def test_a_migration_lets_the_running_window_finish() -> None:
    tracker = state()
    tracker.add(trade(1))
    assert tracker.migrate(migration(3)) == []
    assert end_window(tracker, 5)[-1] == Ended(100, graduated=True, at_us=at(5))


def test_a_migration_behind_the_window_writes_it_and_ends() -> None:
    tracker = state()
    tracker.add(trade(1))
    effects = tracker.migrate(migration(7))
    assert spans(tracker, effects) == [(0, 5)]
    assert effects[-1] == Ended(100, graduated=True, at_us=at(7))


def test_graduation_wins_over_age() -> None:
    tracker = state(phase_id=3)
    tracker.add(trade(86_399, reserves=FULL))
    assert end_window(tracker, 86_400)[-1] == Ended(100, graduated=True, at_us=at(86_400))


@pytest.mark.parametrize(("phase_id", "graduated"), [(99, False), (100, True)])
def test_a_stream_that_had_ended_ends_again(phase_id: int, graduated: bool) -> None:
    tracker = state(phase_id=phase_id)
    [*_, ended, orphan] = tracker.add(trade(1))
    assert ended == Ended(phase_id, graduated, at(1))
    assert orphan is Mark.ORPHAN


def test_a_cut_ends_the_candle_inside_its_cell() -> None:
    tracker = state()
    tracker.add(trade(1))
    effects = tracker.cut(at(2.5))
    assert spans(tracker, effects) == [(0, 2.5)]
    assert tracker.covered_until_us == at(2.5)


def test_a_cut_behind_the_window_ends_it_in_its_place() -> None:
    tracker = state()
    tracker.add(trade(1))
    assert spans(tracker, tracker.cut(at(60))) == [(0, 5)]


def test_a_cut_never_leaves_a_trade_out_of_its_span() -> None:
    tracker = state()
    tracker.add(trade(1))
    assert spans(tracker, tracker.cut(at(0.5))) == [(0, 1.000001)]


def test_a_cut_in_a_graduates_last_window_ends_the_stream() -> None:
    tracker = state()
    tracker.add(trade(1, reserves=FULL))
    assert tracker.cut(at(2))[-1] == Ended(100, graduated=True, at_us=at(2))


def test_a_second_cut_does_nothing() -> None:
    tracker = state()
    tracker.add(trade(1))
    tracker.cut(at(2))
    assert tracker.cut(at(3)) == []


# All-time high.


def test_a_restored_high_is_never_lowered() -> None:
    stored = AllTimeHigh(MINT, 5e-7, at(-100))
    tracker = state(ath=stored)
    tracker.add(trade(1, price=4e-7))
    assert tracker.ath == stored
    assert tracker.take_ath() is None
    tracker.add(trade(2, price=6e-7))
    assert tracker.take_ath() == AllTimeHigh(MINT, 6e-7, at(2))
    assert tracker.take_ath() is None


def test_a_higher_high_waits_for_the_same_timer() -> None:
    tracker = state()
    assert Arm(TimerKey.ATH, at(6)) in tracker.add(trade(1, price=1e-7))
    assert tracker.add(trade(2, price=2e-7)) == [Mark.ADDED]
    assert tracker.due(TimerKey.ATH, at(6), at(6)) == [AthDue()]


# The hand-over.


def test_what_the_cache_hands_over_goes_out_once_it_is_settled() -> None:
    tracker = state(settled=False, started=20)
    early = tracker.add(trade(1, trader="creator", is_buy=False, amount=2)) + tracker.add(trade(6))
    assert candles(tracker, early) == []
    tracker.finish_hand_over(coin(0.5))
    tracker.coverage.change(covered=True, at_us=at(3))
    [candle] = candles(tracker, tracker.settle())
    assert (candle.window_start_us, candle.timestamp_us) == (at(1), at(5))
    assert candle.dev_sold_lamports == 2_000_000_000
    assert candle.covered_us == 2_000_000


def test_breaks_in_the_cache_are_left_out_once_the_coin_turns_out_to_be_mayhem() -> None:
    tracker = state(settled=False)
    tracker.add(trade(1, tokens=10, reserves=(None, 1_000)))
    tracker.add(trade(2, tokens=10, reserves=(None, 900)))
    tracker.add(trade(6))
    tracker.finish_hand_over(coin(is_mayhem=True))
    [candle] = candles(tracker, tracker.settle())
    assert candle.chain_breaks == 0


def test_the_end_of_a_coin_in_the_cache_waits_behind_its_last_candle() -> None:
    tracker = state(settled=False)
    tracker.add(trade(1))
    assert tracker.migrate(migration(7)) == []
    [closed, ath, ended] = tracker.settle()
    assert isinstance(closed, WindowClosed)
    assert ath == AthDue()
    assert ended == Ended(100, graduated=True, at_us=at(7))


def test_a_cut_lets_go_of_what_was_kept_back() -> None:
    tracker = state(settled=False)
    tracker.add(trade(1))
    tracker.add(trade(6))
    assert spans(tracker, tracker.cut(at(7))) == [(0, 5), (5, 7)]


# Timers of a new instance.


def test_a_new_instance_waits_for_everything_again() -> None:
    tracker = state()
    tracker.add(trade(1))
    assert set(tracker.timers(at(2))) == {
        Arm(TimerKey.PHASE, at(600)),
        Arm(TimerKey.WATCHDOG, at(601)),
        Arm(TimerKey.WINDOW, at(5)),
        Arm(TimerKey.ATH, at(7)),
    }


def test_an_ended_coin_waits_for_nothing() -> None:
    tracker = state()
    tracker.cut(at(1))
    assert tracker.timers(at(2)) == []
    assert tracker.due(TimerKey.PHASE, at(600), at(600)) == []


def test_silence_raises_a_doubt_and_looks_again() -> None:
    tracker = state()
    tracker.add(trade(1))
    assert tracker.due(TimerKey.WATCHDOG, at(100), at(100)) == [Arm(TimerKey.WATCHDOG, at(601))]
    assert tracker.due(TimerKey.WATCHDOG, at(601), at(601)) == [
        Arm(TimerKey.WATCHDOG, at(1_801)),
        RenewSubscription(in_doubt=True, first_doubt=True),
    ]
    assert tracker.due(TimerKey.WATCHDOG, at(1_801), at(1_801))[1] == RenewSubscription(
        in_doubt=True, first_doubt=False
    )
