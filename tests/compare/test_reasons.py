"""Each reason, decided from a few rows: when it is given, and when it is not."""

from __future__ import annotations

from typing import Any

import pytest

from actors.compare.rows import Precision
from tests.compare.sides import MINT, SOL, began, hours_of, our, reasons, report, their

# In what follows their windows end 2 s behind ours, unless a case is about something else.
QUIET_END = [their(1_007, 4), their(1_012, 4), their(1_017, 4)]
OUR_QUIET_END = [our(1_000, 3), our(1_005, 5), our(1_010, 4)]


def says(*args: Any, **more: Any) -> str:
    (hour,) = hours_of(*args, **more)
    return hour.says


# The same, rounding.


def test_equal_rows_are_the_same() -> None:
    found = report([their(5, 2), their(10, 3)], [our(0, 2), our(5, 3)])

    assert found.counts == {"same": 1}
    assert found.largest() == []
    assert (found.coins, found.hours, found.differing) == (1, 1, 0)


def test_volumes_within_half_a_digit_of_each_row_are_rounding() -> None:
    theirs = [their(5, 1, sol=0.123457), their(10, 1, sol=0.2)]
    ours = [our(0, 1, sol=0.123456501), our(5, 1, sol=0.2)]

    assert reasons(theirs, ours) == ["rounding"]
    assert says(theirs, ours) == "rounded: 0.000000499 SOL more"


def test_volumes_off_by_more_than_the_digits_are_no_rounding() -> None:
    theirs = [their(1_005, 1, sol=0.123461), *QUIET_END]
    ours = [our(995, 1, end_s=1_000, sol=0.123456), *OUR_QUIET_END]

    assert reasons(*began(theirs, ours)) == ["other"]


def test_prices_within_the_digits_of_their_columns_are_rounding() -> None:
    theirs = [their(5, 1, high_sol=2.8958333333e-08)]

    assert reasons(theirs, [our(0, 1, high_sol=2.895833333333333e-08)]) == ["rounding"]
    assert reasons(theirs, [our(0, 1, high_sol=2.8959e-08)]) == ["other"]


def test_sums_of_floats_are_rounding() -> None:
    floats = Precision()
    theirs = [their(5, 3, sol=0.1)]
    theirs[0].figures = (3, 0, 300_000_001, 300_000_001, 0)

    assert reasons(theirs, [our(0, 3, sol=0.1)], precision=floats) == ["rounding"]


# Windows.


def test_equal_sums_in_other_rows_are_windows() -> None:
    assert reasons(QUIET_END, OUR_QUIET_END) == ["windows"]
    assert says(QUIET_END, OUR_QUIET_END) == "all figures are equal, the rows lie otherwise"


def test_trades_of_a_window_over_the_hours_end_are_windows_in_both_hours() -> None:
    """Of their window from 12:59:57 to 13:00:02 two trades are of the first hour."""
    theirs = [their(3_592, 4), their(3_597, 4), their(3_602, 5), their(3_607, 1)]
    ours = [our(3_590, 6), our(3_595, 4), our(3_600, 4)]

    first, second = hours_of(theirs, ours, hours=2)

    assert (first.reason, second.reason) == ("windows", "windows")
    assert first.says == ("windows over the hour's ends: 2 buys fewer, 2 SOL less")
    assert (first.theirs.trades, first.ours.trades) == (8, 10)
    assert (second.theirs.trades, second.ours.trades) == (6, 4)


def test_more_than_the_window_over_the_end_holds_is_no_window() -> None:
    theirs = [their(3_592, 4), their(3_597, 4), their(3_602, 2)]
    ours = [our(3_590, 6), our(3_595, 5)]

    assert reasons(*began(theirs, ours)) == ["other"]


