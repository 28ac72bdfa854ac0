"""Bringing databases of every kind to what mintwatch needs, losing nothing."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import psycopg
import psycopg2
import pytest

from actors.domain import Mint
from db.aside import acknowledge, kept, move_ahead
from db.candles import copy_candles, keep_ahead
from db.errors import DsnError, MigrationError
from db.migrate import migrate
from db.pool import connect
from db.streams import read_streams
from tests.db.rows import NOON_US, a_candle

if TYPE_CHECKING:
    from collections.abc import Iterator

ALL = [
    "m0001_original_tables", "m0002_exact_and_covered", "m0003_notify", "m0004_numbered_rows",
    "m0005_views",
]  # fmt: skip

ORIGINAL_METRICS = """
CREATE TABLE coin_metrics (
    mint varchar(64), timestamp timestamptz, phase_id_at_time int,
    price_open numeric(30,18), price_high numeric(30,18), price_low numeric(30,18),
    price_close numeric(30,18), market_cap_close numeric(20,2), bonding_curve_pct numeric(10,4),
    virtual_sol_reserves numeric(20,6), is_koth boolean, volume_sol numeric(20,6),
    buy_volume_sol numeric(20,6), sell_volume_sol numeric(20,6), num_buys int, num_sells int,
    unique_wallets int, num_micro_trades int, dev_sold_amount numeric(20,6),
    max_single_buy_sol numeric(20,6), max_single_sell_sol numeric(20,6),
    net_volume_sol numeric(20,6), volatility_pct numeric(10,4), avg_trade_size_sol numeric(20,6),
    whale_buy_volume_sol numeric(20,6), whale_sell_volume_sol numeric(20,6),
    num_whale_buys int, num_whale_sells int, buy_pressure_ratio numeric(10,6),
    unique_signer_ratio numeric(10,6));
INSERT INTO coin_metrics (mint, timestamp, price_close, volume_sol)
VALUES ('A', '2025-10-01 12:00+00', 0.000000028000000001, 1.234567),
       ('A', '2025-10-01 12:00+00', 0.000000028000000001, 1.234567),
       ('B', NULL, NULL, NULL);
