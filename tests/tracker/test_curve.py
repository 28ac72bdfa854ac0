from __future__ import annotations

import pytest

from actors.tracker.curve import Curve, ReserveChain, market_cap_sol
from tests.tracker.builders import sol, trade

CURVE = Curve.of_sol(30.0, 85.0)
FRESH = 1_073_000_000_000_000


@pytest.mark.parametrize(
    ("virtual_sol", "pct"),
    [(0, 0.0), (30, 0.0), (60, 35.294), (85, 64.706), (100, 82.353), (115.005, 100.0)],
)
def test_progress_counts_real_sol(virtual_sol: float, pct: float) -> None:
    assert CURVE.progress_pct(sol(virtual_sol)) == pytest.approx(pct, abs=1e-3)


def test_a_coin_graduates_at_exactly_99_and_a_half_percent() -> None:
    assert CURVE.graduation_lamports == sol(114.575)


def test_the_former_thresholds_count_virtual_sol() -> None:
    former = Curve.of_sol(0.0, 85.0)
    assert former.graduation_lamports == sol(84.575)
    assert former.progress_pct(sol(42.5)) == 50.0


def test_market_cap_values_a_billion_tokens() -> None:
    assert market_cap_sol(4.1e-7) == pytest.approx(410.0)


def _after(units: int, *, seq: int, tokens: int, is_buy: bool = True) -> bool:
    chain = ReserveChain()
    chain.begin(0, FRESH)
    return chain.follow(trade(seq=seq, tokens=tokens, is_buy=is_buy, reserves=(None, units)))


def test_a_buy_takes_its_tokens_out_of_the_reserve() -> None:
    assert _after(FRESH - 500, seq=1, tokens=500)
    assert not _after(FRESH + 500, seq=1, tokens=500)


def test_a_sell_puts_its_tokens_back() -> None:
    assert _after(FRESH + 500, seq=1, tokens=500, is_buy=False)
    assert not _after(FRESH - 500, seq=1, tokens=500, is_buy=False)


@pytest.mark.parametrize(("off", "holds"), [(-2, False), (-1, True), (1, True), (2, False)])
def test_one_unit_of_rounding_is_no_break(off: int, holds: bool) -> None:
    assert _after(FRESH - 500 + off, seq=1, tokens=500) is holds


def test_a_break_is_told_once_and_the_chain_goes_on() -> None:
    chain = ReserveChain()
    chain.begin(0, FRESH)
    assert not chain.follow(trade(seq=1, tokens=10, reserves=(None, 5_000)))
    assert chain.follow(trade(seq=2, tokens=10, reserves=(None, 4_990)))


def test_the_first_known_trade_is_no_break() -> None:
    assert ReserveChain().follow(trade(seq=1, tokens=10, reserves=(None, 5_000)))


def test_trades_of_amm_pools_say_nothing() -> None:
    chain = ReserveChain()
    chain.begin(0, FRESH)
    assert chain.follow(trade(seq=1, tokens=10))
    assert chain.follow(trade(seq=2, tokens=10, reserves=(None, FRESH - 10)))


def test_a_trade_older_than_the_newest_known_one_says_nothing() -> None:
    chain = ReserveChain()
    chain.follow(trade(seq=5, tokens=10, reserves=(None, 5_000)))
    assert chain.follow(trade(seq=4, tokens=10, reserves=(None, 9_000)))
    assert chain.follow(trade(seq=6, tokens=10, reserves=(None, 4_990)))


def test_a_create_does_not_reset_a_chain_that_has_begun() -> None:
    chain = ReserveChain()
    chain.follow(trade(seq=5, tokens=10, reserves=(None, 5_000)))
    chain.begin(1, FRESH)
    assert chain.follow(trade(seq=6, tokens=10, reserves=(None, 4_990)))
