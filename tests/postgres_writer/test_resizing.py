"""More and fewer writers while rows flow, on threads of their own against a real PostgreSQL.

A trigger logs each row as it is inserted, so that the order of a mint's rows can be read back.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import psycopg2

from actors.domain import Mint, Place, Session
from actors.postgres_writer import (
    FinishMove,
    MovePrepared,
    ParkedMints,
    PooledDatabase,
    PostgresWriterActor,
    PrepareMove,
    WriterState,
)
from actors.postgres_writer.spool_recovery import reassign_spool
from actors.protocol.partitioner import WriterRoutes
from actors.runtime import ArrivalClock, ChildSpec, Flush, System
from actors.runtime.simulation import Probe
from actors.spool.store import Spool
from db.migrate import migrate
from db.pool import create_pool
from settings import load
from telemetry import Telemetry
from tests.postgres_writer.items import TRADES_PER_CANDLE, closed
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.postgres import PostgresServer

MINTS = [Mint(f"Mint{number}") for number in range(200)]
ROUND_S = 0.02

LOG = """
CREATE TABLE written (n bigserial, mint text, at timestamptz);
CREATE FUNCTION log_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO written (mint, at) VALUES (NEW.mint, NEW.window_start);
    RETURN NULL;
END $$;
CREATE TRIGGER log_rows AFTER INSERT ON coin_metrics FOR EACH ROW EXECUTE FUNCTION log_row();
"""

SLOW = """
CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('application_name') = 'postgres-writer:0' THEN
        PERFORM pg_sleep(0.2);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER wait BEFORE INSERT ON coin_metrics FOR EACH STATEMENT EXECUTE FUNCTION wait();
"""
"""One writer is slow, so that a mint that leaves it too early is written by another one first."""


class House:
    """Writers, and a hand that moves them as the supervisor does."""

    def __init__(self, dsn: str, folder: Path, writers: int) -> None:
        settings = load({"STATE_DIR": str(folder), "DB_BATCH_TIMEOUT_MS": "20"})
        self.system = System(settings=settings, telemetry=Telemetry(), clock=ArrivalClock())
        self.dsn = dsn
        self.spool_path = folder / "spool.sqlite"
        self.told: list[Any] = []
        self.parking = ParkedMints()
        self.routes = WriterRoutes(writers)
        self.epoch = 0

    def open(self) -> None:
        spool = self.spool()
        reassign_spool(spool, self.routes.writers)
        spool.close()
        self.system.open()
        self._start_probe("supervisor", self.told)
        self._start_probe("stream-watch", [])
        for name in self.routes.names:
            self.start(name, WriterState(parking=self.parking))

    def _start_probe(self, name: str, told: list[Any]) -> None:
        spec = ChildSpec(name, name, Probe, lambda context: Probe(context, told, None))
        self.system.start_child(spec)

    def spool(self) -> Spool:
        return Spool(self.spool_path, 256 << 20)

    def start(self, name: str, state: WriterState) -> None:
        self.system.start_child(
            ChildSpec(
                name=name,
                kind="postgres-writer",
                actor=PostgresWriterActor,
                make=lambda context: PostgresWriterActor(
                    context,
                    state=state,
                    spool=self.spool(),
                    database=PooledDatabase(
                        lambda: create_pool(self.dsn, max_size=1, application_name=name),
                        whale_lamports=1,
                        session=Session(0, 1, 0),
                    ),
                    jitter=lambda: 1.0,
                ),
            )
        )

    def move(self, writers: int) -> None:
        self.epoch += 1
        epoch, before, after = self.epoch, self.routes.names, WriterRoutes(writers).names
        for name in after:
            if name not in before:
                state = WriterState(adopt=False, awaiting_epoch=epoch, parking=self.parking)
                self.start(name, state)
        told = self.routes.switch(self.system, writers, PrepareMove(writers, epoch))
        assert told == before
        wait_until(lambda: self._prepared(epoch) == set(before), what="every old writer")
        spool = self.spool()
        reassign_spool(spool, writers)
        spool.close()
        for name in before:
            if name not in after:
                assert self.system.stop_child(name, time.monotonic() + 10.0), name
        for name in after:
            assert self.system.tell(name, FinishMove(epoch))

    def _prepared(self, epoch: int) -> set[str]:
        messages = [message for message in self.told if isinstance(message, MovePrepared)]
        return {message.name for message in messages if message.epoch == epoch}

    def drain(self) -> None:
        for name in self.routes.names:
            assert self.system.tell(name, Flush())
        wait_until(lambda: self.system.ledger.count(Place.QUEUED) == 0, what="the flush")

    def committed(self, rows: int) -> None:
        count = self.system.ledger.count
        wait_until(lambda: count(Place.COMMITTED) >= rows * TRADES_PER_CANDLE, 60.0, f"{rows} rows")


class Flow:
    """Rows of every mint, round after round, from a thread of its own."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.rounds = 0

    def _run(self) -> None:
        house = self._house
        while not self._over.wait(ROUND_S):
            for mint in MINTS:
                house.system.ledger.receive(Place.QUEUED, TRADES_PER_CANDLE)
                assert house.routes.tell(house.system, mint, closed(mint, self.rounds))
            self.rounds += 1

    def more(self) -> None:
        wanted = self.rounds + 5
        wait_until(lambda: self.rounds >= wanted, what="more rows")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10.0)


