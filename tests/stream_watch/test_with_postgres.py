"""Stream-watch on its own thread against a real PostgreSQL that others write to with psycopg2."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from structlog.testing import capture_logs

from actors.domain import Mint
from actors.protocol.supervisor import PhasesLoaded, StreamsLoaded, TrackMint, UntrackMint
from actors.runtime import ArrivalClock, ChildSpec, System
from actors.runtime.simulation import Probe
from actors.stream_watch import (
    PollNow,
    PostgresReader,
    StreamChangePending,
    StreamChangesCommitted,
    StreamWatchActor,
    ThreadConnector,
    WatchState,
    WatchStatus,
)
from actors.stream_watch.reader import RowClock
from db.migrate import migrate
from settings import load
from telemetry import Telemetry
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from actors.stream_watch.reader import StreamReader
    from tests.support.postgres import PostgresServer

AT_ONCE_S = 5.0
"""Half of the poll's interval: what is seen within it was not found by polling."""


class Service:
    """Stream-watch beside a supervisor that only listens."""

    def __init__(self, dsn: str, folder: Path, *, deaf: bool = False) -> None:
        settings = load({"STATE_DIR": str(folder), "DB_REFRESH_INTERVAL": "10"})
        self.system = System(settings=settings, telemetry=Telemetry(), clock=ArrivalClock())
        self.dsn = dsn
        self.deaf = deaf
        self.told: list[Any] = []
        self.state = WatchState()

    def start(self) -> None:
        self.system.open()
        self.system.start_child(
            ChildSpec(
                name="supervisor",
                kind="supervisor",
                actor=Probe,
                make=lambda context: Probe(context, self.told, None),
            )
        )
        self.system.start_child(
            ChildSpec(
                name="stream-watch",
                kind="stream-watch",
                actor=StreamWatchActor,
                make=lambda context: StreamWatchActor(
                    context,
                    state=self.state,
                    connector=ThreadConnector(self._open_reader),
                    jitter=lambda: 1.0,
                ),
            )
        )

    def _open_reader(self) -> StreamReader:
        reader = PostgresReader.open(self.dsn, 0, RowClock(lambda: None, lambda _: None))
        if self.deaf:
            reader.listen = lambda: None  # type: ignore[method-assign]  # a pooler that swallows it
        return reader

    def tell(self, message: object) -> None:
        assert self.system.tell("stream-watch", message)

    def wait_for(
        self, kind: type[TrackMint | UntrackMint], mint: str, limit_s: float = AT_ONCE_S
    ) -> None:
        wait_until(lambda: kind.__name__ in self.commands(mint), limit_s, f"{kind} of {mint}")

    def wait_loaded(self) -> None:
        wait_until(lambda: any(isinstance(m, StreamsLoaded) for m in self.told), what="loaded")
        # Published behind it: a later reading must not be taken for this one.
        wait_until(lambda: self.status().last_read_us is not None, what="the first reading")

    def status(self) -> WatchStatus:
        status = wait_until(lambda: self.system.status_of("stream-watch"), what="a status")
        assert isinstance(status, WatchStatus)
        return status

    def wait_until_read_again(self) -> None:
        """Have everything read once more, and wait until it was."""
        before = self.status().last_read_us or 0
        self.tell(PollNow())
        wait_until(lambda: (self.status().last_read_us or 0) > before, what="a reading")

    def commands(self, mint: str) -> list[str]:
        return [
            type(message).__name__
            for message in self.told
            if isinstance(message, TrackMint | UntrackMint) and message.mint == mint
        ]


@contextmanager
def service(dsn: str, folder: Path, *, deaf: bool = False) -> Iterator[Service]:
    running = Service(dsn, folder, deaf=deaf)
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


def activate(dsn: str, *mints: str) -> None:
    values = ", ".join(f"('{mint}')" for mint in mints)
    query(dsn, f"INSERT INTO coin_streams (token_address) VALUES {values}")


