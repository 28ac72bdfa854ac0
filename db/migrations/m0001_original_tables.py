"""Create the original's tables, or complete the ones an installation of the original has filled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from yoyo import step

from db.adopt import Column, ensure_table, ensure_time_zones, ensure_unique

if TYPE_CHECKING:
    from db.pool import Connection

DISCOVERED_COINS: Final = (
    Column("token_address", "varchar(64)"),
    Column("blockchain_id", "int", "1"),
    Column("symbol", "varchar(30)"),
    Column("name", "varchar(255)"),
    Column("token_decimals", "int"),
    Column("token_supply", "numeric(30,6)"),
    Column("deploy_platform", "varchar(50)"),
    Column("signature", "varchar(88)"),
    Column("trader_public_key", "varchar(44)"),
    Column("bonding_curve_key", "varchar(44)"),
    Column("pool_address", "varchar(64)"),
    Column("pool_type", "varchar(20)", "'pump'"),
    Column("v_tokens_in_bonding_curve", "numeric(30,6)"),
    Column("v_sol_in_bonding_curve", "numeric(20,6)"),
    Column("initial_buy_sol", "numeric(20,6)"),
    Column("initial_buy_tokens", "numeric(30,6)"),
    Column("discovered_at", "timestamptz", "now()"),
    Column("token_created_at", "timestamptz"),
    Column("price_sol", "numeric(30,18)"),
    Column("market_cap_sol", "numeric(20,2)"),
    Column("liquidity_sol", "numeric(20,6)"),
    Column("open_market_cap_sol", "numeric(20,2)", "85000"),
    Column("phase_id", "int"),
    Column("is_mayhem_mode", "boolean", "false"),
    Column("is_graduated", "boolean", "false"),
    Column("is_active", "boolean", "true"),
    Column("risk_score", "int"),
    Column("top_10_holders_pct", "numeric(5,2)"),
    Column("has_socials", "boolean", "false"),
    Column("social_count", "int", "0"),
    Column("metadata_is_mutable", "boolean"),
    Column("mint_authority_enabled", "boolean"),
    Column("image_hash", "varchar(64)"),
    Column("metadata_uri", "text"),
    Column("description", "text"),
    Column("image_url", "text"),
    Column("twitter_url", "text"),
    Column("telegram_url", "text"),
    Column("website_url", "text"),
    Column("discord_url", "text"),
    Column("final_outcome", "varchar(20)", "'PENDING'"),
    Column("classification", "varchar(50)", "'UNKNOWN'"),
    Column("status_note", "varchar(255)"),
)

COIN_STREAMS: Final = (
    Column("id", "bigserial"),
    Column("token_address", "varchar(64)"),
    Column("current_phase_id", "int", "1"),
    Column("is_active", "boolean", "true"),
    Column("is_graduated", "boolean", "false"),
    Column("started_at", "timestamptz", "now()"),
    Column("ath_price_sol", "numeric(30,18)", "0"),
    Column("ath_timestamp", "timestamptz"),
)

PHASES: Final = (
    Column("id", "int"),
    Column("name", "varchar(50)"),
    Column("interval_seconds", "int"),
    Column("min_age_minutes", "int"),
    Column("max_age_minutes", "int"),
)

COIN_METRICS: Final = (
    Column("mint", "varchar(64)"),
    Column("timestamp", "timestamptz"),
    Column("phase_id_at_time", "int"),
    Column("price_open", "numeric(30,18)"),
    Column("price_high", "numeric(30,18)"),
    Column("price_low", "numeric(30,18)"),
    Column("price_close", "numeric(30,18)"),
    Column("market_cap_close", "numeric(20,2)"),
    Column("bonding_curve_pct", "numeric(10,4)"),
    Column("virtual_sol_reserves", "numeric(20,6)"),
    Column("is_koth", "boolean"),
    Column("volume_sol", "numeric(20,6)"),
    Column("buy_volume_sol", "numeric(20,6)"),
    Column("sell_volume_sol", "numeric(20,6)"),
    Column("num_buys", "int"),
    Column("num_sells", "int"),
    Column("unique_wallets", "int"),
    Column("num_micro_trades", "int"),
    Column("dev_sold_amount", "numeric(20,6)"),
    Column("max_single_buy_sol", "numeric(20,6)"),
    Column("max_single_sell_sol", "numeric(20,6)"),
    Column("net_volume_sol", "numeric(20,6)"),
    Column("volatility_pct", "numeric(10,4)"),
    Column("avg_trade_size_sol", "numeric(20,6)"),
    Column("whale_buy_volume_sol", "numeric(20,6)"),
    Column("whale_sell_volume_sol", "numeric(20,6)"),
    Column("num_whale_buys", "int"),
    Column("num_whale_sells", "int"),
    Column("buy_pressure_ratio", "numeric(10,6)"),
    Column("unique_signer_ratio", "numeric(10,6)"),
)

COIN_TRANSACTIONS: Final = (
    Column("mint", "varchar(64)"),
    Column("timestamp", "timestamptz"),
    Column("trader_public_key", "varchar(44)"),
    Column("sol_amount", "numeric(20,9)"),
    Column("tx_type", "varchar(4)"),
    Column("price_sol", "numeric(30,18)"),
    Column("is_whale", "boolean"),
    Column("phase_id_at_time", "int"),
)


def create_or_complete(conn: Connection) -> None:
    """Make every table of the original exist with all its columns and keys."""
    ensure_table(conn, "discovered_coins", DISCOVERED_COINS, ["PRIMARY KEY (token_address)"])
    ensure_table(conn, "coin_streams", COIN_STREAMS, ["PRIMARY KEY (id)", "UNIQUE (token_address)"])
    ensure_table(conn, "ref_coin_phases", PHASES, ["PRIMARY KEY (id)"])
    ensure_table(conn, "coin_metrics", COIN_METRICS)
    ensure_table(conn, "coin_transactions", COIN_TRANSACTIONS)
    ensure_time_zones(conn, "discovered_coins", ("discovered_at", "token_created_at"))
    ensure_time_zones(conn, "coin_streams", ("started_at", "ath_timestamp"))
    ensure_time_zones(conn, "coin_metrics", ("timestamp",))
    ensure_time_zones(conn, "coin_transactions", ("timestamp",))


def ensure_keys(conn: Connection) -> None:
    """Make the keys unique; of two active streams of one coin the newest stays the live one."""
    ensure_unique(conn, "discovered_coins", "token_address", "discovered_at DESC NULLS LAST")
    ensure_unique(conn, "ref_coin_phases", "id", "ctid DESC")
    ensure_unique(
        conn,
        "coin_streams",
        "token_address",
        "is_active DESC NULLS LAST, started_at DESC NULLS LAST, id DESC NULLS LAST",
    )
    if conn.execute("SELECT to_regclass('coin_streams_duplicates')").fetchone() != (None,):
        conn.execute("UPDATE coin_streams_duplicates SET is_active = false WHERE is_active")
        conn.execute(
            """
            UPDATE coin_streams s SET ath_price_sol = d.ath_price_sol, ath_timestamp =
            d.ath_timestamp FROM (SELECT DISTINCT ON (token_address) token_address, ath_price_sol,
            ath_timestamp
                  FROM coin_streams_duplicates WHERE ath_price_sol IS NOT NULL
                  ORDER BY token_address, ath_price_sol DESC) d
            WHERE d.token_address = s.token_address
              AND d.ath_price_sol > coalesce(s.ath_price_sol, 0)
            """
        )


step(create_or_complete)
step(ensure_keys)
