"""Candles in the database: exact, once, and read back."""

import json
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.domain import Candle, Mint
from db.candles import PricePoint, announce_themselves, copy_candles, latest, prices_at, recent
from db.errors import Verdict, classify
from db.pool import Connection, connect
from tests.db.rows import NOON_US, a_candle, read
from tests.support.postgres import PostgresServer

A = Mint("A")
SECOND_US = 1_000_000


def test_candle_arrives_with_every_figure_exact(conn: Connection, dsn: str) -> None:
    assert copy_candles(conn, [a_candle()]).new == 1

    [row] = read(
        dsn,
        """
        SELECT mint, window_start, timestamp, phase_id_at_time, interval_seconds, pool,
               price_open, price_high, price_low, price_close, market_cap_close,
               bonding_curve_pct, virtual_sol_reserves, is_koth, volatility_pct,
               volume_sol, buy_volume_sol, sell_volume_sol, net_volume_sol,
               num_buys, num_sells, unique_wallets, num_micro_trades, dev_sold_amount,
               max_single_buy_sol, max_single_sell_sol, whale_buy_volume_sol,
               whale_sell_volume_sol, num_whale_buys, num_whale_sells, avg_trade_size_sol,
               buy_pressure_ratio, unique_signer_ratio, covered_seconds, chain_breaks
        FROM coin_metrics
        """,
    )
    assert row == (
        "A",
        datetime(2025, 10, 1, 11, 59, 55, tzinfo=UTC),
        datetime(2025, 10, 1, 12, 0, 0, tzinfo=UTC),
        1,
        5,
        "pump",
        Decimal("0.000000028"),
        Decimal("0.000000041"),
        Decimal("0.000000027958993476"),
        Decimal("0.000000030000000000000004"),
        Decimal("30.000000000000004"),
        Decimal("12.3457"),
        Decimal("30.000000001"),
        False,
        Decimal("46.4286"),
        Decimal("3.000000001"),
        Decimal("2.000000000"),
        Decimal("1.000000001"),
        Decimal("0.999999999"),
        2,
        1,
        2,
        0,
        Decimal("1.000000001"),
        Decimal("1.500000000"),
        Decimal("1.000000001"),
        Decimal("1.500000000"),
        Decimal("1.000000001"),
        1,
        1,
        Decimal("1.000000000333"),
        Decimal("0.666667"),
        Decimal("0.666667"),
        4.999999,
        3,
    )


def test_candle_without_a_price_or_a_known_creator_has_nulls(conn: Connection, dsn: str) -> None:
    candle = a_candle(
        price_open=None,
        price_high=None,
        price_low=None,
        price_close=None,
        market_cap_close_sol=None,
        bonding_curve_pct=None,
        virtual_sol_lamports=None,
        is_koth=None,
        volatility_pct=None,
        dev_sold_lamports=None,
    )

    copy_candles(conn, [candle])

    [row] = read(
        dsn,
        "SELECT price_open, price_high, price_low, price_close, market_cap_close,"
        " bonding_curve_pct, virtual_sol_reserves, is_koth, volatility_pct, dev_sold_amount,"
        " volume_sol FROM coin_metrics",
    )
    assert row == (*[None] * 10, Decimal("3.000000001"))


def test_ratios_without_trades_are_zero(conn: Connection, dsn: str) -> None:
    empty = a_candle(
        num_buys=0, num_sells=0, volume_lamports=0, buy_volume_lamports=0, sell_volume_lamports=0
    )

    copy_candles(conn, [empty])

    found = read(
        dsn, "SELECT avg_trade_size_sol, buy_pressure_ratio, unique_signer_ratio FROM coin_metrics"
    )
    assert found == [(0, 0, 0)]


@pytest.fixture(scope="module")
def shared_dsn(postgres_server: PostgresServer) -> str:
    """One database for all examples of a property."""
    return postgres_server.dsn(postgres_server.make_database("migrated"))


lamports = st.integers(0, 2**63 - 1)
prices = st.floats(min_value=1e-300, max_value=1e300, allow_nan=False, allow_infinity=False)


candles = st.builds(
    a_candle,
    at_us=st.integers(0, 4_000_000_000_000_000),
    volume_lamports=lamports,
    buy_volume_lamports=lamports,
    sell_volume_lamports=lamports,
    dev_sold_lamports=st.none() | lamports,
    price_close=prices,
    num_buys=st.integers(1, 1_000_000),
    num_sells=st.just(0),
)