def test_streams_that_are_there_at_the_start_are_told_behind_the_phases(
    dsn: str, tmp_path: Path
) -> None:
    activate(dsn, "A", "B")
    query(dsn, "UPDATE coin_streams SET is_active = false WHERE token_address = 'B'")
    query(
        dsn,
        "INSERT INTO discovered_coins (token_address, trader_public_key, token_created_at) "
        "VALUES ('A', 'creator', '2026-01-01T00:00:00Z')",
    )
    query(
        dsn,
        "INSERT INTO coin_metrics (mint, timestamp, window_start, price_high) "
        "VALUES ('A', '2026-01-01T00:05:00Z', '2026-01-01T00:04:55Z', 0.0000005)",
    )
    with service(dsn, tmp_path) as running:
        running.wait_loaded()

        phases, track, loaded = running.told
        assert [phase.id for phase in phases.phases] == [1, 2, 3, 99, 100]
        assert (track.mint, track.phase_id, track.creator) == ("A", 1, "creator")
        assert track.created_us == 1_767_225_600_000_000
        assert track.last_row_us == 1_767_225_900_000_000
        assert track.ath.price_sol == 5e-7
        assert loaded == StreamsLoaded(1)


def test_a_row_that_appears_is_tracked_at_once_and_untracked_when_it_goes(
    dsn: str, tmp_path: Path
) -> None:
    with service(dsn, tmp_path) as running:
        running.wait_loaded()

        activate(dsn, "A", "B")
        running.wait_for(TrackMint, "A")
        running.wait_for(TrackMint, "B")
        query(dsn, "UPDATE coin_streams SET is_active = false WHERE token_address = 'A'")
        running.wait_for(UntrackMint, "A")
        query(dsn, "DELETE FROM coin_streams WHERE token_address = 'B'")
        running.wait_for(UntrackMint, "B")

        assert running.status().listening


def test_a_flood_of_new_rows_is_tracked_completely(dsn: str, tmp_path: Path) -> None:
    with service(dsn, tmp_path) as running:
        running.wait_loaded()
        query(
            dsn,
            "INSERT INTO coin_streams (token_address) SELECT 'M' || n "
            "FROM generate_series(1, 3000) AS n",
        )

        wait_until(lambda: running.status().active == 3_000, AT_ONCE_S, "3,000 streams")

        def tracked() -> list[str]:
            return [m.mint for m in tuple(running.told) if isinstance(m, TrackMint)]

        wait_until(lambda: len(tracked()) >= 3_000, AT_ONCE_S, "3,000 wishes")
        assert len(tracked()) == len(set(tracked())) == 3_000


def test_changed_phases_are_told_at_once(dsn: str, tmp_path: Path) -> None:
    with service(dsn, tmp_path) as running:
        running.wait_loaded()
        query(dsn, "UPDATE ref_coin_phases SET interval_seconds = 7 WHERE id = 1")

        def changed() -> bool:
            newest = [m for m in running.told if isinstance(m, PhasesLoaded)][-1]
            return newest.phases[0].interval_seconds == 7

        wait_until(changed, AT_ONCE_S, "the changed phase")


def test_a_notification_connection_that_is_killed_is_made_again(dsn: str, tmp_path: Path) -> None:
    with service(dsn, tmp_path) as running, capture_logs() as logs:
        running.wait_loaded()
        query(
            dsn,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'mintwatch stream-watch' "
            "AND datname = current_database()",
        )
        activate(dsn, "A")
        running.wait_for(TrackMint, "A")
        wait_until(lambda: running.status().listening, what="listening again")
        activate(dsn, "B")
        running.wait_for(TrackMint, "B")

    events = [log["event"] for log in logs]
    assert events.count("streams_unreadable") == 1
    assert events.count("streams_readable") == 1


def test_without_notifications_polling_finds_the_change(dsn: str, tmp_path: Path) -> None:
    with service(dsn, tmp_path, deaf=True) as running:
        running.wait_loaded()
        activate(dsn, "A")
        # A reading that began before the change may end now: the next one finds it.
        running.wait_until_read_again()
        running.tell(PollNow())
        running.wait_for(TrackMint, "A", limit_s=30.0)

        assert running.commands("A") == ["TrackMint"]


def test_a_server_that_goes_and_comes_back_untracks_nothing(
    own_postgres: PostgresServer, tmp_path: Path
) -> None:
    dsn = own_postgres.dsn("mintwatch")
    migrate(dsn)
    activate(dsn, "A")
    with service(dsn, tmp_path) as running:
        running.wait_loaded()
        own_postgres.kill()
        wait_until(lambda: running.status().database == "away", what="the loss")
        own_postgres.start()
        activate(own_postgres.dsn("mintwatch"), "B")
        running.wait_for(TrackMint, "B", limit_s=20.0)

        assert running.commands("A") == ["TrackMint"]


