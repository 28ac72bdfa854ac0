"""The root: builds the service from its parts, and starts and stops it."""

from __future__ import annotations

import secrets
import threading
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pykka
import structlog

from actors.assembly.children import Tree
from actors.assembly.metrics import dead_letter_accountant, follow
from actors.assembly.state_dir import (
    DOSSIERS,
    JOURNAL,
    TIMELINES,
    StateDirInUse,
    take_state_dir,
)
from actors.assembly.timeline_files import Timelines
from actors.domain import Place
from actors.journal.checkpoint import DRAINED
from actors.journal.set_back import ClockAheadError
from actors.journal.tail import frames_of
from actors.journal.writer import JournalWriter
from actors.operator.inspection import Inspection
from actors.operator.settings_files import SettingsFiles
from actors.protocol.supervisor import SUPERVISOR, Drain
from actors.runtime import ArrivalClock, CrashReports, System
from actors.runtime.clocks import STEP_US
from actors.supervisor.letter_file import DeadLetterFile
from api import ApiServer, HostNotUsable, NotAnswered, PortInUse, create_app
from api.database import QUERIES
from db import create_pool
from db.errors import DatabaseError, MigrationError
from db.keeper import DatabaseKeeper
from settings import (
    Secret,
    Settings,
    mask_dsn,
    secret_values,
)
from telemetry import Redactor, Telemetry, log_dump, set_log_level

if TYPE_CHECKING:
    from collections.abc import Mapping


EXIT_GAVE_UP: Final = 1
EXIT_BAD_CONFIGURATION: Final = 78
"""As sysexits.h has it (EX_CONFIG)."""

OLDEST_NOW_US: Final = 1_735_689_600_000_000
"""The first of January 2025, before any version of mintwatch."""

_CLOSE_S: Final = 5.0
_PINNED_SPARE_S: Final = 60.0
"""A pinned actor may stand in a statement, a request or a connect for their longest time and this
much more; then its thread is lost.
"""


class CannotStart(Exception):  # noqa: N818 - it names what is wrong
    """Something outside keeps the service from starting; the text says what, and what to do."""

    def __init__(self, text: str, exit_code: int = EXIT_GAVE_UP) -> None:
        self.exit_code = exit_code
        super().__init__(text)