@settings(max_examples=40, deadline=None)
@example(candle=a_candle(volume_lamports=300_000_000_000_000_001, num_buys=2, num_sells=0))
@given(candle=candles)
def test_every_amount_price_and_time_is_read_back_exactly(shared_dsn: str, candle: Candle) -> None:
    with connect(shared_dsn) as connection:
        connection.execute("TRUNCATE coin_metrics")
        copy_candles(connection, [candle])
    connection.close()

    [found] = read(
        shared_dsn,
        "SELECT volume_sol, buy_volume_sol, sell_volume_sol, net_volume_sol, dev_sold_amount,"
        " price_close, avg_trade_size_sol, timestamp, window_start FROM coin_metrics",
    )
    volume_sol, buy_sol, sell_sol, net_sol, dev_sol, close, average, ended, began = found
    lamport = Fraction(1, 10**9)
    assert Fraction(volume_sol) == candle.volume_lamports * lamport
    assert Fraction(buy_sol) == candle.buy_volume_lamports * lamport
    assert Fraction(sell_sol) == candle.sell_volume_lamports * lamport
    assert Fraction(net_sol) == (candle.buy_volume_lamports - candle.sell_volume_lamports) * lamport
    if candle.dev_sold_lamports is None:
        assert dev_sol is None
    else:
        assert Fraction(dev_sol) == candle.dev_sold_lamports * lamport
    assert float(close) == candle.price_close
    honest_average = candle.volume_lamports * lamport / candle.num_buys
    assert abs(Fraction(average) - honest_average) <= Fraction(1, 2 * 10**12)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert (ended - epoch) // timedelta(microseconds=1) == candle.timestamp_us
    assert (began - epoch) // timedelta(microseconds=1) == candle.window_start_us


def test_row_of_a_mint_and_a_time_is_written_once(conn: Connection, dsn: str) -> None:
    assert copy_candles(conn, [a_candle(), a_candle("B")]).new == 2

    assert copy_candles(conn, [a_candle(chain_breaks=99), a_candle("C"), a_candle("C")]).new == 1

    assert read(dsn, "SELECT mint, chain_breaks FROM coin_metrics ORDER BY mint") == [
        ("A", 3),
        ("B", 3),
        ("C", 3),
    ]


def test_two_calls_in_one_transaction_write_each_row_once(conn: Connection, dsn: str) -> None:
    with conn.transaction():
        assert copy_candles(conn, [a_candle()]).new == 1
        assert copy_candles(conn, [a_candle("B")]).new == 1

    assert read(dsn, "SELECT mint FROM coin_metrics ORDER BY mint") == [("A",), ("B",)]


def test_nothing_to_write_is_no_error(conn: Connection) -> None:
    assert copy_candles(conn, []).new == 0


def test_row_beside_a_row_of_the_original_is_written(conn: Connection, dsn: str) -> None:
    conn.execute(
        "INSERT INTO coin_metrics (mint, timestamp) VALUES ('A', '2025-10-01 12:00+00'),"
        " ('A', '2025-10-01 12:00+00')"
    )

    assert copy_candles(conn, [a_candle()]).new == 1
    assert copy_candles(conn, [a_candle()]).new == 0

    assert read(dsn, "SELECT count(*) FROM coin_metrics") == [(3,)]


def test_odd_text_is_cleaned_and_cut_to_its_column(conn: Connection, dsn: str) -> None:
    copy_candles(conn, [a_candle(pool="pu\0mp\ud800" + "x" * 10_000)])

    assert read(dsn, "SELECT pool FROM coin_metrics") == [("pumpxxxxxxxxxxxxxxxx",)]


def test_volatility_beyond_its_column_is_held_at_its_end(conn: Connection, dsn: str) -> None:
    copy_candles(conn, [a_candle(volatility_pct=5e9)])

    assert read(dsn, "SELECT volatility_pct FROM coin_metrics") == [(Decimal("999999.9999"),)]


def test_value_that_cannot_be_stored_refuses_the_batch_and_leaves_nothing(
    conn: Connection, dsn: str
) -> None:
    with (
        pytest.raises((psycopg.Error, OverflowError)) as raised,
        conn.transaction(),
    ):
        copy_candles(conn, [a_candle(), a_candle("B", volume_lamports=2**63)])

    assert classify(raised.value) is Verdict.SPLIT
    assert read(dsn, "SELECT count(*) FROM coin_metrics") == [(0,)]
    assert copy_candles(conn, [a_candle()]).new == 1


def test_two_writers_of_the_same_rows_write_each_once(dsn: str) -> None:
    rows = [a_candle(f"M{number:03}") for number in range(300)]
    written: list[int] = []
    together = threading.Barrier(2, timeout=20)

    def write(mine: list[int]) -> None:
        with connect(dsn, lock_timeout_s=20) as connection:
            together.wait()
            written.append(copy_candles(connection, [rows[number] for number in mine]).new)
        connection.close()

    forwards, backwards = list(range(300)), list(reversed(range(300)))
    writers = [threading.Thread(target=write, args=[mine]) for mine in (forwards, backwards)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=30)

    assert sum(written) == 300
    assert read(dsn, "SELECT count(*), count(DISTINCT mint) FROM coin_metrics") == [(300, 300)]


