"""How one message reaches the instance of an actor, and what is seen of it meanwhile.

Guarantees: an instance's code runs through `attempt` alone, so nothing that it raises comes out
here; of a batch whose event fails, those behind it go back to the front of the mailbox.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from actors.runtime.attempt import attempt
from actors.runtime.dead_letters import describe
from actors.runtime.inspection.preview import summary_of
from actors.runtime.inspection.recent_messages import KEPT_EVENTS, MESSAGES, bulky_fields, keep
from actors.runtime.messages import Batch, Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.runtime.actor import Actor
    from actors.runtime.clocks import Clock
    from actors.runtime.inspection.recent_messages import Entry
    from actors.runtime.inspection.taps import Listener
    from actors.runtime.mailbox import Envelope, Mailbox
    from actors.runtime.supervision import ChildSpec


class Measuring(Protocol):
    """What a delivery needs of the runtime."""

    clock: Clock

    def measure(self, kind: str, waited_ns: int, taken_ns: int) -> None:
        """Note how long a message waited and took."""


class Delivery:
    """The running instance of a name, the message it handles and the last ones that it has."""

    __slots__ = (
        "_hook",
        "_system",
        "actor",
        "busy_ns",
        "envelope",
        "handled",
        "listeners",
        "mailbox",
        "recent",
        "spec",
        "turn_started_ns",
        "turn_thread",
    )

    def __init__(self, system: Measuring, spec: ChildSpec, mailbox: Mailbox) -> None:
        self.spec = spec
        self.mailbox = mailbox
        self.actor: Actor | None = None
        self.recent: list[Entry] = []
        """The last messages, oldest first; added to and cut by the thread that runs the turn."""
        self.listeners: tuple[Listener, ...] = ()
        self.handled = 0
        self.busy_ns = 0
        self.envelope: Envelope | None = None
        self.turn_started_ns: int | None = None
        self.turn_thread = 0
        self._system = system
        self._hook: str | None = None

    def deliver(self, envelope: Envelope, started_ns: int) -> int:
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
        self.fail(error, poison)

    def fail(self, error: BaseException, poison: Any) -> None:
        """Let go of the instance that has failed, and of `poison`, which it failed at."""
        raise NotImplementedError

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

    def watched(self, hook: str, step: Callable[..., Any], *args: Any) -> BaseException | None:
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
