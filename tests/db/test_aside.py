"""Rows that end after the start of a run, and what stands aside until somebody has looked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from actors.domain import Mint, Session
from db.aside import Kept, acknowledge, kept, move_ahead
from db.candles import copy_candles, keep_ahead
from tests.db.rows import NOON_US, a_candle, read

if TYPE_CHECKING:
    from db.pool import Connection

NOW = Session(journal_id=7, first_seq=100, started_us=NOON_US)
AHEAD = "SELECT mint, (extract(epoch FROM timestamp) * 1000000)::bigint FROM coin_metrics_ahead"
LEFT = "SELECT mint, (extract(epoch FROM timestamp) * 1000000)::bigint FROM coin_metrics"
SECOND_US = 1_000_000


def test_only_rows_of_ours_that_end_after_the_start_move(conn: Connection, dsn: str) -> None:
    conn.execute(
        "INSERT INTO coin_metrics (mint, timestamp)"
        " VALUES ('A', '2025-10-01 13:00+00'), ('A', NULL)"
    )
    copy_candles(conn, [a_candle(), a_candle(at_us=NOON_US + 1), a_candle("B", NOON_US + 9)], 7)

    assert move_ahead(conn, NOW.started_us) == 2

    assert sorted(read(dsn, AHEAD)) == [("A", NOON_US + 1), ("B", NOON_US + 9)]
    assert sorted(read(dsn, f"{LEFT} WHERE window_start IS NOT NULL")) == [("A", NOON_US)]
    assert read(dsn, "SELECT count(*) FROM coin_metrics WHERE window_start IS NULL") == [(2,)]


def test_a_row_moves_with_every_figure_and_the_columns_of_others(
    conn: Connection, dsn: str
) -> None:
    conn.execute("ALTER TABLE coin_metrics ADD COLUMN note text, ADD COLUMN rank int")
    conn.execute("ALTER TABLE coin_metrics ALTER price_close TYPE double precision")
    copy_candles(conn, [a_candle(at_us=NOON_US + 5 * SECOND_US, trades_without_amount=1)], 7)
    conn.execute("UPDATE coin_metrics SET note = 'mine'")

    assert move_ahead(conn, NOW.started_us) == 1

    assert read(
        dsn,
        "SELECT price_close, price_low, volume_sol, num_buys, covered_seconds, last_seq,"
        " journal_id, trades_without_amount, is_koth, window_start, other_columns"
        " FROM coin_metrics_ahead",
    ) == [
        (
            *(Decimal("0.000000030000000000000004"), Decimal("0.000000027958993476")),
            *(Decimal("3.000000001"), 2, 4.999999, 9, 7, 1, False),
            datetime(2025, 10, 1, 12, 0, tzinfo=UTC),
            {"note": "mine", "rank": None},
        )
    ]


def test_moving_again_finds_nothing_and_later_rows_join_the_others(
    conn: Connection, dsn: str
) -> None:
    copy_candles(conn, [a_candle(at_us=NOON_US + 1)], 7)

    assert (move_ahead(conn, NOW.started_us), move_ahead(conn, NOW.started_us)) == (1, 0)

    copy_candles(conn, [a_candle(at_us=NOON_US + 1, num_buys=8)], 7)
    assert move_ahead(conn, NOW.started_us) == 1
    assert sorted(read(dsn, "SELECT num_buys FROM coin_metrics_ahead")) == [(2,), (8,)]


def test_more_rows_than_one_transaction_moves_are_moved(conn: Connection, dsn: str) -> None:
    copy_candles(conn, [a_candle(at_us=NOON_US + number) for number in range(2_501)], 7)

    assert move_ahead(conn, NOW.started_us) == 2_500
    assert read(dsn, "SELECT count(*), count(DISTINCT timestamp) FROM coin_metrics_ahead") == [
        (2_500, 2_500)
    ]
    assert read(dsn, LEFT) == [("A", NOON_US)]


def test_rows_put_there_by_hand_move_as_well(conn: Connection, dsn: str) -> None:
    conn.execute(
        "INSERT INTO coin_metrics (mint, window_start, timestamp) VALUES"
        " ('A', '2025-10-01 12:00+00', 'infinity'), (NULL, '2025-10-01 12:00+00', 'infinity')"
    )

    assert move_ahead(conn, NOW.started_us) == 1
    assert read(dsn, "SELECT mint, last_seq FROM coin_metrics_ahead") == [("A", None)]


def test_what_stands_aside_is_counted_until_it_is_acknowledged(conn: Connection) -> None:
    assert kept(conn) == Kept(0, None, 0, None)
    began = datetime.now(UTC) - timedelta(seconds=60)
    keep_ahead(conn, [a_candle()], 7)
    copy_candles(conn, [a_candle()], 7)
    copy_candles(conn, [a_candle(num_buys=4), a_candle(num_buys=5)], 7)

    found = kept(conn)

    assert (found.ahead, found.conflicts) == (1, 2)
    began_us = round(began.timestamp() * 1_000_000)
    assert found.ahead_since_us is not None
    assert found.conflicts_since_us is not None
    assert began_us < found.ahead_since_us < found.conflicts_since_us

    assert acknowledge(conn, "conflicts") == 2
    assert kept(conn) == Kept(1, found.ahead_since_us, 0, None)
    assert (acknowledge(conn, "ahead"), acknowledge(conn, "ahead")) == (1, 0)
    assert kept(conn) == Kept(0, None, 0, None)


@pytest.mark.parametrize("mint", ["A" * 64, "x" * 200])
def test_a_mint_of_an_adopted_table_may_be_longer_than_ours(
    conn: Connection, dsn: str, mint: str
) -> None:
    conn.execute("ALTER TABLE coin_metrics ALTER mint TYPE text")
    conn.execute(
        "INSERT INTO coin_metrics (mint, window_start, timestamp) VALUES (%s, now(), now())",
        (Mint(mint),),
    )

    assert move_ahead(conn, NOW.started_us) == 1
    assert read(dsn, "SELECT mint FROM coin_metrics_ahead") == [(mint,)]


def put_aside(conn: Connection, rows: int, table: str = "coin_metrics_ahead") -> None:
    conn.execute(
        f"INSERT INTO {table} (mint, window_start, timestamp)"
        f" SELECT 'M' || n, now(), now() FROM generate_series(1, {rows}) n"
    )


def test_very_many_rows_are_counted_up_to_a_bound_and_acknowledged_in_batches(
    conn: Connection,
) -> None:
    put_aside(conn, 30_000)
    put_aside(conn, 3, "coin_metrics_conflicts")
    # A statement over more than 2,000 rows does not get through.
    conn.execute(
        "CREATE FUNCTION few() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN IF (SELECT count(*) FROM changed) > 2000 THEN RAISE query_canceled; END IF;"
        " RETURN NULL; END'"
    )
    conn.execute(
        "CREATE TRIGGER few AFTER UPDATE ON coin_metrics_ahead REFERENCING NEW TABLE AS changed"
        " FOR EACH STATEMENT EXECUTE FUNCTION few()"
    )

    found = kept(conn)
    assert (found.ahead, found.conflicts) == (10_000, 3)
    assert acknowledge(conn, "ahead") == 30_000
    assert (kept(conn).ahead, kept(conn).conflicts) == (0, 3)


def test_a_move_of_some_coins_ends_after_so_many_batches(conn: Connection, dsn: str) -> None:
    mine = [a_candle("A", NOON_US + number) for number in range(1, 2_501)]
    copy_candles(conn, [*mine, a_candle("B", NOON_US + 1)], 7)
    only = [Mint("A")]

    assert move_ahead(conn, NOW.started_us, mints=only, most_batches=2) == 2_000
    assert move_ahead(conn, NOW.started_us, mints=only, most_batches=2) == 500
    assert move_ahead(conn, NOW.started_us, mints=[]) == 0
    assert read(dsn, LEFT) == [("B", NOON_US + 1)]
    assert move_ahead(conn, NOW.started_us) == 1
