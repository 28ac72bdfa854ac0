"""The writer's decisions, on one thread with manual clocks and a database made of lists."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import errors
from structlog.testing import capture_logs

from actors.domain import FeedGap, Mint, Place
from actors.postgres_writer import PostgresWriterActor, WriterState, WriterStatus
from actors.postgres_writer import outbox as outbox_module
from actors.postgres_writer.batch import mint_of
from actors.postgres_writer.database import BatchOutcome
from actors.protocol.postgres_writer import (
    AthReached,
    CandleClosed,
    GapRecorded,
    StreamEnded,
    StreamPhaseChanged,
)
from actors.runtime.messages import Flush
from actors.runtime.simulation import SeededSystem
from actors.spool.entries import Entry, StoredEntry
from actors.spool.store import Spool, SpoolUnavailableError
from settings import load
from tests.postgres_writer.items import START_US, TRADES_PER_CANDLE, ath, closed, started

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from actors.postgres_writer.batch import Contents

WRITER = "postgres-writer:0"
AWAY = psycopg.OperationalError("connection refused")


class ListDatabase:
    """Keeps what is written, once by mint and time; refuses what it is told to refuse."""

    def __init__(self) -> None:
        self.batches: list[Contents] = []
        self.rows: dict[tuple[Mint, int], int] = {}
        self.away: Exception | None = None
        self.bad_mints: dict[str, Exception] = {}
        self.bad_changes: dict[str, Exception] = {}
        self.forgotten = 0
        self.closed = False
        self.tries = 0
        self.whale_lamports = 0

    def write(self, contents: Contents, limit_s: float | None) -> BatchOutcome:
        self.tries += 1
        if self.away is not None:
            raise self.away
        for candle in contents.candles:
            if candle.mint in self.bad_mints:
                raise self.bad_mints[candle.mint]
        for change in contents.changes:
            if mint_of(change) in self.bad_changes:
                raise self.bad_changes[mint_of(change) or ""]
        new = [c for c in contents.candles if (c.mint, c.timestamp_us) not in self.rows]
        self.rows |= {(c.mint, c.timestamp_us): c.num_trades for c in new}
        self.batches.append(contents)
        return BatchOutcome(len(new), len(contents.candles) - len(new))

    def mark_whales(self, lamports: int) -> None:
        self.whale_lamports = lamports

    def forget(self) -> None:
        self.forgotten += 1

    def close(self) -> None:
        self.closed = True

    @property
    def cells(self) -> list[tuple[str, int]]:
        """The candles in the order of their commits: mint and number of the 5 s cell."""
        return [
            (candle.mint, (candle.window_start_us - START_US) // 5_000_000)
            for batch in self.batches
            for candle in batch.candles
        ]


class Rig:
    """A writer between probes."""

    def __init__(self, folder: Path, *, spool_bytes: int = 64 * 1024 * 1024, **env: str) -> None:
        settings = load({"DB_BATCH_SIZE": "10", "STATE_DIR": str(folder), **env})
        self.system = SeededSystem(seed=1, settings=settings)
        self.supervisor = self.system.probe("supervisor")
        self.watch = self.system.probe("stream-watch")
        self.database = ListDatabase()
        self.state = WriterState()
        self.spool_path = folder / "spool.sqlite3"
        self.spool_bytes = spool_bytes

    def start(self) -> None:
        self.system.start(
            WRITER,
            lambda context: PostgresWriterActor(
                context,
                state=self.state,
                spool=Spool(self.spool_path, self.spool_bytes),
                database=self.database,
                jitter=lambda: 0.0,
            ),
        )

    def restart_process(self) -> None:
        """Stop in order, then start as a new process would: only the disk is left."""
        self.system.stop(WRITER)
        self.state = WriterState()
        self.system.ledger = type(self.system.ledger)()
        self.start()

    def tell(self, items: Iterable[Any]) -> None:
        for item in items:
            if isinstance(item, CandleClosed):
                self.system.ledger.receive(Place.QUEUED, item.candle.num_trades)
            self.system.tell(WRITER, item)
        self.system.run()

    def change(self, **changes: Any) -> None:
        settings = self.system.settings.model_copy(update=changes)
        self.system.change_settings(settings)
        self.system.run()

    def status(self) -> WriterStatus:
        status = self.system.status_of(WRITER)
        assert isinstance(status, WriterStatus)
        return status

    def trades(self, place: Place) -> int:
        return self.system.ledger.count(place)

    def spooled(self) -> list[str]:
        spool = Spool(self.spool_path, self.spool_bytes)
        spool.open()
        kinds = [entry.kind for entry in spool.oldest(WRITER, 1_000_000)]
        spool.close()
        return kinds


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path)
    rig.start()
    return rig


def cells(mint: str, count: int, first: int = 0) -> list[CandleClosed]:
    return [closed(mint, number) for number in range(first, first + count)]


def test_rows_wait_for_their_age_and_leave_together(rig: Rig) -> None:
    rig.tell([closed("A", 0), closed("B", 0)])

    rig.system.advance(0.199)
    assert rig.database.batches == []

    rig.system.advance(0.001)
    assert rig.database.cells == [("A", 0), ("B", 0)]
    assert len(rig.database.batches) == 1


def test_a_full_batch_leaves_at_once(rig: Rig) -> None:
    rig.tell(cells("A", 10))

    assert rig.database.cells == [("A", number) for number in range(10)]


def test_what_exceeds_a_batch_leaves_in_further_ones_in_order(rig: Rig) -> None:
    rig.tell(cells("A", 25))
    rig.system.advance(0.2)

    assert [len(batch.candles) for batch in rig.database.batches] == [10, 10, 5]
    assert rig.database.cells == [("A", number) for number in range(25)]


def test_a_changed_batch_acts_at_once(rig: Rig) -> None:
    rig.tell(cells("A", 3))

    rig.change(db_batch_size=3)
    assert len(rig.database.batches) == 1

    rig.change(db_batch_timeout_ms=5_000)
    rig.tell([closed("A", 7)])
    rig.system.advance(4.9)
    assert len(rig.database.batches) == 1
    rig.system.advance(0.1)
    assert len(rig.database.batches) == 2


def test_only_a_change_of_the_pool_costs_connections(rig: Rig) -> None:
    rig.change(whale_threshold_sol=2.5, db_batch_size=50)
    assert (rig.database.whale_lamports, rig.database.forgotten) == (2_500_000_000, 0)

    rig.change(db_statement_timeout=7.0)
    assert rig.database.forgotten == 1


def test_committed_trades_are_so_in_the_ledger_metrics_and_status(rig: Rig) -> None:
    rig.tell(cells("A", 10))

    assert rig.trades(Place.COMMITTED) == 10 * TRADES_PER_CANDLE
    assert rig.trades(Place.QUEUED) == 0
    assert rig.system.ledger.balanced
    assert rig.system.telemetry.value("unified_metrics_saved_total") == 10
    assert rig.system.telemetry.value("unified_db_connected") == 1
    assert rig.system.telemetry.value("mintwatch_window_to_commit_seconds_count") == 10
    status = rig.status()
    assert (status.database, status.rows_committed, status.rows_waiting) == ("up", 10, 0)
    assert status.oldest_waiting_us is None


def test_a_row_that_is_there_already_counts_as_committed_but_not_as_saved(rig: Rig) -> None:
    rig.tell(cells("A", 10))
    rig.tell(cells("A", 10))

    assert rig.trades(Place.COMMITTED) == 20 * TRADES_PER_CANDLE
    assert rig.system.telemetry.value("unified_metrics_saved_total") == 10
    assert rig.status().rows_committed == 20


def test_stream_changes_and_aths_leave_with_the_rows_and_are_reported(rig: Rig) -> None:
    end = StreamEnded(Mint("A"), 100, graduated=True, at_us=5)
    rig.tell([started("A"), closed("A", 0), ath("A", 2.0), StreamPhaseChanged(Mint("A"), 2), end])
    rig.system.advance(0.2)

    (batch,) = rig.database.batches
    assert batch.changes == (started("A"), StreamPhaseChanged(Mint("A"), 2), end)
    assert [high.price_sol for high in batch.aths] == [2.0]
    (told,) = rig.watch.messages
    assert told.mints == ("A", "A", "A")


def test_while_the_database_is_away_rows_wait_and_one_line_is_logged(rig: Rig) -> None:
    rig.database.away = AWAY
    with capture_logs() as logs:
        rig.tell(cells("A", 10))
        for _ in range(6):
            rig.system.advance(40.0)

    assert [(log["event"], log["error"]) for log in logs] == [
        ("database_away", "connection refused")
    ]
    assert logs[0]["log_level"] == "warning"
    status = rig.status()
    assert (status.database, status.rows_waiting, status.last_error) == (
        "away",
        10,
        "connection refused",
    )
    assert status.oldest_waiting_us == START_US
    assert rig.system.telemetry.value("unified_db_connected") == 0
    assert rig.database.forgotten == rig.database.tries == 7
    assert rig.watch.messages == []


def test_pauses_between_tries_double_from_half_a_second(rig: Rig) -> None:
    rig.database.away = AWAY
    rig.tell(cells("A", 10))
    tries = []
    for _ in range(8):
        rig.system.advance(0.5)
        tries.append(rig.database.tries)

    assert tries == [2, 2, 3, 3, 3, 3, 4, 4]


def test_the_status_names_waiting_rows_from_the_first_one_on(rig: Rig) -> None:
    rig.tell([closed("A", 7)])

    assert rig.status().rows_waiting == 1
    assert rig.status().oldest_waiting_us == START_US + 7 * 5_000_000


def test_the_status_is_a_second_old_at_most_while_rows_wait(rig: Rig) -> None:
    rig.database.away = AWAY
    rig.tell(cells("A", 10))
    rig.system.advance(0.5)
    rig.system.manual_clock.advance(0.999)
    rig.tell([closed("A", 11)])
    assert rig.status().rows_waiting == 10

    rig.system.manual_clock.advance(0.01)
    rig.tell([closed("A", 12)])
    assert rig.status().rows_waiting == 12


def test_rows_that_come_while_the_database_is_away_do_not_hurry_the_next_try(rig: Rig) -> None:
    rig.database.away = AWAY
    rig.tell(cells("A", 10))

    rig.tell(cells("B", 30))

    assert rig.database.tries == 1


def test_when_the_database_is_back_everything_is_written_in_order(rig: Rig) -> None:
    rig.database.away = AWAY
    rig.tell(cells("A", 10))
    rig.tell(cells("A", 15, first=10))
    rig.database.away = None
    with capture_logs() as logs:
        rig.system.advance(0.5)
        rig.system.advance(0.2)

    assert rig.database.cells == [("A", number) for number in range(25)]
    assert rig.status().database == "up"
    assert rig.status().last_error is None
    assert [log["event"] for log in logs] == ["database_back"]


def test_a_lock_puts_the_batch_off_without_calling_the_database_away(rig: Rig) -> None:
    rig.database.away = errors.LockNotAvailable("canceling statement due to lock timeout")
    with capture_logs() as logs:
        rig.tell(cells("A", 10))

    assert [log["event"] for log in logs] == ["write_postponed"]
    assert rig.status().database == "refusing"
    assert rig.database.forgotten == 0
    rig.database.away = None
    rig.system.advance(0.5)
    assert len(rig.database.rows) == 10


def test_since_when_a_server_refuses_is_told_until_it_is_gone_or_takes_a_row(rig: Rig) -> None:
    read_only = errors.ReadOnlySqlTransaction("cannot execute INSERT in a read-only transaction")
    rig.database.away = read_only
    with capture_logs() as logs:
        rig.tell(cells("A", 10))
        since_us = rig.status().refusing_since_us
        rig.system.advance(30.0)
        assert (rig.status().database, rig.status().refusing_since_us) == ("refusing", since_us)
        assert since_us is not None
        assert rig.system.telemetry.value("unified_db_connected") == 0

        rig.database.away = AWAY
        rig.system.advance(30.0)
        assert (rig.status().database, rig.status().refusing_since_us) == ("away", None)

        rig.database.away = read_only
        rig.system.advance(30.0)
        later_us = rig.status().refusing_since_us
        assert later_us is not None
        assert later_us > since_us

    rig.database.away = None
    rig.system.advance(30.0)
    assert (rig.status().database, rig.status().refusing_since_us) == ("up", None)
    assert [log["event"] for log in logs] == ["write_postponed", "database_away", "write_postponed"]


def test_a_spool_that_cannot_be_read_says_nothing_of_the_database(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.tell(cells("A", 10))

    def fails(*_: Any) -> Any:
        raise SpoolUnavailableError("locked for too long")

    monkeypatch.setattr(outbox_module.Outbox, "oldest", fails)
    rig.tell(cells("A", 10, first=10))

    assert rig.status().last_error == "locked for too long"
    assert (rig.status().database, rig.status().refusing_since_us) == ("up", None)


def test_of_a_batch_with_a_bad_row_only_that_row_is_dead(rig: Rig) -> None:
    rig.database.bad_mints["X"] = errors.CheckViolation("violates check constraint")
    rig.tell([*cells("A", 5), closed("X", 0), *cells("B", 4)])

    assert rig.database.cells == [*(("A", n) for n in range(5)), *(("B", n) for n in range(4))]
    (letter,) = rig.system.letters()
    assert (letter.message, letter.reason, letter.actor) == (closed("X", 0), "refused", WRITER)
    assert letter.traceback is not None
    assert rig.trades(Place.DEAD) == TRADES_PER_CANDLE
    assert rig.trades(Place.COMMITTED) == 9 * TRADES_PER_CANDLE
    assert rig.system.ledger.balanced
    assert rig.system.telemetry.value("unified_db_errors_total", type="dead") == 1


def test_a_batch_of_bad_rows_alone_goes_to_the_dead_letters_row_by_row(rig: Rig) -> None:
    rig.database.bad_mints["X"] = errors.NumericValueOutOfRange("numeric field overflow")
    rig.tell(cells("X", 10))

    assert len(rig.system.letters()) == 10
    assert rig.status().rows_waiting == 0


def test_a_database_lost_while_a_batch_is_halved_loses_nothing(rig: Rig) -> None:
    rig.database.bad_mints["X"] = errors.CheckViolation("violates check constraint")
    rig.database.bad_mints["Y"] = AWAY
    rig.tell([*cells("A", 2), closed("X", 0), *cells("B", 4), closed("Y", 0), *cells("C", 2)])
    assert rig.status().rows_waiting > 0

    del rig.database.bad_mints["Y"]
    rig.system.advance(0.5)
    rig.system.advance(0.2)

    assert sorted(rig.database.rows) == sorted(
        (item.candle.mint, item.candle.timestamp_us)
        for item in [*cells("A", 2), *cells("B", 4), closed("Y", 0), *cells("C", 2)]
    )
    assert len(rig.system.letters()) == 1
    assert rig.system.ledger.balanced


def test_a_stream_change_of_a_dead_row_is_still_committed(rig: Rig) -> None:
    rig.database.bad_mints["X"] = errors.CheckViolation("violates check constraint")
    rig.tell([closed("X", 0), StreamEnded(Mint("X"), 99, graduated=False, at_us=1)])
    rig.system.advance(0.2)

    (told,) = rig.watch.messages
    assert told.mints == ("X",)


def test_past_the_bound_of_memory_the_oldest_rows_go_to_disk_and_are_delivered_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "MEMORY_ROWS", 20)
    rig = Rig(tmp_path)
    rig.start()
    rig.database.away = AWAY
    rig.tell(cells("A", 50))
    rig.system.advance(0.5)

    status = rig.status()
    assert 0 < status.rows_waiting <= 20
    assert status.rows_waiting + status.rows_spooled == 50
    assert rig.trades(Place.SPOOLED) == status.rows_spooled * TRADES_PER_CANDLE
    assert rig.system.ledger.balanced

    rig.database.away = None
    rig.system.advance(1.0)
    rig.system.advance(0.2)

    assert rig.database.cells == [("A", number) for number in range(50)]
    assert rig.spooled() == []
    assert rig.trades(Place.COMMITTED) == 50 * TRADES_PER_CANDLE
    assert rig.trades(Place.SPOOLED) == 0


def test_rows_that_find_the_mailbox_full_are_written_or_spooled_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "MEMORY_ROWS", 20)
    rig = Rig(tmp_path)
    rig.start()
    rig.system._cells[WRITER].mailbox.capacity = 5
    rig.database.away = AWAY
    everything = [started("A"), *cells("A", 50), ath("A", 2.0), StreamPhaseChanged(Mint("A"), 2)]

    rig.tell(everything)

    assert rig.system.letters() == []
    status = rig.status()
    assert status.rows_waiting <= 20
    assert status.rows_spooled > 0
    rig.database.away = None
    rig.system.advance(1.0)
    rig.system.advance(0.2)
    assert rig.database.cells == [("A", number) for number in range(50)]
    assert rig.trades(Place.COMMITTED) == 50 * TRADES_PER_CANDLE
    assert rig.system.ledger.balanced


def test_a_dead_candle_that_is_sent_again_is_committed_once_in_rows_and_books(rig: Rig) -> None:
    rig.database.bad_mints["X"] = errors.CheckViolation("violates check constraint")
    rig.tell([closed("X", 0)])
    rig.system.advance(0.2)
    (letter,) = rig.system.letters()
    rig.database.bad_mints.clear()
    rig.tell(cells("X", 3, first=1))
    rig.system.advance(0.2)

    rig.system.ledger.move(Place.DEAD, Place.QUEUED, TRADES_PER_CANDLE)
    rig.system.tell(WRITER, letter.message)
    rig.system.run()
    rig.system.advance(0.2)

    assert rig.database.cells == [("X", 1), ("X", 2), ("X", 3), ("X", 0)]
    assert rig.trades(Place.DEAD) == 0
    assert rig.trades(Place.COMMITTED) == 4 * TRADES_PER_CANDLE
    assert rig.status().oldest_waiting_us is None
    assert rig.system.ledger.balanced


def test_an_unreadable_entry_that_is_sent_again_is_a_dead_letter_again(rig: Rig) -> None:
    rig.system.ledger.receive(Place.DEAD, 4)
    entry = StoredEntry(id=7, kind="CandleClosed", key="A", payload=b"\xc1", weight=4, put_us=0)

    rig.tell([entry])

    assert [(letter.message, letter.reason) for letter in rig.system.letters()] == [
        (entry, "refused")
    ]
    assert rig.trades(Place.DEAD) == 4
    assert rig.system._cells[WRITER].restarts == 0


def test_what_is_in_memory_is_on_disk_after_the_stop_and_delivered_by_the_next_process(
    rig: Rig,
) -> None:
    rig.database.away = AWAY
    end = StreamEnded(Mint("A"), 99, graduated=False, at_us=3)
    rig.tell([*cells("A", 12), ath("A", 3.0), end])

    rig.system.stop(WRITER)
    assert rig.spooled() == [*["CandleClosed"] * 12, "AthReached", "StreamEnded"]
    assert rig.trades(Place.SPOOLED) == 12 * TRADES_PER_CANDLE
    assert rig.database.closed

    rig.database.away = None
    rig.state = WriterState()
    rig.start()
    assert rig.database.cells == [("A", number) for number in range(12)]
    assert rig.watch.messages[-1].mints == ("A",)
    assert rig.spooled() == []


def test_a_new_process_enters_spooled_trades_in_its_ledger(rig: Rig) -> None:
    rig.database.away = AWAY
    rig.tell(cells("A", 3))

    rig.restart_process()

    assert rig.system.ledger.read()[0] == 3 * TRADES_PER_CANDLE
    rig.database.away = None
    rig.system.advance(0.5)
    assert rig.trades(Place.COMMITTED) == 3 * TRADES_PER_CANDLE
    assert rig.system.ledger.balanced


def test_rows_told_after_the_start_wait_behind_the_spooled_ones(rig: Rig) -> None:
    rig.database.away = AWAY
    rig.tell(cells("A", 15))
    rig.restart_process()
    rig.tell(cells("A", 10, first=15))

    rig.database.away = None
    rig.system.advance(0.5)
    rig.system.advance(0.2)

    assert rig.database.cells == [("A", number) for number in range(25)]


def test_a_failing_actor_keeps_its_rows_for_the_next_instance(rig: Rig) -> None:
    rig.tell(cells("A", 3))
    rig.system.tell(WRITER, object())
    rig.system.run()
    assert rig.system.letters()[0].reason == "failed"

    rig.system.advance(1.0)
    rig.system.advance(0.2)

    assert rig.database.cells == [("A", 0), ("A", 1), ("A", 2)]
    assert rig.trades(Place.COMMITTED) == 3 * TRADES_PER_CANDLE
    assert rig.system.ledger.balanced


def test_an_entry_that_cannot_be_read_is_given_up_and_the_others_are_delivered(rig: Rig) -> None:
    rig.database.away = AWAY
    rig.tell(cells("A", 2))
    rig.system.stop(WRITER)
    spool = Spool(rig.spool_path, rig.spool_bytes)
    spool.open()
    spool.put(WRITER, [Entry("CandleClosed", b"rubbish", "A", 4)], 0)
    spool.close()
    rig.database.away = None
    rig.state = WriterState()
    rig.system.ledger = type(rig.system.ledger)()

    rig.start()

    assert rig.database.cells == [("A", 0), ("A", 1)]
    assert rig.trades(Place.DEAD) == 4
    assert rig.system.ledger.balanced
    assert "cannot be read" in (rig.system.letters()[-1].error or "")
    assert rig.spooled() == []


def test_a_spool_that_vanishes_is_written_off_and_rows_in_memory_go_on(rig: Rig) -> None:
    rig.database.away = AWAY
    rig.tell(cells("A", 3))
    rig.restart_process()
    rig.tell(cells("B", 2))
    rig.spool_path.rename(rig.spool_path.with_name("gone"))

    rig.database.away = None
    rig.system.advance(0.5)
    rig.system.advance(0.2)

    assert rig.database.cells == [("B", 0), ("B", 1)]
    assert rig.trades(Place.DEAD) == 3 * TRADES_PER_CANDLE
    assert rig.system.ledger.balanced


def test_a_spool_that_cannot_be_opened_does_not_keep_rows_from_the_database(
    tmp_path: Path,
) -> None:
    rig = Rig(tmp_path)
    (tmp_path / "blocked").write_text("a file where a folder should be")
    rig.spool_path = tmp_path / "blocked" / "spool.sqlite3"
    with capture_logs() as logs:
        rig.start()
        rig.tell(cells("A", 10))

    assert len(rig.database.rows) == 10
    assert [log["event"] for log in logs] == ["spool_refused"]


def full_rig(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A writer whose memory holds 20 rows and whose spool holds about 60."""
    monkeypatch.setattr(outbox_module, "MEMORY_ROWS", 20)
    monkeypatch.setattr(outbox_module, "_BATCH_ROWS", 10)
    rig = Rig(folder, spool_bytes=80_000)
    rig.start()
    rig.database.away = AWAY
    return rig