def test_recent_rows_come_newest_first_and_fit_for_json(conn: Connection) -> None:
    copy_candles(
        conn,
        [
            a_candle(at_us=NOON_US),
            a_candle("B", NOON_US + 5 * SECOND_US),
            a_candle(at_us=NOON_US + 10 * SECOND_US),
        ],
    )

    assert [row["mint"] for row in recent(conn, 2)] == ["A", "B"]
    newest, older = recent(conn, 5, A)
    assert newest["timestamp"] == "2025-10-01T12:00:10+00:00"
    assert older["timestamp"] == "2025-10-01T12:00:00+00:00"
    assert older["volume_sol"] == 3.000000001
    assert older["is_koth"] is False
    assert latest(conn, A) == newest
    assert latest(conn, Mint("unknown")) is None


def test_price_at_a_time_is_the_nearest_before_it_within_the_tolerance(conn: Connection) -> None:
    copy_candles(
        conn,
        [
            a_candle(at_us=NOON_US, price_close=1e-8),
            a_candle(at_us=NOON_US + 60 * SECOND_US, price_close=2e-8),
            a_candle(at_us=NOON_US + 90 * SECOND_US, price_close=None),
            a_candle("B", NOON_US + 95 * SECOND_US, price_close=9e-8),
        ],
    )
    times = [NOON_US + second * SECOND_US for second in (95, 60, 59, 31, -1)]

    found = prices_at(conn, A, times, tolerance_us=40 * SECOND_US)

    assert found == [
        PricePoint(NOON_US + 60 * SECOND_US, 2e-8),
        PricePoint(NOON_US + 60 * SECOND_US, 2e-8),
        None,
        PricePoint(NOON_US, 1e-8),
        None,
    ]


# Announced.


def heard(dsn: str, candles: list[Candle], announce: str) -> list[Any]:
    """Write candles, and give what a listener hears of it."""
    with connect(dsn, autocommit=True) as listener, connect(dsn, autocommit=True) as writer:
        listener.execute("LISTEN coin_metrics_insert")
        copy_candles(writer, candles, 7, announce)
        copy_candles(writer, candles, 7, announce)
        found = [each.payload for each in listener.notifies(timeout=0.5)]
        assert all(len(payload.encode()) < 8000 for payload in found)
        return [json.loads(payload) for payload in found]


SECOND_US = 1_000_000


def test_each_new_row_is_announced_as_the_successors_trigger_does(dsn: str) -> None:
    rows = [a_candle("B"), a_candle("A", phase_id=2)]

    assert sorted(heard(dsn, rows, "row"), key=str) == [
        {"mint": "A", "timestamp": "2025-10-01T12:00:00+00:00", "phase_id": 2},
        {"mint": "B", "timestamp": "2025-10-01T12:00:00+00:00", "phase_id": 1},
    ]


def test_a_commit_is_announced_in_arrays_below_the_limit(dsn: str) -> None:
    rows = [a_candle("M" * 44, NOON_US + number * SECOND_US) for number in range(500)]

    arrays = heard(dsn, rows, "commit")

    assert 5 < len(arrays) < 15
    told = [each["timestamp"] for array in arrays for each in array]
    assert len(told) == len(set(told)) == 500


def test_nothing_is_announced_unless_it_is_wished(dsn: str) -> None:
    assert heard(dsn, [a_candle()], "off") == []


def test_a_trigger_that_announces_is_recognised(dsn: str, conn: Connection) -> None:
    assert not announce_themselves(conn)
    conn.execute(
        """
        CREATE FUNCTION told() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            PERFORM pg_notify('coin_metrics_insert', json_build_object('mint', NEW.mint,
                'timestamp', NEW.timestamp, 'phase_id', NEW.phase_id_at_time)::text);
            RETURN NEW;
        END $$;
        CREATE TRIGGER tell AFTER INSERT ON coin_metrics FOR EACH ROW EXECUTE FUNCTION told()
        """
    )
    assert announce_themselves(conn)
    by_trigger = heard(dsn, [a_candle("C")], "off")
    conn.execute("ALTER TABLE coin_metrics DISABLE TRIGGER tell")
    assert not announce_themselves(conn)
    conn.execute("DELETE FROM coin_metrics")

    assert by_trigger == heard(dsn, [a_candle("C")], "row") != []
