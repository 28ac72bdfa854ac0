"""Tables as they are out there are read, and left as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg2
import pytest

from db.compare import ComparedTable, Side, open_compared
from tests.compare import cases
from tests.compare.databases import ask, at, execute, insert, logged_in, make_theirs, run

if TYPE_CHECKING:
    from tests.support.postgres import PostgresServer


@pytest.mark.parametrize(
    ("types", "notes"),
    [
        ({}, []),
        ({"timestamp": "timestamp"}, ["their timestamp has no time zone: it is read as UTC"]),
        (dict.fromkeys(("volume_sol", "buy_volume_sol"), "double precision"), []),
        ({"mint": "text", "num_buys": "bigint", "num_sells": "numeric"}, []),
        ({"mint": "char(44)", "volume_sol": "real", "price_high": "real"}, []),
        ({"volume_sol": "numeric", "id": "bigserial", "sell_volume_sol": "numeric(30,18)"}, []),
    ],
)
def test_types_of_other_installations_are_read(
    types: dict[str, str], notes: list[str], empty_dsn: str, ours: str
) -> None:
    make_theirs(empty_dsn, types)
    when = at(5).replace(tzinfo=None) if "timestamp" in types else at(5)
    insert(empty_dsn, "A", 5, volume_sol=0.1 + 0.2, buy_volume_sol=0.1 + 0.2, timestamp=when)
    insert(ours, "A", 5, 0, volume_sol="0.3", buy_volume_sol="0.3")

    answer = ask(empty_dsn, ours)

    assert answer.exit_code == 0
    assert answer.found["theirs"]["trades"] == 1
    assert answer.found["notes"] == notes


def test_rows_that_lack_figures_are_read(theirs: str, ours: str) -> None:
    nothing = dict.fromkeys(
        ("num_buys", "num_sells", "volume_sol", "price_high", "virtual_sol_reserves")
    )
    execute(theirs, "ALTER TABLE coin_metrics ALTER price_high TYPE float8")
    insert(theirs, "A", 5, **nothing)
    insert(theirs, "B", 5, volume_sol="NaN", price_high="Infinity", price_low=0)
    execute(theirs, "INSERT INTO coin_metrics (mint) VALUES ('C')")
    execute(theirs, "INSERT INTO coin_metrics (timestamp) VALUES (%s)", (at(5),))

    answer = ask(theirs, ours)

    assert answer.found["theirs"]["rows"] == 2


def test_intervals_come_from_ours_where_theirs_has_no_phases(empty_dsn: str, ours: str) -> None:
    make_theirs(empty_dsn, phases=False)
    cases.lost(empty_dsn, ours)

    answer = ask(empty_dsn, ours)

    assert answer.reasons == {"lost": 1}
    assert answer.found["notes"] == [
        "theirs has no ref_coin_phases: the intervals are those of ours"
    ]


def test_both_may_write_to_one_database(ours: str) -> None:
    insert(ours, "A", 1_002, buys=4)
    insert(ours, "A", 1_000, 995, buys=4)

    answer = ask(ours, ours)

    assert answer.reasons == {"windows": 1}
    assert answer.found["notes"] == [
        "theirs has rows of both: those without window_start are compared"
    ]


def test_coins_come_in_the_order_of_their_bytes(theirs: str, ours: str) -> None:
    for mint in ("b", "B", "a", "A", "_", "Z1", "z", "\u00e9", "\U0001f600", "\uffee"):
        insert(theirs, mint, 5)
        insert(ours, mint, 5, 0)

    assert ask(theirs, ours).reasons == {"same": 10}


def test_database_that_knows_no_encoding_is_read(
    postgres_server: PostgresServer, ours: str
) -> None:
    theirs = postgres_server.dsn("bytes")
    conn = psycopg2.connect(postgres_server.dsn("postgres"))
    conn.autocommit = True
    conn.cursor().execute("CREATE DATABASE bytes ENCODING 'SQL_ASCII' TEMPLATE template0")
    conn.close()
    make_theirs(theirs)
    for their_mint, our_mint in (("A", "A"), ("B", "\u00e9")):
        insert(theirs, their_mint, 5)
        insert(ours, our_mint, 5, 0)
    execute(theirs, r"UPDATE coin_metrics SET mint = E'\303\251' WHERE mint = 'B'")

    answer = ask(theirs, ours)

    postgres_server.drop_database("bytes")
    assert answer.reasons == {"same": 2}


def test_session_is_left_as_it_was(theirs: str) -> None:
    """A pooler may give it to others."""
    names = ("statement_timeout", "lock_timeout", "work_mem", "transaction_read_only")
    show = "SELECT " + ", ".join(f"current_setting('{name}')" for name in names)
    with open_compared(theirs, Side.THEIRS) as conn:
        before = conn.execute(show).fetchone()
        conn.rollback()
        ComparedTable(conn, Side.THEIRS)
        inside = conn.execute(show).fetchone()
        conn.rollback()
        conn.read_only = None

        assert conn.execute(show).fetchone() == before
    assert inside == ("2min", "10s", "32MB", "on")


@pytest.mark.parametrize("tables", ["ALL TABLES IN SCHEMA public", "coin_metrics, feed_gaps"])
def test_no_right_to_write_is_needed(tables: str, theirs: str, ours: str, reader: str) -> None:
    cases.other(theirs, ours)
    execute(theirs, "CREATE TABLE feed_gaps ()")
    for dsn in (theirs, ours):
        execute(dsn, f"GRANT SELECT ON {tables} TO {reader}")

    answer = ask(logged_in(theirs, reader), logged_in(ours, reader))

    for dsn in (theirs, ours):
        execute(dsn, f"DROP OWNED BY {reader}")
    assert answer.reasons == {"other": 1}


def test_a_table_that_writes_when_it_is_read_is_refused(empty_dsn: str, ours: str) -> None:
    """Somebody's view counts its readers."""
    make_theirs(empty_dsn)
    insert(empty_dsn, "A", 5)
    execute(empty_dsn, "CREATE TABLE readers (at timestamptz)")
    execute(
        empty_dsn,
        "CREATE FUNCTION counted() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO readers VALUES (now()); RETURN true; END $$",
    )
    execute(empty_dsn, "ALTER TABLE coin_metrics RENAME TO kept")
    execute(empty_dsn, "CREATE VIEW coin_metrics AS SELECT * FROM kept WHERE counted()")

    done = run(empty_dsn, ours)

    assert done.exit_code == 3
    assert "cannot execute INSERT in a read-only transaction" in done.stderr