@contextmanager
def house(dsn: str, folder: Path, writers: int) -> Iterator[House]:
    running = House(dsn, folder, writers)
    running.open()
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


def check(dsn: str, rounds: int) -> None:
    """Every row once, and those of each mint in order."""
    assert query(dsn, "SELECT count(*), count(DISTINCT (mint, at)) FROM written") == [
        (rounds * len(MINTS), rounds * len(MINTS))
    ]
    out_of_order = """
        SELECT mint, at FROM (
            SELECT mint, at, lag(at) OVER (PARTITION BY mint ORDER BY n) AS earlier FROM written
        ) AS ordered WHERE at <= earlier
    """
    assert query(dsn, out_of_order) == []
    assert query(dsn, "SELECT count(*) FROM coin_metrics") == [(rounds * len(MINTS),)]


def test_writers_come_and_go_while_rows_flow(dsn: str, tmp_path: Path) -> None:
    query(dsn, LOG + SLOW)
    with house(dsn, tmp_path, 2) as running:
        with Flow(running) as flow:
            flow.more()
            for writers in (8, 1, 3):
                running.move(writers)
                assert len(set(running.routes.names)) == writers
                flow.more()
        running.committed(flow.rounds * len(MINTS))

        assert running.system.ledger.balanced
        assert running.system.dead_letters.all() == []
        assert [n for n in running.system.names() if n.startswith("postgres")] == [
            "postgres-writer:0",
            "postgres-writer:1",
            "postgres-writer:2",
        ]
    check(dsn, flow.rounds)


def test_writers_come_and_go_while_the_database_is_away(
    own_postgres: PostgresServer, tmp_path: Path
) -> None:
    dsn = own_postgres.dsn("mintwatch")
    migrate(dsn)
    query(dsn, LOG)
    with house(dsn, tmp_path, 2) as running:
        with Flow(running) as flow:
            flow.more()
            own_postgres.stop()
            flow.more()
            running.move(8)
            flow.more()
            own_postgres.start()
            running.committed(flow.rounds * len(MINTS) // 2)
            own_postgres.kill()
            flow.more()
            running.move(1)
            flow.more()
            own_postgres.start()
        running.committed(flow.rounds * len(MINTS))

        assert running.system.ledger.balanced
        assert running.system.ledger.count(Place.SPOOLED) == 0
        assert running.system.dead_letters.all() == []
    check(own_postgres.dsn("mintwatch"), flow.rounds)


def test_what_eight_writers_left_one_writer_of_the_next_process_delivers(
    own_postgres: PostgresServer, tmp_path: Path
) -> None:
    dsn = own_postgres.dsn("mintwatch")
    migrate(dsn)
    query(dsn, LOG)
    own_postgres.stop()
    with house(dsn, tmp_path, 8) as running:
        with Flow(running) as flow:
            flow.more()
        running.drain()
        assert running.system.ledger.count(Place.SPOOLED) > 0

    own_postgres.start()
    with house(dsn, tmp_path, 1) as running:
        running.committed(flow.rounds * len(MINTS))

        received, places = running.system.ledger.read()
        assert received == places["committed"] == flow.rounds * len(MINTS) * TRADES_PER_CANDLE
    check(own_postgres.dsn("mintwatch"), flow.rounds)
