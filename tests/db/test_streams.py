"""Streams: begun, changed, ended, read; their all-time highs; who is told."""

import psycopg
import pytest

from actors.domain import AllTimeHigh, Mint, Wallet
from db.aside import move_ahead
from db.candles import copy_candles
from db.coins import upsert_coin
from db.pool import Connection, connect
from db.streams import (
    StreamRow,
    active_mints,
    change_phase,
    end_stream,
    get_stream,
    page,
    raise_aths,
    read_streams,
    start_stream,
    stats,
)
from tests.db.rows import NOON_US, a_candle, a_coin, read

A, B = Mint("A"), Mint("B")


def ath_of(dsn: str, mint: str = "A") -> tuple[float, int | None]:
    [found] = read(
        dsn,
        "SELECT ath_price_sol::float8, (extract(epoch FROM ath_timestamp) * 1000000)::bigint"
        " FROM coin_streams WHERE token_address = %s",
        (mint,),
    )
    return found[0], found[1]


def heard(listener: psycopg.Connection[object], expected: int) -> list[tuple[str, str]]:
    """Collect notifications: as many as expected, then whatever else comes at once."""
    found = [
        (note.channel, note.payload) for note in listener.notifies(timeout=10, stop_after=expected)
    ]
    return found + [(note.channel, note.payload) for note in listener.notifies(timeout=0)]


def test_started_stream_is_active_and_an_ended_one_is_not(conn: Connection) -> None:
    start_stream(conn, A, 2, NOON_US)
    start_stream(conn, B, 1, NOON_US)

    assert active_mints(conn) == {"A": 2, "B": 1}

    end_stream(conn, A, 100, graduated=True)

    assert active_mints(conn) == {"B": 1}
    found = get_stream(conn, A)
    assert found is not None
    assert (found["is_graduated"], found["phase_name"], found["started_at"]) == (
        True,
        "Graduated",
        "2025-10-01T12:00:00+00:00",
    )


def test_starting_an_active_stream_again_changes_nothing(conn: Connection) -> None:
    start_stream(conn, A, 1, NOON_US)
    change_phase(conn, A, 3)

    start_stream(conn, A, 1, NOON_US + 1)

    [stream] = read_streams(conn, [A])
    assert (stream.phase_id, stream.started_us) == (3, NOON_US)


def test_starting_an_ended_stream_begins_anew_and_keeps_its_ath(conn: Connection, dsn: str) -> None:
    start_stream(conn, A, 1, NOON_US)
    raise_aths(conn, [AllTimeHigh(A, 4e-8, NOON_US)])
    end_stream(conn, A, 99, graduated=False)

    start_stream(conn, A, 1, NOON_US + 9)

    [stream] = read_streams(conn, [A])
    assert (stream.is_active, stream.phase_id, stream.started_us) == (True, 1, NOON_US + 9)
    assert ath_of(dsn) == (4e-8, NOON_US)


def test_ended_stream_keeps_the_phase_it_ended_in(conn: Connection) -> None:
    start_stream(conn, A, 1, NOON_US)
    end_stream(conn, A, 99, graduated=False)

    change_phase(conn, A, 2)

    assert read_streams(conn, [A])[0].phase_id == 99


def test_ath_is_raised_and_never_lowered(conn: Connection, dsn: str) -> None:
    start_stream(conn, A, 1, NOON_US)

    assert raise_aths(conn, [AllTimeHigh(A, 3e-8, NOON_US + 1)]) == 1
    assert raise_aths(conn, [AllTimeHigh(A, 2e-8, NOON_US + 2)]) == 0
    assert raise_aths(conn, [AllTimeHigh(A, 3e-8, NOON_US + 3)]) == 0
    assert ath_of(dsn) == (3e-8, NOON_US + 1)

    both = [AllTimeHigh(A, 5e-8, NOON_US + 4), AllTimeHigh(A, 4e-8, NOON_US + 5)]
    assert raise_aths(conn, both) == 1
    assert ath_of(dsn) == (5e-8, NOON_US + 4)
    assert raise_aths(conn, [AllTimeHigh(B, 1.0, NOON_US)]) == 0
    assert raise_aths(conn, []) == 0


