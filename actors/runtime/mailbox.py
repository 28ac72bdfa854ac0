"""The mailbox: two lanes, a bound, and an answer to "how long has the oldest message waited?".

Guarantees: messages of one lane leave in the order they came, except that a keyed one takes the
place of its predecessor. `put` never blocks. Control messages, messages to oneself and those that
must arrive (`must_arrive`) are never refused. What waits for somebody who takes nothing (a held
lane, a mailbox that is paused or set aside) is no load: it must not slow down everybody else.
Not guaranteed: fairness between senders.
Relies on: at most one thread takes (the runtime gives an actor to one thread at a time).
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from pykka import messages as pykka_messages

from actors.runtime.messages import Batch, Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykka import Future


def _ignore() -> None:
    return None


class Envelope:
    """A message on its way, with the future that waits for its reply.

    Pykka's own envelopes are accepted beside it.
    """

    __slots__ = ("enqueued_ns", "message", "reply_to", "weight")

    def __init__(self, message: Any, reply_to: Future[Any] | None, enqueued_ns: int) -> None:
        self.message = message
        self.reply_to = reply_to
        self.enqueued_ns = enqueued_ns
        self.weight = len(message.events) if isinstance(message, Batch) else 1


class Load:
    """Events that wait in all mailboxes that are emptied; what back-pressure is decided by.

    Each thread counts for itself, so that none waits for another: a lock around one sum was a queue
    behind the GIL, and held more than a third of the dispatcher's time at 10,000 coins.
    """

    def __init__(self) -> None:
        self._by_thread: dict[int, int] = {}

    @property
    def events(self) -> int:
        """Events waiting right now."""
        return sum(list(self._by_thread.values()))

    def add(self, events: int) -> None:
        """Count events in (positive) or out (negative)."""
        # No other thread writes this key, and the GIL keeps the dictionary whole.
        thread = threading.get_ident()
        self._by_thread[thread] = self._by_thread.get(thread, 0) + events


class Mailbox:
    """See the module's docstring.

    `ready` is called, outside the lock, whenever there may be something to take; `coalesced`, in
    it, whenever a keyed message has taken the place of an earlier one: it only counts.
    """

    __slots__ = (
        "_closed",
        "_coalesced",
        "_control",
        "_data",
        "_flows",
        "_held",
        "_is_aside",
        "_latest",
        "_load",
        "_lock",
        "_monotonic_ns",
        "_paused",
        "_ready",
        "capacity",
        "depth",
        "peak",
    )

    def __init__(
        self,
        capacity: int,
        load: Load,
        monotonic_ns: Callable[[], int],
        ready: Callable[[], None],
        coalesced: Callable[[], None] = _ignore,
    ) -> None:
        self._lock = threading.Lock()
        # A lane is there while something waits in it: most actors rest, and an empty one takes as
        # much memory as everything else in here.
        self._control: deque[Envelope] | None = None
        self._data: deque[Envelope] | None = None
        self._latest: dict[object, Envelope] | None = None
        self._load = load
        self._monotonic_ns = monotonic_ns
        self._ready = ready
        self._coalesced = coalesced
        self._held = False
        self._paused = False
        self._is_aside = False
        self._closed = False
        self._flows = True
        """Whether what waits is going to be taken, and counts as load: all of `depth`, or none."""
        self.capacity = capacity
        self.depth = 0
        self.peak = 0

    def put(self, envelope: Any) -> None:
        """Accept an envelope of Pykka's making (`ActorRef.tell` and `ask` call this)."""
        self.offer(envelope.message, envelope.reply_to)

    def get(self) -> Any:
        """Take the next envelope, as Pykka's protocol of an inbox wants it.

        Raises:
            LookupError: nothing can be taken; the runtime never waits in here.
        """
        envelope = self.take()
        if envelope is None:
            raise LookupError("the mailbox is empty")
        return envelope

    def empty(self) -> bool:
        """Say whether nothing can be taken right now."""
        return not self.deliverable

    def offer(
        self, message: Any, reply_to: Future[Any] | None = None, *, from_self: bool = False
    ) -> bool:
        """Queue a message; False when the mailbox is closed, or the data lane is full or paused."""
        is_ours = isinstance(message, Message)
        control = message.control if is_ours else _is_pykka_control(message)
        keyed = is_ours and message.keyed and not control
        with self._lock:
            if self._closed:
                return False
            if not control:
                if keyed and self._replace_latest(message):
                    return True
                is_full = self._paused or self.depth >= self.capacity
                if is_full and not (from_self or (is_ours and message.must_arrive)):
                    return False
            envelope = Envelope(message, reply_to, self._monotonic_ns())
            self._lane(control=control).append(envelope)
            if keyed:
                self._latest = self._latest or {}
                self._latest[message.coalesce_key] = envelope
            self.depth += envelope.weight
            self.peak = max(self.peak, self.depth)
            if self._flows:
                self._load.add(envelope.weight)
        self._ready()
        return True

    def put_back(self, message: Any) -> None:
        """Queue a message in front of its lane: the rest of a batch whose event failed."""
        with self._lock:
            envelope = Envelope(message, None, self._monotonic_ns())
            self._lane(control=is_control(message)).appendleft(envelope)
            self.depth += envelope.weight
            if self._flows:
                self._load.add(envelope.weight)

    def take(self) -> Envelope | None:
        """Take the next message: control first, then data unless its lane is held or paused."""
        if not self.depth:
            return None
        with self._lock:
            control, data = self._control, self._data
            if control:
                envelope = control.popleft()
                if not control:
                    self._control = None
            elif data and not self._held and not self._paused:
                envelope = data.popleft()
                if not data:
                    self._data = None
                if self._latest:
                    self._forget_latest(envelope)
            else:
                return None
            weight = envelope.weight
            self.depth -= weight
            if self._flows:
                self._load.add(-weight)
            return envelope

    @property
    def deliverable(self) -> bool:
        """Whether `take` would give something."""
        if self._control:
            return True
        return bool(self._data) and not self._held and not self._paused

    @property
    def held(self) -> bool:
        """Whether the data lane is closed for the time being."""
        return self._held

    def hold(self) -> None:
        """Close the data lane: messages wait in it, control messages go on."""
        with self._lock:
            self._held = True
            self._count_load()

    def release(self) -> None:
        """Open the data lane again."""
        with self._lock:
            self._held = False
            self._count_load()
        self._ready()

    @property
    def paused(self) -> bool:
        """Whether an operator keeps the data lane closed."""
        return self._paused

    def pause(self) -> bool:
        """Close the data lane from outside; False when it is closed so already.

        Unlike a held lane it takes no new data either, so that senders keep what they have.
        """
        with self._lock:
            if self._paused or self._closed:
                return False
            self._paused = True
            self._count_load()
        return True

    def resume(self) -> bool:
        """Open a paused data lane again; False when it is not paused."""
        with self._lock:
            if not self._paused:
                return False
            self._paused = False
            self._count_load()
        self._ready()
        return True

    @property
    def room(self) -> int:
        """How many events it would take now."""
        return 0 if self._paused else max(0, self.capacity - self.depth)

    def set_aside(self, *, aside: bool) -> None:
        """Say whether nobody is going to take anything for the time being."""
        with self._lock:
            self._is_aside = aside
            self._count_load()

    def oldest_age_s(self) -> float | None:
        """Seconds that the oldest waiting message has waited, None when nothing waits."""
        with self._lock:
            heads = [lane[0].enqueued_ns for lane in (self._control, self._data) if lane]
        return (self._monotonic_ns() - min(heads)) / 1e9 if heads else None

    def close(self) -> list[Envelope]:
        """Refuse everything from now on and give back what was never handled."""
        with self._lock:
            self._closed = True
            left = [*(self._control or ()), *(self._data or ())]
            self._control = self._data = self._latest = None
            # It leads back to the mailbox: without it an ended actor is freed at once, not whenever
            # the collector comes by.
            self._ready = _ignore
            if self._flows:
                self._load.add(-self.depth)
            self.depth = 0
        return left

    def _lane(self, *, control: bool) -> deque[Envelope]:
        if control:
            lane = self._control
            if lane is None:
                lane = self._control = deque()
        else:
            lane = self._data
            if lane is None:
                lane = self._data = deque()
        return lane

    def _count_load(self) -> None:
        flows = not (self._held or self._paused or self._is_aside)
        if flows is not self._flows:
            self._flows = flows
            self._load.add(self.depth if flows else -self.depth)

    def _replace_latest(self, message: Message) -> bool:
        waiting = self._latest.get(message.coalesce_key) if self._latest else None
        if waiting is None:
            return False
        waiting.message = message
        self._coalesced()
        return True

    def _forget_latest(self, envelope: Envelope) -> None:
        message = envelope.message
        if self._latest and isinstance(message, Message) and message.keyed:
            self._latest.pop(message.coalesce_key, None)


def is_control(message: Any) -> bool:
    """Say whether a message belongs to the control lane; Pykka's stop and proxy messages do."""
    return message.control if isinstance(message, Message) else _is_pykka_control(message)


def _is_pykka_control(message: Any) -> bool:
    return isinstance(
        message,
        pykka_messages._ActorStop  # noqa: SLF001 - Pykka's only way to say stop
        | pykka_messages.ProxyCall
        | pykka_messages.ProxyGetAttr
        | pykka_messages.ProxySetAttr,
    )
