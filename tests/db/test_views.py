"""The three views on discovered coins, as the original and its successor have them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import psycopg
import pytest

from db.coins import upsert_coin
from db.migrate import migrate
from db.pool import connect
from tests.db.rows import a_coin, read

VIEWS = (
    "discovered_coins_active",
    "discovered_coins_graduation",
    "discovered_coins_near_graduation",
)
COINS = """
INSERT INTO discovered_coins (token_address, name, symbol, market_cap_sol, open_market_cap_sol,
    is_active, is_graduated, trader_public_key, initial_buy_sol, discovered_at) VALUES
    ('far', 'Far', 'F', 30, 85000, true, false, 'T1', 1.5, '2026-07-03 12:00+00'),
    ('near', 'Near', 'N', 60123.456, 85000, true, false, 'T2', 0, '2026-07-03 12:01+00'),
    ('over', 'Over', 'O', 85000, 85000, true, true, 'T3', 0, '2026-07-03 12:02+00'),
    ('ended', 'Ended', 'E', 50000, 85000, false, false, 'T4', 0, '2026-07-03 12:03+00'),
    ('zero', 'Zero', 'Z', 0, 0, true, false, 'T5', 0, '2026-07-03 12:04+00'),
    ('unknown', 'Unknown', 'U', NULL, 85000, true, false, 'T6', 0, '2026-07-03 12:05+00'),
    ('open', 'Open', 'P', 10, 0, true, false, 'T7', 0, '2026-07-03 12:06+00')
"""
COMPUTED = ("distance_to_graduation_sol", "graduation_progress_pct")


def run(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def columns(dsn: str, relation: str) -> tuple[str, ...]:
    found = read(
        dsn,
        f"SELECT attname FROM pg_attribute WHERE attrelid = '{relation}'::regclass"
        " AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
    )
    return tuple(name for (name,) in found)


def kinds(dsn: str) -> dict[str, str]:
    found: list[tuple[Any, ...]] = read(
        dsn,
        "SELECT relname, relkind FROM pg_class WHERE starts_with(relname, 'discovered_coins_')"
        " AND relkind IN ('r', 'v', 'm')",
    )
    return {str(name): str(kind) for name, kind in found}


def test_new_database_has_the_views_with_their_columns(dsn: str) -> None:
    assert kinds(dsn) == dict.fromkeys(VIEWS, "v")
    assert columns(dsn, "discovered_coins_graduation") == (
        *("token_address", "name", "symbol", "market_cap_sol", "open_market_cap_sol"),
        *(*COMPUTED, "is_graduated", "discovered_at"),
    )
    assert columns(dsn, "discovered_coins_active") == (
        *columns(dsn, "discovered_coins"),
        *COMPUTED,
    )
    assert columns(dsn, "discovered_coins_near_graduation") == (
        *("token_address", "name", "symbol", "market_cap_sol", "open_market_cap_sol"),
        *(*COMPUTED, "discovered_at", "trader_public_key", "initial_buy_sol"),
    )


def test_progress_is_that_of_active_coins(dsn: str) -> None:
    run(dsn, COINS)

    expected = [
        ("far", Decimal(84970), Decimal("0.04")),
        ("near", Decimal("24876.544"), Decimal("70.73")),
        ("open", Decimal(-10), None),
        ("over", Decimal(0), Decimal("100.00")),
        ("unknown", None, None),
        ("zero", Decimal(0), None),
    ]
    for view in ("discovered_coins_graduation", "discovered_coins_active"):
        assert expected == read(
            dsn,
            "SELECT token_address, distance_to_graduation_sol, graduation_progress_pct"
            f" FROM {view} ORDER BY 1",
        )


def test_coins_that_are_near_come_first(dsn: str) -> None:
    run(dsn, COINS)

    assert read(
        dsn,
        "SELECT token_address, graduation_progress_pct, trader_public_key, initial_buy_sol"
        " FROM discovered_coins_near_graduation",
    ) == [
        ("near", Decimal("70.73"), "T2", Decimal(0)),
        ("far", Decimal("0.04"), "T1", Decimal("1.5")),
        ("open", None, "T7", Decimal(0)),
    ]


def test_coin_that_the_service_writes_is_in_the_views(dsn: str) -> None:
    with connect(dsn, autocommit=True) as connection:
        upsert_coin(connection, a_coin())

    assert read(dsn, "SELECT token_address FROM discovered_coins_near_graduation") == [("A",)]


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        ("CREATE VIEW discovered_coins_active AS SELECT 1 AS mine", "v"),
        ("CREATE TABLE discovered_coins_active (mine int)", "r"),
        ("CREATE MATERIALIZED VIEW discovered_coins_active AS SELECT 1 AS mine", "m"),
    ],
)
def test_relation_of_somebody_else_is_not_replaced(empty_dsn: str, made: str, kind: str) -> None:
    run(empty_dsn, made)

    migrate(empty_dsn)

    assert kinds(empty_dsn) == dict.fromkeys(VIEWS, "v") | {"discovered_coins_active": kind}
    assert columns(empty_dsn, "discovered_coins_active") == ("mine",)


def test_adopted_coins_with_other_types_have_the_views(empty_dsn: str) -> None:
    run(
        empty_dsn,
        "CREATE TABLE discovered_coins (token_address varchar(64) PRIMARY KEY, mine text,"
        " market_cap_sol double precision, open_market_cap_sol real, is_active boolean)",
        "INSERT INTO discovered_coins VALUES ('A', 'x', 42500, 85000, true)",
    )

    migrate(empty_dsn)

    assert read(empty_dsn, "SELECT mine, graduation_progress_pct FROM discovered_coins_active") == [
        ("x", Decimal("50.00"))
    ]


def test_view_that_somebody_drops_later_stays_away(dsn: str) -> None:
    run(dsn, "DROP VIEW discovered_coins_active")

    assert migrate(dsn) == []
    assert "discovered_coins_active" not in kinds(dsn)


def test_who_may_read_the_coins_may_read_the_views_and_no_more(empty_dsn: str) -> None:
    run(empty_dsn, "CREATE TABLE discovered_coins (token_address varchar(64) PRIMARY KEY)")
    run(
        empty_dsn,
        "CREATE ROLE coin_reader",
        "CREATE ROLE coin_changer",
        "GRANT SELECT ON discovered_coins TO coin_reader WITH GRANT OPTION",
        "GRANT SELECT, INSERT, UPDATE, TRIGGER ON discovered_coins TO coin_changer",
    )
    try:
        migrate(empty_dsn)

        for view in VIEWS:
            assert read(
                empty_dsn,
                "SELECT grantee::regrole::text, privilege_type, is_grantable"
                f" FROM pg_class, aclexplode(relacl) WHERE oid = '{view}'::regclass"
                " AND grantee <> relowner ORDER BY 1",
            ) == [("coin_changer", "SELECT", False), ("coin_reader", "SELECT", True)]
    finally:
        run(
            empty_dsn,
            "DROP OWNED BY coin_reader, coin_changer CASCADE",
            "DROP ROLE coin_reader, coin_changer",
        )
