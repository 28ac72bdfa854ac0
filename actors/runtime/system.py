"""The runtime of one process: names, children, failures, timers and clocks in one hand.

Guarantees: a name belongs to at most one cell; `tell` and `offer` never block and never raise; what
nobody handles is a dead letter; every failure of a child is decided by `supervision.decide` and
told to the supervisor.
"""

from __future__ import annotations

import itertools
import random
import time
from typing import TYPE_CHECKING, Any, Final

import structlog
from pykka import ActorDeadError, ThreadingFuture

from actors.domain import Drop
from actors.runtime.cell import Cell, CellState
from actors.runtime.context import Ref
from actors.runtime.dead_letters import DeadLetter, DeadLetters, describe, traceback_of
from actors.runtime.dispatcher import PinnedThread, SharedDispatcher
from actors.runtime.inspection.crash_reports import CrashReports
from actors.runtime.inspection.taps import Listeners
from actors.runtime.inspection.timeline import Note, Timeline
from actors.runtime.ledger import Ledger
from actors.runtime.mailbox import Load
from actors.runtime.messages import ChildFailed, ChildStopped, SettingsChanged
from actors.runtime.post_mortem import decided, examine
from actors.runtime.registry import Registry
from actors.runtime.replies import Completed
from actors.runtime.supervision import (
    ChildSpec,
    Decision,
    Escalate,
    Quarantine,
    Restart,
    RestartType,
    decide,
    name_of,
)
from actors.runtime.timers import TimerThread, TimerWheel
from actors.runtime.wakeup import Wakeup
from actors.runtime.watchdog import LongTurn, Watchdog, long_turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykka import Future

    from actors.domain import Mint
    from actors.runtime.clocks import Clock
    from actors.runtime.inspection.crash_reports import CrashReport
    from actors.runtime.inspection.timeline import Detail
    from actors.runtime.mailbox import Envelope
    from actors.runtime.ports import Home
    from settings import Settings
    from telemetry import Telemetry

SUPERVISOR: Final = "supervisor"
SAMPLED: Final = 16
_TIMER_STOP_S: Final = 2.0