def test_a_database_that_is_away_at_the_start_is_waited_for(
    own_postgres: PostgresServer, tmp_path: Path
) -> None:
    dsn = own_postgres.dsn("mintwatch")
    migrate(dsn)
    activate(dsn, "A")
    own_postgres.stop()
    with service(dsn, tmp_path) as running:
        wait_until(lambda: running.status().database == "away", what="the first failure")
        assert running.told == []
        own_postgres.start()
        running.wait_loaded()

        assert [type(message) for message in running.told] == [
            PhasesLoaded,
            TrackMint,
            StreamsLoaded,
        ]


def test_our_own_end_is_not_undone_by_the_row_that_is_still_active(
    dsn: str, tmp_path: Path
) -> None:
    activate(dsn, "A", "B")
    with service(dsn, tmp_path) as running:
        running.wait_loaded()
        running.tell(StreamChangePending(Mint("A"), active=False))
        query(dsn, "UPDATE coin_streams SET current_phase_id = 2 WHERE token_address = 'A'")
        running.wait_until_read_again()
        assert running.commands("A") == ["TrackMint"]

        query(dsn, "UPDATE coin_streams SET is_active = false WHERE token_address = 'A'")
        running.tell(StreamChangesCommitted((Mint("A"),)))
        running.wait_until_read_again()
        assert running.commands("A") == ["TrackMint"]

        query(dsn, "UPDATE coin_streams SET is_active = true WHERE token_address = 'A'")
        wait_until(lambda: len(running.commands("A")) == 2, AT_ONCE_S, "A tracked again")
        assert running.commands("A") == ["TrackMint", "TrackMint"]


def test_addresses_that_are_no_coins_are_never_tracked(dsn: str, tmp_path: Path) -> None:
    usdc = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
    with service(dsn, tmp_path) as running:
        running.wait_loaded()
        activate(dsn, usdc, "two words", "münze", "A")
        running.wait_for(TrackMint, "A")
        running.wait_until_read_again()

        assert {m.mint for m in running.told if isinstance(m, TrackMint)} == {"A"}


def test_a_poll_of_five_thousand_quiet_streams_is_cheap(dsn: str, tmp_path: Path) -> None:
    query(
        dsn,
        "INSERT INTO coin_streams (token_address) SELECT 'M' || n "
        "FROM generate_series(1, 5000) AS n",
    )
    with service(dsn, tmp_path) as running:
        running.wait_loaded()
        assert running.status().active == 5_000

        began = time.monotonic()
        for _ in range(10):
            running.wait_until_read_again()

        assert time.monotonic() - began < 5.0
        assert sum(isinstance(message, TrackMint) for message in running.told) == 5_000


def test_a_server_that_accepts_and_never_answers_does_not_hold_the_stop(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        dsn = f"postgresql://user:hunter2@127.0.0.1:{port}/nothing?connect_timeout=3"
        running = Service(dsn, tmp_path)
        with capture_logs() as logs:
            running.start()
            accepted, _ = silent.accept()
            began = time.monotonic()
            assert running.system.close(20.0) == []
            took_s = time.monotonic() - began
        accepted.close()

    assert took_s < 3.0
    assert all("hunter2" not in str(log) for log in logs)


class ClosingReader:
    """A reader that only remembers whether it was closed."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def close(self) -> None:
        self.closed.set()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_connection_nobody_takes_is_closed(when: str) -> None:
    reader: Any = ClosingReader()
    go, ended = threading.Event(), threading.Event()

    def open_reader() -> Any:
        go.wait(20)
        return reader

    connector = ThreadConnector(open_reader)
    connector.start(ended.set)
    if when == "before":
        connector.abandon()
    go.set()
    assert ended.wait(20)
    if when == "after":
        connector.abandon()

    assert reader.closed.wait(20)
    assert connector.take() is None


def test_an_attempt_that_fails_is_handed_over_once() -> None:
    ended = threading.Event()

    def refuse() -> Any:
        raise ConnectionRefusedError("nobody listens")

    connector = ThreadConnector(refuse)
    connector.start(ended.set)
    assert ended.wait(20)

    assert str(connector.take()) == "nobody listens"
    assert connector.take() is None
