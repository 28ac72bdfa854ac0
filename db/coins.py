"""Coins that were discovered (`discovered_coins`). The caller owns the transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from psycopg.rows import dict_row

from actors.domain import SUPPLY_TOKENS, Coin, Mint
from db.encoding import fitting
from db.values import exact, jsonable, sol, to_datetime, tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from db.pool import Connection

_TOKEN_DECIMALS: Final = 6


def upsert_coin(conn: Connection, coin: Coin) -> None:
    """Write a coin from its create frame; a known one gains only what was empty."""
    conn.execute(
        """
        INSERT INTO discovered_coins AS known (
            token_address, symbol, name, token_decimals, token_supply, signature, trader_public_key,
            bonding_curve_key, pool_address, pool_type, v_tokens_in_bonding_curve,
            v_sol_in_bonding_curve, initial_buy_sol, initial_buy_tokens, discovered_at,
            token_created_at, price_sol, market_cap_sol, is_mayhem_mode, has_socials, social_count,
            metadata_uri)
        VALUES (
            %(mint)s, %(symbol)s, %(name)s, %(decimals)s, %(supply)s, %(signature)s, %(creator)s,
            %(curve)s, %(curve)s, %(pool)s, %(v_tokens)s, %(v_sol)s, %(buy_sol)s, %(buy_tokens)s,
            %(at)s, %(at)s, %(price)s, %(market_cap)s, %(mayhem)s, %(has_socials)s, %(socials)s,
            %(uri)s)
        ON CONFLICT (token_address) DO UPDATE SET
            symbol = coalesce(known.symbol, EXCLUDED.symbol),
            name = coalesce(known.name, EXCLUDED.name),
            signature = coalesce(known.signature, EXCLUDED.signature),
            trader_public_key = coalesce(known.trader_public_key, EXCLUDED.trader_public_key),
            bonding_curve_key = coalesce(known.bonding_curve_key, EXCLUDED.bonding_curve_key),
            pool_address = coalesce(known.pool_address, EXCLUDED.pool_address),
            v_tokens_in_bonding_curve =
                coalesce(known.v_tokens_in_bonding_curve, EXCLUDED.v_tokens_in_bonding_curve),
            v_sol_in_bonding_curve =
                coalesce(known.v_sol_in_bonding_curve, EXCLUDED.v_sol_in_bonding_curve),
            initial_buy_sol = coalesce(known.initial_buy_sol, EXCLUDED.initial_buy_sol),
            initial_buy_tokens = coalesce(known.initial_buy_tokens, EXCLUDED.initial_buy_tokens),
            token_created_at = coalesce(known.token_created_at, EXCLUDED.token_created_at),
            price_sol = coalesce(known.price_sol, EXCLUDED.price_sol),
            market_cap_sol = coalesce(known.market_cap_sol, EXCLUDED.market_cap_sol),
            has_socials = coalesce(known.has_socials, EXCLUDED.has_socials),
            social_count = coalesce(known.social_count, EXCLUDED.social_count),
            metadata_uri = coalesce(known.metadata_uri, EXCLUDED.metadata_uri)
        """,
        _values(coin, fitting(conn)),
    )


def get_coin(conn: Connection, mint: Mint) -> dict[str, Any] | None:
    """Read everything known about a coin, fit for JSON; None when it was never discovered."""
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(
            "SELECT * FROM discovered_coins WHERE token_address = %s", (mint,)
        ).fetchone()
        return None if row is None else jsonable(row)


def _values(coin: Coin, fit: Callable[[str, int], str]) -> dict[str, Any]:
    return {
        "mint": coin.mint,
        "symbol": fit(coin.symbol, 30) or None,
        "name": fit(coin.name, 255) or None,
        "decimals": _TOKEN_DECIMALS,
        "supply": SUPPLY_TOKENS,
        "signature": fit(coin.signature, 88),
        "creator": fit(coin.creator, 44) or None,
        "curve": fit(coin.bonding_curve_key, 44) or None,
        "pool": fit(coin.pool, 20),
        "v_tokens": tokens(coin.virtual_token_units),
        "v_sol": sol(coin.virtual_sol_lamports),
        "buy_sol": sol(coin.buy.sol_lamports if coin.buy else 0),
        "buy_tokens": tokens(coin.buy.token_units if coin.buy else 0),
        "at": to_datetime(coin.arrived_us),
        "price": exact(coin.price_sol),
        "market_cap": exact(coin.market_cap_sol),
        "mayhem": coin.is_mayhem,
        "has_socials": None if coin.social_count is None else coin.social_count > 0,
        "socials": coin.social_count,
        "uri": fit(coin.uri, 2_048) or None,
    }