def test_when_memory_and_spool_are_full_rows_are_parked_and_told_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = full_rig(tmp_path, monkeypatch)
    with capture_logs() as logs:
        rig.tell(cells("A", 400))
    rig.system.advance(40.0)

    status = rig.status()
    assert status.rows_parked > 0
    assert status.rows_parked + status.rows_waiting + status.rows_spooled == 400
    assert rig.trades(Place.PARKED) == status.rows_parked * TRADES_PER_CANDLE
    assert rig.system.ledger.balanced
    kept = status.rows_waiting + status.rows_spooled
    assert [log["event"] for log in logs].count("rows_parked") == 1
    rig.database.away = None
    for _ in range(20):
        rig.system.advance(40.0)
    assert rig.database.cells == [("A", number) for number in range(kept)]
    assert rig.status().oldest_waiting_us == START_US + kept * 5_000_000


def test_after_a_hole_everything_of_the_mint_is_parked_and_other_mints_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = full_rig(tmp_path, monkeypatch)
    rig.tell(cells("A", 400))
    kept = rig.status().rows_waiting + rig.status().rows_spooled
    rig.database.away = None
    for _ in range(20):
        rig.system.advance(40.0)

    rig.tell([closed("A", 999), StreamEnded(Mint("A"), 99, graduated=False, at_us=1)])
    rig.tell(cells("B", 10))
    rig.system.advance(0.2)

    assert rig.database.cells[kept:] == [("B", number) for number in range(10)]
    assert rig.watch.messages == []


