"""The cell: what belongs to an actor's name and outlives its instances.

Purpose: mailbox, references, history and the running instance of one name, and the turn that hands
messages to it.
Guarantees: `turn` is run by one thread at a time (the dispatcher's mark, or the pinned thread); a
raise in a constructor, a hook or a handler ends in `System.child_failed` and nowhere else; the
instance is gone afterwards, the mailbox is not.
"""

from __future__ import annotations

import threading
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pykka

from actors.runtime.actor import Actor, StopFlag
from actors.runtime.attempt import attempt
from actors.runtime.context import Context
from actors.runtime.dead_letters import describe, traceback_of
from actors.runtime.inspection.preview import summary_of
from actors.runtime.inspection.recent_messages import KEPT_EVENTS, MESSAGES, bulky_fields, keep
from actors.runtime.mailbox import Envelope, Mailbox
from actors.runtime.messages import Batch, Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.runtime.inspection.recent_messages import Entry
    from actors.runtime.inspection.taps import Listener
    from actors.runtime.supervision import ChildSpec
    from actors.runtime.system import System
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


class Cell:
    """One name in the tree."""

    __slots__ = (
        "__weakref__",
        "_hook",
        "_life",
        "_mark",
        "_marked",
        "_schedule",
        "_system",
        "actor",
        "blocked",
        "born_ns",
        "busy_ns",
        "envelope",
        "failures_s",
        "handled",
        "in_turn",
        "last_error",
        "listeners",
        "mailbox",
        "name",
        "pykka_ref",
        "recent",
        "renewal_requested",
        "restarts",
        "spec",
        "stall_reported_ns",
        "state",
        "status",
        "stop_requested",
        "stopped",
        "turn_started_ns",
        "turn_thread",
        "wakeup",
    )

    def __init__(
        self,
        system: System,
        spec: ChildSpec,
        schedule: Callable[[Cell], None],
        wakeup: Wakeup | None = None,
    ) -> None:
        self.name = spec.name
        self.spec = spec
        self.state = CellState.STARTING
        self.stopped = StopFlag()
        self.pykka_ref: pykka.ActorRef[Any] | None = None
        self.wakeup = wakeup
        self.mailbox = Mailbox(
            spec.capacity,
            system.load,
            system.clock.monotonic_ns,
            self._on_mail,
            system.count_coalesced,
        )
        self.actor: Actor | None = None
        self.status: Any = None
        self.recent: list[Entry] = []
        """The last messages, oldest first; added to and cut by the thread that runs the turn."""
        self.listeners: tuple[Listener, ...] = ()
        self.stop_requested = False
        self.renewal_requested = False
        self.failures_s: list[float] = []
        self.restarts = 0
        self.handled = 0
        self.busy_ns = 0
        self.last_error: str | None = None
        self.envelope: Envelope | None = None
        self.turn_started_ns: int | None = None
        self.turn_thread = 0
        self.in_turn = False
        """Whether a turn runs; set before it takes a message, so that none is ever out of sight."""
        self.blocked = False
        """Whether the running turn hangs, and its thread was replaced."""
        self.stall_reported_ns: int | None = None
        """Which turn was reported as too long already, by its start."""
        self.born_ns = system.clock.monotonic_ns()
        self._system = system
        self._schedule = schedule
        self._life = threading.Lock()
        """Held to leave a state that others may end too: a restart and an end can meet."""
        self._mark = threading.Lock()
        self._marked = False
        self._hook: str | None = None

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
            now_ns = self._deliver(envelope, now_ns)
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
        error = self._watched("poll", actor.poll)
        if error is not None:
            self._fail(error, None)
        elif self.stop_requested:
            self._end()

    def _start_instance(self) -> None:
        error = self._watched("on_start", self._make_and_start)
        if error is not None:
            self._fail(error, None)

    def _make_and_start(self) -> None:
        self.actor = self.spec.make(Context(self._system, self))
        # Running before on_start, so that a hook may hold and release its own lane and arm timers.
        self.state = CellState.RUNNING
        pykka.ActorRegistry.register(self.actor.actor_ref)
        self.actor.on_start()

    def _deliver(self, envelope: Envelope, started_ns: int) -> int:
        """Hand one message to the instance; return when that was over."""
        message, weight, system = envelope.message, envelope.weight, self._system
        self.envelope = envelope
        self.turn_started_ns = started_ns
        error = attempt(self._receive, envelope)
        self.turn_started_ns = None
        ended_ns = system.clock.monotonic_ns()
        taken_ns = ended_ns - started_ns
        self.busy_ns += taken_ns
        system.measure(self.spec.kind, started_ns - envelope.enqueued_ns, taken_ns)
        if weight > KEPT_EVENTS or (weight == 1 and bulky_fields(message.__class__)):
            kept = keep(message)
        else:
            kept = message
        entry = (kept, weight, envelope.enqueued_ns, started_ns, taken_ns, error is not None)
        self.recent.append(entry)
        if len(self.recent) > MESSAGES:
            del self.recent[0]
        if self.listeners and not isinstance(message, Batch):
            self._hear(entry)
        self.envelope = None
        self.handled += weight
        if error is not None:
            self._poisoned(envelope, error)
        return ended_ns

    def _receive(self, envelope: Envelope) -> None:
        actor = self.actor
        if actor is None:
            return
        message, response = envelope.message, None
        if isinstance(message, Batch):
            actor.events_done = 0
            if self.listeners:
                for event in message.events:
                    self._receive_heard(event)
                    actor.events_done += 1
            else:
                actor.on_batch(message.events)
        elif isinstance(message, Message):
            response = actor.on_receive(message)
        else:
            response = actor._handle_receive(message)  # noqa: SLF001 - Pykka's dispatch of stop and proxies
        if envelope.reply_to is not None:
            envelope.reply_to.set(response)

    def _receive_heard(self, event: Any) -> None:
        """Handle one event of a batch while somebody listens."""
        actor, envelope = self.actor, self.envelope
        if actor is None or envelope is None:
            return
        started = self._system.clock.monotonic_ns()
        failed = True
        try:
            actor.on_receive(event)
            failed = False
        finally:
            taken_ns = self._system.clock.monotonic_ns() - started
            self._hear((event, 1, envelope.enqueued_ns, started, taken_ns, failed))

    def _hear(self, entry: Entry) -> None:
        for listener in self.listeners:
            listener.hear(entry)

    def _poisoned(self, envelope: Envelope, error: BaseException) -> None:
        poison, actor = envelope.message, self.actor
        if isinstance(poison, Batch) and actor is not None:
            done = actor.events_done
            rest = poison.events[done + 1 :]
            if rest:
                self.handled -= len(rest)
                self.mailbox.put_back(msgspec.structs.replace(poison, events=rest))
            poison = poison.events[done]
        if envelope.reply_to is not None:
            envelope.reply_to.set_exception((type(error), error, error.__traceback__))
        self._fail(error, poison)

    def _fail(self, error: BaseException, poison: Any) -> None:
        self.last_error = describe(error)
        self.failures_s.append(self._system.clock.monotonic_ns() / 1e9)
        del self.failures_s[:-_HISTORY]
        dossier = self._system.examine(self, error, poison)
        self._drop_instance()
        self._system.child_failed(self, error, poison, dossier)

    def snapshot(self, limit: int) -> str | None:
        """Render what the instance says about itself; None: nothing, or there is none."""
        actor = self.actor
        if actor is None:
            return None
        said: list[Any] = []
        error = attempt(lambda: said.append(actor.snapshot()))
        if error is not None:
            return f"no snapshot: {describe(error)}"[:limit]
        return None if said[0] is None else summary_of(said[0], limit, values=True)

    def _watched(self, hook: str, step: Callable[..., Any], *args: Any) -> BaseException | None:
        """Call a hook as a turn that the watchdog sees; give what it raised."""
        self._hook = hook
        self.turn_thread = threading.get_ident()
        self.turn_started_ns = self._system.clock.monotonic_ns()
        error = attempt(step, *args)
        self.turn_started_ns = None
        self._hook = None
        return error

    @property
    def doing(self) -> str:
        """What the running turn is about: the type of a message, or a hook."""
        envelope, hook = self.envelope, self._hook
        return hook or ("" if envelope is None else type(envelope.message).__name__)

    def offer_own(self, message: Any) -> None:
        """Queue a message of the actor to itself, also where the mailbox is full."""
        self.mailbox.offer(message, from_self=True)

    @property
    def is_asking_itself(self) -> bool:
        """Whether the calling thread is the one that runs this actor's turn."""
        return self.turn_started_ns is not None and self.turn_thread == threading.get_ident()

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
        error = self._watched("on_stop", actor.on_stop)
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