class SupervisorGateway:
    """The API's way in: what is there is read, all else is a message to the supervisor."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._inspection = Inspection(system)

    def ask(self, message: Any, timeout_s: float) -> Any:
        """Answer a question, or put it to the supervisor; see `api.gateway.Gateway`."""
        if self._inspection.answers(type(message)):
            return self._inspection.answer(message)
        try:
            return self._system.ask(SUPERVISOR, message, timeout_s)
        except (pykka.Timeout, pykka.ActorDeadError) as error:
            raise NotAnswered(SUPERVISOR, timeout_s) from error


class Service:
    """One run of mintwatch: everything it starts stands on one stack, and ends from the top."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        redactor: Redactor,
        *,
        demo: bool = False,
    ) -> None:
        self.settings = settings
        self.starts_again = False
        """Whether a change of the settings wants another run after this one."""
        self.port = 0
        """Where the API listens, once it has started."""
        self.database = ""
        """What it is connected to, once it has started, without secrets."""
        self._environ = environ
        self._redactor = redactor
        self._demo = demo
        self._log = structlog.get_logger("mintwatch").bind(actor="service")
        self._stack = ExitStack()
        self._finished = threading.Event()
        self._exit_code = 0
        self._clock = ArrivalClock()
        self._clock_offset_us = 0
        self._telemetry = Telemetry()
        self._system: System | None = None
        self._keeper: DatabaseKeeper | None = None
        self._tree: Tree | None = None
        self._timelines: Timelines | None = None

    def start(self) -> None:
        """Start everything.

        Raises:
            CannotStart: the text says why, and what to do.
        """
        self._check_clock()
        self._take_state_dir()
        self._start_neighbours()
        dsn = self._open_database()
        system = System(
            settings=self.settings,
            telemetry=self._telemetry,
            clock=self._clock,
            threads=self.settings.dispatcher_threads,
            dossiers=CrashReports(self.settings.state_dir / DOSSIERS, self._redactor.text),
        )
        self._system = system
        self.port = self._serve_api(system, dsn)
        self._start_tree(system, dsn)
        self.database = mask_dsn(dsn)

    def drain(self, reason: str, exit_code: int = 0) -> None:
        """Ask for an orderly end; may be called from a signal handler."""
        message = Drain(reason=reason, exit_code=exit_code)
        if self._system is None or not self._system.offer(SUPERVISOR, message):
            self._finish(exit_code)

    def wait(self) -> int:
        """Wait for the end of the drain and return the exit code."""
        while not self._finished.wait(1.0):
            if self._keeper is not None:
                self._keeper.look_after()
            if self._system is not None:
                self._look_after(self._system)
            if self._timelines is not None:
                self._timelines.save_now_and_then()
            self._discipline_clock()
        self.starts_again = self._tree is not None and self._tree.state.restarts
        return self._exit_code

    def stop(self) -> None:
        """Stop what is left, newest first."""
        self._stack.close()

    def dump(self) -> None:
        """Log every thread's stack and the busiest actors; may be called from a signal handler."""
        reports = () if self._system is None else self._system.reports()
        # In a thread of its own: the interrupted one may hold the log's lock.
        threading.Thread(target=log_dump, args=(self._log, reports), name="dump").start()

    def _look_after(self, system: System) -> None:
        settings = system.settings
        longest_s = max(settings.db_statement_timeout, settings.n8n_timeout)
        system.look_after(settings.stall_seconds, longest_s + _PINNED_SPARE_S)

    def _discipline_clock(self) -> None:
        offset_us = self._clock_offset_us = self._clock.discipline()
        self._telemetry.clock_offset_seconds.set(offset_us / 1e6)
        if abs(offset_us) > STEP_US:
            self._log.warning("clock_stepped", offset_seconds=round(offset_us / 1e6, 3))

    def _finish(self, exit_code: int) -> None:
        self._exit_code = exit_code
        self._finished.set()

    def _check_clock(self) -> None:
        """Refuse a clock that was never set: all rows there are would lie in its future."""
        if self._clock.now_us() < OLDEST_NOW_US:
            raise CannotStart(
                f"The machine's clock says {self._clock.now_us() / 1e6:.0f} seconds since 1970, "
                "which is before mintwatch was written: set the clock, then start again."
            )

    def _take_state_dir(self) -> None:
        folder = self.settings.state_dir
        try:
            self._stack.enter_context(take_state_dir(folder))
        except StateDirInUse as error:
            raise CannotStart(
                f"mintwatch runs already with STATE_DIR {folder} ({error}): stop that one, or "
                "give this one another STATE_DIR."
            ) from error
        except OSError as error:
            raise CannotStart(
                f"STATE_DIR {folder} cannot be used ({error.strerror}): set STATE_DIR to a folder "
                "that this user may write to.",
                EXIT_BAD_CONFIGURATION,
            ) from error

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
            given.get_secret_value() if given else None,
            self.settings.state_dir,
            starts_streams=self.settings.activation == "trades",
            stores_trades=self.settings.store_trades,
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
            dsn, max_size=QUERIES + 1, statement_timeout_s=5.0, application_name="mintwatch api"
        )
        self._stack.callback(pool.close)
        pool.open(wait=False)
        app = create_app(
            SupervisorGateway(system),
            self.settings,
            self._telemetry,
            pool,
            journal=partial(frames_of, self.settings.state_dir / JOURNAL),
            redactor=self._redactor,
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
        if journal is not None:
            # Behind the end of everybody who writes to it, and before it is closed.
            self._stack.callback(self._note_drained, system, journal)
        folder = self.settings.state_dir
        try:
            tree = Tree(
                system,
                dsn,
                journal=journal,
                journal_folder=folder / JOURNAL,
                book=SettingsFiles(folder, self._environ, self._clock.now_us),
                applied=self._apply,
                finished=self._finish,
                clock_offset_us=lambda: self._clock_offset_us,
            )
        except ClockAheadError as error:
            raise CannotStart(str(error)) from error
        self._tree = tree
        system.on_dead_letter = dead_letter_accountant(
            system, DeadLetterFile(folder, self._redactor.text)
        )
        system.watchdog.on_beyond_help = self._give_up
        follow(system, tree, journal)
        self._timelines = Timelines(system.timelines, folder / TIMELINES)
        self._timelines.load()
        self._stack.callback(self._timelines.save)
        self._stack.callback(self._close_system, system)
        system.open()
        for spec in tree.specs():
            system.start_child(spec)

    def _give_up(self, reason: str) -> None:
        """Drain, and end when that is not over in time: the supervisor may hang too."""
        self.drain(reason, EXIT_GAVE_UP)
        limit_s = self.settings.drain_timeout + _CLOSE_S
        timer = threading.Timer(limit_s, self._finish, (EXIT_GAVE_UP,))
        timer.daemon = True
        timer.start()

    def _apply(self, settings: Settings) -> None:
        """Follow changed settings outside the tree."""
        # What was secret before stays so: it may still stand in a message.
        self._redactor.learn(secret_values(settings))
        set_log_level(settings.log_level)

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

    def _note_drained(self, system: System, journal: JournalWriter) -> None:
        """Tell an audit that everything received is in rows or on disk, if the books say so."""
        on_the_way = (Place.QUEUED, Place.OPEN, Place.PARKED)
        is_drained = self._finished.is_set() and self._exit_code == 0
        if is_drained and not any(system.ledger.count(place) for place in on_the_way):
            journal.note_at_end(DRAINED)

    def _close_system(self, system: System) -> None:
        late = system.close(_CLOSE_S)
        if late:
            self._log.error("actors_late", names=late[:10])
