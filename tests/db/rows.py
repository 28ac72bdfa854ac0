"""Values of the domain with plain defaults, and reading back through the other driver."""

from __future__ import annotations

from typing import Any

import psycopg2

from actors.domain import Candle, Coin, Mint, Trade, Wallet

NOON_US = 1_759_320_000_000_000
"""2025-10-01 12:00 UTC."""


def read(dsn: str, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Read through psycopg2."""
    connection = psycopg2.connect(dsn)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SET timezone = 'UTC'")
            cursor.execute(statement, values)
            return list(cursor.fetchall())
    finally:
        connection.close()


def a_candle(mint: str = "A", at_us: int = NOON_US, **changes: Any) -> Candle:
    """A candle of 5 s that ends at `at_us`, with two buys and one sell."""
    values: dict[str, Any] = {
        "mint": Mint(mint),
        "window_start_us": at_us - 5_000_000,
        "timestamp_us": at_us,
        "phase_id": 1,
        "interval_seconds": 5,
        "pool": "pump",
        "price_open": 2.8e-8,
        "price_high": 4.1e-8,
        "price_low": 2.7958993476e-8,
        "price_close": 3.0000000000000004e-8,
        "market_cap_close_sol": 30.000000000000004,
        "bonding_curve_pct": 12.34567,
        "virtual_sol_lamports": 30_000_000_001,
        "is_koth": False,
        "volatility_pct": 46.42857142857143,
        "volume_lamports": 3_000_000_001,
        "buy_volume_lamports": 2_000_000_000,
        "sell_volume_lamports": 1_000_000_001,
        "num_buys": 2,
        "num_sells": 1,
        "unique_wallets": 2,
        "num_micro_trades": 0,
        "dev_sold_lamports": 1_000_000_001,
        "max_single_buy_lamports": 1_500_000_000,
        "max_single_sell_lamports": 1_000_000_001,
        "whale_buy_volume_lamports": 1_500_000_000,
        "whale_sell_volume_lamports": 1_000_000_001,
        "num_whale_buys": 1,
        "num_whale_sells": 1,
        "covered_us": 4_999_999,
        "chain_breaks": 3,
        "last_seq": 9,
    }
    return Candle(**{**values, **changes})


def a_trade(signature: str = "sig", **changes: Any) -> Trade:
    """A buy of 1 SOL."""
    values: dict[str, Any] = {
        "seq": 1,
        "arrived_us": NOON_US,
        "mint": Mint("A"),
        "signature": signature,
        "trader": Wallet("T"),
        "is_buy": True,
        "sol_lamports": 1_000_000_000,
        "token_units": 34_612_903_225_806,
        "price_sol": 2.8e-8,
        "virtual_sol_lamports": 31_000_000_000,
        "virtual_token_units": 1_038_387_096_774_194,
        "pool": "pump",
    }
    return Trade(**{**values, **changes})


def a_coin(mint: str = "A", **changes: Any) -> Coin:
    """A coin whose creator bought for 1 SOL."""
    values: dict[str, Any] = {
        "seq": 1,
        "arrived_us": NOON_US,
        "mint": Mint(mint),
        "creator": Wallet("C"),
        "signature": "sig",
        "name": "Coin",
        "symbol": "CN",
        "uri": "https://example.org/coin.json",
        "pool": "pump",
        "bonding_curve_key": "curve",
        "is_mayhem": False,
        "price_sol": 2.8e-8,
        "virtual_sol_lamports": 30_000_000_000,
        "virtual_token_units": 1_073_000_000_000_000,
        "market_cap_sol": 28.0,
        "social_count": None,
        "buy": a_trade(in_create=True),
        "frame": b"{}",
    }
    return Coin(**{**values, **changes})
