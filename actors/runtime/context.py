"""What an actor may do besides handling messages, and how others reach it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pykka

if TYPE_CHECKING:
    from collections.abc import Callable

    import structlog

    from actors.domain import Mint
    from actors.runtime.inspection.timeline import Detail
    from actors.runtime.ledger import Ledger
    from actors.runtime.ports import Home, Post, Runtime
    from settings import Settings
    from telemetry import Telemetry


class Ref:
    """A stable reference to whoever has this name, now or later.

    Cheap to keep; valid over restarts.
    """

    __slots__ = ("_post", "name")

    def __init__(self, post: Post, name: str) -> None:
        self._post = post
        self.name = name

    def tell(self, message: Any) -> bool:
        """Send a message; never blocks, never raises. False: refused, and kept as a dead letter."""
        return self._post.tell(self.name, message)

    def offer(self, message: Any) -> bool:
        """Send a message; never blocks, never raises.

        False: refused, and still the sender's to deal with.
        """
        return self._post.offer(self.name, message)

    @property
    def room(self) -> int:
        """How many events its mailbox would take now; 0 when nobody is there to handle them."""
        return self._post.room(self.name)

    @property
    def running(self) -> bool:
        """Whether an actor of this name is there and has not ended."""
        return self._post.running(self.name)


class Context:
    """An actor's side of the runtime.

    Only the actor itself uses it, in its own turns, unless a line says otherwise.
    """

    __slots__ = ("_system", "cell", "ledger", "name", "telemetry")

    def __init__(self, system: Runtime, cell: Home) -> None:
        self._system = system
        self.cell = cell
        self.name = cell.name
        self.telemetry: Telemetry = system.telemetry
        self.ledger: Ledger = system.ledger

    @property
    def log(self) -> structlog.stdlib.BoundLogger:
        """A log whose lines name the actor. Made each time: few of all actors ever write one."""
        return self._system.log.bind(actor=self.name)

    @property
    def settings(self) -> Settings:
        """The settings in force. After a change an actor is told `SettingsChanged`."""
        return self._system.settings

    def note(self, mint: Mint, what: str, **details: Detail) -> None:
        """Note in the timeline of a mint what has happened to it, in words of a log's event."""
        self._system.note(self.name, mint, what, details)

    def tell(self, name: str, message: Any) -> bool:
        """Send a message by name; never blocks, never raises.

        False: refused, and kept as a dead letter.
        """
        return self._system.tell(name, message)

    def tell_self(self, message: Any) -> None:
        """Send a message to oneself; never refused. May be called from any thread."""
        self.cell.offer_own(message)

    def ref(self, name: str) -> Ref:
        """Give a reference to a name."""
        return Ref(self._system, name)

    def after(self, key: object, seconds: float, message: Any) -> None:
        """Send oneself a message once `seconds` have passed; replaces a timer of the same key."""
        self._system.arm_after(self.cell, key, seconds, message)

    def at(self, key: object, feed_us: int, message: Any) -> None:
        """Send oneself a message once the feed clock has passed `feed_us`; replaces its key."""
        self._system.arm_at(self.cell, key, feed_us, message)

    def cancel(self, key: object) -> None:
        """Cancel a timer; nothing happens when there is none."""
        self._system.wheel.cancel(self.name, key)

    def now_us(self) -> int:
        """Arrival time: UTC in microseconds, never backwards. May be called from any thread."""
        return self._system.clock.now_us()

    def monotonic_s(self) -> float:
        """Seconds that only measure durations. May be called from any thread."""
        return self._system.clock.monotonic_ns() / 1e9

    def feed_us(self) -> int:
        """How far arrival time is covered.

        Every earlier arrival is in a mailbox. 0 before the first slice.
        """
        return self._system.wheel.feed_us

    def advance_feed(self, feed_us: int) -> None:
        """Publish the feed clock; only the connection does."""
        self._system.advance_feed(feed_us)

    def queued_events(self) -> int:
        """Events that wait in all mailboxes together."""
        return self._system.load.events

    def busy(self, kinds: frozenset[str]) -> str | None:
        """Name an actor of these kinds that has something to do; None: all of them rest."""
        return self._system.busy(kinds)

    def publish(self, status: Any) -> None:
        """Leave an immutable status where the supervisor and the API find it without a message."""
        self.cell.status = status

    def status_of(self, name: str) -> Any:
        """Read what an actor last published, None when there is nothing."""
        return self._system.status_of(name)

    def forward(
        self, name: str, message: Any, complete: Callable[[Any], Any] | None = None
    ) -> None:
        """Hand the question being handled on.

        Its answer goes to whoever asked, by way of `complete` when that is given; it runs in the
        thread of whoever answers, and what it raises reaches the asker alone. Nobody there: the
        asker gets None, by the same way.
        """
        self._system.forward(self.cell, name, message, complete)

    def defer(self) -> pykka.Future[Any]:
        """Take the future of the question being handled; whoever has it answers, later.

        A message that nobody waits for has one too, which nobody reads.
        """
        envelope = self.cell.envelope
        if envelope is None or envelope.reply_to is None:
            return pykka.ThreadingFuture()
        reply_to, envelope.reply_to = envelope.reply_to, None
        return reply_to

    def send(self, name: str, message: Any, reply_to: pykka.Future[Any]) -> bool:
        """Put a question to another actor; its reply goes to the future. False: nobody takes it."""
        return self._system.offer(name, message, reply_to)

    def hold(self) -> None:
        """Close the own data lane; control messages go on."""
        self.cell.mailbox.hold()

    def release(self) -> None:
        """Open the own data lane."""
        self.cell.mailbox.release()

    def dead_letter(self, message: Any, reason: str, error: BaseException | None = None) -> None:
        """Give up a message that can not be dealt with, and keep it for an operator."""
        self._system.dead_letter(self.name, reason, message, error)

    def stop(self) -> None:
        """End this actor in order after the current message."""
        self.cell.stop_requested = True

    @property
    def wakeup_fd(self) -> int:
        """Pinned actors: a file descriptor that is readable while there may be messages to take.

        Raises:
            RuntimeError: the actor runs on the shared dispatcher.
        """
        if self.cell.wakeup is None:
            raise RuntimeError(f"{self.name} shares a thread and has no wake-up descriptor")
        return self.cell.wakeup.fileno()
