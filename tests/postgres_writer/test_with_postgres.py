"""The writer on its own thread against a real PostgreSQL; rows are read back through psycopg2."""

from __future__ import annotations

import socket
import threading
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from structlog.testing import capture_logs

from actors.domain import AllTimeHigh, FeedGap, Mint, Place
from actors.protocol.postgres_writer import (
    CandleClosed,
    GapRecorded,
    StoreTrade,
    StreamEnded,
    StreamPhaseChanged,
)
from actors.protocol.stream_watch import StreamChangesCommitted
from db.migrate import migrate
from tests.postgres_writer.items import START_US, TRADES_PER_CANDLE, a_trade, ath, closed, started
from tests.postgres_writer.running import cells, cells_of, other_session, query, service
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.postgres import PostgresServer


def test_rows_of_several_mints_are_committed_exactly(dsn: str, tmp_path: Path) -> None:
    with service(dsn, tmp_path) as running:
        running.tell(item for number in range(250) for item in _of_three_mints(number))
        running.committed(750)

        assert cells_of(dsn, "A") == cells_of(dsn, "B") == cells_of(dsn, "C") == list(range(250))
        assert query(
            dsn, "SELECT DISTINCT volume_sol, price_close, num_buys FROM coin_metrics"
        ) == [(Decimal("1.500000001"), Decimal("0.00000003"), 3)]
        assert running.system.ledger.count(Place.COMMITTED) == 750 * TRADES_PER_CANDLE
        assert running.system.ledger.balanced
        assert running.system.telemetry.value("unified_metrics_saved_total") == 750


def _of_three_mints(number: int) -> list[CandleClosed]:
    return [closed(mint, number) for mint in "ABC"]


def test_a_stream_lives_from_its_start_to_its_end(dsn: str, tmp_path: Path) -> None:
    with service(dsn, tmp_path) as running:
        carried = msgspec.structs.replace(closed("A", 1), ath=AllTimeHigh(Mint("A"), 3e-7, 7))
        end = StreamEnded(Mint("A"), 100, graduated=True, at_us=START_US)
        running.tell([started("A"), closed("A", 0), StreamPhaseChanged(Mint("A"), 2)])
        running.tell([ath("A", 2.5e-7), carried, started("B"), end])

        def told() -> list[str]:
            messages = [m for m in running.watched if isinstance(m, StreamChangesCommitted)]
            return [mint for message in messages for mint in message.mints]

        wait_until(lambda: len(told()) == 4, what="all stream changes")
        assert sorted(told()) == ["A", "A", "A", "B"]

    streams = query(
        dsn,
        "SELECT token_address, current_phase_id, is_active, is_graduated, ath_price_sol "
        "FROM coin_streams ORDER BY token_address",
    )
    assert streams == [
        ("A", 100, False, True, Decimal("0.0000003")),
        ("B", 1, True, False, Decimal(0)),
    ]
    assert query(dsn, "SELECT count(*), min(trader_public_key) FROM discovered_coins") == [
        (2, "creator")
    ]


def test_gaps_and_single_trades_are_written_with_the_rows(dsn: str, tmp_path: Path) -> None:
    gap = GapRecorded(FeedGap(mint=None, started_us=START_US, ended_us=START_US + 5, reason="cut"))
    trades = (a_trade("A", 1), a_trade("A", 2))
    with service(dsn, tmp_path) as running:
        running.tell([gap, msgspec.structs.replace(closed("A", 0), trades=trades), gap])
        running.committed(1)
        running.tell([StoreTrade(trades[1], 1)])
        assert running.drained() == 0
        # The one that was there already is not counted again.
        assert running.system.telemetry.value("mintwatch_trades_stored_total") == 2

    assert query(dsn, "SELECT mint, reason FROM feed_gaps") == [(None, "cut")]
    assert query(
        dsn,
        "SELECT seq, sol_amount, phase_id_at_time, is_whale FROM coin_transactions ORDER BY seq",
    ) == [(1, Decimal("0.1"), 1, False), (2, Decimal("0.1"), 1, False)]


def test_telling_everything_twice_changes_nothing(dsn: str, tmp_path: Path) -> None:
    with service(dsn, tmp_path) as running:
        running.tell(cells("A", 50))
        running.committed(50)
        running.tell(cells("A", 50))
        running.committed(100)

        assert running.system.telemetry.value("unified_metrics_saved_total") == 50

    assert cells_of(dsn, "A") == list(range(50))


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_rows_told_while_the_server_is_down_are_complete_and_in_order(
    own_postgres: PostgresServer, tmp_path: Path, end: str
) -> None:
    dsn = own_postgres.dsn("mintwatch")
    migrate(dsn)
    with service(dsn, tmp_path) as running:
        running.tell(cells("A", 100))
        running.committed(100)

        getattr(own_postgres, end)()
        running.tell(cells("A", 2_500, first=100))
        assert running.failing().database == "away"
        running.tell(cells("A", 400, first=2_600))
        own_postgres.start()
        running.committed(3_000)

        assert running.system.ledger.count(Place.COMMITTED) == 3_000 * TRADES_PER_CANDLE
        assert running.system.ledger.balanced

    assert cells_of(own_postgres.dsn("mintwatch"), "A") == list(range(3_000))


