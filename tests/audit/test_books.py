"""Which trades have to be in rows, and what is said of each: one mint, a few trades, no I/O."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actors.audit.books import Accounts, AuditRules, Evidence
from actors.audit.figures import Row
from actors.audit.reading import Seen, SeenTrade
from actors.audit.report import AuditReport, AuditVerdict

S = 1_000_000
A = "MintA"
END_S = 10_000


def trade(seq: int, at_s: float, *, sol: float | None = 0.5, **changes: Any) -> SeenTrade:
    fields: dict[str, Any] = {
        "seq": seq,
        "at_us": round(at_s * S),
        "mint": A,
        "identity": b"identity%d" % seq,
        "trader": f"wallet{seq}",
        "is_buy": True,
        "lamports": None if sol is None else round(sol * 1e9),
        "price_sol": 1e-8 * seq,
        "virtual_lamports": 31_000_000_000,
    }
    return SeenTrade(**{**fields, **changes})


def row(start_s: float, end_s: float, *, buys: int, sol: float, prices: tuple[int, ...]) -> Row:
    """A row of buys, written down figure by figure."""
    lamports = round(sol * 1e9)
    values: dict[str, Any] = {
        "num_buys": buys,
        "num_sells": 0,
        "volume_sol": lamports,
        "buy_volume_sol": lamports,
        "sell_volume_sol": 0,
        "net_volume_sol": lamports,
        "max_single_buy_sol": 500_000_000,
        "max_single_sell_sol": 0,
        "unique_wallets": buys,
        "num_micro_trades": 0,
        "price_open": 1e-8 * prices[0],
        "price_high": 1e-8 * max(prices),
        "price_low": 1e-8 * min(prices),
        "price_close": 1e-8 * prices[-1],
        "market_cap_close": 1e-8 * prices[-1] * 1_000_000_000,
        "virtual_sol_reserves": 31_000_000_000,
    }
    return Row(A, round(start_s * S), round(end_s * S), 5, values)


class Case:
    """Books that were read to the end of a journal of `END_S` seconds."""

    def __init__(
        self,
        *rows: Row,
        covered_from_s: float = 0,
        set_back_s: float = 0,
        since_s: float = 0,
        **evidence: Any,
    ) -> None:
        self.report = AuditReport()
        rules = AuditRules(
            since_us=round(since_s * S),
            until_us=2**62,
            whale_lamports=None,
            full_lamports=114_575_000_000,
            covered_from_us=round(covered_from_s * S),
            set_back_us=round(set_back_s * S),
        )
        self.books = Accounts(
            rules, Evidence(**{"released_us": END_S * S, **evidence}), self.report
        )
        self.books.add_rows(rows, {})

    def take(self, *trades: SeenTrade) -> None:
        for each in trades:
            self.books.take(Seen(A, each))

    def found(self) -> dict[str, int]:
        self.books.settle(END_S * S, to_the_end=True)
        return {verdict.value: count for verdict, count in self.report.counts.items()}

    def reasons(self, verdict: AuditVerdict) -> list[str]:
        return [finding.reason for finding in self.report.findings[verdict]]


TWO = row(100, 105, buys=2, sol=1, prices=(1, 2))


def test_row_of_exactly_its_trades_is_right() -> None:
    case = Case(TWO)
    case.books.start(A)
    case.take(trade(1, 101), trade(2, 104.999999))

    assert case.found() == {"ok": 1}


def test_window_begins_with_its_start_and_ends_before_its_end() -> None:
    case = Case(TWO)
    case.books.start(A)
    case.take(trade(1, 100), trade(2, 101), trade(3, 105))

    assert case.found() == {"ok": 1, "missing": 1}


def test_trades_in_a_row_are_missing_once() -> None:
    case = Case()
    case.books.start(A)
    case.take(trade(1, 101), trade(2, 102), trade(3, 103))

    assert case.found() == {"missing": 1}
    (found,) = case.report.findings[AuditVerdict.MISSING]
    assert (found.mint, found.start_us, found.end_us, found.trades) == (
        A,
        101 * S,
        103 * S + 1,
        3,
    )


def test_trades_of_nobody_are_not_expected() -> None:
    case = Case(TWO)
    case.take(trade(8, 90))
    case.books.start(A)
    case.take(trade(1, 101), trade(2, 102))
    case.books.stop(A, 103 * S, ended=False)
    case.take(trade(9, 200))

    assert case.found() == {"ok": 1}


def test_cached_trades_are_expected_from_the_first_that_was_handed_over() -> None:
    case = Case()
    case.take(trade(1, 50), trade(2, 60), trade(3, 70))
    case.books.start(A)
    case.books.hand_over(A, 2)

    assert case.found() == {"missing": 1}
    (found,) = case.report.findings[AuditVerdict.MISSING]
    assert found.trades == 2


def test_hand_over_of_nothing_expects_nothing() -> None:
    case = Case()
    case.take(trade(1, 50))
    case.books.start(A)
    case.books.hand_over(A, 0)

    assert case.found() == {}


def test_row_may_hold_what_came_before_the_fact_of_its_tracking() -> None:
    """A start after a crash replays what waited in the cache."""
    case = Case(TWO)
    case.take(trade(1, 101))
    case.books.start(A)
    case.take(trade(2, 102))

    assert case.found() == {"ok": 1}


def test_coin_that_was_tracked_before_the_journal_is_expected() -> None:
    case = Case(tracked=frozenset({A}))
    case.take(trade(1, 101))

    assert case.found() == {"missing": 1}


def test_stop_that_comes_first_says_that_the_coin_was_tracked() -> None:
    case = Case()
    case.take(trade(1, 101))
    case.books.stop(A, 102 * S, ended=False)

    assert case.found() == {"missing": 1}


def test_restart_goes_on_with_the_same_tracking() -> None:
    case = Case()
    case.books.start(A)
    case.take(trade(1, 101))
    case.books.start(A)

    assert case.found() == {"missing": 1}


def test_trades_behind_the_last_window_of_a_graduated_coin_are_nobodys() -> None:
    full = row(100, 105, buys=1, sol=0.5, prices=(1,))
    full.values["virtual_sol_reserves"] = 115_000_000_000
    case = Case(full)
    case.books.start(A)
    case.take(trade(1, 101, virtual_lamports=115_000_000_000), trade(2, 106))

    assert case.found() == {"ok": 1}


def test_migration_without_a_window_ends_the_coin_at_once() -> None:
    case = Case()
    case.books.start(A)
    case.books.migrate(A, 100 * S)
    case.take(trade(1, 101))

    assert case.found() == {}


def test_deleted_last_window_of_a_graduated_coin_is_missing() -> None:
    case = Case()
    case.books.start(A)
    case.take(trade(1, 101), trade(2, 102, virtual_lamports=115_000_000_000), trade(3, 103))

    assert case.found() == {"missing": 1}
    (found,) = case.report.findings[AuditVerdict.MISSING]
    assert found.trades == 2


def test_trade_that_comes_again_counts_once_for_ten_minutes() -> None:
    again = b"identity1"
    case = Case(row(100, 105, buys=1, sol=0.5, prices=(1,)))
    case.books.start(A)
    case.take(trade(1, 101), trade(2, 700, identity=again), trade(3, 702, identity=again))

    assert case.found() == {"ok": 1, "missing": 1}
    assert case.report.duplicates == 1


def test_trade_without_an_amount_counts_in_counts_alone() -> None:
    case = Case(row(100, 105, buys=2, sol=0.5, prices=(1, 2)))
    case.books.start(A)
    case.take(trade(1, 101), trade(2, 102, sol=None))

    assert case.found() == {"ok": 1}


def test_row_without_a_trade_is_extra() -> None:
    case = Case(TWO)

    assert case.found() == {"extra": 1}


def test_window_over_another_is_an_overlap() -> None:
    case = Case(TWO, row(104, 105, buys=1, sol=0.5, prices=(9,)))
    case.books.start(A)
    case.take(trade(1, 101), trade(2, 102))

    assert case.found() == {"ok": 1, "overlap": 1}


def test_windows_that_touch_do_not_overlap() -> None:
    case = Case(TWO, row(105, 110, buys=1, sol=0.5, prices=(3,)))
    case.books.start(A)
    case.take(trade(1, 101), trade(2, 102), trade(3, 105))

    assert case.found() == {"ok": 2}


def test_window_over_two_cells_of_its_grid_is_different() -> None:
    case = Case(row(100, 110, buys=1, sol=0.5, prices=(1,)))
    case.books.start(A)
    case.take(trade(1, 101))

    assert case.found() == {"different": 1}


def test_what_was_not_released_is_pending() -> None:
    case = Case(released_us=102 * S)
    case.books.start(A)
    case.take(trade(1, 101), trade(2, 102))

    assert case.found() == {"missing": 1, "pending": 1}


def test_spooled_candle_is_pending() -> None:
    case = Case(spooled={A: ((100 * S, 105 * S),)})
    case.books.start(A)
    case.take(trade(1, 101), trade(2, 105))

    assert case.found() == {"pending": 1, "missing": 1}


def test_dead_letters_explain_their_trades_and_candles() -> None:
    case = Case(
        row(200, 205, buys=1, sol=0.5, prices=(2,)),
        dead_trades={A: frozenset({(3, 202 * S)})},
        dead_windows={A: ((100 * S, 105 * S),)},
    )
    case.books.start(A)
    case.take(trade(1, 101), trade(2, 201), trade(3, 202))

    assert case.found() == {"explained": 2}
    assert case.reasons(AuditVerdict.EXPLAINED) == [
        "1 of its trades are dead letters",
        "is a dead letter",
    ]


def test_candle_that_was_set_aside_explains_its_trades_and_its_row() -> None:
    wrong = row(200, 205, buys=7, sol=0.5, prices=(2,))
    aside = {A: ((100 * S, 105 * S), (200 * S, 205 * S))}
    case = Case(wrong, set_aside=aside)
    case.books.start(A)
    case.take(trade(1, 101), trade(2, 201))

    assert case.found() == {"explained": 2}


def test_frame_that_was_left_out_is_explained() -> None:
    case = Case()
    case.books.start(A)
    case.take(trade(1, 101))
    case.books.leave_out(101 * S)

    assert case.found() == {"explained": 1}


def test_window_that_the_journal_does_not_hold_is_unchecked() -> None:
    case = Case(TWO, row(105, 110, buys=9, sol=9, prices=(9,)), covered_from_s=101)
    case.books.gap(106 * S, 107 * S)

    assert case.found() == {"unchecked": 2}


def test_what_came_before_the_clock_was_set_back_is_unchecked() -> None:
    # The second window begins behind it, the first one only ends there.
    case = Case(TWO, row(105, 110, buys=9, sol=9, prices=(9,)), set_back_s=104)
    case.books.start(A)
    case.take(trade(1, 90), trade(2, 106), trade(3, 120))

    assert case.found() == {"unchecked": 2, "different": 1, "missing": 1}


def test_row_of_another_journal_is_unchecked_and_takes_its_trades_along() -> None:
    case = Case(msgspec.structs.replace(TWO, journal_id=8), journal_id=7)
    case.books.start(A)
    case.take(trade(1, 101))

    assert case.found() == {"unchecked": 1}


@pytest.mark.parametrize("journal_id", [None, 7])
def test_row_of_this_journal_or_of_a_version_without_numbers_is_checked(
    journal_id: int | None,
) -> None:
    case = Case(msgspec.structs.replace(TWO, journal_id=journal_id), journal_id=7)

    assert case.found() == {"extra": 1}


def test_windows_that_ended_before_the_time_asked_for_are_not_counted() -> None:
    case = Case(TWO, since_s=105)
    case.books.start(A)
    case.take(trade(1, 101))

    assert case.found() == {}


def test_database_that_does_not_answer_leaves_what_was_released_unchecked() -> None:
    case = Case(rows_readable=False, released_us=102 * S)
    case.books.start(A)
    case.take(trade(1, 101), trade(2, 103))

    assert case.found() == {"unchecked": 1, "pending": 1}


def test_books_of_a_mint_that_is_done_with_are_given_back() -> None:
    case = Case()
    case.take(trade(1, 1))
    case.books.settle(5_000 * S)

    assert case.books._books == {}