def test_a_gap_that_finds_no_room_is_a_dead_letter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = full_rig(tmp_path, monkeypatch)
    rig.tell(cells("A", 400))
    gap = GapRecorded(FeedGap(mint=None, started_us=1, ended_us=2, reason="drop"))

    rig.tell([gap])

    assert [letter.message for letter in rig.system.letters()] == [gap]


def test_a_text_that_nothing_can_store_is_given_up_and_the_others_are_kept(rig: Rig) -> None:
    rig.database.away = AWAY
    rig.tell([closed("A", 0), closed("bad\ud800", 0), closed("B", 0)])

    rig.system.stop(WRITER)

    assert rig.spooled() == ["CandleClosed", "CandleClosed"]
    assert rig.trades(Place.DEAD) == TRADES_PER_CANDLE
    assert rig.system.ledger.balanced


def test_flush_writes_everything_at_once_and_reports(rig: Rig) -> None:
    rig.tell([*cells("A", 23), Flush()])

    assert len(rig.database.rows) == 23
    (drained,) = rig.supervisor.messages
    assert (drained.name, drained.undelivered) == (WRITER, 0)


def test_flush_acts_behind_the_rows_told_before_it(rig: Rig) -> None:
    for item in cells("A", 8):
        rig.system.tell(WRITER, item)
    rig.system.tell(WRITER, Flush())
    rig.system.run()

    assert len(rig.database.rows) == 8
    assert rig.supervisor.messages[0].undelivered == 0


