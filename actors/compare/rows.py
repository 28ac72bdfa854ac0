"""Rows of either side, sums over them, and how exact a column is. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SECOND_US: Final = 1_000_000
HOUR_US: Final = 3_600 * SECOND_US

Figures: TypeAlias = tuple[int, ...]
"""Buys, sells, and the volume of all, of buys and of sells in lamports; differences as well."""
NOTHING: Final[Figures] = (0, 0, 0, 0, 0)
BUYS, SELLS, VOLUME, BUY_VOLUME, SELL_VOLUME = range(5)

_PRICE_PART: Final = 1e-9
"""Prices are quotients of reserves, which one side rounds to lamports and base units and the other
does not: of 30 SOL that is 2e-11, of what an AMM pool may hold somewhat more.
"""


class Row(msgspec.Struct, frozen=True, gc=False):
    """One row. Times are microseconds UTC; the window is `(start_us, end_us]` at the most."""

    start_us: int
    end_us: int
    figures: Figures
    high_sol: float | None = None
    low_sol: float | None = None
    phase_id: int | None = None
    reserves_lamports: int | None = None
    """Virtual reserves after the last trade on the curve."""


class Prices(msgspec.Struct, frozen=True, gc=False):
    """The highest and the lowest price of some rows; None: no row has one."""

    high_sol: float | None = None
    low_sol: float | None = None

    def __add__(self, other: Prices) -> Prices:
        highs = [each for each in (self.high_sol, other.high_sol) if each is not None]
        lows = [each for each in (self.low_sol, other.low_sol) if each is not None]
        return Prices(max(highs, default=None), min(lows, default=None))


class Sums(msgspec.Struct, frozen=True, gc=False):
    """What some rows of one coin say together."""

    rows: int = 0
    figures: Figures = NOTHING
    prices: Prices = Prices()
    first_us: int | None = None
    """When the first of them ends, and the last."""
    last_us: int | None = None

    @property
    def trades(self) -> int:
        """Buys and sells."""
        return self.figures[BUYS] + self.figures[SELLS]

    @property
    def lamports(self) -> int:
        """Volume of buys and sells, as the column `volume_sol` has it."""
        return self.figures[VOLUME]


def sum_of(rows: Sequence[Row]) -> Sums:
    """Sum up rows, which lie in order of their ends."""
    if not rows:
        return Sums()
    return Sums(len(rows), figures_of(rows), prices_of(rows), rows[0].end_us, rows[-1].end_us)


def figures_of(rows: Iterable[Row]) -> Figures:
    """Add up the figures of rows."""
    return tuple(map(sum, zip(NOTHING, *(row.figures for row in rows), strict=True)))


def prices_of(rows: Iterable[Row]) -> Prices:
    """Find the highest and the lowest price of rows."""
    highs, lows = [], []
    for row in rows:
        if row.high_sol is not None:
            highs.append(row.high_sol)
        if row.low_sol is not None:
            lows.append(row.low_sol)
    return Prices(max(highs, default=None), min(lows, default=None))


def added(one: Figures, other: Figures) -> Figures:
    """Add two sets of figures."""
    return tuple(a + b for a, b in zip(one, other, strict=True))


def less(one: Figures, other: Figures) -> Figures:
    """Take the second set of figures from the first."""
    return tuple(a - b for a, b in zip(one, other, strict=True))


def smaller(one: Figures, other: Figures) -> Figures:
    """Take the smaller of each figure."""
    return tuple(map(min, one, other))


def larger(one: Figures, other: Figures) -> Figures:
    """Take the larger of each figure."""
    return tuple(map(max, one, other))


class Precision(msgspec.Struct, frozen=True):
    """How far the columns of the two tables may be off for their types alone."""

    their_row_lamports: int = 0
    """Half a unit of the last digit of their volumes; 0: they have every digit."""
    our_row_lamports: int = 0
    """The same of ours."""
    volume_part: float = 1e-12
    """Of the sum: floats are added up."""
    price_sol: float = 0.0
    """Half a unit of the last digit of a price, on the side that has fewer digits."""
    price_part: float = _PRICE_PART

    def of_figures(self, their_rows: int, our_rows: int, trades: int, lamports: int) -> Figures:
        """Tell how far figures over so many rows may be off; counts are exact.

        A row and a trade may be off by half a lamport each: the feed's doubles are rounded by one
        side alone, and what is read of a float is rounded as well.
        """
        off = their_rows * self.their_row_lamports + our_rows * self.our_row_lamports
        off += (their_rows + our_rows + trades + 1) // 2 + round(lamports * self.volume_part)
        return (0, 0, off, off, off)

    def same_price(self, one: float | None, other: float | None) -> bool:
        """Say whether two prices agree within their columns; None agrees with None alone."""
        if one is None or other is None:
            return one is other
        return abs(one - other) <= self._off(max(one, other))

    def same_prices(self, one: Prices, other: Prices) -> bool:
        """Say whether both prices agree within their columns."""
        return self.same_price(one.high_sol, other.high_sol) and self.same_price(
            one.low_sol, other.low_sol
        )

    def is_within(self, prices: Prices, bounds: Prices) -> bool:
        """Say whether prices lie in the range of others, both ends included."""
        high, low = prices.high_sol, prices.low_sol
        top, bottom = bounds.high_sol, bounds.low_sol
        return (high is None or (top is not None and high <= top + self._off(top))) and (
            low is None or (bottom is not None and low >= bottom - self._off(low))
        )

    def _off(self, price: float) -> float:
        return self.price_sol + self.price_part * price
