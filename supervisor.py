"""The root: the tree as one table, what starts and stops in which order, and the command line."""

from __future__ import annotations

import fcntl
import os
import secrets
import signal
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

import click
import psycopg
import pykka
import structlog

from actors.connection import ConnectionActor, ConnectionState
from actors.connection.journal import JournalWriter, Tail
from actors.connection.journal_reader import JournalReader
from actors.control import (
    CONNECTION,
    DISCOVERY,
    N8N_WRITER,
    STREAM_WATCH,
    SUPERVISOR,
    Drain,
)
from actors.discovery.actor import DiscoveryActor
from actors.discovery.state import DiscoveryState
from actors.domain import LAMPORTS_PER_SOL, Place
from actors.n8n_writer.actor import N8nWriterActor
from actors.n8n_writer.client import HttpTransport
from actors.n8n_writer.state import N8nState
from actors.n8n_writer.store import SpooledBatches
from actors.postgres_writer import PooledDatabase, PostgresWriterActor, WriterState
from actors.postgres_writer.leftovers import Leftovers, read_leftovers
from actors.routes import WriterRoutes
from actors.runtime import ArrivalClock, Budget, ChildSpec, System
from actors.runtime.clocks import STEP_US
from actors.spool import Spool, SpoolError
from actors.stream_watch import PostgresReader, StreamWatchActor, ThreadConnector, WatchState
from actors.supervisor import SupervisorActor, SupervisorState
from actors.supervisor.accounts import trades_in
from actors.supervisor.drain import DrainPlan
from actors.supervisor.gauges import show_journal, show_runtime
from actors.supervisor.roster import Roster
from actors.tracker.nursery import Nursery
from api import ApiServer, HostNotUsable, NotAnswered, PortInUse, create_app
from api.commands import status
from db import create_pool, migrate
from db.dsn import mask_dsn
from db.embedded import EmbeddedPostgres
from db.errors import DatabaseError, MigrationError
from db.keeper import DatabaseKeeper
from settings import Secret, Settings, SettingsError, describe, load, secret_values
from simulator.cli import record, replay, simulate, webhook
from telemetry import Telemetry, configure_logging

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.runtime import DeadLetter
    from db.pool import Pool

EXIT_GAVE_UP: Final = 1
EXIT_BAD_CONFIGURATION: Final = 78
"""As sysexits.h has it (EX_CONFIG)."""

WRITERS: Final = 1
DISPATCHER_THREADS: Final = 1
"""A second worker gains nothing under the GIL."""

JOURNAL: Final = "journal"
"""The journal's folder below STATE_DIR."""

_CLOSE_S: Final = 5.0
_WRITER_CAPACITY: Final = 50_000
_DISCOVERY_CAPACITY: Final = 250_000
"""Above the load at which the socket is not read: creates are never refused."""


class CannotStart(Exception):  # noqa: N818 - it names what is wrong
    """Something outside keeps the service from starting; the text says what, and what to do."""

    def __init__(self, text: str, exit_code: int = EXIT_GAVE_UP) -> None:
        self.exit_code = exit_code
        super().__init__(text)