def test_flush_with_the_database_away_stores_everything_and_says_how_much(rig: Rig) -> None:
    rig.database.away = AWAY
    rig.tell([*cells("A", 5), started("B"), Flush()])

    (drained,) = rig.supervisor.messages
    assert drained.undelivered == 6
    assert rig.spooled() == [*["CandleClosed"] * 5, "StreamStarted"]


def test_flush_of_nothing_reports_at_once(rig: Rig) -> None:
    rig.tell([Flush()])

    assert rig.supervisor.messages[0].undelivered == 0
    assert rig.database.tries == 0


def test_only_the_highest_waiting_ath_is_written(rig: Rig) -> None:
    rig.database.away = AWAY
    rig.tell(cells("B", 10))
    rig.tell([AthReached(ath("A", price).ath) for price in (1.0, 5.0, 3.0)])
    rig.database.away = None
    rig.system.advance(0.5)
    rig.system.advance(0.2)

    assert [high.price_sol for batch in rig.database.batches for high in batch.aths] == [5.0]


@pytest.mark.parametrize("seed", range(20))
def test_rows_of_a_mint_are_committed_in_order_whatever_happens_to_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(outbox_module, "MEMORY_ROWS", 15)
    chance = random.Random(seed)
    rig = Rig(tmp_path)
    rig.start()
    told = dict.fromkeys("ABC", 0)
    for _ in range(60):
        match chance.randrange(6):
            case 0:
                rig.database.away = None if rig.database.away else AWAY
            case 1:
                rig.system.advance(chance.choice([0.1, 1.0, 40.0]))
            case 2 if chance.random() < 0.3:
                rig.system.stop(WRITER)
                rig.state = WriterState(adopt=False)
                rig.start()
            case _:
                mint = chance.choice("ABC")
                count = chance.randrange(1, 8)
                rig.tell(cells(mint, count, first=told[mint]))
                told[mint] += count
    rig.database.away = None
    for _ in range(5):
        rig.system.advance(60.0)

    for mint, count in told.items():
        assert [n for m, n in rig.database.cells if m == mint] == list(range(count))
    assert rig.trades(Place.COMMITTED) == sum(told.values()) * TRADES_PER_CANDLE
    assert rig.system.ledger.balanced
