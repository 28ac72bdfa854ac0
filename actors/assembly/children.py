"""The tree of actors as one table: who there is, and in which order they start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import psycopg

from actors.audit.actor import AuditorActor
from actors.audit.state import AuditorState
from actors.connection import ConnectionActor, ConnectionState
from actors.discovery.actor import DiscoveryActor
from actors.discovery.state import DiscoveryState
from actors.domain import LAMPORTS_PER_SOL, US_PER_SECOND, Drop, Session
from actors.journal.numbering import SegmentTail
from actors.journal.reader import JournalReader
from actors.n8n_writer.actor import N8nWriterActor
from actors.n8n_writer.client import HttpTransport
from actors.n8n_writer.state import N8nState
from actors.n8n_writer.store import SpooledBatches
from actors.operator.operations import OperatorCommands
from actors.postgres_writer import PooledDatabase, PostgresWriterActor, WriterState
from actors.postgres_writer.spool_recovery import SpoolRecovery, read_leftovers, reassign_spool
from actors.postgres_writer.state import ParkedMints
from actors.protocol.partitioner import WriterRoutes
from actors.protocol.supervisor import (
    AUDITOR,
    CONNECTION,
    DISCOVERY,
    N8N_WRITER,
    STREAM_WATCH,
    SUPERVISOR,
)
from actors.runtime import ChildSpec, Exceeded, RestartBudget, System
from actors.spool.store import Spool, SpoolError
from actors.stream_watch import (
    PostgresReader,
    RowClock,
    StreamWatchActor,
    ThreadConnector,
    WatchState,
)
from actors.supervisor import Dependencies, SupervisorActor, SupervisorState
from actors.supervisor.admission import Admission
from actors.supervisor.shutdown_plan import DrainPlan
from actors.tracker.factory import TrackerFactory
from db import create_pool, migrate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from actors.journal.writer import JournalWriter
    from actors.supervisor.state import ChangedSettings
    from db.pool import Pool
    from settings import Settings

_WRITER_CAPACITY: Final = 50_000
_DISCOVERY_CAPACITY: Final = 250_000
"""Above the load at which the socket is not read: creates are never refused."""


class Tree:
    """See the module's docstring.

    Args:
        system: the runtime.
        dsn: the database.
        journal: where frames are kept; None for a recording, which is a journal already.
        journal_folder: where earlier processes have kept theirs.
        book: the settings on disk.
        applied: called with settings that have come into force.
        finished: called once with the exit code when the tree has drained; must not block.
        clock_offset_us: tells how far the wall clock is from the arrival clock.
    """

    def __init__(
        self,
        system: System,
        dsn: str,
        *,
        journal: JournalWriter | None,
        journal_folder: Path,
        book: ChangedSettings,
        applied: Callable[[Settings], None],
        finished: Callable[[int], None],
        clock_offset_us: Callable[[], int] = lambda: 0,
    ) -> None:
        settings = system.settings
        self.system = system
        self.routes = WriterRoutes(settings.postgres_writers)
        self.state = SupervisorState(
            admission=Admission(settings.max_trackers),
            drain=DrainPlan(timeout_s=settings.drain_timeout),
            started_us=system.clock.now_us(),
            pins=set(book.pins()),
        )
        self._dsn = dsn
        self._journal = journal
        self._journal_folder = journal_folder
        self._book = book
        self._applied = applied
        self._finished = finished
        self._clock_offset_us = clock_offset_us
        self._parking = ParkedMints()
        self._tail = journal.open() if journal else SegmentTail()
        # Behind what the journal holds: stamps rise over a clock that was set back a little.
        started_us = max(self.state.started_us, self._tail.last_us + 1)
        self._leftovers, batched_seq = self._read_spool(started_us)
        self.session = Session(
            journal_id=self._tail.journal_id,
            first_seq=max(self._tail.next_seq, self._leftovers.last_seq + 1, batched_seq + 1),
            started_us=started_us,
            ahead=self._leftovers.ahead if journal else frozenset(),
        )
        self._tell_of_clock()
        self.tracker_factory = TrackerFactory(
            lambda: system.settings, self.routes, self._leftovers, self.session.first_seq
        )
        self._migrated = False

    def specs(self) -> list[ChildSpec]:
        """List the system actors in start order, with the reason for the order.

        They stop in the reverse one.
        """
        return [
            # First, so that it hears of everyone's failures.
            self._supervisor(),
            # Before whoever writes to them; they end last, when nothing is sent any more.
            *(self._writer(name) for name in self.routes.names),
            self._n8n(),
            # Before the connection, whose creates it takes.
            self._discovery(),
            # Reads nothing until the supervisor knows every stream and says so.
            self._connection(),
            # Its first reading sets everything going.
            self._stream_watch(),
            # Last: it looks on. A recording that is replayed leaves no journal to look into.
            *(() if self._journal is None else (self._auditor(),)),
        ]

    def _supervisor(self) -> ChildSpec:
        dependencies = Dependencies(
            system=self.system,
            tracker_factory=self.tracker_factory,
            routes=self.routes,
            book=self._book,
            writer_spec=self._writer,
            share_spool=self._share_spool,
            applied=self._applied,
            finished=self._finished,
            clock_offset_us=self._clock_offset_us,
        )
        return ChildSpec(
            name=SUPERVISOR,
            kind="supervisor",
            actor=SupervisorActor,
            make=lambda context: SupervisorActor(
                context, state=self.state, dependencies=dependencies, operations=OperatorCommands
            ),
            budget=RestartBudget(intensity=60),
        )

    def _writer(self, name: str, awaiting_epoch: int | None = None) -> ChildSpec:
        state = WriterState(
            adopt=awaiting_epoch is None, awaiting_epoch=awaiting_epoch, parking=self._parking
        )
        return ChildSpec(
            name=name,
            kind="postgres-writer",
            actor=PostgresWriterActor,
            make=lambda context: PostgresWriterActor(
                context, state=state, spool=self._spool(), database=self._database()
            ),
            capacity=_WRITER_CAPACITY,
        )

    def _n8n(self) -> ChildSpec:
        state = N8nState()
        return ChildSpec(
            name=N8N_WRITER,
            kind="n8n-writer",
            actor=N8nWriterActor,
            make=lambda context: N8nWriterActor(
                context,
                state,
                SpooledBatches(self._spool(), N8N_WRITER, self.system.clock.now_us),
                HttpTransport(),
            ),
        )

    def _discovery(self) -> ChildSpec:
        state = DiscoveryState(self.system.settings)
        return ChildSpec(
            name=DISCOVERY,
            kind="discovery",
            actor=DiscoveryActor,
            make=lambda context: DiscoveryActor(context, state, self.routes),
            capacity=_DISCOVERY_CAPACITY,
        )

    def _connection(self) -> ChildSpec:
        journal = self._journal
        state = ConnectionState(
            self.system.settings,
            next_seq=self.session.first_seq,
            last_frame_us=self._tail.last_us or None,
            recovers=journal is not None,
            unnumbered_seq=self._tail.unnumbered_seq,
        )
        history = JournalReader(self._journal_folder)
        return ChildSpec(
            name=CONNECTION,
            kind="connection",
            actor=ConnectionActor,
            make=lambda context: ConnectionActor(context, state, journal, history),
        )

    def _stream_watch(self) -> ChildSpec:
        state = WatchState()
        for mint in self._leftovers.ended:
            state.watch.change_pending(mint, active=False)
        return ChildSpec(
            name=STREAM_WATCH,
            kind="stream-watch",
            actor=StreamWatchActor,
            make=lambda context: StreamWatchActor(
                context, state=state, connector=ThreadConnector(self._open_reader)
            ),
        )

    def _tell_of_clock(self) -> None:
        """Say it when an earlier run had a clock that was ahead."""
        by_us = self._tail.set_back_us
        if by_us:
            self.system.log.warning(
                "journal_set_back",
                by_seconds=round(by_us / US_PER_SECOND, 3),
                cause="the clock of an earlier run was ahead",
            )

    def _auditor(self) -> ChildSpec:
        state = AuditorState(self.state.started_us)
        return ChildSpec(
            name=AUDITOR,
            kind="auditor",
            actor=AuditorActor,
            make=lambda context: AuditorActor(context, state, self._dsn),
            # Nobody needs it to go on: it ends alone, and stays visible.
            exceeded=Exceeded.QUARANTINE,
        )

    # What actors need from outside.

    def _open_reader(self) -> PostgresReader:
        """Connect stream-watch; a database that was away at the start gets its tables here.

        No coin is tracked before the first reading, so all rows are those of earlier runs then.
        """
        is_first = not self._migrated
        if is_first:
            migrate(self._dsn)
        clock = RowClock(self._row_clock, self._tell_of_rows)
        # No row can name a number of a journal that has got its id now: none has to be looked for.
        is_named_now = self._tail.unnumbered_seq == self._tail.last_seq
        journal_id = 0 if is_named_now else self.session.journal_id
        reader = PostgresReader.open(self._dsn, journal_id, clock)
        if is_first and self._journal is not None:
            try:
                reader.move_ahead(self.session.started_us)
            except psycopg.Error:
                reader.close()
                raise
        self._migrated = True
        return reader

    def _row_clock(self) -> int | None:
        """Give the arrival clock, which stamps wait for where the journal's was ahead a little."""
        if self._journal is None:
            return None
        return max(self.system.clock.now_us(), self.session.started_us)

    def _tell_of_rows(self, moved: int) -> None:
        if not moved:
            return
        self.system.telemetry.dropped.labels(reason=Drop.ROW_AHEAD.value).inc(moved)
        self.system.log.error(
            "rows_ahead",
            rows=moved,
            moved_to="coin_metrics_ahead",
            cause="they end in the future: the clock was ahead when they were written",
            do="look at them, then `mintwatch acknowledge ahead`",
        )

    def _read_spool(self, started_us: int) -> tuple[SpoolRecovery, int]:
        """Read what an earlier process has left; a spool that cannot be read holds nothing."""
        spool = self._spool()
        try:
            spool.open()
            found = read_leftovers(spool, "postgres-writer:", started_us), spool.mark(N8N_WRITER)
            self._share(spool, self.routes.writers)
        except SpoolError as error:
            self.system.log.error("spool_unreadable", cause=str(error))  # noqa: TRY400 - no bug of ours
            return SpoolRecovery(), 0
        finally:
            spool.close()
        return found

    def _share_spool(self, writers: int) -> bool:
        """Share the spool out anew; False: it cannot be done now."""
        spool = self._spool()
        try:
            spool.open()
            return self._share(spool, writers)
        except SpoolError as error:
            self.system.log.warning("spool_not_shared", cause=str(error))
            return False
        finally:
            spool.close()

    def _share(self, spool: Spool, writers: int) -> bool:
        """Share an open spool out; an earlier process may have had another number of writers."""
        try:
            reassign_spool(spool, writers)
        except SpoolError as error:
            self.system.log.warning("spool_not_shared", cause=str(error))
            return False
        return True

    def _spool(self) -> Spool:
        settings = self.system.settings
        return Spool(settings.state_dir / "spool.sqlite", settings.spool_max_mb << 20)

    def _database(self) -> PooledDatabase:
        whale_sol = self.system.settings.whale_threshold_sol
        return PooledDatabase(
            self._pool,
            whale_lamports=round(whale_sol * LAMPORTS_PER_SOL),
            session=self.session,
            announce=self.system.settings.notify_candles,
        )

    def _pool(self) -> Pool:
        settings = self.system.settings
        return create_pool(
            self._dsn,
            min_size=settings.db_pool_min,
            max_size=settings.db_pool_max,
            statement_timeout_s=settings.db_statement_timeout,
            application_name="mintwatch writer",
        )
