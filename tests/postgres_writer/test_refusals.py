"""What a real PostgreSQL refuses costs itself alone; what it refuses altogether waits."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from structlog.testing import capture_logs

from actors.domain import Drop, Mint, Place, Session, Wallet
from actors.protocol.postgres_writer import CandleClosed, StoreCoin, StoreTrade, StreamStarted
from tests.postgres_writer.items import (
    CELL_US,
    START_US,
    TRADES_PER_CANDLE,
    a_coin,
    a_trade,
    closed,
    started,
)
from tests.postgres_writer.running import cells, cells_of, query, service
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres_writer.running import Service

TRADES = "SELECT seq FROM coin_transactions ORDER BY seq"


def dropped(running: Service, reason: Drop) -> float:
    return running.system.telemetry.value("mintwatch_dropped_total", reason=reason.value)


def with_trades(mint: str, cell: int, *trades: Any) -> CandleClosed:
    return CandleClosed(closed(mint, cell).candle, trades=tuple(trades))


def priceless(mint: str, seq: int) -> Any:
    return msgspec.structs.replace(a_trade(mint, seq), price_sol=None)


def retry(running: Service, letter: Any) -> None:
    """Send a dead letter again, as the supervisor does for an operator."""
    running.system.dead_letters.remove(letter.id)
    running.tell([letter.message])


# A trade or a coin.


def test_a_trade_that_its_table_refuses_costs_neither_its_candle_nor_the_others(
    dsn: str, tmp_path: Path
) -> None:
    query(dsn, "ALTER TABLE coin_transactions ALTER price_sol SET NOT NULL")
    trades = [a_trade("A", 1), priceless("A", 2), a_trade("A", 3), priceless("A", 4)]
    with service(dsn, tmp_path) as running, capture_logs() as logs:
        running.tell([with_trades("A", 0, *trades), *cells("A", 3, first=1)])
        running.committed(4)

        assert query(dsn, TRADES) == [(1,), (3,)]
        letters = running.system.dead_letters.all()
        assert {letter.message for letter in letters} == {
            StoreTrade(priceless("A", 2), 1),
            StoreTrade(priceless("A", 4), 1),
        }
        assert all("NotNullViolation" in (letter.error or "") for letter in letters)
        assert dropped(running, Drop.TRADE_REFUSED) == 2
        assert running.system.ledger.count(Place.DEAD) == 0
        assert running.system.ledger.count(Place.COMMITTED) == 4 * TRADES_PER_CANDLE

    assert cells_of(dsn, "A") == [0, 1, 2, 3]
    refused = [log for log in logs if log["event"] == "trade_refused"]
    assert [(log["mint"], log["signature"]) for log in refused] == [
        ("A", "signature-2"),
        ("A", "signature-4"),
    ]
    assert "retry the dead letter" in refused[0]["do"]


def test_a_refused_trade_that_is_sent_again_is_stored_once_the_table_takes_it(
    dsn: str, tmp_path: Path
) -> None:
    query(dsn, "ALTER TABLE coin_transactions ALTER price_sol SET NOT NULL")
    with service(dsn, tmp_path) as running:
        running.tell([with_trades("A", 0, priceless("A", 2))])
        running.committed(1)
        (letter,) = running.system.dead_letters.all()

        retry(running, letter)
        (letter,) = wait_until(running.system.dead_letters.all, what="the letter again")
        query(dsn, "ALTER TABLE coin_transactions ALTER price_sol DROP NOT NULL")
        retry(running, letter)
        wait_until(lambda: query(dsn, TRADES) == [(2,)], what="the stored trade")

        assert dropped(running, Drop.TRADE_REFUSED) == 2
        assert running.system.ledger.count(Place.COMMITTED) == TRADES_PER_CANDLE


CHECK = "ALTER TABLE coin_transactions ADD CHECK (seq % 7 <> 0)"
TRIGGER = """
CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF NEW.seq % 7 = 0 THEN RAISE EXCEPTION 'not this one'; END IF; RETURN NEW; END $$;
CREATE TRIGGER no BEFORE INSERT ON coin_transactions FOR EACH ROW EXECUTE FUNCTION no()
"""


@pytest.mark.parametrize("statement", [CHECK, TRIGGER])
def test_of_many_trades_exactly_the_refused_ones_are_left_out(
    dsn: str, tmp_path: Path, statement: str
) -> None:
    query(dsn, statement)
    with service(dsn, tmp_path) as running:
        running.tell([with_trades("A", 0, *(a_trade("A", seq) for seq in range(500)))])
        running.committed(1)

        assert query(dsn, TRADES) == [(seq,) for seq in range(500) if seq % 7]
        assert dropped(running, Drop.TRADE_REFUSED) == 72


def test_a_table_that_takes_no_trade_at_all_holds_nobody_up(dsn: str, tmp_path: Path) -> None:
    query(dsn, "ALTER TABLE coin_transactions ADD COLUMN theirs int NOT NULL")
    with service(dsn, tmp_path) as running:
        running.tell([with_trades("A", 0, *(a_trade("A", seq) for seq in range(2_000)))])
        running.tell(cells("A", 5, first=1))
        running.committed(6)

        assert dropped(running, Drop.TRADE_REFUSED) == 2_000
        assert len(running.system.dead_letters.all()) == 100
        assert dropped(running, Drop.LETTER_DROPPED) == 1_900

    assert cells_of(dsn, "A") == [0, 1, 2, 3, 4, 5]


def test_equal_stored_trades_are_repetitions_and_others_are_conflicts_that_are_kept(
    dsn: str, tmp_path: Path
) -> None:
    other = msgspec.structs.replace(a_trade("A", 2), sol_lamports=100_000_001)
    with service(dsn, tmp_path) as running, capture_logs() as logs:
        running.tell([with_trades("A", 0, a_trade("A", 1), a_trade("A", 2))])
        running.committed(1)
        running.tell([with_trades("A", 1, a_trade("A", 1), other, a_trade("A", 3))])
        running.committed(2)

        assert dropped(running, Drop.TRADE_REPEATED) == 1
        assert dropped(running, Drop.TRADE_CONFLICT) == 1
        assert dropped(running, Drop.TRADE_REFUSED) == 0
        (letter,) = running.system.dead_letters.all()
        assert letter.message == StoreTrade(other, 1)
        assert letter.error is not None
        assert "sol_amount_there 0.100000000, sol_amount_came 0.100000001" in letter.error
        assert running.system.ledger.count(Place.COMMITTED) == 2 * TRADES_PER_CANDLE
        assert running.system.ledger.balanced

    assert cells_of(dsn, "A") == [0, 1]
    assert query(dsn, "SELECT seq, sol_amount FROM coin_transactions ORDER BY seq") == [
        (1, Decimal("0.1")),
        (2, Decimal("0.1")),
        (3, Decimal("0.1")),
    ]
    (log,) = [log for log in logs if log["event"] == "trade_conflict"]
    assert (log["mint"], log["signature"]) == ("A", "signature-2")
    assert (log["sol_amount_there"], log["sol_amount_came"]) == ("0.100000000", "0.100000001")
    assert log["log_level"] == "error"


def test_a_trade_that_does_not_say_its_amount_is_stored_without_one(
    dsn: str, tmp_path: Path
) -> None:
    unsaid = msgspec.structs.replace(a_trade("A", 1), sol_lamports=None)
    with service(dsn, tmp_path) as running:
        running.tell([with_trades("A", 0, unsaid)])
        running.committed(1)

    assert query(dsn, "SELECT sol_amount, is_whale, token_amount FROM coin_transactions") == [
        (None, False, Decimal("3500000.000000"))
    ]


def test_a_coin_that_its_table_refuses_still_has_its_stream_and_its_rows(
    dsn: str, tmp_path: Path
) -> None:
    query(dsn, "ALTER TABLE discovered_coins ADD CHECK (symbol <> 'COIN')")
    with service(dsn, tmp_path) as running, capture_logs() as logs:
        running.tell([started("A"), *cells("A", 3)])
        running.committed(3)

        (letter,) = running.system.dead_letters.all()
        assert letter.message == StoreCoin(a_coin("A"))
        assert dropped(running, Drop.COIN_REFUSED) == 1
        wait_until(lambda: running.watched, what="the committed change")
        assert running.watched[-1].mints == ("A",)
        assert query(dsn, "SELECT token_address, is_active FROM coin_streams") == [("A", True)]
        assert query(dsn, "SELECT count(*) FROM discovered_coins") == [(0,)]

        query(dsn, "ALTER TABLE discovered_coins DROP CONSTRAINT discovered_coins_symbol_check")
        retry(running, letter)
        wait_until(
            lambda: query(dsn, "SELECT name FROM discovered_coins") == [("A coin",)],
            what="the coin",
        )

    assert [log["event"] for log in logs if log["log_level"] == "error"] == ["coin_refused"]
    assert cells_of(dsn, "A") == [0, 1, 2]


def test_what_waits_for_another_try_survives_on_disk(dsn: str, tmp_path: Path) -> None:
    query(dsn, "ALTER TABLE coin_transactions RENAME TO elsewhere")
    with service(dsn, tmp_path) as running:
        running.tell([StoreTrade(a_trade("A", 1), 1), StoreCoin(a_coin("B"))])
        assert running.failing().database == "refusing"
        assert running.drained() == 2
    query(dsn, "ALTER TABLE elsewhere RENAME TO coin_transactions")

    with service(dsn, tmp_path):
        wait_until(lambda: query(dsn, TRADES) == [(1,)], what="the trade")
        wait_until(
            lambda: query(dsn, "SELECT token_address FROM discovered_coins") == [("B",)],
            what="the coin",
        )


def test_a_row_that_is_refused_alone_is_counted(dsn: str, tmp_path: Path) -> None:
    query(dsn, "ALTER TABLE coin_metrics ADD CHECK (mint <> 'X')")
    with service(dsn, tmp_path) as running:
        running.tell([*cells("A", 4), *cells("X", 2), *cells("B", 4)])
        running.committed(8)

        assert dropped(running, Drop.ROW_REFUSED) == 2
        assert running.system.ledger.count(Place.DEAD) == 2 * TRADES_PER_CANDLE


# Rows that are there already, or of a clock that was ahead.


def test_equal_rows_are_repetitions_and_others_are_conflicts_that_are_kept(
    dsn: str, tmp_path: Path
) -> None:
    other = msgspec.structs.replace(closed("A", 1).candle, num_buys=9, last_seq=77)
    session = Session(journal_id=7, first_seq=1, started_us=START_US + 10**12)
    with service(dsn, tmp_path, session) as running, capture_logs() as logs:
        running.tell(cells("A", 3))
        running.committed(3)
        running.tell([*cells("A", 1), CandleClosed(other), *cells("A", 2, first=2)])
        running.committed(6)

        assert dropped(running, Drop.ROW_REPEATED) == 2
        assert dropped(running, Drop.ROW_CONFLICT) == 1
        assert running.system.telemetry.value("unified_metrics_saved_total") == 4
        assert running.system.ledger.count(Place.DEAD) == 11
        assert running.system.ledger.count(Place.COMMITTED) == 6 * TRADES_PER_CANDLE
        assert running.system.ledger.balanced
        notes = [note.what for note in running.system.timelines.of(Mint("A")) or ()]
        assert "row_conflict" in notes

    assert query(dsn, "SELECT mint, num_buys, last_seq FROM coin_metrics_conflicts") == [
        ("A", 9, 77)
    ]
    assert query(dsn, "SELECT DISTINCT num_buys, journal_id FROM coin_metrics") == [(3, 7)]
    (log,) = [log for log in logs if log["event"] == "row_conflict"]
    assert (log["mint"], log["timestamp_us"]) == ("A", START_US + 2 * CELL_US)
    assert log["log_level"] == "error"


def test_a_spooled_candle_that_ends_in_the_time_of_this_run_stands_aside(
    dsn: str, tmp_path: Path
) -> None:
    ends_us = [START_US + cell * CELL_US for cell in (4, 5)]
    session = Session(
        journal_id=7,
        first_seq=5,
        started_us=START_US + 3 * CELL_US,
        ahead=frozenset((Mint("A"), end_us) for end_us in (*ends_us, START_US + 7 * CELL_US)),
    )
    with service(dsn, tmp_path, session) as running:
        # The number of a candle's newest trade is that of its cell; those from 5 on are of now.
        running.tell([*cells("A", 8), *cells("A", 1, first=4)])
        running.committed(9)

        assert dropped(running, Drop.ROW_AHEAD) == 3
        assert dropped(running, Drop.ROW_REPEATED) == 0
        assert running.system.ledger.count(Place.COMMITTED) == 9 * TRADES_PER_CANDLE

    assert cells_of(dsn, "A") == [0, 1, 2, 5, 6, 7]
    assert query(dsn, "SELECT last_seq, journal_id FROM coin_metrics_ahead ORDER BY 1") == [
        (3, 7),
        (4, 7),
    ]


def test_without_a_journal_nothing_is_of_an_earlier_run(dsn: str, tmp_path: Path) -> None:
    with service(dsn, tmp_path, Session(journal_id=0, first_seq=100, started_us=0)) as running:
        running.tell(cells("A", 3))
        running.committed(3)

    assert query(dsn, "SELECT last_seq, journal_id FROM coin_metrics ORDER BY 1") == [
        (0, None),
        (1, None),
        (2, None),
    ]


# A database that answers and takes nothing.

SET_DATABASE = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I {}', current_database()); END $$"
READ_ONLY = (
    SET_DATABASE.format("SET default_transaction_read_only = on"),
    "SET TRANSACTION READ WRITE;" + SET_DATABASE.format("RESET default_transaction_read_only"),
)
RENAMED = (
    "ALTER TABLE coin_metrics RENAME TO moved_away",
    "ALTER TABLE moved_away RENAME TO coin_metrics",
)


@pytest.mark.parametrize(("breaks", "mends"), [READ_ONLY, RENAMED])
def test_a_database_that_takes_no_row_is_refusing_until_it_takes_one(
    dsn: str, tmp_path: Path, breaks: str, mends: str
) -> None:
    with service(dsn, tmp_path) as running:
        running.tell(cells("A", 5))
        running.committed(5)
        status = running.status()
        assert status is not None
        assert (status.database, status.refusing_since_us) == ("up", None)

        query(dsn, breaks)
        end_sessions(dsn)
        running.tell(cells("A", 5, first=5))
        wait_until(lambda: state(running) == "refusing", what="the refusal")
        status = running.status()
        assert status is not None
        since_us = status.refusing_since_us
        assert since_us is not None
        assert running.system.telemetry.value("unified_db_connected") == 0
        wait_until(lambda: tries(running) >= 3, what="a third try")
        status = running.status()
        assert status is not None
        assert (status.database, status.refusing_since_us) == ("refusing", since_us)
        assert status.rows_waiting == 5

        query(dsn, mends)
        end_sessions(dsn)
        running.committed(10)
        status = running.status()
        assert status is not None
        assert (status.database, status.refusing_since_us, status.last_error) == ("up", None, None)
        assert running.system.telemetry.value("unified_db_connected") == 1

    assert cells_of(dsn, "A") == list(range(10))


def state(running: Service) -> str:
    status = running.status()
    return "" if status is None else status.database


def tries(running: Service) -> float:
    return running.system.telemetry.value("unified_db_errors_total", type="retry")


def end_sessions(dsn: str) -> None:
    """Let new sessions begin, which see what a database's settings say now."""
    query(
        dsn,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'postgres-writer:0' AND datname = current_database()",
    )


def test_texts_of_any_script_are_written_whatever_hangs_on_them(dsn: str, tmp_path: Path) -> None:
    coin = msgspec.structs.replace(a_coin("A"), name="Dog \U0001f415 犬", creator=Wallet("犬"))
    with service(dsn, tmp_path) as running:
        running.tell([StreamStarted(coin, 1, START_US), closed("A", 0)])
        running.committed(1)

    assert query(dsn, "SELECT name, trader_public_key FROM discovered_coins") == [
        ("Dog \U0001f415 犬", "犬")
    ]