def test_ath_is_exact_and_works_on_a_double_column(conn: Connection, dsn: str) -> None:
    start_stream(conn, A, 1, NOON_US)
    raise_aths(conn, [AllTimeHigh(A, 2.7958993476e-8, NOON_US)])
    assert read(dsn, "SELECT ath_price_sol::text FROM coin_streams") == [("0.000000027958993476",)]

    conn.execute("ALTER TABLE coin_streams ALTER ath_price_sol TYPE double precision")

    assert raise_aths(conn, [AllTimeHigh(A, 2.7958993476e-8, NOON_US + 1)]) == 0
    assert raise_aths(conn, [AllTimeHigh(A, 3e-8, NOON_US + 2)]) == 1
    assert ath_of(dsn) == (3e-8, NOON_US + 2)
    assert read_streams(conn, [A])[0].ath == AllTimeHigh(A, 3e-8, NOON_US + 2)


def test_stream_is_read_with_all_that_is_known_of_its_coin(conn: Connection) -> None:
    start_stream(conn, A, 2, NOON_US)
    raise_aths(conn, [AllTimeHigh(A, 4e-8, NOON_US + 10)])
    upsert_coin(conn, a_coin(arrived_us=NOON_US - 7))
    copy_candles(
        conn,
        [
            a_candle(at_us=NOON_US + 5, price_high=9e-8),  # before the stored ATH: known to it
            a_candle(at_us=NOON_US + 20, price_high=6e-8),
            a_candle(at_us=NOON_US + 30, price_high=5e-8),
            a_candle(at_us=NOON_US + 40, price_high=None),
        ],
    )

    assert read_streams(conn, [A, Mint("unknown")]) == [
        StreamRow(
            mint=A,
            phase_id=2,
            is_active=True,
            started_us=NOON_US,
            created_us=NOON_US - 7,
            creator=Wallet("C"),
            ath=AllTimeHigh(A, 6e-8, NOON_US + 20),
            last_row_us=NOON_US + 40,
        )
    ]


def test_stream_with_nothing_known_of_it_is_read(conn: Connection) -> None:
    conn.execute(
        "INSERT INTO coin_streams (token_address, current_phase_id, started_at, ath_price_sol,"
        " ath_timestamp) VALUES ('A', NULL, NULL, NULL, NULL), ('B', 1, 'infinity', 1, '-infinity')"
    )

    is_active = True
    assert sorted(read_streams(conn, [A, B]), key=lambda stream: stream.mint) == [
        StreamRow(A, 1, is_active, None, None, None, None, None),
        StreamRow(B, 1, is_active, None, None, None, AllTimeHigh(B, 1.0, 0), None),
    ]


def test_pages_and_counts(conn: Connection) -> None:
    for mint in ("A", "B", "C"):
        start_stream(conn, Mint(mint), 1, NOON_US)
    change_phase(conn, B, 2)
    end_stream(conn, A, 99, graduated=False)

    assert [row["token_address"] for row in page(conn, 2)] == ["C", "B"]
    assert stats(conn) == {
        "total_streams": 3,
        "active_streams": 2,
        "ended_streams": 1,
        "streams_by_phase": {"1": 1, "2": 1, "99": 1},
    }
    assert get_stream(conn, Mint("unknown")) is None


def test_listeners_are_told_of_each_stream_that_begins_ends_or_vanishes(
    conn: Connection, dsn: str
) -> None:
    with connect(dsn, autocommit=True) as listener:
        listener.execute("LISTEN mintwatch_streams")

        conn.execute("INSERT INTO coin_streams (token_address) VALUES ('A'), ('B')")
        assert heard(listener, 2) == [("mintwatch_streams", "A"), ("mintwatch_streams", "B")]

        conn.execute("UPDATE coin_streams SET is_active = false WHERE token_address = 'A'")
        assert heard(listener, 1) == [("mintwatch_streams", "A")]

        conn.execute("DELETE FROM coin_streams WHERE token_address = 'B'")
        assert heard(listener, 1) == [("mintwatch_streams", "B")]

        conn.execute("TRUNCATE coin_streams")
        assert heard(listener, 1) == [("mintwatch_streams", "*")]
    listener.close()


