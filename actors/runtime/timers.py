"""Keyed timers on two clocks: the monotonic one and the feed's.

Purpose: a timer is a message to oneself. Arming a key again replaces the timer; an actor's timers
end with it.
Guarantees: a timer of the feed clock fires after `advance_feed` has passed its time, and therefore
stands in the mailbox behind every event that was handed on before that call. Timers that are due
together leave in chunks, so that they never keep the lock for long.
Not guaranteed: that a timer fires on time; only that it does not fire early.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK: Final = 256
MAX_CANCELLED: Final = 1_024
"""Cancelled timers are cleared away once there are more, and more of them than armed ones."""
_IDLE_WAIT_S: Final = 1.0

Deliver = "Callable[[Any], None]"


class Armed(NamedTuple):
    """A timer that has not fired yet."""

    key: object
    due: int
    """Monotonic nanoseconds, or microseconds of the feed clock when `on_feed`."""
    on_feed: bool


class _Timer:
    __slots__ = ("cancelled", "deliver", "due", "key", "message", "on_feed", "owner")

    def __init__(
        self, owner: str, key: object, message: Any, deliver: Callable[[Any], None]
    ) -> None:
        self.due = 0
        self.on_feed = False
        self.owner = owner
        self.key = key
        self.message = message
        self.deliver = deliver
        self.cancelled = False

    def cancel(self) -> None:
        """Never fire, and let go of the actor: it may have ended long before the time comes."""
        self.cancelled = True
        self.message = None
        self.deliver = _nowhere


def _nowhere(_: Any) -> None:
    return None


class TimerWheel:
    """The two heaps and the index by owner and key. Thread-safe; fires only when told to."""

    def __init__(self, monotonic_ns: Callable[[], int]) -> None:
        self._lock = threading.Lock()
        self._monotonic_ns = monotonic_ns
        self._order = itertools.count()
        self._by_owner: dict[str, dict[object, _Timer]] = {}
        self._monotonic: list[tuple[int, int, _Timer]] = []
        self._feed: list[tuple[int, int, _Timer]] = []
        self._cancelled = 0
        """How many timers of both heaps are cancelled."""
        self._in_hand = 0
        """How many were taken out and are not delivered yet."""
        self.fired = 0
        """How many were taken out so far; only grows."""
        self.feed_us = 0

    def after(
        self, owner: str, key: object, seconds: float, message: Any, deliver: Callable[[Any], None]
    ) -> None:
        """Arm a timer of the monotonic clock."""
        due = self._monotonic_ns() + max(0, round(seconds * 1e9))
        self._arm(self._monotonic, due, _Timer(owner, key, message, deliver))

    def at(
        self, owner: str, key: object, feed_us: int, message: Any, deliver: Callable[[Any], None]
    ) -> None:
        """Arm a timer of the feed clock."""
        self._arm(self._feed, feed_us, _Timer(owner, key, message, deliver))

    def cancel(self, owner: str, key: object) -> None:
        """Cancel one timer; nothing happens when there is none."""
        with self._lock:
            self._cancel(owner, key)
            self._clear_away()

    def cancel_all(self, owner: str) -> None:
        """Cancel every timer of an owner."""
        with self._lock:
            for timer in self._by_owner.pop(owner, {}).values():
                timer.cancel()
                self._cancelled += 1
            self._clear_away()

    def pending(self) -> int:
        """Count the armed timers."""
        with self._lock:
            return sum(len(timers) for timers in self._by_owner.values())

    def armed(self, owner: str) -> list[Armed]:
        """List an owner's timers, those of the monotonic clock first, each in order of time."""
        with self._lock:
            timers = list(self._by_owner.get(owner, {}).values())
        found = [Armed(timer.key, timer.due, timer.on_feed) for timer in timers]
        return sorted(found, key=lambda armed: (armed.on_feed, armed.due))

    def kept(self) -> int:
        """Count the timers in memory, cancelled ones included."""
        with self._lock:
            return len(self._monotonic) + len(self._feed)

    def advance_feed(self, feed_us: int) -> None:
        """Publish how far arrival time is covered; timers fire at the next `fire`."""
        self.feed_us = max(self.feed_us, feed_us)

    def next_monotonic_ns(self) -> int | None:
        """When the next timer of the monotonic clock is due."""
        with self._lock:
            self._shed(self._monotonic)
            return self._monotonic[0][0] if self._monotonic else None

    def feed_due(self) -> bool:
        """Whether a timer of the feed clock waits to be fired."""
        # With the lock: the timer thread may take the last one right behind the first look.
        with self._lock:
            heap = self._feed
            return bool(heap) and heap[0][0] <= self.feed_us

    def feed_at_rest(self) -> bool:
        """Whether every timer that the feed clock has passed is in its owner's mailbox."""
        with self._lock:
            heap = self._feed
            return not self._in_hand and not (heap and heap[0][0] <= self.feed_us)

    def fire(self) -> int:
        """Deliver at most a chunk of the timers that are due; return how many."""
        due = self._take_due(self._monotonic, self._monotonic_ns())
        due += self._take_due(self._feed, self.feed_us)
        for timer in due:
            timer.deliver(timer.message)
        with self._lock:
            self._in_hand -= len(due)
        return len(due)

    def _arm(self, heap: list[tuple[int, int, _Timer]], due: int, timer: _Timer) -> None:
        with self._lock:
            self._cancel(timer.owner, timer.key)
            self._by_owner.setdefault(timer.owner, {})[timer.key] = timer
            timer.due, timer.on_feed = due, heap is self._feed
            heapq.heappush(heap, (due, next(self._order), timer))
            self._clear_away()

    def _cancel(self, owner: str, key: object) -> None:
        timer = self._forget(owner, key)
        if timer is not None:
            timer.cancel()
            self._cancelled += 1

    def _forget(self, owner: str, key: object) -> _Timer | None:
        timers = self._by_owner.get(owner)
        timer = timers.pop(key, None) if timers else None
        if timers is not None and not timers:
            del self._by_owner[owner]
        return timer

    def _clear_away(self) -> None:
        """Take cancelled timers out of the heaps when they are the most of what is there."""
        armed = len(self._monotonic) + len(self._feed) - self._cancelled
        if self._cancelled <= max(MAX_CANCELLED, armed):
            return
        for heap in (self._monotonic, self._feed):
            heap[:] = [entry for entry in heap if not entry[2].cancelled]
            heapq.heapify(heap)
        self._cancelled = 0

    def _take_due(self, heap: list[tuple[int, int, _Timer]], now: int) -> list[_Timer]:
        due: list[_Timer] = []
        with self._lock:
            while heap and len(due) < CHUNK and heap[0][0] <= now:
                timer = heapq.heappop(heap)[2]
                if timer.cancelled:
                    self._cancelled -= 1
                else:
                    self._forget(timer.owner, timer.key)
                    due.append(timer)
            self._in_hand += len(due)
            self.fired += len(due)
        return due

    def _shed(self, heap: list[tuple[int, int, _Timer]]) -> None:
        while heap and heap[0][2].cancelled:
            heapq.heappop(heap)
            self._cancelled -= 1


class TimerThread:
    """The one thread that fires a wheel's timers."""

    def __init__(self, wheel: TimerWheel, monotonic_ns: Callable[[], int]) -> None:
        self._wheel = wheel
        self._monotonic_ns = monotonic_ns
        self._wake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="timers", daemon=True)

    def start(self) -> None:
        """Start firing."""
        self._thread.start()

    def wake(self) -> None:
        """Look again: a timer was armed, or the feed clock has moved past one."""
        self._wake.set()

    def stop(self, timeout_s: float) -> None:
        """Stop firing; what is armed stays unfired."""
        self._stopped = True
        self._wake.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopped:
            self._wake.clear()
            if self._wheel.fire() == 0:
                self._wake.wait(self._wait_s())

    def _wait_s(self) -> float:
        due = self._wheel.next_monotonic_ns()
        if due is None:
            return _IDLE_WAIT_S
        return min(_IDLE_WAIT_S, max(0.0, (due - self._monotonic_ns()) / 1e9))
