"""Reads back what the service has written, with a driver it does not use, and checks it.

Amounts come back as lamports and base units, times as microseconds since 1970 UTC.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg2

from tests.support.independent import Figures, Identity, Trade, by_mint, figures

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.support.service import Service


class Row(NamedTuple):
    """One candle of `coin_metrics`."""

    mint: str
    start_us: int
    end_us: int
    interval_seconds: int
    phase_id: int
    net_lamports: int
    figures: Figures


class Stream(NamedTuple):
    """What `coin_streams` says of a coin."""

    phase_id: int
    is_active: bool
    is_graduated: bool


_US = "(extract(epoch from {}) * 1000000)::bigint"
_ROWS = f"""
SELECT mint, {_US.format("window_start")}, {_US.format("timestamp")}, interval_seconds,
    phase_id_at_time, net_volume_sol * 1000000000,
    num_buys, num_sells, buy_volume_sol * 1000000000, sell_volume_sol * 1000000000,
    max_single_buy_sol * 1000000000, max_single_sell_sol * 1000000000, unique_wallets,
    num_micro_trades, num_whale_buys, num_whale_sells,
    whale_buy_volume_sol * 1000000000, whale_sell_volume_sol * 1000000000,
    dev_sold_amount * 1000000000, price_open::float8, price_high::float8, price_low::float8,
    price_close::float8, virtual_sol_reserves * 1000000000, volume_sol * 1000000000
FROM coin_metrics ORDER BY mint, timestamp
"""
_TRADES = f"""
SELECT {_US.format("timestamp")}, signature, mint, trader_public_key, tx_type,
    token_amount * 1000000, sol_amount * 1000000000, price_sol::float8