def test_listeners_are_not_told_of_aths_phases_and_updates_without_a_change(
    conn: Connection, dsn: str
) -> None:
    start_stream(conn, A, 1, NOON_US)
    with connect(dsn, autocommit=True) as listener:
        listener.execute("LISTEN mintwatch_streams")

        raise_aths(conn, [AllTimeHigh(A, 1.0, NOON_US)])
        change_phase(conn, A, 2)
        conn.execute("UPDATE coin_streams SET is_active = true")
        conn.execute("NOTIFY mintwatch_streams, 'end'")

        assert heard(listener, 1) == [("mintwatch_streams", "end")]
    listener.close()


def test_bulk_change_says_look_at_all(conn: Connection, dsn: str) -> None:
    with connect(dsn, autocommit=True) as listener:
        listener.execute("LISTEN mintwatch_streams")

        conn.execute(
            "INSERT INTO coin_streams (token_address)"
            " SELECT 'M' || n FROM generate_series(1, 5000) n"
        )

        found = heard(listener, 1000)
        assert len(found) == 1000
        assert found[-1] == ("mintwatch_streams", "*")
    listener.close()


def test_long_address_says_look_at_all_and_does_not_fail_the_statement(
    conn: Connection, dsn: str
) -> None:
    conn.execute("ALTER TABLE coin_streams ALTER token_address TYPE text")
    with connect(dsn, autocommit=True) as listener:
        listener.execute("LISTEN mintwatch_streams")

        conn.execute("INSERT INTO coin_streams (token_address) VALUES (repeat('x', 2500))")
        conn.execute("ALTER TABLE coin_streams DROP CONSTRAINT coin_streams_token_address_key")
        conn.execute("INSERT INTO coin_streams (token_address) VALUES (repeat('x', 9000))")

        assert heard(listener, 2)[1] == ("mintwatch_streams", "*")
    listener.close()


def test_trigger_that_fails_does_not_fail_the_users_statement(conn: Connection, dsn: str) -> None:
    with connect(dsn, autocommit=True) as user:
        user.execute("SET mintwatch.told = 'no number'")

        user.execute("INSERT INTO coin_streams (token_address) VALUES ('A')")

        assert active_mints(conn) == {"A": 1}
    user.close()


def test_listeners_are_told_of_changed_phases(conn: Connection, dsn: str) -> None:
    with connect(dsn, autocommit=True) as listener:
        listener.execute("LISTEN mintwatch_phases")

        conn.execute("UPDATE ref_coin_phases SET interval_seconds = 6 WHERE id = 1")

        assert heard(listener, 1) == [("mintwatch_phases", "")]
    listener.close()


@pytest.mark.parametrize("mint", ["A" * 64, "!~' OR 1=1 --"])
def test_any_printable_mint_is_a_value_and_nothing_else(conn: Connection, mint: str) -> None:
    start_stream(conn, Mint(mint), 1, NOON_US)

    assert active_mints(conn) == {mint: 1}


def numbers_of(conn: Connection, journal_id: int) -> tuple[int | None, int]:
    [stream] = read_streams(conn, [A], journal_id)
    return stream.last_row_us, stream.rows_seq


def test_rows_of_the_original_decide_nothing_but_the_all_time_high(conn: Connection) -> None:
    start_stream(conn, A, 1, NOON_US)
    conn.execute(
        "INSERT INTO coin_metrics (mint, timestamp, price_high)"
        " VALUES ('A', '2099-10-01 12:00+00', 7e-8)"
    )

    assert numbers_of(conn, 7) == (None, 0)
    assert read_streams(conn, [A], 7)[0].ath == AllTimeHigh(A, 7e-8, 4_094_539_200_000_000)


