"""Candles into PostgreSQL: COPY into a staging table, beside psycopg2's execute_values.

Both write exact numerics into the same table, in batches of 2,000, each batch in a transaction of
its own, and skip rows that are there already. Rounds alternate, so both meet the table at the same
sizes.
"""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import psycopg2
import psycopg2.extras

from actors.domain import Candle, Mint
from bench.figures import Figure
from bench.postgres import fresh_database
from db import create_pool
from db.candles import copy_candles

BATCH: Final = 2_000
BATCHES: Final = 5
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_START_US: Final = 1_783_089_920_000_000
_CELL_US: Final = 5_000_000

_INSERT: Final = """
INSERT INTO coin_metrics (
    mint, window_start, timestamp, phase_id_at_time, interval_seconds, pool, price_open, price_high,
    price_low, price_close, market_cap_close, bonding_curve_pct, virtual_sol_reserves, is_koth,
    volatility_pct, volume_sol, buy_volume_sol, sell_volume_sol, net_volume_sol, num_buys,
    num_sells, unique_wallets, num_micro_trades, dev_sold_amount, max_single_buy_sol,
    max_single_sell_sol, whale_buy_volume_sol, whale_sell_volume_sol, num_whale_buys,
    num_whale_sells, avg_trade_size_sol, buy_pressure_ratio, unique_signer_ratio, covered_seconds,
    chain_breaks)
VALUES %s ON CONFLICT (mint, timestamp) WHERE window_start IS NOT NULL DO NOTHING
"""


def run() -> list[Figure]:
    """Write 10,000 rows in either way; takes about 10 s.

    Raises:
        RuntimeError: not every row was written.
    """
    ours_s = peer_s = 0.0
    with fresh_database() as dsn:
        pool = create_pool(dsn, max_size=1, application_name="mintwatch bench")
        pool.open()
        with closing(pool), closing(psycopg2.connect(dsn)) as peer:
            with pool.connection() as connection:
                copy_candles(connection, _candles("warm"))
            for batch in range(BATCHES):
                candles = _candles(f"ours-{batch}")
                began = time.perf_counter()
                with pool.connection() as connection:
                    written = copy_candles(connection, candles).new
                ours_s += time.perf_counter() - began
                candles = _candles(f"peer-{batch}")
                began = time.perf_counter()
                _execute_values(peer, candles)
                peer_s += time.perf_counter() - began
                if written != BATCH:
                    raise RuntimeError(f"expected {BATCH} new rows, found {written}")
            _check(peer)
    rows = BATCH * BATCHES
    return [
        Figure(
            f"rows committed, batches of {BATCH:,}", "1/s", rows / ours_s, rows / peer_s,
            "psycopg2 execute_values",
        )
    ]  # fmt: skip


def _execute_values(connection: Any, candles: list[Candle]) -> None:
    with connection, connection.cursor() as cursor:
        psycopg2.extras.execute_values(
            cursor, _INSERT, [_values(candle) for candle in candles], page_size=BATCH
        )


def _check(connection: Any) -> None:
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM coin_metrics")
        found = cursor.fetchone()[0]
    expected = BATCH * (2 * BATCHES + 1)
    if found != expected:
        raise RuntimeError(f"expected {expected} rows in the table, found {found}")


def _candles(name: str) -> list[Candle]:
    return [_candle(Mint(f"{name}-{row % 400}"), row // 400) for row in range(BATCH)]


def _candle(mint: Mint, cell: int) -> Candle:
    return Candle(
        mint=mint,
        window_start_us=_START_US + cell * _CELL_US,
        timestamp_us=_START_US + (cell + 1) * _CELL_US,
        phase_id=1,
        interval_seconds=5,
        pool="pump",
        price_open=2.8e-8,
        price_high=4.1e-8,
        price_low=2.7958993476e-8,
        price_close=3.0000000000000004e-8,
        market_cap_close_sol=30.000000000000004,
        bonding_curve_pct=12.34567,
        virtual_sol_lamports=30_000_000_001,
        is_koth=False,
        volatility_pct=46.42857142857143,
        volume_lamports=3_000_000_001,
        buy_volume_lamports=2_000_000_000,
        sell_volume_lamports=1_000_000_001,
        num_buys=2,
        num_sells=1,
        unique_wallets=2,
        num_micro_trades=0,
        dev_sold_lamports=1_000_000_001,
        max_single_buy_lamports=1_500_000_000,
        max_single_sell_lamports=1_000_000_001,
        whale_buy_volume_lamports=1_500_000_000,
        whale_sell_volume_lamports=1_000_000_001,
        num_whale_buys=1,
        num_whale_sells=1,
        covered_us=4_999_999,
        chain_breaks=0,
        last_seq=9,
    )


def _values(c: Candle) -> tuple[Any, ...]:
    """Order a candle's values as the table has its columns, exact."""
    trades = c.num_trades
    return (
        c.mint, _time(c.window_start_us), _time(c.timestamp_us), c.phase_id, c.interval_seconds,
        c.pool, _price(c.price_open), _price(c.price_high), _price(c.price_low),
        _price(c.price_close), _price(c.market_cap_close_sol), c.bonding_curve_pct,
        _sol(c.virtual_sol_lamports), c.is_koth, c.volatility_pct, _sol(c.volume_lamports),
        _sol(c.buy_volume_lamports), _sol(c.sell_volume_lamports),
        _sol(c.buy_volume_lamports - c.sell_volume_lamports), c.num_buys, c.num_sells,
        c.unique_wallets, c.num_micro_trades, _sol(c.dev_sold_lamports),
        _sol(c.max_single_buy_lamports), _sol(c.max_single_sell_lamports),
        _sol(c.whale_buy_volume_lamports), _sol(c.whale_sell_volume_lamports), c.num_whale_buys,
        c.num_whale_sells, c.volume_lamports / trades / 1e9,
        c.buy_volume_lamports / c.volume_lamports, c.unique_wallets / trades, c.covered_us / 1e6,
        c.chain_breaks,
    )  # fmt: skip


def _sol(lamports: int | None) -> Decimal | None:
    return None if lamports is None else Decimal(lamports).scaleb(-9)


def _price(price: float | None) -> Decimal | None:
    return None if price is None else Decimal(repr(price))


def _time(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)