class Tree:
    """The table of children. They start in this order and stop in the reverse one."""

    def __init__(
        self,
        system: System,
        dsn: str,
        journal: JournalWriter | None,
        finished: Callable[[int], None],
    ) -> None:
        self.system = system
        self.settings = system.settings
        self.routes = WriterRoutes(WRITERS)
        self.state = SupervisorState(
            roster=Roster(self.settings.max_trackers),
            drain=DrainPlan(timeout_s=self.settings.drain_timeout),
            started_us=system.clock.now_us(),
        )
        self._dsn = dsn
        self._journal = journal
        self._tail = journal.open() if journal else Tail()
        self._leftovers, self._batched_seq = self._read_spool()
        self.nursery = Nursery(self.settings, self.routes, self._leftovers.rows_end_us)
        self._migrated = False
        self._finished = finished

    def specs(self) -> list[ChildSpec]:
        """List the system actors in start order, with the reason for the order."""
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
            # Last: its first reading sets everything going.
            self._stream_watch(),
        ]

    def _supervisor(self) -> ChildSpec:
        return ChildSpec(
            name=SUPERVISOR,
            kind="supervisor",
            actor=SupervisorActor,
            make=lambda context: SupervisorActor(
                context,
                state=self.state,
                tree=self.system,
                nursery=self.nursery,
                writers=self.routes.names,
                finished=self._finished,
            ),
            budget=Budget(intensity=60),
        )

    def _writer(self, name: str) -> ChildSpec:
        settings = self.settings
        state = WriterState()
        return ChildSpec(
            name=name,
            kind="postgres-writer",
            actor=PostgresWriterActor,
            make=lambda context: PostgresWriterActor(
                context,
                state=state,
                spool=self._spool(),
                database=PooledDatabase(
                    self._pool,
                    whale_lamports=round(settings.whale_threshold_sol * LAMPORTS_PER_SOL),
                ),
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
        state = DiscoveryState(self.settings)
        return ChildSpec(
            name=DISCOVERY,
            kind="discovery",
            actor=DiscoveryActor,
            make=lambda context: DiscoveryActor(context, state, self.routes),
            capacity=_DISCOVERY_CAPACITY,
        )

    def _connection(self) -> ChildSpec:
        journal, next_seq = self._journal, max(self._tail.last_seq, self._batched_seq) + 1
        state = ConnectionState(
            self.settings,
            next_seq=next_seq,
            last_frame_us=self._tail.last_us or None,
            recovers=journal is not None,
        )
        history = JournalReader(self.settings.state_dir / JOURNAL)
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

    def _open_reader(self) -> PostgresReader:
        """Connect stream-watch; a database that was away at the start gets its tables here."""
        if not self._migrated:
            migrate(self._dsn)
            self._migrated = True
        return PostgresReader.open(self._dsn)

    def _read_spool(self) -> tuple[Leftovers, int]:
        """Read what an earlier process has left; a spool that cannot be read holds nothing."""
        spool = self._spool()
        try:
            spool.open()
            return read_leftovers(spool, "postgres-writer:"), spool.mark(N8N_WRITER)
        except SpoolError as error:
            self.system.log.error("spool_unreadable", cause=str(error))  # noqa: TRY400 - no bug of ours
            return Leftovers(), 0
        finally:
            spool.close()

    def _spool(self) -> Spool:
        return Spool(self.settings.state_dir / "spool.sqlite", self.settings.spool_max_mb << 20)

    def _pool(self) -> Pool:
        return create_pool(
            self._dsn,
            min_size=self.settings.db_pool_min,
            max_size=self.settings.db_pool_max,
            statement_timeout_s=self.settings.db_statement_timeout,
            application_name="mintwatch writer",
        )


class SupervisorGateway:
    """The API's way to the supervisor."""

    def __init__(self, system: System) -> None:
        self._system = system

    def ask(self, message: Any, timeout_s: float) -> Any:
        """Put a question to the supervisor; see `api.gateway.Gateway`."""
        try:
            return self._system.ask(SUPERVISOR, message, timeout_s)
        except (pykka.Timeout, pykka.ActorDeadError) as error:
            raise NotAnswered(SUPERVISOR, timeout_s) from error


class Service:
    """One run of mintwatch: everything it starts stands on one stack, and ends from the top."""

    def __init__(self, settings: Settings, *, demo: bool = False, out: TextIO = sys.stdout) -> None:
        self.settings = settings
        self._demo = demo
        self._out = out
        self._log = structlog.get_logger("mintwatch").bind(actor="service")
        self._stack = ExitStack()
        self._finished = threading.Event()
        self._exit_code = 0
        self._clock = ArrivalClock()
        self._telemetry = Telemetry()
        self._system: System | None = None
        self._keeper: DatabaseKeeper | None = None

    def start(self) -> None:
        """Start everything.

        Raises:
            CannotStart: the text says why, and what to do.
        """
        self._take_state_dir()
        self._start_neighbours()
        dsn = self._open_database()
        system = System(
            settings=self.settings,
            telemetry=self._telemetry,
            clock=self._clock,
            threads=DISPATCHER_THREADS,
        )
        self._system = system
        port = self._serve_api(system, dsn)
        self._start_tree(system, dsn)
        self._say_where(dsn, port)

    def drain(self, reason: str) -> None:
        """Ask for an orderly end; may be called from a signal handler."""
        if self._system is None or not self._system.offer(SUPERVISOR, Drain(reason=reason)):
            self._finish(0)

    def wait(self) -> int:
        """Wait for the end of the drain and return the exit code."""
        while not self._finished.wait(1.0):
            if self._keeper is not None:
                self._keeper.look_after()
            if self._system is not None:
                self._system.report_stalls(self.settings.stall_seconds)
            offset_us = self._clock.discipline()
            self._telemetry.clock_offset_seconds.set(offset_us / 1e6)
            if abs(offset_us) > STEP_US:
                self._log.warning("clock_stepped", offset_seconds=round(offset_us / 1e6, 3))
        return self._exit_code

    def stop(self) -> None:
        """Stop what is left, newest first."""
        self._stack.close()

    def _finish(self, exit_code: int) -> None:
        self._exit_code = exit_code
        self._finished.set()

    def _take_state_dir(self) -> None:
        folder = self.settings.state_dir
        try:
            # As root, PostgreSQL runs as somebody else, who must be able to walk through.
            folder.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
            lock = self._stack.enter_context((folder / "lock").open("a+"))
        except OSError as error:
            raise CannotStart(
                f"STATE_DIR {folder} cannot be used ({error.strerror}): set STATE_DIR to a folder "
                "that this user may write to.",
                EXIT_BAD_CONFIGURATION,
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read().strip() or "another process"
            raise CannotStart(
                f"mintwatch runs already with STATE_DIR {folder} ({holder}): stop that one, or "
                "give this one another STATE_DIR."
            ) from error
        with suppress(OSError):
            # Who holds it is a courtesy: on a full disk the lock holds all the same.
            lock.truncate(0)
            lock.write(f"process {os.getpid()}")
            lock.flush()

    def _start_neighbours(self) -> None:
        """Start the built-in server and receiver, where they are wanted; they stop last."""
        from simulator.process import start_simulator, start_webhook  # noqa: PLC0415 - an extra

        settings = self.settings
        if settings.feed_kind == "simulator":
            # Another market each time: coins that are tracked already do not begin anew.
            seed = str(secrets.randbelow(2**31))
            running = self._stack.enter_context(start_simulator(["simulate", "--seed", seed]))
            settings = settings.model_copy(
                update={"ws_uri": running.uri, "pumpportal_api_key": Secret("built-in")}
            )
        if self._demo and settings.n8n_webhook_url is None:
            receiver = self._stack.enter_context(start_webhook())
            settings = settings.model_copy(update={"n8n_webhook_url": Secret(receiver.url)})
        self.settings = settings

    def _open_database(self) -> str:
        given = self.settings.db_dsn
        keeper = DatabaseKeeper(
            given.get_secret_value() if given else None, self.settings.state_dir
        )
        self._keeper = keeper
        self._stack.callback(keeper.close)
        try:
            return keeper.open()
        except MigrationError as error:
            raise CannotStart(str(error), EXIT_BAD_CONFIGURATION) from error
        except DatabaseError as error:
            raise CannotStart(str(error)) from error

    def _serve_api(self, system: System, dsn: str) -> int:
        pool = create_pool(
            dsn, max_size=4, statement_timeout_s=5.0, application_name="mintwatch api"
        )
        self._stack.callback(pool.close)
        pool.open(wait=False)
        app = create_app(
            SupervisorGateway(system),
            self.settings,
            self._telemetry,
            pool,
            now_us=self._clock.now_us,
        )
        server = ApiServer(app, self.settings.api_host, self.settings.api_port)
        try:
            server.start()
        except HostNotUsable as error:
            raise CannotStart(str(error), EXIT_BAD_CONFIGURATION) from error
        except PortInUse as error:
            raise CannotStart(str(error)) from error
        self._stack.callback(server.stop, _CLOSE_S)
        return server.port

    def _start_tree(self, system: System, dsn: str) -> None:
        journal = self._make_journal()
        tree = Tree(system, dsn, journal, self._finish)
        system.on_dead_letter = _accountant(system)
        self._telemetry.on_scrape(lambda: show_runtime(system, tree.state.started_us))
        self._telemetry.on_scrape(
            lambda: self._telemetry.ath_cache_size.set(tree.nursery.aths),
        )
        if journal is not None:
            self._telemetry.on_scrape(lambda: show_journal(system, journal.stats()))
        self._stack.callback(self._close_system, system)
        system.open()
        for spec in tree.specs():
            system.start_child(spec)

    def _make_journal(self) -> JournalWriter | None:
        """Make the journal; a recording that is replayed needs none, it is one."""
        settings = self.settings
        if settings.replay_path is not None:
            return None
        journal = JournalWriter(
            settings.state_dir / JOURNAL,
            fsync=settings.journal_fsync,
            max_bytes=settings.journal_max_mb << 20,
            max_age_hours=settings.journal_max_hours,
            wall_us=self._clock.now_us,
            monotonic_s=time.monotonic,
        )
        self._stack.callback(journal.close)
        return journal

    def _close_system(self, system: System) -> None:
        late = system.close(_CLOSE_S)
        if late:
            self._log.error("actors_late", names=late[:10])

    def _say_where(self, dsn: str, port: int) -> None:
        """Tell a person, in a few lines, what this is connected to and where to look."""
        for label, value in _places(self.settings, mask_dsn(dsn), port):
            click.echo(f"  {label:<9} {value}", file=self._out)


def _places(settings: Settings, database: str, port: int) -> list[tuple[str, str]]:
    """List what a run is connected to; nothing in here is secret."""
    address = f"http://{settings.api_host}:{port}"
    feed = settings.replay_path or settings.ws_uri
    if settings.feed_kind == "simulator" and "ws_uri" not in settings.model_fields_set:
        feed = "the built-in market"
    return [
        ("feed", f"{feed} ({settings.feed_kind}), activation by {settings.activation}"),
        ("database", database),
        ("n8n", str(describe(settings)["N8N_WEBHOOK_URL"] or "no webhook")),
        ("state", str(settings.state_dir)),
        ("look at", f"{address}/health   {address}/docs"),
    ]


def _accountant(system: System) -> Callable[[DeadLetter], None]:
    def enter(letter: DeadLetter) -> None:
        kind = letter.actor.partition(":")[0]
        system.telemetry.dead_letters.labels(kind=kind).inc()
        if letter.reason != "refused":
            # An actor that gives a message up by itself has entered it by itself.
            system.ledger.move(Place.QUEUED, Place.DEAD, trades_in(letter.message))

    return enter


@click.group()
@click.version_option(package_name="mintwatch")
def main() -> None:
    """Watch every new coin on pump.fun, one actor per mint."""


@main.command()
@click.option("--demo", is_flag=True, help="Bring what is missing: a market, a webhook receiver.")
def run(*, demo: bool) -> None:
    """Run the service until SIGTERM or Ctrl-C; a second signal ends it at once."""
    settings = _settings(dict(os.environ))
    if demo:
        settings = _with_neighbours(settings)
    configure_logging(settings.log_level, settings.log_format, sys.stderr, secret_values(settings))
    for warning in settings.warnings:
        structlog.get_logger("mintwatch").warning("configuration", text=warning)
    service = Service(settings, demo=demo)
    _obey_signals(service)
    try:
        service.start()
        exit_code = service.wait()
    except CannotStart as error:
        click.echo(f"mintwatch: {error}", err=True)
        exit_code = error.exit_code
    finally:
        service.stop()
    sys.exit(exit_code)


@main.command()
def check() -> None:
    """Print the effective settings and what would be connected to; name every error."""
    settings = _settings(dict(os.environ))
    for name, value in describe(settings).items():
        click.echo(f"{name}={'' if value is None else value}")
    click.echo("\nmintwatch run would connect to:")
    dsn = settings.db_dsn
    database = mask_dsn(dsn.get_secret_value()) if dsn else "the embedded PostgreSQL"
    for label, value in _places(settings, database, settings.api_port):
        click.echo(f"  {label:<9} {value}")
    for warning in settings.warnings:
        click.echo(f"warning: {warning}", err=True)


@main.command("migrate")
def migrate_command() -> None:
    """Create or adopt the tables in DB_DSN (or in the embedded PostgreSQL) and exit."""
    settings = _settings(dict(os.environ))
    with ExitStack() as stack:
        try:
            dsn = _dsn_for_migration(settings, stack)
            applied = migrate(dsn)
        except (DatabaseError, psycopg.OperationalError) as error:
            click.echo(f"mintwatch: {str(error).strip()}", err=True)
            sys.exit(EXIT_GAVE_UP)
    for name in applied:
        click.echo(f"applied {name}")
    click.echo(f"{len(applied)} migrations applied; the tables are up to date.")


for command in (status, simulate, replay, record, webhook):
    main.add_command(command)


def _dsn_for_migration(settings: Settings, stack: ExitStack) -> str:
    if settings.db_dsn is not None:
        return settings.db_dsn.get_secret_value()
    server = EmbeddedPostgres(settings.state_dir)
    was_running = server.status().running
    dsn = server.start()
    if not was_running:
        stack.callback(server.stop)
    return dsn


def _settings(environ: dict[str, str]) -> Settings:
    env_file = Path(".env")
    try:
        return load(environ, env_file if env_file.exists() else None)
    except SettingsError as error:
        click.echo(f"mintwatch: the configuration cannot be used.\n{error}", err=True)
        sys.exit(EXIT_BAD_CONFIGURATION)


def _with_neighbours(settings: Settings) -> Settings:
    """Fill in what makes the whole path run without the internet; what somebody set stays."""
    filled: dict[str, Any] = {}
    if not {"ws_uri", "feed"} & settings.model_fields_set:
        filled["feed"] = "simulator"
    if "activation" not in settings.model_fields_set:
        filled["activation"] = "trades"
    return settings.model_copy(update=filled)


def _obey_signals(service: Service) -> None:
    seen: list[int] = []

    def on_signal(number: int, _: object) -> None:
        if seen:
            os._exit(128 + number)
        seen.append(number)
        service.drain(signal.Signals(number).name)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)


if __name__ == "__main__":
    main()