"""


def run(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        cursor = connection.execute(statement)
        found = cursor.fetchall() if cursor.description else []
    connection.close()
    return found


def read(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    """Read through the other driver."""
    connection = psycopg2.connect(dsn)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())
    finally:
        connection.close()


def column_type(dsn: str, table: str, column: str) -> str:
    [(found,)] = read(
        dsn,
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute"
        f" WHERE attrelid = '{table}'::regclass AND attname = '{column}'",
    )
    return str(found)


def test_empty_database_gets_all_tables_and_the_seeded_phases(empty_dsn: str) -> None:
    assert migrate(empty_dsn) == ALL

    tables = read(
        empty_dsn,
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        " AND relname NOT LIKE 'mintwatch%' ORDER BY 1",
    )
    assert [name for (name,) in tables] == [
        "coin_metrics",
        "coin_metrics_ahead",
        "coin_metrics_conflicts",
        "coin_streams",
        "coin_transactions",
        "discovered_coins",
        "feed_gaps",
        "ref_coin_phases",
    ]
    assert read(empty_dsn, "SELECT * FROM ref_coin_phases ORDER BY id") == [
        (1, "Baby Zone", 5, 0, 10),
        (2, "Survival Zone", 30, 10, 60),
        (3, "Mature Zone", 60, 60, 1440),
        (99, "Finished", 0, 1440, 999999),
        (100, "Graduated", 0, 1440, 999999),
    ]


def test_second_run_changes_nothing(empty_dsn: str) -> None:
    migrate(empty_dsn)
    run(empty_dsn, "UPDATE ref_coin_phases SET interval_seconds = 7 WHERE id = 1")

    assert migrate(empty_dsn) == []
    assert read(empty_dsn, "SELECT interval_seconds FROM ref_coin_phases WHERE id = 1") == [(7,)]


def test_rows_of_the_original_are_adopted_unchanged_duplicates_included(empty_dsn: str) -> None:
    run(empty_dsn, ORIGINAL_METRICS)

    migrate(empty_dsn)

    rows = read(
        empty_dsn,
        "SELECT mint, price_close::text, volume_sol::text, window_start FROM coin_metrics"
        " ORDER BY mint",
    )
    assert rows == [
        ("A", "0.000000028000000001", "1.234567", None),
        ("A", "0.000000028000000001", "1.234567", None),
        ("B", None, None, None),
    ]


def test_sol_and_price_columns_become_exact_without_rewriting_the_table(empty_dsn: str) -> None:
    run(empty_dsn, ORIGINAL_METRICS)
    before = read(empty_dsn, "SELECT pg_relation_filenode('coin_metrics')")

    migrate(empty_dsn)

    assert read(empty_dsn, "SELECT pg_relation_filenode('coin_metrics')") == before
    for column in ("price_open", "volume_sol", "market_cap_close", "virtual_sol_reserves"):
        assert column_type(empty_dsn, "coin_metrics", column) == "numeric"
    assert column_type(empty_dsn, "coin_metrics", "bonding_curve_pct") == "numeric(10,4)"
    assert column_type(empty_dsn, "coin_metrics", "buy_pressure_ratio") == "numeric(10,6)"
    assert column_type(empty_dsn, "coin_metrics", "window_start") == "timestamp with time zone"


def test_metrics_with_an_id_and_doubles_keep_both(empty_dsn: str) -> None:
    run(
        empty_dsn,
        "CREATE TABLE coin_metrics (id bigserial PRIMARY KEY, mint varchar(44) NOT NULL,"
        " timestamp timestamp, price_close double precision, volume_sol numeric(20,6));"
        "INSERT INTO coin_metrics (mint, timestamp, price_close)"
        " VALUES ('A', '2025-10-01 12:00', 1e-8)",
    )

    migrate(empty_dsn)

    assert column_type(empty_dsn, "coin_metrics", "mint") == "character varying(64)"
    assert column_type(empty_dsn, "coin_metrics", "price_close") == "double precision"
    assert column_type(empty_dsn, "coin_metrics", "num_buys") == "integer"
    assert read(empty_dsn, "SELECT id, mint, extract(epoch FROM timestamp) FROM coin_metrics") == [
        (1, "A", 1759320000)
    ]


@pytest.mark.parametrize("ath_type", ["numeric(30,18)", "double precision"])
def test_duplicate_streams_leave_the_newest_active_one_live(empty_dsn: str, ath_type: str) -> None:
    run(
        empty_dsn,
        f"CREATE TABLE coin_streams (id bigserial PRIMARY KEY, token_address varchar(64) NOT NULL,"
        f" current_phase_id int DEFAULT 1, is_active boolean DEFAULT true,"
        f" started_at timestamptz, ath_price_sol {ath_type} DEFAULT 0);"
        "INSERT INTO coin_streams VALUES"
        " (1, 'A', 1, true,  '2025-10-01', 0.5),"
        " (2, 'A', 2, true,  '2025-10-02', 0.25),"
        " (3, 'A', 99, false, '2025-10-03', 0.125),"
        " (4, 'B', 1, true,  '2025-10-01', 0)",
    )

    migrate(empty_dsn)

    kept = "SELECT id, token_address, current_phase_id, is_active, ath_price_sol::float8 FROM {}"
    assert read(empty_dsn, kept.format("coin_streams") + " ORDER BY id") == [
        (2, "A", 2, True, 0.5),
        (4, "B", 1, True, 0.0),
    ]
    assert read(empty_dsn, kept.format("coin_streams_duplicates") + " ORDER BY id") == [
        (1, "A", 1, False, 0.5),
        (3, "A", 99, False, 0.125),
    ]
    with pytest.raises(psycopg.errors.UniqueViolation):
        run(empty_dsn, "INSERT INTO coin_streams (token_address) VALUES ('A')")


def test_tables_without_keys_get_them_and_new_streams_get_ids(empty_dsn: str) -> None:
    run(
        empty_dsn,
        "CREATE TABLE discovered_coins (token_address varchar(64), symbol varchar(10),"
        " discovered_at timestamptz);"
        "INSERT INTO discovered_coins VALUES ('A', 'old', '2025-10-01'),"
        " ('A', 'new', '2025-10-02');"
        "CREATE TABLE ref_coin_phases (id int, name varchar(50), interval_seconds int,"
        " min_age_minutes int, max_age_minutes int);"
        "INSERT INTO ref_coin_phases VALUES (1, 'Only', 9, 0, 5);"
        "CREATE TABLE coin_streams (token_address varchar(64));"
        "INSERT INTO coin_streams VALUES ('A')",
    )

    migrate(empty_dsn)

    assert read(empty_dsn, "SELECT symbol FROM discovered_coins") == [("new",)]
    assert read(empty_dsn, "SELECT symbol FROM discovered_coins_duplicates") == [("old",)]
    assert read(empty_dsn, "SELECT id, name FROM ref_coin_phases") == [(1, "Only")]
    assert read(empty_dsn, "SELECT id, token_address, is_active FROM coin_streams") == [
        (1, "A", True)
    ]
    assert column_type(empty_dsn, "discovered_coins", "symbol") == "character varying(30)"


def test_trades_of_the_original_have_no_identity_and_stay(empty_dsn: str) -> None:
    run(
        empty_dsn,
        "CREATE TABLE coin_transactions (mint varchar(64), timestamp timestamptz,"
        " trader_public_key varchar(44), sol_amount numeric(20,9), tx_type varchar(4),"
        " price_sol numeric(30,18), is_whale boolean, phase_id_at_time int);"
        "INSERT INTO coin_transactions (mint, trader_public_key, tx_type)"
        " VALUES ('A', 'T', 'buy'), ('A', 'T', 'buy')",
    )

    migrate(empty_dsn)

    assert read(empty_dsn, "SELECT mint, signature FROM coin_transactions") == [
        ("A", None),
        ("A", None),
    ]


def test_metrics_of_another_program_stop_the_migration_and_nothing_is_changed(
    empty_dsn: str,
) -> None:
    run(empty_dsn, "CREATE TABLE coin_metrics (id int, sol_price_usd numeric)")

    with pytest.raises(MigrationError, match="has no column mint, so it belongs to another"):
        migrate(empty_dsn)

    assert read(
        empty_dsn,
        "SELECT relname FROM pg_class"
        " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
    ) == [("coin_metrics",)]
    assert read(empty_dsn, "SELECT attname FROM pg_attribute WHERE attrelid ="
                " 'coin_metrics'::regclass AND attnum > 0 ORDER BY attnum") == [
        ("id",), ("sol_price_usd",)
    ]  # fmt: skip


def test_table_locked_by_somebody_is_a_sentence_and_not_a_hang(empty_dsn: str) -> None:
    run(empty_dsn, ORIGINAL_METRICS)
    with psycopg.connect(empty_dsn) as holder:
        holder.execute("LOCK TABLE coin_metrics IN ACCESS SHARE MODE")

        with pytest.raises(MigrationError, match=r"locked by another session for 0\.2 s"):
            migrate(empty_dsn, lock_timeout_s=0.05, patience_s=0.2)
    holder.close()

    assert migrate(empty_dsn) == ALL


def test_views_on_rows_stay_and_old_rows_have_no_number(empty_dsn: str) -> None:
    run(empty_dsn, ORIGINAL_METRICS)
    run(empty_dsn, "CREATE VIEW counted AS SELECT mint, num_buys, is_koth FROM coin_metrics")
    before = read(empty_dsn, "SELECT * FROM counted ORDER BY 1")

    migrate(empty_dsn)

    assert read(empty_dsn, "SELECT * FROM counted ORDER BY 1") == before
    assert read(
        empty_dsn,
        "SELECT DISTINCT last_seq, journal_id, trades_without_amount FROM coin_metrics",
    ) == [(None, None, None)]


def test_role_that_does_not_own_the_tables_is_told_so(empty_dsn: str) -> None:
    run(empty_dsn, ORIGINAL_METRICS)
    run(empty_dsn, "CREATE ROLE visitor LOGIN; GRANT ALL ON SCHEMA public TO visitor;")
    try:
        with pytest.raises(MigrationError, match=r"role that owns them.*GRANT"):
            migrate(empty_dsn.replace("//mintwatch@", "//visitor@"))
    finally:
        run(empty_dsn, "DROP OWNED BY visitor CASCADE; DROP ROLE visitor")


# The owner has migrated, the service connects as a role with no more than this.
GRANTS = """
CREATE ROLE coin_writer LOGIN;
CREATE ROLE "Odd reader" LOGIN;
GRANT USAGE ON SCHEMA public TO coin_writer, "Odd reader";
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO coin_writer;
GRANT SELECT ON coin_metrics TO "Odd reader" WITH GRANT OPTION;
GRANT SELECT ON coin_metrics TO PUBLIC;
"""
NO_ROLES = """
DROP OWNED BY coin_writer, "Odd reader" CASCADE;
DROP ROLE coin_writer, "Odd reader";
"""


WITHOUT_M0004 = """
DROP VIEW discovered_coins_active, discovered_coins_graduation, discovered_coins_near_graduation;
DROP TABLE coin_metrics_ahead, coin_metrics_conflicts;
ALTER TABLE coin_metrics DROP last_seq, DROP journal_id, DROP trades_without_amount;
DELETE FROM mintwatch_migrations WHERE migration_id IN ('m0004_numbered_rows', 'm0005_views');
"""


@pytest.fixture
def granted_dsn(empty_dsn: str) -> Iterator[str]:
    """A database of version 0.1.0, with roles that have rights to its tables."""
    migrate(empty_dsn)
    run(empty_dsn, WITHOUT_M0004)
    run(empty_dsn, GRANTS)
    yield empty_dsn
    run(empty_dsn, NO_ROLES)


def test_role_with_rights_from_before_goes_on_working(granted_dsn: str) -> None:
    assert migrate(granted_dsn) == ALL[3:]

    as_writer = granted_dsn.replace("//mintwatch@", "//coin_writer@")
    with connect(as_writer, autocommit=True) as connection:
        copy_candles(connection, [a_candle(), a_candle(at_us=NOON_US + 1)], 7)
        copy_candles(connection, [a_candle(num_buys=9)], 7)
        keep_ahead(connection, [a_candle("B")], 7)
        assert move_ahead(connection, NOON_US) == 1
        assert (kept(connection).ahead, kept(connection).conflicts) == (2, 1)
        assert (acknowledge(connection, "ahead"), acknowledge(connection, "conflicts")) == (2, 1)
        assert len(read_streams(connection, [Mint("A")], 7)) == 0


@pytest.mark.parametrize("table", ["coin_metrics_ahead", "coin_metrics_conflicts"])
def test_tables_of_rows_aside_have_the_privileges_of_rows(granted_dsn: str, table: str) -> None:
    migrate(granted_dsn)

    assert read(
        granted_dsn,
        "SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee) END,"
        " string_agg(privilege_type || CASE WHEN is_grantable THEN '*' ELSE '' END, ' '"
        " ORDER BY privilege_type)"
        f" FROM pg_class, aclexplode(relacl) WHERE oid = '{table}'::regclass"
        " AND grantee <> relowner GROUP BY grantee ORDER BY 1",
    ) == [
        ("Odd reader", "SELECT*"),
        ("PUBLIC", "SELECT"),
        ("coin_writer", "DELETE INSERT SELECT UPDATE"),
    ]


def test_owner_of_the_rows_may_write_beside_them_whoever_has_migrated(granted_dsn: str) -> None:
    run(granted_dsn, "ALTER TABLE coin_metrics OWNER TO coin_writer")

    migrate(granted_dsn)

    as_writer = granted_dsn.replace("//mintwatch@", "//coin_writer@")
    with connect(as_writer, autocommit=True) as connection:
        copy_candles(connection, [a_candle(at_us=NOON_US + 1)], 7)
        assert move_ahead(connection, NOON_US) == 1


def test_two_processes_at_once_apply_each_step_once(empty_dsn: str) -> None:
    applied: list[list[str]] = []
    workers = [
        threading.Thread(target=lambda: applied.append(migrate(empty_dsn))) for _ in range(3)
    ]

    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=30)

    assert sorted(applied) == [[], [], ALL]


def test_masked_connection_string_is_refused() -> None:
    with pytest.raises(DsnError, match=r"\*\*\*"):
        migrate("postgresql://bob:***@127.0.0.1/coins")