def test_the_greatest_number_in_rows_is_that_of_this_journal(conn: Connection) -> None:
    start_stream(conn, A, 1, NOON_US)
    copy_candles(conn, [a_candle(at_us=NOON_US + at, last_seq=40 + at) for at in (1, 2, 3)], 7)
    copy_candles(conn, [a_candle(at_us=NOON_US + 9, last_seq=9_000)], 8)
    copy_candles(conn, [a_candle(at_us=NOON_US + 10, last_seq=9_999)])
    copy_candles(conn, [a_candle("B", at_us=NOON_US + 11, last_seq=77)], 7)

    assert numbers_of(conn, 7) == (NOON_US + 10, 43)
    assert numbers_of(conn, 8) == (NOON_US + 10, 9_000)
    assert numbers_of(conn, 9) == (NOON_US + 10, 0)
    assert numbers_of(conn, 0) == (NOON_US + 10, 0)


def test_rows_that_were_moved_aside_still_say_what_is_in_them(conn: Connection) -> None:
    start_stream(conn, A, 1, NOON_US)
    copy_candles(conn, [a_candle(at_us=NOON_US, last_seq=40)], 7)
    copy_candles(conn, [a_candle(at_us=NOON_US + 5, last_seq=50)], 7)

    assert move_ahead(conn, NOON_US) == 1

    assert numbers_of(conn, 7) == (NOON_US, 50)
    assert numbers_of(conn, 0) == (NOON_US, 0)


def test_rows_of_version_0_1_0_have_no_number(conn: Connection) -> None:
    start_stream(conn, A, 1, NOON_US)
    copy_candles(conn, [a_candle(at_us=NOON_US + at, last_seq=40 + at) for at in (1, 2, 3)], 7)
    conn.execute("UPDATE coin_metrics SET last_seq = NULL, journal_id = NULL")
    assert numbers_of(conn, 7) == (NOON_US + 3, 0)

    copy_candles(conn, [a_candle(at_us=NOON_US + 5, last_seq=60)], 7)

    assert numbers_of(conn, 7) == (NOON_US + 5, 60)


def test_the_number_is_found_behind_many_rows_of_another_journal(conn: Connection) -> None:
    start_stream(conn, A, 1, NOON_US)
    copy_candles(conn, [a_candle(at_us=NOON_US + at, last_seq=40 + at) for at in (1, 2)], 7)
    copy_candles(conn, [a_candle(at_us=NOON_US + 9 + at, last_seq=at) for at in range(200)], 8)

    assert numbers_of(conn, 7) == (NOON_US + 208, 42)


def test_reading_a_stream_with_many_rows_looks_at_few(conn: Connection) -> None:
    start_stream(conn, A, 1, NOON_US)
    copy_candles(conn, [a_candle(at_us=NOON_US + at, last_seq=at) for at in range(20_000)], 7)
    raise_aths(conn, [AllTimeHigh(A, 1.0, NOON_US + 19_999)])
    conn.execute("VACUUM ANALYZE coin_metrics")
    before = rows_fetched(conn)

    assert numbers_of(conn, 7) == (NOON_US + 19_999, 19_999)
    assert numbers_of(conn, 0) == (NOON_US + 19_999, 0)

    assert rows_fetched(conn) - before < 100


@pytest.mark.parametrize("analyzed", [True, False])
def test_reading_a_stream_does_not_look_through_rows_of_the_original(
    conn: Connection, analyzed: bool
) -> None:
    start_stream(conn, A, 1, NOON_US)
    raise_aths(conn, [AllTimeHigh(A, 1.0, 4_000_000_000_000_000)])
    conn.execute(
        "INSERT INTO coin_metrics (mint, timestamp, price_high)"
        " SELECT 'A', '2026-10-01 12:00+00'::timestamptz + n * interval '1 second', 1e-8"
        " FROM generate_series(1, 20000) n"
    )
    copy_candles(conn, [a_candle(last_seq=5)], 7)
    if analyzed:
        conn.execute("VACUUM ANALYZE coin_metrics")
    before = rows_fetched(conn)

    assert numbers_of(conn, 7) == (NOON_US, 5)

    assert rows_fetched(conn) - before < 100


def rows_fetched(conn: Connection) -> int:
    conn.execute("SELECT pg_stat_force_next_flush()")
    found = conn.execute(
        "SELECT coalesce(sum(idx_tup_fetch), 0) + sum(seq_tup_read) FROM pg_stat_user_tables"
        " WHERE relname = 'coin_metrics'"
    ).fetchone()
    assert found is not None
    return int(found[0])