FROM coin_transactions ORDER BY seq
"""


def query(dsn: str, text: str, values: Any = None) -> list[tuple[Any, ...]]:
    """Run one statement in a transaction of its own and fetch what it gives."""
    with closing(psycopg2.connect(dsn)) as conn, conn, conn.cursor() as cursor:
        cursor.execute(text, values)
        return cursor.fetchall() if cursor.description else []


def insert_streams(dsn: str, mints: Iterable[str], started_us: int) -> None:
    """Make coins active in phase 1, as another program would."""
    values = [(mint, started_us / 1_000_000) for mint in sorted(mints)]
    with closing(psycopg2.connect(dsn)) as conn, conn, conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO coin_streams (token_address, current_phase_id, started_at)"
            " VALUES (%s, 1, to_timestamp(%s))",
            values,
        )


def rows(dsn: str) -> list[Row]:
    """Read every candle, by mint and time."""
    return [_row(values) for values in query(dsn, _ROWS)]


def stored_trades(dsn: str) -> list[Trade]:
    """Read every stored trade in order of arrival; reserves are not stored."""
    return [
        Trade(
            at_us,
            Identity(signature, mint, trader, kind, _exact(units)),
            _exact(lamports),
            price,
            None,
        )
        for at_us, signature, mint, trader, kind, units, lamports, price in query(dsn, _TRADES)
    ]


def streams(dsn: str) -> dict[str, Stream]:
    """Read every stream by mint."""
    found = query(
        dsn, "SELECT token_address, current_phase_id, is_active, is_graduated FROM coin_streams"
    )
    return {mint: Stream(*values) for mint, *values in found}


def coins(dsn: str) -> dict[str, str]:
    """Read the discovered coins and their creators."""
    return dict(query(dsn, "SELECT token_address, trader_public_key FROM discovered_coins"))


def check_totals(found: list[Row], expected: Iterable[Trade]) -> None:
    """Compare the sums over all candles of each mint with what arrived."""
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    for row in found:
        sums[row.mint] += _totals(row.figures)
    wanted = {mint: _totals(figures(of, None)) for mint, of in by_mint(expected).items()}
    assert dict(sums) == wanted


def check_candles(
    found: list[Row],
    arrived: Iterable[Trade],
    creators: Mapping[str, str] | None = None,
    *,
    cuts: int = 1,
) -> None:
    """Compare each candle with the trades that arrived in its span.

    Every trade must lie in exactly one span, no two spans of a mint overlap, and all but `cuts` of
    a mint's candles end on the grid of their interval.
    """
    trades_of, rows_of = by_mint(arrived), _rows_by_mint(found)
    assert rows_of.keys() == trades_of.keys()
    for mint, mine in rows_of.items():
        check_spans(mine, cuts)
        creator = (creators or {}).get(mint)
        left = trades_of[mint]
        for row in mine:
            inside = [trade for trade in left if row.start_us <= trade.at_us < row.end_us]
            wanted = figures(inside, creator)
            assert row.figures == wanted, f"{mint} at {row.end_us}"
            assert row.net_lamports == wanted.buy_lamports - wanted.sell_lamports
            left = [trade for trade in left if trade not in inside]
        assert left == [], f"trades of {mint} outside of every candle"


def check_spans(found: list[Row], cuts: int) -> None:
    """Check the spans of one mint, of which at most `cuts` may end inside a cell of the grid."""
    ends = [row.end_us for row in found]
    inside = [row for row in found if row.end_us % (row.interval_seconds * 1_000_000)]
    assert len(inside) <= cuts
    assert all(row.start_us < row.end_us for row in found)
    assert all(later.start_us >= end for end, later in zip(ends, found[1:], strict=False))


def check_health(service: Service) -> dict[str, Any]:
    """Check, while the service runs, that nothing went wrong in it; return its ledger."""
    ledger = service.json("/ledger")
    assert ledger["balanced"]
    assert ledger["places"]["dead"] == 0
    assert ledger["received"] == sum(ledger["places"].values())
    metrics = service.metrics()
    assert metrics["mintwatch_late_trades_total"] == 0
    troubles = {
        name: value
        for name, value in metrics.items()
        if value and name.startswith(("mintwatch_dead_letters_total", "mintwatch_restarts_total"))
    }
    assert troubles == {}
    return ledger


def _rows_by_mint(found: list[Row]) -> dict[str, list[Row]]:
    sorted_out: dict[str, list[Row]] = defaultdict(list)
    for row in found:
        sorted_out[row.mint].append(row)
    return dict(sorted_out)


def _totals(figure: Figures) -> Counter[str]:
    return Counter(
        {
            "buys": figure.num_buys,
            "sells": figure.num_sells,
            "bought": figure.buy_lamports,
            "sold": figure.sell_lamports,
            "micro": figure.num_micro,
            "whales": figure.num_whale_buys + figure.num_whale_sells,
            "whales bought": figure.whale_buy_lamports,
            "whales sold": figure.whale_sell_lamports,
        }
    )


def _row(values: tuple[Any, ...]) -> Row:
    mint, start_us, end_us, interval_seconds, phase_id, net, *rest = values
    buys, sells, bought, sold, max_buy, max_sell, wallets, micro, *rest = rest
    whale_buys, whale_sells, whales_bought, whales_sold, dev_sold, *rest = rest
    price_open, price_high, price_low, price_close, v_sol, volume = rest
    assert volume == bought + sold
    return Row(
        mint,
        start_us,
        end_us,
        interval_seconds,
        phase_id,
        _exact(net),
        Figures(
            num_buys=buys,
            num_sells=sells,
            buy_lamports=_exact(bought),
            sell_lamports=_exact(sold),
            max_buy=_exact(max_buy),
            max_sell=_exact(max_sell),
            unique_wallets=wallets,
            num_micro=micro,
            num_whale_buys=whale_buys,
            num_whale_sells=whale_sells,
            whale_buy_lamports=_exact(whales_bought),
            whale_sell_lamports=_exact(whales_sold),
            dev_sold=None if dev_sold is None else _exact(dev_sold),
            price_open=price_open,
            price_high=price_high,
            price_low=price_low,
            price_close=price_close,
            v_sol_lamports=None if v_sol is None else _exact(v_sol),
        ),
    )


def _exact(amount: Any) -> int:
    """Take an amount that must be whole in its smallest unit."""
    assert amount == int(amount), f"{amount} is not exact"
    return int(amount)
