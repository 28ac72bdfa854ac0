"""The cell: what belongs to an actor's name and outlives its instances.

Purpose: mailbox, references, history and the running instance of one name, and the turn that hands
messages to it.
Guarantees: `turn` is run by one thread at a time (the dispatcher's mark, or its own thread); a
raise in a constructor, a hook or a handler ends in `System.child_failed` and nowhere else; the
instance is gone afterwards, the mailbox is not.
"""

from __future__ import annotations

import threading
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

import pykka

from actors.runtime.context import Context
from actors.runtime.dead_letters import describe, traceback_of
from actors.runtime.delivery import Delivery
from actors.runtime.mailbox import Envelope, Mailbox
from actors.runtime.ports import Runtime
from actors.runtime.stop_flag import StopFlag

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.runtime.inspection.crash_reports import CrashReport
    from actors.runtime.supervision import ChildSpec
    from actors.runtime.wakeup import Wakeup

TURN_MESSAGES: Final = 64
TURN_NS: Final = 10_000_000
_HISTORY: Final = 64


class CellState(StrEnum):
    """Where an actor is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    """Failed, and waiting for its pause to end."""
    QUARANTINED = "quarantined"
    STOPPED = "stopped"


class Parent(Runtime, Protocol):
    """Whom a cell reports to: a `System`."""

    count_coalesced: Callable[[], None]

    def measure(self, kind: str, waited_ns: int, taken_ns: int) -> None:
        """Note how long a message waited and took."""

    def examine(self, cell: Cell, error: BaseException, poison: Any) -> CrashReport | None:
        """Take down what is to be seen of a failed instance."""

    def child_failed(
        self, cell: Cell, error: BaseException, poison: Any, dossier: CrashReport | None = None
    ) -> None:
        """Decide about a failure."""

    def child_stopped(self, cell: Cell, left: list[Envelope]) -> None:
        """Free a name."""


class Cell(Delivery):
    """One name in the tree."""

    __slots__ = (
        "__weakref__",
        "_life",
        "_mark",
        "_marked",
        "_schedule",
        "blocked",
        "born_ns",
        "failures_s",
        "in_turn",
        "last_error",
        "name",
        "pykka_ref",
        "renewal_requested",
        "restarts",
        "stall_reported_ns",
        "state",
        "status",
        "stop_requested",
        "stopped",
        "wakeup",
    )

    _system: Parent

    def __init__(
        self,
        system: Parent,
        spec: ChildSpec,
        schedule: Callable[[Cell], None],
        wakeup: Wakeup | None = None,
    ) -> None:
        mailbox = Mailbox(
            spec.capacity,
            system.load,
            system.clock.monotonic_ns,
            self._on_mail,
            system.count_coalesced,
        )
        super().__init__(system, spec, mailbox)
        self.name = spec.name
        self.state = CellState.STARTING
        self.stopped = StopFlag()
        self.pykka_ref: pykka.ActorRef[Any] | None = None
        self.wakeup = wakeup
        self.status: Any = None
        self.stop_requested = False
        self.renewal_requested = False
        self.failures_s: list[float] = []
        self.restarts = 0
        self.last_error: str | None = None
        self.in_turn = False
        """Whether a turn runs; set before it takes a message, so that none is ever out of sight."""
        self.blocked = False
        """Whether the running turn hangs, and its thread was replaced."""
        self.stall_reported_ns: int | None = None
        """Which turn was reported as too long already, by its start."""
        self.born_ns = system.clock.monotonic_ns()
        self._schedule = schedule
        self._life = threading.Lock()
        """Held to leave a state that others may end too: a restart and an end can meet."""
        self._mark = threading.Lock()
        self._marked = False

    # Scheduling: the mark says that a worker has, or will get, this cell.

    def schedule(self) -> None:
        """Ask for a turn, unless one is on its way."""
        with self._mark:
            if self._marked:
                return
            self._marked = True
        self._schedule(self)

    def turn_over(self) -> None:
        """Give up the mark after a turn, and ask for another turn when there is work left."""
        self._marked = False
        if self.has_work:
            self.schedule()

    @property
    def running(self) -> bool:
        """Whether an instance is there to handle messages."""
        return self.state is CellState.RUNNING

    @property
    def ended(self) -> bool:
        """Whether the actor has ended for good."""
        return self.state is CellState.STOPPED

    @property
    def has_work(self) -> bool:
        """Whether a turn would do something."""
        if self.stop_requested:
            return self.state is not CellState.STOPPED
        if self.state is CellState.RUNNING:
            return self.renewal_requested or self.mailbox.deliverable
        return self.state is CellState.STARTING

    @property
    def is_at_rest(self) -> bool:
        """Whether it does nothing, and will do nothing until somebody sends it something.

        A held lane waits for something, and so does a failed actor that is started again. One that
        hangs, is in quarantine or paused does not act before an operator does.
        """
        if self.blocked:
            return True
        if self.has_work or self.state in (CellState.STARTING, CellState.RESTARTING):
            return False
        if self.state is CellState.RUNNING and self.mailbox.held:
            return False
        # Behind the look into the mailbox: what a turn has taken out of it is seen here.
        return not self.in_turn

    # A turn: the only place where an actor's code runs.

    def turn(self, messages: int = TURN_MESSAGES) -> None:
        """Start the instance if it has none, then hand it its share of the messages."""
        self.in_turn = True
        self.turn_thread = threading.get_ident()
        try:
            self._turn(messages)
        finally:
            self.in_turn = False

    def _turn(self, messages: int) -> None:
        if self.stop_requested:
            self._end()
            return
        if self.renewal_requested:
            self._renew()
        if self.state is CellState.STARTING:
            self._start_instance()
        now_ns = self._system.clock.monotonic_ns()
        deadline_ns = now_ns + TURN_NS
        for _ in range(messages):
            if self.state is not CellState.RUNNING:
                return
            envelope = self.mailbox.take()
            if envelope is None:
                return
            now_ns = self.deliver(envelope, now_ns)
            if self.stop_requested:
                self._end()
                return
            if now_ns > deadline_ns:
                return

    def poll(self) -> None:
        """Let a polling actor look outside its mailbox."""
        actor = self.actor
        if actor is None or self.state is not CellState.RUNNING:
            return
        error = self.watched("poll", actor.poll)
        if error is not None:
            self.fail(error, None)
        elif self.stop_requested:
            self._end()

    def _start_instance(self) -> None:
        error = self.watched("on_start", self._make_and_start)
        if error is not None:
            self.fail(error, None)

    def _make_and_start(self) -> None:
        self.actor = self.spec.make(Context(self._system, self))
        # Running before on_start, so that a hook may hold and release its own lane and arm timers.
        self.state = CellState.RUNNING
        pykka.ActorRegistry.register(self.actor.actor_ref)
        self.actor.on_start()

    def fail(self, error: BaseException, poison: Any) -> None:
        """Let go of the instance that has failed, and have it decided what comes next."""
        self.last_error = describe(error)
        self.failures_s.append(self._system.clock.monotonic_ns() / 1e9)
        del self.failures_s[:-_HISTORY]
        dossier = self._system.examine(self, error, poison)
        self._drop_instance()
        self._system.child_failed(self, error, poison, dossier)

    def set_blocked(self, *, blocked: bool) -> None:
        """Say whether the running turn is waited for no more; nobody is held up meanwhile."""
        self.blocked = blocked
        self.mailbox.set_aside(aside=blocked or self.state is CellState.QUARANTINED)

    # Ends and beginnings of instances.

    def revive(self) -> None:
        """Make a new instance at the next turn."""
        with self._life:
            if self.state not in (CellState.RESTARTING, CellState.QUARANTINED):
                return
            self.restarts += 1
            self.state = CellState.STARTING
        self.mailbox.set_aside(aside=False)
        self._on_mail()

    def quarantine(self) -> None:
        """Make no new instance; the mailbox keeps what it has, and holds nobody else up."""
        self.state = CellState.QUARANTINED
        self.mailbox.set_aside(aside=True)

    def renew_soon(self) -> None:
        """Replace the running instance at the next turn, in the actor's own thread."""
        self.renewal_requested = True
        self._on_mail()

    def _renew(self) -> None:
        self.renewal_requested = False
        if self.state is CellState.RUNNING:
            self._drop_instance()
            self.restarts += 1
            self.state = CellState.STARTING

    def end_soon(self) -> None:
        """Stop in order in the actor's own thread, overtaking what waits in the mailbox."""
        self.stop_requested = True
        self._on_mail()

    def _end(self) -> None:
        if self.state is CellState.STOPPED:
            return
        self._drop_instance()
        self._system.wheel.cancel_all(self.name)
        with self._life:
            self.state = CellState.STOPPED
        self._system.child_stopped(self, self.mailbox.close())
        # Last: whoever waits for the end may use the name again.
        self.stopped.set()

    def _drop_instance(self) -> None:
        actor, self.actor = self.actor, None
        if actor is None:
            return
        self._system.wheel.cancel_all(self.name)
        pykka.ActorRegistry.unregister(actor.actor_ref)
        error = self.watched("on_stop", actor.on_stop)
        # Again: a timer that the hook has set would reach another instance.
        self._system.wheel.cancel_all(self.name)
        if error is not None:
            self._system.log.error(
                "actor_stop_failed",
                actor=self.name,
                error=describe(error),
                traceback=traceback_of(error),
            )

    def _on_mail(self) -> None:
        if self.wakeup is not None:
            self.wakeup.set()
        elif not self._marked and self.has_work:
            # Read without the lock: a turn that is about to give up the mark looks for work behind
            # that, and what was put into the mailbox before this line is there by then.
            self.schedule()