def test_what_an_hour_lacks_has_to_be_in_the_next() -> None:
    """Of the first hour 2 trades moved into the window over its end."""
    theirs, ours = began(
        [their(3_592, 4), their(3_597, 4), their(3_602, 3)],
        [our(3_590, 6), our(3_595, 4), our(3_600, 1)],
    )

    assert reasons(theirs, ours, hours=2) == ["windows", "windows"]
    # They never came.
    theirs[-1] = their(3_602, 1)
    assert reasons(theirs, ours, hours=2) == ["other", "windows"]
    # Nor where the next hour has as many trades on both sides, and rests at its end.
    theirs[-1] = their(3_602, 3)
    ours[-1] = our(3_600, 3)
    assert reasons(theirs, ours, hours=1) == ["windows"]
    assert reasons(theirs, ours, hours=2) == ["other", "windows"]


def test_a_trade_lost_each_hour_is_found_although_a_window_could_hold_it() -> None:
    """Windows over the ends hold 2 trades."""
    ends = [3_600 * hour for hour in range(1, 7)]
    theirs, ours = began(
        [their(end + at, 2 * (at < 7)) for end in ends for at in (-8, -3, 2, 7)],
        [our(end + at, 2 + (at == -10)) for end in ends for at in (-10, -5, 0)],
    )

    found = reasons(theirs, ours, hours=6)

    assert found == ["windows", "windows", "other", "windows", "windows", "other"]


def test_price_of_a_window_over_the_end_may_be_in_one_side_alone() -> None:
    theirs = [their(3_597, 4), their(3_602, 4, high_sol=5e-8)]
    ours = [our(3_590, 4), our(3_595, 2, high_sol=5e-8), our(3_600, 2)]

    assert reasons(theirs, ours, hours=2) == ["windows", "windows"]
    theirs[1].high_sol = 4e-8
    assert reasons(theirs, ours, hours=2) == ["other", "windows"]


def test_window_over_the_ends_of_what_was_asked_for_counts() -> None:
    """Rows from before and behind are read as well, and are in no total."""
    theirs = [their(-3, 9), their(2, 4), their(3_597, 4), their(3_602, 5)]
    ours = [our(-5, 3, end_s=0), our(0, 1), our(3_590, 2), our(3_595, 4), our(3_600, 3)]

    found = report(theirs, ours)

    assert found.counts == {"windows": 1}
    assert (found.theirs.rows, found.ours.rows) == (2, 3)


# They lack trades.


def test_hole_between_two_rows_with_trades_of_ours_is_a_lost_flush() -> None:
    theirs = [their(1_002, 4), their(1_012, 4), their(1_017, 1)]
    ours = [our(995, 4), our(1_000, 3), our(1_005, 4), our(1_010, 2)]

    assert reasons(theirs, ours) == ["lost"]
    assert says(theirs, ours) == (
        "a hole in their rows at 12:16:42 .. 12:16:47: 4 buys fewer, 4 SOL less"
    )


def test_fewer_trades_without_a_hole_are_no_lost_flush() -> None:
    """Windows before the first trade ended with rows of none."""
    theirs = [their(1_002, 4), their(1_007, 1), their(1_012, 4), their(1_017, 1)]
    ours = [our(995, 4), our(1_000, 3), our(1_005, 4), our(1_010, 2)]

    assert reasons(*began([their(992, 0), their(997, 0), *theirs], ours)) == ["other"]
    # Without those rows they may have lost a flush before 12:16:42.
    assert reasons(*began(theirs, ours)) == ["lost"]


def test_more_than_the_hole_holds_is_no_lost_flush() -> None:
    theirs = [their(992, 0), their(997, 0), their(1_002, 4), their(1_012, 4), their(1_017, 1)]
    ours = [our(995, 20), our(1_000, 3), our(1_005, 4), our(1_010, 2)]

    assert reasons(*began(theirs, ours)) == ["other"]


def test_quiet_coin_has_holes_and_lost_nothing() -> None:
    theirs = [their(502, 3), their(1_002, 4), their(1_512, 4)]
    ours = [our(495, 3), our(995, 4), our(1_505, 4)]

    assert reasons(theirs, ours) == ["windows"]