class System(Registry):
    """Everything that actors of one process share. Thread-safe."""

    def __init__(
        self,
        *,
        settings: Settings,
        telemetry: Telemetry,
        clock: Clock,
        threads: int = 1,
        jitter: Callable[[], float] = random.random,
        dossiers: CrashReports | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.telemetry = telemetry
        self.clock = clock
        self.log: structlog.stdlib.BoundLogger = structlog.get_logger("mintwatch")
        self.load = Load()
        self.count_coalesced: Callable[[], None] = telemetry.dropped.labels(
            reason=Drop.COALESCED.value
        ).inc
        self.ledger = Ledger()
        self.dead_letters = DeadLetters(
            telemetry.dropped.labels(reason=Drop.LETTER_DROPPED.value).inc
        )
        self.timelines = Timeline()
        self.dossiers = dossiers or CrashReports()
        self.listeners = Listeners(
            clock, self.log, telemetry.dropped.labels(reason=Drop.TAP_DROPPED.value).inc
        )
        self.wheel = TimerWheel(clock.monotonic_ns)
        self.on_dead_letter: Callable[[DeadLetter], None] = _ignore
        self._of_own_thread: dict[str, Cell] = {}
        """Those of the cells that have a thread of their own."""
        self._jitter = jitter
        self._measured = itertools.count()
        self._timers = TimerThread(self.wheel, clock.monotonic_ns)
        self.dispatcher = SharedDispatcher(threads)
        self.watchdog = Watchdog(self.dispatcher, telemetry, self.log)

    # Life of the runtime.

    def open(self) -> None:
        """Start the dispatcher's workers, the timer thread and the one that writes dossiers."""
        self.dossiers.open()
        self.dispatcher.start()
        self._timers.start()

    def close(self, timeout_s: float) -> list[str]:
        """Stop the children that are left, newest first, then the threads; name the late ones.

        One that hangs is waited for at most half of the time that is left, so that everybody behind
        it is stopped in order as well.
        """
        deadline = time.monotonic() + timeout_s
        left = [
            cell for cell in reversed(list(self._cells.values())) if not self._ends(cell, deadline)
        ]
        late = [cell.name for cell in left if not _gone_by(cell, deadline)]
        self._timers.stop(_TIMER_STOP_S)
        self.dispatcher.stop(_TIMER_STOP_S)
        self.dossiers.close(_TIMER_STOP_S)
        return late

    def _ends(self, cell: Cell, deadline_s: float) -> bool:
        cell.end_soon()
        now = time.monotonic()
        share_s = min(cell.spec.stop_timeout_s, (deadline_s - now) / 2)
        return _gone_by(cell, now + share_s)

    def start_child(self, spec: ChildSpec) -> Ref:
        """Start a child under its name.

        Raises:
            ValueError: the name is taken.
        """
        with self._lock:
            if spec.name in self._cells:
                raise ValueError(f"an actor named {spec.name!r} is there already; stop it first")
            wakeup = self._wakeup_for(spec)
            cell = Cell(self, spec, self._schedule, wakeup)
            self._cells[spec.name] = cell
            if wakeup is not None:
                self._of_own_thread[spec.name] = cell
        if wakeup is None:
            cell.schedule()
        else:
            PinnedThread(cell, wakeup).start()
        return Ref(self, spec.name)

    def stop_child(self, name: str, deadline_s: float) -> bool:
        """Stop a child and wait for it until the monotonic `deadline_s`; True when it is gone."""
        cell = self._cells.get(name)
        if cell is None:
            return True
        cell.end_soon()
        return _gone_by(cell, deadline_s)

    def revive(self, name: str) -> bool:
        """Give a quarantined child a new instance; False when it is not quarantined."""
        cell = self._cells.get(name)
        if cell is None or cell.state is not CellState.QUARANTINED:
            return False
        cell.failures_s.clear()
        cell.revive()
        return True

    def restart(self, name: str) -> bool:
        """Have the instance of a running child replaced; False when it is not running.

        The mailbox stays, and the replacement is no failure in its budget.
        """
        cell = self._cells.get(name)
        if cell is None or not cell.running:
            return False
        cell.renew_soon()
        return True

    # Messages.

    def ref(self, name: str) -> Ref:
        """Give a reference to a name."""
        return Ref(self, name)

    def offer(self, name: str, message: Any, reply_to: Future[Any] | None = None) -> bool:
        """Send a message; False: refused, and still the sender's to deal with."""
        cell = self._cells.get(name)
        return cell is not None and cell.mailbox.offer(message, reply_to)

    def tell(self, name: str, message: Any) -> bool:
        """Send a message; False: refused, and kept as a dead letter."""
        cell = self._cells.get(name)
        if cell is not None and cell.mailbox.offer(message):
            return True
        reason = "gone" if cell is None or cell.state is CellState.STOPPED else "full"
        self.dead_letter(name, reason, message, None)
        return False

    def ask(self, name: str, message: Any, timeout_s: float) -> Any:
        """Send a question and wait for the reply. Only the API and tests ask.

        Raises:
            pykka.Timeout: no reply in time.
            pykka.ActorDeadError: nobody has the name, or nobody answers because it is quarantined.
            RuntimeError: the actor asks itself.
            Exception: what the handler raised.
        """
        future: ThreadingFuture[Any] = ThreadingFuture()
        cell = self._cells.get(name)
        if cell is not None and cell.is_asking_itself:
            raise RuntimeError(
                f"{name!r} asks itself and would wait for its own turn to end: use tell_self"
            )
        if cell is not None and cell.state is CellState.QUARANTINED:
            raise ActorDeadError(f"{name!r} is in quarantine and answers nobody: revive it first")
        if cell is None or not cell.mailbox.offer(message, future):
            raise ActorDeadError(f"no actor named {name!r} takes messages")
        return future.get(timeout=timeout_s)

    def forward(
        self, asked: Home, name: str, message: Any, complete: Callable[[Any], Any] | None = None
    ) -> None:
        """Hand the question that `asked` handles on to another actor, with its future."""
        envelope = asked.envelope
        reply_to = envelope.reply_to if envelope else None
        if envelope is not None:
            envelope.reply_to = None
        if reply_to is not None and complete is not None:
            reply_to = Completed(reply_to, complete)
        cell = self._cells.get(name)
        sent = cell is not None and cell.mailbox.offer(message, reply_to)
        if not sent and reply_to is not None:
            reply_to.set(None)

    def dead_letter(
        self, name: str, reason: str, message: Any, error: BaseException | None
    ) -> None:
        """Keep a message that nobody handled."""
        letter = self.dead_letters.add(self.clock.now_us(), name, reason, message, error)
        self.on_dead_letter(letter)

    def note(self, actor: str, mint: Mint, what: str, details: dict[str, Detail]) -> None:
        """Note in the timeline of a mint what has happened to it."""
        note = Note(self.clock.now_us(), actor, what, details)
        self.timelines.note(mint, note)
        self.listeners.note(mint, note)

    def change_settings(self, settings: Settings) -> None:
        """Put settings in force, and tell every actor."""
        self.settings = settings
        for name in self.names():
            self.offer(name, SettingsChanged())

    # Measuring.

    def look_after(self, limit_s: float, own_thread_limit_s: float) -> None:
        """Report turns that take long, and do without threads that hang; call it each second.

        A turn on the shared dispatcher longer than twice `limit_s` is blocked: a new worker takes
        the place of its thread, and the actor is set aside until the turn returns. When too many
        are blocked at once, or an actor with a thread of its own is at one turn for longer than
        `own_thread_limit_s`, `watchdog.on_beyond_help` is called, once. Never waits for an actor.
        """
        self.watchdog.look_after(self._long_turns(limit_s), limit_s, own_thread_limit_s)

    def _long_turns(self, limit_s: float) -> list[LongTurn]:
        # Only who has a thread can be in a turn: a look at 10,000 cells each second shows.
        running = [*self.dispatcher.running(), *list(self._of_own_thread.values())]
        return long_turns(running, self.clock.monotonic_ns(), limit_s)

    def measure(self, kind: str, waited_ns: int, taken_ns: int) -> None:
        """Note how long a message waited and took; every sixteenth counts, to keep it cheap."""
        if next(self._measured) % SAMPLED:
            return
        self.telemetry.message_latency_seconds.labels(kind=kind).observe(waited_ns / 1e9)
        self.telemetry.handling_seconds.labels(kind=kind).observe(taken_ns / 1e9)

    # Time.

    def arm_after(self, cell: Home, key: object, seconds: float, message: Any) -> None:
        """Arm a timer of the monotonic clock for a cell."""
        self.wheel.after(cell.name, key, seconds, message, cell.offer_own)
        self._timers.wake()

    def arm_at(self, cell: Home, key: object, feed_us: int, message: Any) -> None:
        """Arm a timer of the feed clock for a cell."""
        self.wheel.at(cell.name, key, feed_us, message, cell.offer_own)
        if self.wheel.feed_due():
            self._timers.wake()

    def advance_feed(self, feed_us: int) -> None:
        """Publish the feed clock."""
        self.wheel.advance_feed(feed_us)
        if self.wheel.feed_due():
            self._timers.wake()

    # What cells report.

    def examine(self, cell: Cell, error: BaseException, poison: Any) -> CrashReport | None:
        """Take down what is to be seen of a failed instance; None: there were too many just now.

        Runs in the failed actor's thread.
        """
        return examine(self.dossiers, self.clock, cell, error, poison)

    def child_failed(
        self, cell: Cell, error: BaseException, poison: Any, dossier: CrashReport | None = None
    ) -> None:
        """Decide about a failure, act on it and tell the supervisor.

        Runs in the failed actor's thread.
        """
        if poison is not None:
            self.dead_letter(cell.name, "failed", poison, error)
        spec = cell.spec
        decision = decide(
            spec.restart, spec.exceeded, spec.budget, list(cell.failures_s), self._jitter()
        )
        self._act_on(cell, decision)
        failed = ChildFailed(
            name=cell.name,
            kind=spec.kind,
            error=describe(error),
            decision=name_of(decision),
            after_s=decision.after_s if isinstance(decision, Restart) else 0.0,
        )
        if dossier is not None:
            self.dossiers.add(decided(dossier, decision))
        if cell.name != SUPERVISOR:
            self.offer(SUPERVISOR, failed)
        self.log.warning(
            "actor_failed",
            actor=cell.name,
            error=failed.error,
            decision=failed.decision,
            restart_after_s=round(failed.after_s, 3),
            traceback=traceback_of(error),
        )

    def child_stopped(self, cell: Cell, left: list[Envelope]) -> None:
        """Free a name and account for what its mailbox still held.

        Runs in the stopped actor's thread.
        """
        with self._lock:
            self._leaving += 1
            if self._cells.get(cell.name) is cell:
                del self._cells[cell.name]
                self._of_own_thread.pop(cell.name, None)
        self.listeners.end(cell)
        for envelope in left:
            self._undelivered(cell, envelope)
        if cell.name != SUPERVISOR:
            self.offer(SUPERVISOR, ChildStopped(name=cell.name, kind=cell.spec.kind))
        with self._lock:
            self._leaving -= 1

    def _undelivered(self, cell: Cell, envelope: Envelope) -> None:
        if envelope.reply_to is not None:
            error = ActorDeadError(f"{cell.name} stopped before it handled the message")
            envelope.reply_to.set_exception((type(error), error, None))
        elif not getattr(envelope.message, "drop_if_dead", False):
            self.dead_letter(cell.name, "stopped", envelope.message, None)

    def _act_on(self, cell: Cell, decision: Decision) -> None:
        match decision:
            case Restart(after_s):
                cell.state = CellState.RESTARTING
                self.wheel.after(cell.name, _RESTART, after_s, None, lambda _: cell.revive())
                self._timers.wake()
            case Quarantine() | Escalate():
                cell.quarantine()
            case _:
                cell.end_soon()

    def _schedule(self, cell: Cell) -> None:
        self.dispatcher.schedule(cell)

    def _wakeup_for(self, spec: ChildSpec) -> Wakeup | None:
        """Make the wake-up of an actor with a thread of its own; None: it shares the dispatcher."""
        return Wakeup() if spec.actor.own_thread else None


_RESTART: Final = "runtime.restart"

__all__ = ["RestartType", "System"]


def _ignore(_: Any) -> None:
    return None


def _gone_by(cell: Cell, deadline_s: float) -> bool:
    return cell.stopped.wait(max(0.0, deadline_s - time.monotonic()))
