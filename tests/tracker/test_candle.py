from __future__ import annotations

import pytest

from actors.domain import Candle, Trade, Wallet
from actors.tracker.candle import ClosedWindow, OpenCandle, Thresholds
from actors.tracker.phases import Window
from tests.tracker.builders import CREATOR, MINT, at, sol, trade

YARDSTICK = Thresholds.of_sol(30.0, 85.0, 1.0, 200.0)


def close(*trades: Trade, creator: Wallet | None = CREATOR, counts_breaks: bool = True) -> Candle:
    candle = OpenCandle(YARDSTICK.whale_lamports)
    for one in trades:
        candle.add(one)
    closing = ClosedWindow(
        MINT, Window(at(0), at(5), 1, 5), at(5), creator, 4_000_000, counts_breaks
    )
    return candle.close(closing, YARDSTICK)


def test_volumes_are_exact_sums_of_lamports() -> None:
    candle = close(*(trade(seq=i, amount=0.1, signature=str(i)) for i in range(3)))
    assert candle.volume_lamports == 300_000_000
    assert candle.buy_volume_lamports == 300_000_000
    assert candle.sell_volume_lamports == 0
    assert candle.num_buys == 3


def test_trades_without_an_amount_are_trades_and_in_no_figure_of_sol() -> None:
    candle = close(
        trade(seq=1, amount=2.0, trader="bob"),
        trade(seq=2, amount=None, price=3e-7, reserves=(sol(40), None)),
        trade(seq=3, amount=None, is_buy=False, trader="creator"),
    )

    assert (candle.num_buys, candle.num_sells, candle.unique_wallets) == (2, 1, 3)
    assert (candle.price_high, candle.virtual_sol_lamports) == (3e-7, sol(40))
    assert candle.trades_without_amount == 2
    assert (candle.volume_lamports, candle.buy_volume_lamports) == (sol(2), sol(2))
    assert (candle.max_single_buy_lamports, candle.max_single_sell_lamports) == (sol(2), 0)
    assert (candle.num_whale_buys, candle.num_whale_sells, candle.num_micro_trades) == (1, 0, 0)
    assert candle.dev_sold_lamports == 0


def test_prices_open_and_close_by_sequence_number() -> None:
    candle = close(
        trade(seq=3, price=2e-7), trade(seq=1, price=4e-7), trade(seq=9, price=1e-7),
        trade(seq=5, price=9e-7),
    )  # fmt: skip
    assert (candle.price_open, candle.price_close) == (4e-7, 1e-7)
    assert (candle.price_high, candle.price_low) == (9e-7, 1e-7)
    assert candle.last_seq == 9


def test_trades_without_a_price_count_and_set_no_price() -> None:
    candle = close(trade(seq=1, price=None), trade(seq=2, price=3e-7), trade(seq=3, price=None))
    assert (candle.price_open, candle.price_close) == (3e-7, 3e-7)
    assert candle.num_trades == 3


def test_a_candle_without_any_price_has_none_of_what_follows_from_it() -> None:
    candle = close(trade(price=None, reserves=(sol(60), None)))
    assert candle.price_open is None
    assert candle.price_high is None
    assert candle.market_cap_close_sol is None
    assert candle.bonding_curve_pct is None
    assert candle.volatility_pct is None
    assert candle.is_koth is None


def test_volatility_is_the_range_over_the_open() -> None:
    candle = close(trade(seq=1, price=2e-7), trade(seq=2, price=3e-7), trade(seq=3, price=1e-7))
    assert candle.volatility_pct == pytest.approx(100.0)


@pytest.mark.parametrize(("price", "is_koth"), [(2e-7, False), (2.01e-7, True)])
def test_king_of_the_hill_is_a_market_cap_above_the_limit(price: float, is_koth: bool) -> None:
    candle = close(trade(price=price))
    assert candle.is_koth is is_koth
    assert candle.market_cap_close_sol == pytest.approx(price * 1e9)


def test_whales_begin_at_the_threshold_on_both_sides() -> None:
    candle = close(
        trade(seq=1, amount=1.0),
        trade(seq=2, amount=0.999999999),
        trade(seq=3, amount=2.5, is_buy=False),
    )
    assert (candle.num_whale_buys, candle.whale_buy_volume_lamports) == (1, 1_000_000_000)
    assert (candle.num_whale_sells, candle.whale_sell_volume_lamports) == (1, 2_500_000_000)


def test_micro_trades_are_those_below_a_hundredth_sol() -> None:
    candle = close(
        trade(seq=1, amount=0.01), trade(seq=2, amount=0.009999999), trade(seq=3, amount=0.0)
    )
    assert candle.num_micro_trades == 2


def test_largest_trades_are_kept_by_side() -> None:
    candle = close(
        trade(seq=1, amount=0.3), trade(seq=2, amount=0.7), trade(seq=3, amount=0.2, is_buy=False)
    )
    assert candle.max_single_buy_lamports == 700_000_000
    assert candle.max_single_sell_lamports == 200_000_000


def test_a_wallet_counts_once() -> None:
    candle = close(
        trade(seq=1, trader="a"), trade(seq=2, trader="b"), trade(seq=3, trader="a", is_buy=False)
    )
    assert candle.unique_wallets == 2


def test_dev_sold_is_what_the_creator_sold() -> None:
    trades = (
        trade(seq=1, trader="creator", amount=2.0),
        trade(seq=2, trader="creator", amount=0.5, is_buy=False),
        trade(seq=3, trader="creator", amount=0.25, is_buy=False),
        trade(seq=4, trader="alice", amount=9.0, is_buy=False),
    )
    assert close(*trades).dev_sold_lamports == 750_000_000
    assert close(*trades, creator=Wallet("nobody")).dev_sold_lamports == 0
    assert close(*trades, creator=None).dev_sold_lamports is None


def test_reserves_are_those_after_the_newest_trade_that_has_them() -> None:
    candle = close(
        trade(seq=2, reserves=(sol(60), 1)), trade(seq=1, reserves=(sol(50), 1)),
        trade(seq=3, pool="pump-amm"),
    )  # fmt: skip
    assert candle.virtual_sol_lamports == 60_000_000_000
    assert candle.bonding_curve_pct == pytest.approx(35.294, abs=1e-3)
    assert candle.pool == "pump-amm"


def test_the_candle_says_what_it_was_closed_with() -> None:
    candle = close(trade())
    assert (candle.mint, candle.phase_id, candle.interval_seconds) == (MINT, 1, 5)
    assert (candle.window_start_us, candle.timestamp_us) == (at(0), at(5))
    assert candle.covered_us == 4_000_000


def test_trades_are_kept_in_order_of_arrival_when_asked_for() -> None:
    candle = OpenCandle(YARDSTICK.whale_lamports, keep_trades=True)
    first, second = trade(seq=1), trade(seq=2)
    candle.add(second)
    candle.add(first)
    assert candle.kept_trades == (first, second)
    assert OpenCandle(YARDSTICK.whale_lamports).kept_trades == ()


def test_breaks_are_left_out_for_coins_whose_reserves_do_not_follow() -> None:
    candle = OpenCandle(YARDSTICK.whale_lamports)
    candle.add(trade())
    candle.chain_breaks = 3
    window = Window(at(0), at(5), 1, 5)
    counted = ClosedWindow(MINT, window, at(5), None, 0, counts_breaks=True)
    left_out = ClosedWindow(MINT, window, at(5), None, 0, counts_breaks=False)
    assert candle.close(counted, YARDSTICK).chain_breaks == 3
    assert candle.close(left_out, YARDSTICK).chain_breaks == 0