def test_rows_that_end_where_the_reserves_reach_their_graduation_ended_early() -> None:
    """The window that was open then is lost with it."""
    theirs = [their(1_002, 4), their(1_007, 4)]
    ours = [
        our(995, 4, reserves_lamports=60 * SOL),
        our(1_000, 4, reserves_lamports=70 * SOL),
        our(1_005, 3, reserves_lamports=86 * SOL, high_sol=8e-8),
        our(1_100, 3, reserves_lamports=90 * SOL, high_sol=9e-8),
        our(5_000, 7, reserves_lamports=100 * SOL, high_sol=1e-7),
    ]

    assert reasons(theirs, ours, hours=2) == ["early_graduation", "early_graduation"]
    assert hours_of(theirs, ours, hours=2)[0].says == (
        "their rows end at 12:16:47, the virtual reserves have reached 86.0 SOL: 6 buys fewer, 6 "
        "SOL less"
    )


def test_coin_that_was_beyond_their_graduation_all_along_ended_early() -> None:
    assert reasons([], [our(0, 3, reserves_lamports=90 * SOL)]) == ["early_graduation"]


def test_rows_that_go_on_behind_their_graduation_did_not_end() -> None:
    theirs = [their(1_992, 0), their(1_997, 1), their(2_002, 4), their(2_007, 2)]
    ours = [our(1_995, 9, reserves_lamports=90 * SOL), our(2_000, 4)]

    assert reasons(*began(theirs, ours)) == ["other"]
    assert reasons([], ours) == ["early_graduation"]


def test_trades_missing_before_the_graduation_are_not_explained_by_it() -> None:
    theirs = [their(992, 0), their(997, 0), their(1_002, 4), their(1_007, 4)]
    ours = [our(995, 9), our(1_000, 4), our(1_100, 3, reserves_lamports=90 * SOL)]

    assert reasons(*began(theirs, ours)) == ["other"]


CREATED = [our(0, 3, low_sol=2.8e-8), our(60, 4), our(115, 1)]


def test_a_buy_less_as_large_as_the_creators_is_the_creators() -> None:
    bought = {MINT: SOL}

    assert reasons([their(122, 7)], CREATED, creators_buys=bought) == ["creators_buy"]
    assert says([their(122, 7)], CREATED, creators_buys=bought) == (
        "the creator's own buy of 1 SOL is in our first row: 1 buy fewer, 1 SOL less"
    )


