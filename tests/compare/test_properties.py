"""Whatever is traded: drifting windows and those of a grid agree, and a loss is no agreement."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.compare.reasons import AGREEING
from tests.compare.sides import SOL, Found, hours_of, our, their

SPAN_S = 2 * 3_600
TRADES = st.lists(
    st.tuples(
        # Around the end of an hour, where windows reach over it, and anywhere.
        st.one_of(st.floats(3_580, 3_620), st.floats(0, SPAN_S - 1)),
        st.booleans(),
        st.integers(1, 10 * SOL),
        st.floats(1e-8, 1e-6),
    ),
    max_size=60,
)
Trade = tuple[float, bool, int, float]


def candle(trades: list[Trade], end_s: float, start_s: float | None = None) -> Found:
    bought = [lamports for _, is_buy, lamports, _ in trades if is_buy]
    sold = [lamports for _, is_buy, lamports, _ in trades if not is_buy]
    prices = [price for *_, price in trades]
    figures = (len(bought), len(sold), sum(bought + sold), sum(bought), sum(sold))
    row = our(start_s, 0, end_s=end_s) if start_s is not None else their(end_s, 0)
    row.figures, row.high_sol, row.low_sol = (
        figures,
        max(prices, default=None),
        min(prices, default=None),
    )
    return row


def their_rows(trades: list[Trade], looks_s: float, writes_none: bool) -> list[Found]:
    """Windows of 5 s and up to a second more, each from the end of the one before."""
    rows, left, end_s = [], sorted(trades), looks_s
    while end_s < SPAN_S + 60:
        inside = [trade for trade in left if trade[0] <= end_s]
        left = left[len(inside) :]
        if inside or writes_none:
            rows.append(candle(inside, end_s))
        end_s += 5 + looks_s
    return rows


def our_rows(trades: list[Trade]) -> list[Found]:
    cells: dict[int, list[Trade]] = {}
    for trade in sorted(trades):
        cells.setdefault(int(trade[0] // 5), []).append(trade)
    return [candle(inside, 5 * cell + 5, 5 * cell) for cell, inside in cells.items()]


@given(TRADES, st.floats(0.01, 0.99), st.booleans())
def test_the_same_trades_agree_in_whatever_windows(
    trades: list[Trade], looks_s: float, writes_none: bool
) -> None:
    found = hours_of(their_rows(trades, looks_s, writes_none), our_rows(trades), hours=2)

    assert {hour.reason for hour in found} <= AGREEING


@given(TRADES.filter(len), st.floats(0.01, 0.99), st.data())
def test_a_trade_that_is_nowhere_never_agrees_over_the_whole_time(
    trades: list[Trade], looks_s: float, data: st.DataObject
) -> None:
    """A coin that rests at both ends of the time cannot have it in a window over an end."""
    trades = [trade for trade in trades if 60 < trade[0] < SPAN_S - 60]
    if not trades:
        return
    missed = data.draw(st.sampled_from(trades))
    kept = [trade for trade in trades if trade is not missed]

    found = hours_of(their_rows(kept, looks_s, writes_none=True), our_rows(trades), hours=2)

    assert not {hour.reason for hour in found} <= AGREEING
