"""The auditor: every AUDIT_INTERVAL it holds a sample of coins against the journal.

Purpose: a service whose rows are wrong notices it by itself, while it runs.
Guarantees: it reads and never writes; it works for `WORK_S` at a time and rests as long, so that
others have their turns; it looks only at what was released, so what it calls missing is missing.
Not guaranteed: that a given window is ever looked at. `mintwatch audit` looks at all of them.
Costs: one round reads the journal's last quarter of an hour; see docs/operations.md for figures.
Relies on: a thread of its own, and a connection to the database, opened when it is needed.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Any, ClassVar, Final

import psycopg

from actors.audit.facts import Extent, released_us, set_back_us
from actors.audit.run import JOURNAL, Question, audit
from actors.audit.state import sentence
from actors.domain import LAMPORTS_PER_SOL, US_PER_SECOND
from actors.runtime import Actor, SettingsChanged, ToSelf
from db.audit import AuditQueries
from db.errors import DatabaseError
from db.pool import connect

if TYPE_CHECKING:
    from collections.abc import Generator

    from actors.audit.report import AuditReport
    from actors.audit.state import AuditorState
    from actors.runtime import Context
    from db.pool import Connection

WORK_S: Final = 0.02
IDLE_S: Final = 0.05
SAMPLE_US: Final = 120 * US_PER_SECOND
"""A round goes on where the last one ended, and looks at so much of the newest time at most."""
MINTS: Final = 50
"""Coins with rows in that time; as many that are active, rows or not, are looked at besides."""
_STATEMENT_S: Final = 3.0
_LOGGED: Final = 5
"""Differences logged of one round."""


class _RoundDue(ToSelf, frozen=True):
    """It is time to look again. To oneself, data lane."""


class AuditorActor(Actor):
    """See the module's docstring.

    Args:
        context: The runtime.
        state: What outlives this instance.
        dsn: The database.
    """

    own_thread: ClassVar[bool] = True
    polls: ClassVar[bool] = True

    def __init__(self, context: Context, state: AuditorState, dsn: str) -> None:
        super().__init__(context)
        self._state = state
        self._dsn = dsn
        self._conn: Connection | None = None
        self._round: Generator[None, None, None] | None = None
        self._whale_sol = context.settings.whale_threshold_sol
        self._interval_s = context.settings.audit_interval

    def on_start(self) -> None:
        """Wait for the first round."""
        self.context.publish(self._state.status(None))
        self._arm()

    def on_stop(self) -> None:
        """Close the connection."""
        self._disconnect()

    def on_receive(self, message: Any) -> None:
        """Begin a round, or go by other settings."""
        match message:
            case _RoundDue():
                if self._round is None:
                    self._round = self._look()
                self._arm()
            case SettingsChanged():
                self._adapt()
            case _:
                self.context.dead_letter(message, "refused")

    def poll(self) -> None:
        """Go on with the round for `WORK_S`, then rest."""
        if self._round is None:
            self._rest(IDLE_S)
            return
        until_s = self.context.monotonic_s() + WORK_S
        try:
            while self.context.monotonic_s() < until_s:
                next(self._round)
        except StopIteration:
            self._round = None
        except (psycopg.Error, DatabaseError, OSError) as error:
            self._round = None
            self._give_up(error)
        self._rest(WORK_S)

    def _rest(self, seconds: float) -> None:
        poller = select.poll()
        poller.register(self.context.wakeup_fd, select.POLLIN)
        poller.poll(seconds * 1_000)

    def _arm(self) -> None:
        if self._interval_s > 0:
            self.context.after("round", self._interval_s, _RoundDue())
        else:
            self.context.cancel("round")

    def _adapt(self) -> None:
        settings = self.context.settings
        if settings.whale_threshold_sol != self._whale_sol:
            self._whale_sol = settings.whale_threshold_sol
            # A window that is open ends by the old rule.
            self._state.whales_since_us = self.context.now_us() + SAMPLE_US
        if settings.audit_interval != self._interval_s:
            self._interval_s = settings.audit_interval
            self._arm()

    # One round.

    def _look(self) -> Generator[None, None, None]:
        state_dir = self.context.settings.state_dir
        now_us = self.context.now_us()
        until_us = yield from released_us(state_dir / JOURNAL, now_us - SAMPLE_US)
        if until_us <= self._state.audited_us:
            return
        if self._state.set_back_us is None:
            # A journal is set back before its process's first record, and never later.
            self._state.set_back_us = yield from set_back_us(state_dir / JOURNAL)
        extent = Extent(until_us, self._state.set_back_us)
        rows = AuditQueries(self._connected())
        since_us = max(0, self._state.audited_us, until_us - SAMPLE_US)
        mints = rows.some_mints(since_us, until_us, MINTS)
        question = self._question(since_us, until_us, mints)
        report = yield from audit(state_dir, rows, question, extent=extent)
        self._state.audited_us = until_us
        self._tell(report)

    def _question(self, since_us: int, until_us: int, mints: list[str]) -> Question:
        settings = self.context.settings
        knows_whales = since_us >= self._state.whales_since_us
        whale_lamports = round(settings.whale_threshold_sol * LAMPORTS_PER_SOL)
        return Question(
            since_us=since_us,
            until_us=until_us,
            mints=frozenset(mints),
            whale_lamports=whale_lamports if knows_whales else None,
            initial_sol=settings.sol_reserves_initial,
            full_sol=settings.sol_reserves_full,
        )

    def _tell(self, report: AuditReport) -> None:
        for verdict, windows in report.counts.items():
            self.context.telemetry.audit_windows.labels(verdict=verdict.value).inc(windows)
        now_us = self.context.now_us()
        for number, finding in enumerate(self._state.take(report, now_us)):
            if number < _LOGGED:
                self.context.log.error(
                    "audit_difference",
                    verdict=finding.verdict.value,
                    mint=finding.mint,
                    window_start_us=finding.start_us,
                    window_end_us=finding.end_us,
                    cause=sentence(finding),
                )
        self.context.publish(self._state.status(now_us))

    def _give_up(self, error: Exception) -> None:
        """Leave this round: a database that is away is somebody else's alarm."""
        self._disconnect()
        text = " ".join(str(error).split())[:200] or type(error).__name__
        self.context.log.warning("audit_round_failed", error=text)
        self.context.publish(self._state.status(self.context.now_us(), text))

    def _connected(self) -> Connection:
        if self._conn is None or self._conn.closed:
            self._conn = connect(
                self._dsn,
                application_name="mintwatch auditor",
                statement_timeout_s=_STATEMENT_S,
                autocommit=True,
            )
            self._conn.read_only = True
        return self._conn

    def _disconnect(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.close()
