"""What a window must say, added up from its trades, and where a row says otherwise. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.audit.reading import SeenTrade

US_PER_SECOND: Final = 1_000_000
MICRO_LAMPORTS: Final = 10_000_000
"""Below 0.01 SOL a trade is a micro trade."""
SUPPLY_TOKENS: Final = 1_000_000_000

Value = int | float | Decimal | None


class Row(msgspec.Struct, frozen=True):
    """One row of `coin_metrics`. `values` has its figures by column.

    SOL amounts are in lamports: an int, or a Decimal where the row holds a fraction of one. Prices
    and the market cap are floats.
    """

    mint: str
    start_us: int
    end_us: int
    interval_seconds: int | None
    values: dict[str, Value]
    journal_id: int | None = None
    """Whose numbers its trades have; None: a row of version 0.1.0, or nobody knows."""


class FigureDifference(msgspec.Struct, frozen=True):
    """One column in which a row is wrong, both values as text."""

    column: str
    row: str
    computed: str


def figures_of(
    trades: Sequence[SeenTrade], *, creator: str | None, whale_lamports: int | None
) -> dict[str, Value]:
    """Add up the trades of a window, given in the order of arrival.

    A trade whose frame does not say how much SOL it moved counts as a trade, and in no amount.

    Args:
        trades: Each once.
        creator: Who created the coin; None: unknown, and `dev_sold_amount` is left out.
        whale_lamports: What makes a whale; None: unknown, and a whale's figures are left out.
    """
    buys = [t.lamports for t in trades if t.is_buy and t.lamports is not None]
    sells = [t.lamports for t in trades if not t.is_buy and t.lamports is not None]
    prices = [t.price_sol for t in trades if t.price_sol is not None]
    reserves = [t.virtual_lamports for t in trades if t.virtual_lamports is not None]
    values: dict[str, Value] = {
        "num_buys": sum(t.is_buy for t in trades),
        "num_sells": sum(not t.is_buy for t in trades),
        "volume_sol": sum(buys) + sum(sells),
        "buy_volume_sol": sum(buys),
        "sell_volume_sol": sum(sells),
        "net_volume_sol": sum(buys) - sum(sells),
        "max_single_buy_sol": max(buys, default=0),
        "max_single_sell_sol": max(sells, default=0),
        "unique_wallets": len({t.trader for t in trades}),
        "num_micro_trades": sum(lamports < MICRO_LAMPORTS for lamports in (*buys, *sells)),
        "price_open": prices[0] if prices else None,
        "price_high": max(prices, default=None),
        "price_low": min(prices, default=None),
        "price_close": prices[-1] if prices else None,
        "market_cap_close": prices[-1] * SUPPLY_TOKENS if prices else None,
        "virtual_sol_reserves": reserves[-1] if reserves else None,
    }
    if creator is not None:
        values["dev_sold_amount"] = sum(
            t.lamports or 0 for t in trades if not t.is_buy and t.trader == creator
        )
    if whale_lamports is not None:
        values |= _of_whales(buys, sells, whale_lamports)
    return values


def _of_whales(buys: list[int], sells: list[int], whale_lamports: int) -> dict[str, Value]:
    large_buys = [lamports for lamports in buys if lamports >= whale_lamports]
    large_sells = [lamports for lamports in sells if lamports >= whale_lamports]
    return {
        "whale_buy_volume_sol": sum(large_buys),
        "whale_sell_volume_sol": sum(large_sells),
        "num_whale_buys": len(large_buys),
        "num_whale_sells": len(large_sells),
    }


def differences(row: Row, computed: dict[str, Value]) -> tuple[FigureDifference, ...]:
    """Name the columns in which a row does not say what was computed; one lamport matters."""
    found = [
        FigureDifference(column, _shown(column, row.values.get(column)), _shown(column, value))
        for column, value in computed.items()
        if row.values.get(column) != value
    ]
    # The creator may have become known only after the window was written.
    found = [each for each in found if (each.column, each.row) != ("dev_sold_amount", "NULL")]
    window = _wrong_window(row)
    return (*found, window) if window else tuple(found)


def _wrong_window(row: Row) -> FigureDifference | None:
    """Check that the window lies within one cell of its interval's grid, in UTC."""
    if not row.interval_seconds or row.interval_seconds < 0:
        return FigureDifference("interval_seconds", _shown("", row.interval_seconds), "at least 1")
    cell_us = row.interval_seconds * US_PER_SECOND
    cell_start_us = (row.end_us - 1) // cell_us * cell_us
    if cell_start_us <= row.start_us < row.end_us:
        return None
    cell = f"a cell of a grid of {row.interval_seconds} s"
    return FigureDifference(
        "interval_seconds", f"{row.interval_seconds} s", f"the window is not in {cell}"
    )


def _shown(column: str, value: Value) -> str:
    if value is None:
        return "NULL"
    if column.endswith(("_sol", "_amount", "_reserves")):
        return f"{Decimal(value).scaleb(-9):f}"
    return str(value)