@pytest.mark.parametrize(
    ("buys", "bought"), [(7, {}), (7, {MINT: SOL // 2}), (7, {"B": SOL}), (6, {MINT: SOL})]
)
def test_other_buys_less_are_not_the_creators(buys: int, bought: dict[str, int]) -> None:
    assert reasons([their(122, buys)], CREATED, creators_buys=bought) == ["only_ours"]


def test_creators_buy_is_in_the_first_row_of_a_coin_alone() -> None:
    theirs = [their(992, 0), their(997, 0), their(1_002, 4), their(1_007, 3)]

    found = reasons(*began(theirs, [our(995, 4), our(1_000, 4)]), creators_buys={MINT: SOL})

    assert found == ["other"]


def test_coin_without_a_row_of_theirs_is_only_ours() -> None:
    assert reasons([], [our(100, 3)]) == ["only_ours"]
    assert says([], [our(100, 3)]) == (
        "they have no row of it in this hour: 3 buys fewer, 3 SOL less"
    )


def test_hour_in_which_they_have_no_row_is_only_ours() -> None:
    theirs = [their(1_002, 4), their(10_002, 4)]
    ours = [our(995, 4), our(5_000, 9), our(9_995, 4)]

    assert reasons(theirs, ours, hours=3) == ["windows", "only_ours", "windows"]


def test_rows_before_their_first_and_behind_their_last_are_only_ours() -> None:
    theirs = [their(1_002, 4), their(1_007, 4)]
    ours = [our(500, 2), our(995, 4), our(1_000, 4), our(2_000, 2)]

    assert reasons(theirs, ours) == ["only_ours"]
    assert says(theirs, ours) == (
        "they have no row of it before 12:16:36 and behind 12:16:47: 4 buys fewer, 4 SOL less"
    )


# We lack trades.


def test_their_rows_over_a_gap_of_the_whole_feed_are_a_gap() -> None:
    theirs = [their(1_002, 4), their(1_007, 4), their(1_012, 1)]
    ours = [our(995, 4), our(1_005, 1)]

    assert reasons(theirs, ours, {None: [(1_001, 1_006)]}) == ["gap"]
    assert says(theirs, ours, {None: [(1_001, 1_006)]}) == (
        "our feed_gaps has 12:16:41 .. 12:16:46: 4 buys more, 4 SOL more"
    )


def test_gap_of_the_coin_counts_and_that_of_another_does_not() -> None:
    theirs = [their(1_002, 4), their(1_007, 4), their(1_012, 1)]
    ours = [our(995, 4), our(1_005, 1)]

    assert reasons(theirs, ours, {MINT: [(1_001, 1_006)]}) == ["gap"]
    assert reasons(theirs, ours, {"B": [(1_001, 1_006)]}) == ["other"]


def test_more_than_their_rows_over_the_gap_hold_is_no_gap() -> None:
    theirs = [their(502, 9), their(1_002, 4), their(1_007, 4), their(1_012, 1)]
    ours = [our(495, 2), our(995, 4), our(1_005, 1)]

    assert reasons(theirs, ours, {None: [(1_001, 1_006)]}) == ["other"]


def test_hour_that_a_gap_covers_is_a_gap_and_not_only_theirs() -> None:
    theirs = [their(1_002, 4)]

    assert reasons(theirs, [], {None: [(0, 3_600)]}) == ["gap"]
    assert reasons(theirs, []) == ["only_theirs"]
    assert says(theirs, []) == ("we have no row of it in this hour: 4 buys more, 4 SOL more")


def test_rows_before_our_first_and_behind_our_last_are_only_theirs() -> None:
    theirs = [their(502, 4), their(1_002, 4), their(2_000, 4)]

    assert reasons(theirs, [our(995, 4)]) == ["only_theirs"]


# Several at once, and nothing.


def test_two_reasons_together_have_the_name_of_the_larger() -> None:
    """A lost flush of 4, and a gap of ours of 2, each with rows that show it."""
    theirs = [their(502, 2), their(507, 1), their(1_002, 4), their(1_012, 4), their(1_017, 1)]
    ours = [our(505, 1), our(995, 4), our(1_000, 3), our(1_005, 4), our(1_010, 2)]
    gap = {None: [(495.0, 502.0)]}

    assert reasons(theirs, ours, gap) == ["lost"]
    assert reasons(theirs, ours) == ["lost"]


def test_more_trades_of_theirs_without_a_reason_are_other() -> None:
    theirs = [their(1_002, 6), their(1_007, 4)]
    ours = [our(995, 4), our(1_000, 4)]

    assert reasons(theirs, ours) == ["other"]
    assert says(theirs, ours) == "nothing explains it: 2 buys more, 2 SOL more"


def test_a_buy_for_a_sell_is_other() -> None:
    theirs = [their(1_002, 4), their(1_007, 4)]
    ours = [our(995, 4), our(1_000, 3, 1)]

    assert reasons(theirs, ours) == ["other"]
    assert says(theirs, ours) == (
        "nothing explains it: 1 buy more, 1 sell fewer, 1 SOL bought more, 1 SOL sold less"
    )


def test_another_price_of_the_same_trades_is_other() -> None:
    theirs = [their(5, 4, low_sol=None, high_sol=None)]

    assert reasons(theirs, [our(0, 4)]) == ["other"]
    assert says(theirs, [our(0, 4)]) == "nothing explains it: no price, ours go up to 3e-08 SOL"