def test_rows_left_by_a_process_without_a_database_are_written_by_the_next_one(
    own_postgres: PostgresServer, tmp_path: Path
) -> None:
    dsn = own_postgres.dsn("mintwatch")
    migrate(dsn)
    own_postgres.stop()
    with service(dsn, tmp_path) as running:
        running.tell(cells("A", 300))
        assert running.drained() == 300

    own_postgres.start()
    with service(dsn, tmp_path) as running:
        running.tell(cells("A", 100, first=300))
        running.committed(400)

        assert running.system.ledger.read()[0] == 400 * TRADES_PER_CANDLE
        assert running.system.ledger.balanced

    assert cells_of(own_postgres.dsn("mintwatch"), "A") == list(range(400))


def test_of_a_thousand_rows_only_the_one_that_violates_a_constraint_is_dead(
    dsn: str, tmp_path: Path
) -> None:
    query(dsn, "ALTER TABLE coin_metrics ADD CHECK (num_buys <> 77)")
    rows = cells("A", 1_000)
    bad = msgspec.structs.replace(rows[613].candle, num_buys=77)
    rows[613] = CandleClosed(bad)
    with service(dsn, tmp_path) as running:
        running.tell(rows)
        running.committed(999)

        (letter,) = running.system.dead_letters.all()
        assert letter.message == CandleClosed(bad)
        assert "CheckViolation" in (letter.error or "")
        assert running.system.ledger.count(Place.DEAD) == bad.num_trades
        assert running.system.ledger.balanced

    # Pages freed by the refused attempts are filled again, so the place of a row says nothing here.
    assert sorted(cells_of(dsn, "A")) == [number for number in range(1_000) if number != 613]


def test_a_lock_of_somebody_else_only_puts_rows_off(dsn: str, tmp_path: Path) -> None:
    with service(dsn, tmp_path) as running:
        with other_session(dsn) as other:
            other.execute("LOCK TABLE coin_metrics IN ACCESS EXCLUSIVE MODE")
            running.tell(cells("A", 20))
            status = running.failing()
            assert "lock timeout" in (status.last_error or "")
            assert status.database == "refusing"
            assert status.rows_waiting == 20
        running.committed(20)

    assert cells_of(dsn, "A") == list(range(20))


def test_a_connection_ended_in_the_middle_of_a_batch_loses_nothing(
    dsn: str, tmp_path: Path
) -> None:
    blocked = (
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'postgres-writer:0' "
        "AND datname = current_database() AND wait_event_type = 'Lock'"
    )
    with service(dsn, tmp_path) as running:
        with other_session(dsn) as other:
            other.execute("LOCK TABLE coin_metrics IN ACCESS EXCLUSIVE MODE")
            running.tell([started("A"), *cells("A", 20)])
            ((pid,),) = wait_until(lambda: query(dsn, blocked), what="a blocked batch")
            query(dsn, f"SELECT pg_terminate_backend({pid})")
            assert running.failing().database == "away"
        running.committed(20)

    assert cells_of(dsn, "A") == list(range(20))
    assert query(dsn, "SELECT count(*) FROM coin_streams") == [(1,)]


def test_a_connection_ended_while_idle_is_replaced_unseen(dsn: str, tmp_path: Path) -> None:
    with service(dsn, tmp_path) as running:
        running.tell(cells("A", 5))
        running.committed(5)
        query(
            dsn,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'postgres-writer:0' AND datname = current_database()",
        )
        running.tell(cells("A", 5, first=5))
        running.committed(10)

        status = running.status()
        assert status is not None
        assert status.last_error is None

    assert cells_of(dsn, "A") == list(range(10))


def test_a_server_that_accepts_and_never_answers_cannot_hold_a_flush(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        dsn = f"postgresql://user:hunter2@127.0.0.1:{port}/nothing?connect_timeout=30"
        with service(dsn, tmp_path) as running, capture_logs() as logs:
            began = time.monotonic()
            running.tell(cells("A", 10))
            assert running.drained() == 10
            took_s = time.monotonic() - began

    assert took_s < 8.0
    assert all("hunter2" not in str(log) for log in logs)


def test_a_name_lookup_that_hangs_cannot_hold_a_flush(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()

    def hangs(*_: Any, **__: Any) -> Any:
        answered.wait(60.0)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    try:
        with service("postgresql://user@database.example/x", tmp_path) as running:
            began = time.monotonic()
            running.tell(cells("A", 10))
            assert running.drained() == 10
            took_s = time.monotonic() - began
    finally:
        answered.set()

    assert took_s < 8.0


def test_a_wrong_password_is_a_state_and_never_shown(dsn: str, tmp_path: Path) -> None:
    ((port,),) = query(dsn, "SELECT inet_server_port()") or ((None,),)
    port = port or query(dsn, "SHOW port")[0][0]
    wrong = f"postgresql://mintwatch:hunter2@127.0.0.1:{port}/nowhere"
    with service(wrong, tmp_path) as running, capture_logs() as logs:
        running.tell(cells("A", 10))
        status = running.failing()
        assert status.database == "away"
        assert "hunter2" not in str(status)

    (away,) = [log for log in logs if log["event"] == "database_away"]
    assert "password authentication failed" in away["error"]
    assert all("hunter2" not in str(log) for log in logs)
