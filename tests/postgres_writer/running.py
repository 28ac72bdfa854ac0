"""One writer on its own thread against a real PostgreSQL, and a second client of the database."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg2

from actors.domain import Place, Session
from actors.postgres_writer import PooledDatabase, PostgresWriterActor, WriterState, WriterStatus
from actors.protocol.postgres_writer import CandleClosed
from actors.runtime import ArrivalClock, ChildSpec, Flush, System
from actors.runtime.simulation import Probe
from actors.spool.store import Spool
from db.pool import create_pool
from settings import load
from telemetry import Telemetry
from tests.postgres_writer.items import START_US, closed
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

WRITER = "postgres-writer:0"
WHALE_LAMPORTS = 1_000_000_000
NO_JOURNAL = Session(journal_id=0, first_seq=1, started_us=0)


class Service:
    """One writer between a supervisor and a stream-watch that only listen."""

    def __init__(self, dsn: str, folder: Path, session: Session = NO_JOURNAL) -> None:
        settings = load({"STATE_DIR": str(folder), "DB_BATCH_TIMEOUT_MS": "20"})
        self.system = System(settings=settings, telemetry=Telemetry(), clock=ArrivalClock())
        self.dsn = dsn
        self.session = session
        self.spool_path = folder / "spool.sqlite3"
        self.supervised: list[Any] = []
        self.watched: list[Any] = []
        self.state = WriterState()

    def start(self) -> None:
        self.system.open()
        for name, told in (("supervisor", self.supervised), ("stream-watch", self.watched)):
            self._start_probe(name, told)
        self.system.start_child(
            ChildSpec(
                name=WRITER,
                kind="postgres-writer",
                actor=PostgresWriterActor,
                make=lambda context: PostgresWriterActor(
                    context,
                    state=self.state,
                    spool=Spool(self.spool_path, 64 * 1024 * 1024),
                    database=PooledDatabase(
                        lambda: create_pool(self.dsn, application_name=WRITER),
                        whale_lamports=WHALE_LAMPORTS,
                        session=self.session,
                    ),
                    jitter=lambda: 1.0,
                ),
            )
        )

    def _start_probe(self, name: str, told: list[Any]) -> None:
        self.system.start_child(
            ChildSpec(
                name=name,
                kind=name,
                actor=Probe,
                make=lambda context: Probe(context, told, None),
            )
        )

    def tell(self, items: Iterable[Any]) -> None:
        for item in items:
            if isinstance(item, CandleClosed):
                self.system.ledger.receive(Place.QUEUED, item.candle.num_trades)
            assert self.system.tell(WRITER, item)

    def status(self) -> WriterStatus | None:
        status = self.system.status_of(WRITER)
        assert status is None or isinstance(status, WriterStatus)
        return status

    def committed(self, rows: int) -> None:
        wait_until(
            lambda: (status := self.status()) and status.rows_committed >= rows,
            what=f"{rows} rows committed",
        )

    def failing(self) -> WriterStatus:
        def failed() -> WriterStatus | None:
            status = self.status()
            return status if status and status.last_error else None

        found = wait_until(failed, what="a failed batch")
        assert isinstance(found, WriterStatus)
        return found

    def drained(self) -> int:
        self.tell([Flush()])
        wait_until(lambda: self.supervised, what="the flush")
        return int(self.supervised[-1].undelivered)


@contextmanager
def service(dsn: str, folder: Path, session: Session = NO_JOURNAL) -> Iterator[Service]:
    running = Service(dsn, folder, session)
    running.start()
    try:
        yield running
    finally:
        assert running.system.close(20.0) == []


def query(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    connection = psycopg2.connect(dsn)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []
    finally:
        connection.close()


@contextmanager
def other_session(dsn: str) -> Iterator[Any]:
    """A second client in a transaction of its own, rolled back at the end."""
    connection = psycopg2.connect(dsn)
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.rollback()
        connection.close()


def cells(mint: str, count: int, first: int = 0) -> list[CandleClosed]:
    return [closed(mint, number) for number in range(first, first + count)]


def cells_of(dsn: str, mint: str) -> list[int]:
    """The cells of a mint in the order in which its rows were inserted."""
    rows = query(
        dsn,
        "SELECT round(extract(epoch FROM window_start) * 1000000)::bigint FROM coin_metrics "
        f"WHERE mint = '{mint}' ORDER BY ctid",
    )
    return [(us - START_US) // 5_000_000 for (us,) in rows]
