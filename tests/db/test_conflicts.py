"""Candles whose row is there already: repetitions and conflicts."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from db.candles import CandlesWritten, copy_candles, keep_ahead
from db.errors import Verdict, classify
from tests.db.rows import NOON_US, a_candle, read

if TYPE_CHECKING:
    from db.pool import Connection

CONFLICTS = "SELECT mint, num_buys, last_seq, journal_id FROM coin_metrics_conflicts ORDER BY 1, 2"


def test_rows_say_their_newest_trade_and_whose_number_that_is(conn: Connection, dsn: str) -> None:
    copy_candles(conn, [a_candle(last_seq=41, trades_without_amount=2)], 7)
    copy_candles(conn, [a_candle("B", last_seq=42)])

    assert read(
        dsn,
        "SELECT mint, last_seq, journal_id, trades_without_amount FROM coin_metrics ORDER BY mint",
    ) == [("A", 41, 7, 2), ("B", 42, None, 0)]


def test_the_same_figures_again_are_a_repetition(conn: Connection, dsn: str) -> None:
    copy_candles(conn, [a_candle(), a_candle("B")], 7)

    again = [a_candle(), a_candle("C"), a_candle("B")]

    assert copy_candles(conn, again, 7) == CandlesWritten(new=1, repeated=2)
    assert read(dsn, CONFLICTS) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"covered_us": 1},
        {"chain_breaks": 0},
        {"phase_id": 2},
        {"pool": "bonk"},
        {"num_whale_buys": 0, "whale_buy_volume_lamports": 0},
        {"num_whale_sells": 0, "whale_sell_volume_lamports": 0},
        {"is_koth": True},
        {"last_seq": 10},
        {"dev_sold_lamports": None},
    ],
)
def test_what_follows_from_settings_or_coverage_is_no_conflict(
    conn: Connection, changes: dict[str, Any]
) -> None:
    copy_candles(conn, [a_candle()], 7)

    assert copy_candles(conn, [a_candle(**changes)], 7) == CandlesWritten(repeated=1)


@pytest.mark.parametrize(
    "changes",
    [
        {"window_start_us": NOON_US - 4_000_000},
        {"interval_seconds": 30},
        {"price_open": 2.9e-8},
        {"price_high": None},
        {"price_low": 2.7958993477e-8},
        {"price_close": 3.000000000000002e-8},
        {"virtual_sol_lamports": 30_000_000_002},
        {"volume_lamports": 3_000_000_002},
        {"buy_volume_lamports": 2_000_000_001},
        {"sell_volume_lamports": 1_000_000_002},
        {"num_buys": 3},
        {"num_sells": 0},
        {"unique_wallets": 3},
        {"num_micro_trades": 1},
        {"max_single_buy_lamports": 1_500_000_001},
        {"max_single_sell_lamports": 1_000_000_002},
        {"dev_sold_lamports": 1_000_000_002},
    ],
)
def test_any_other_figure_of_its_trades_is_a_conflict(
    conn: Connection, dsn: str, changes: dict[str, Any]
) -> None:
    copy_candles(conn, [a_candle()], 7)
    other = a_candle(**changes)

    assert copy_candles(conn, [other], 7) == CandlesWritten(conflicts=(other,))
    assert read(dsn, "SELECT count(*) FROM coin_metrics_conflicts") == [(1,)]
    assert read(dsn, "SELECT volume_sol FROM coin_metrics") == [(Decimal("3.000000001"),)]


def test_a_conflicting_candle_is_kept_once_with_every_figure(conn: Connection, dsn: str) -> None:
    copy_candles(conn, [a_candle(), a_candle("B")], 7)
    other = a_candle(num_buys=5, last_seq=11)

    copy_candles(conn, [a_candle("B"), other], 8)
    copy_candles(conn, [other], 8)
    copy_candles(conn, [a_candle(num_buys=6, last_seq=12)], 8)

    assert read(dsn, CONFLICTS) == [("A", 5, 11, 8), ("A", 6, 12, 8)]
    assert read(
        dsn,
        "SELECT DISTINCT price_low, volume_sol, covered_seconds, acknowledged_at, other_columns"
        " FROM coin_metrics_conflicts",
    ) == [(Decimal("0.000000027958993476"), Decimal("3.000000001"), 4.999999, None, None)]


def test_of_two_candles_told_at_once_the_first_one_is_the_row(conn: Connection, dsn: str) -> None:
    first, second = a_candle(num_buys=2), a_candle(num_buys=4)

    assert copy_candles(conn, [first, second, first], 7) == CandlesWritten(1, 1, (second,))
    assert read(dsn, "SELECT num_buys FROM coin_metrics") == [(2,)]


@pytest.mark.parametrize("rounding", ["double precision", "real", "numeric(20,2)", "numeric"])
def test_figures_are_compared_as_the_column_holds_them(conn: Connection, rounding: str) -> None:
    conn.execute(f"ALTER TABLE coin_metrics ALTER volume_sol TYPE {rounding}".encode())
    conn.execute(f"ALTER TABLE coin_metrics ALTER price_close TYPE {rounding}".encode())
    copy_candles(conn, [a_candle(volume_lamports=3_123_456_789)])

    repeated = copy_candles(conn, [a_candle(volume_lamports=3_123_456_789)])
    other = copy_candles(conn, [a_candle(volume_lamports=3_993_456_789)])

    assert (repeated.repeated, len(other.conflicts)) == (1, 1)


def test_rows_of_the_original_are_not_compared(conn: Connection) -> None:
    conn.execute("INSERT INTO coin_metrics (mint, timestamp) VALUES ('A', '2025-10-01 12:00+00')")

    assert copy_candles(conn, [a_candle()], 7) == CandlesWritten(new=1)
    assert copy_candles(conn, [a_candle()], 7) == CandlesWritten(repeated=1)


def test_a_row_that_a_trigger_takes_away_is_refused_and_not_called_a_repetition(
    conn: Connection,
) -> None:
    conn.execute(
        "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN IF NEW.num_buys = 7 THEN RETURN NULL; END IF; RETURN NEW; END'"
    )
    conn.execute(
        "CREATE TRIGGER swallow BEFORE INSERT ON coin_metrics"
        " FOR EACH ROW EXECUTE FUNCTION swallow()"
    )

    with pytest.raises(ValueError, match="coin_metrics has not kept the row") as raised:
        copy_candles(conn, [a_candle("B"), a_candle(num_buys=7)], 7)

    assert classify(raised.value) is Verdict.SPLIT
    assert copy_candles(conn, [a_candle("B")], 7) == CandlesWritten(new=1)


def test_a_candle_of_a_clock_that_was_ahead_is_kept_once(conn: Connection, dsn: str) -> None:
    candle = a_candle(last_seq=9)

    keep_ahead(conn, [candle, candle], 7)
    keep_ahead(conn, [candle], 7)
    keep_ahead(conn, [a_candle(num_buys=8, last_seq=10)], 7)

    assert read(dsn, "SELECT mint, num_buys, last_seq FROM coin_metrics_ahead ORDER BY 2") == [
        ("A", 2, 9),
        ("A", 8, 10),
    ]
    assert read(dsn, "SELECT count(*) FROM coin_metrics") == [(0,)]
