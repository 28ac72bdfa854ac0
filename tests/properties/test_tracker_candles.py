from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from actors.domain import Candle, Trade, Wallet
from actors.tracker.candle import ClosedWindow, OpenCandle, Thresholds
from actors.tracker.phases import Window
from tests.tracker.builders import CREATOR, MINT, at, state, trade

if TYPE_CHECKING:
    import random

YARDSTICK = Thresholds.of_sol(30.0, 85.0, 1.0, 200.0)

_lamports = st.integers(0, 10**16)
_price = st.none() | st.floats(1e-12, 1e3)


@st.composite
def _windows_trades(draw: st.DrawFn) -> list[Trade]:
    rows = draw(
        st.lists(
            st.tuples(
                st.booleans(),
                _lamports,
                _price,
                st.sampled_from(["creator", "alice", "bob"]),
                st.none() | st.integers(0, 2 * 10**11),
                st.sampled_from(["pump", "pump-amm"]),
            ),
            min_size=1,
            max_size=12,
        )
    )
    return [
        Trade(
            seq=number,
            arrived_us=at(number / 1000),
            mint=MINT,
            signature=f"sig-{number // 2}",
            trader=Wallet(trader),
            is_buy=is_buy,
            sol_lamports=lamports,
            token_units=number,
            price_sol=price,
            virtual_sol_lamports=reserves,
            virtual_token_units=None,
            pool=pool,
        )
        for number, (is_buy, lamports, price, trader, reserves, pool) in enumerate(rows)
    ]


def _candle_of(trades: list[Trade]) -> OpenCandle:
    candle = OpenCandle(YARDSTICK.whale_lamports)
    for one in trades:
        candle.add(one)
    return candle


def _closed(candle: OpenCandle) -> Candle:
    window = Window(at(0), at(5), 1, 5)
    return candle.close(
        ClosedWindow(MINT, window, at(5), CREATOR, 0, counts_breaks=True), YARDSTICK
    )


@given(_windows_trades(), st.randoms(use_true_random=False))
def test_any_order_of_a_windows_trades_gives_the_same_candle(
    trades: list[Trade], random_: random.Random
) -> None:
    shuffled = random_.sample(trades, len(trades))
    assert _closed(_candle_of(shuffled)) == _closed(_candle_of(trades))


@given(_windows_trades(), st.randoms(use_true_random=False))
def test_repeated_trades_of_a_window_change_nothing(
    trades: list[Trade], random_: random.Random
) -> None:
    repeated = [*trades, *random_.choices(trades, k=len(trades))]
    random_.shuffle(repeated)
    once, often = state(), state()
    for one in trades:
        once.add(one)
    for one in repeated:
        often.add(one)
    assert once.candle is not None
    assert often.candle is not None
    assert _closed(often.candle) == _closed(once.candle)


@given(st.lists(_lamports, min_size=1, max_size=50))
def test_sums_are_exact(amounts: list[int]) -> None:
    candle = OpenCandle(YARDSTICK.whale_lamports)
    for number, lamports in enumerate(amounts):
        one = trade(seq=number)
        candle.add(
            Trade(
                one.seq, one.arrived_us, one.mint, one.signature, one.trader, one.is_buy,
                lamports, one.token_units, one.price_sol, None, None, one.pool,
            )
        )  # fmt: skip
    assert _closed(candle).volume_lamports == sum(amounts)
