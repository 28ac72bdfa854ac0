"""Listening in on one actor while it runs: taps for a reader elsewhere, traces for the log.

Guarantees: a listener never slows its actor down by more than a short lock, whatever its reader
does; past a tap's bound the newest is dropped and counted; a tap ends with its actor. An actor
without listeners pays for one look at an empty tuple. Listeners belong to the name and outlive its
instances.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from actors.runtime.inspection.recent_messages import Entry, RecentMessage, render

if TYPE_CHECKING:
    from collections.abc import Callable

    import structlog

    from actors.domain import Mint
    from actors.runtime.clocks import Clock
    from actors.runtime.inspection.timeline import Note

CAPACITY: Final = 256
DESERTED_NS: Final = 60_000_000_000
"""A full tap that nobody has read from for so long closes itself: its reader is gone."""
TAP_SUMMARY_CHARS: Final = 4_000
"""A tap is read by somebody who wants to see all of it; the longest event has some 1,500."""


class Listener(Protocol):
    """Hears what an actor has handled, in the thread that ran it."""

    def hear(self, entry: Entry) -> None:
        """Take note of one message, or of one event of a batch. Never blocks, never raises."""


def _ignore() -> None:
    return None


class Tap:
    """What one actor handles, and what is noted of its mint, as it happens. Thread-safe."""

    def __init__(
        self,
        clock: Clock,
        capacity: int,
        leave: Callable[[Tap], None],
        dropped: Callable[[], None] = _ignore,
    ) -> None:
        self._clock = clock
        self._count_dropped = dropped
        self._capacity = capacity
        self._leave = leave
        self._changed = threading.Condition()
        self._waiting: deque[Entry | Note] = deque()
        self._closed = False
        self._dropped = 0
        self._read_ns = clock.monotonic_ns()

    def get(self, timeout_s: float) -> RecentMessage | Note | None:
        """Wait for the next thing heard, oldest first.

        Returns:
            None: nothing came in time, or the tap is closed and read to its end.
        """
        with self._changed:
            self._read_ns = self._clock.monotonic_ns()
            self._changed.wait_for(lambda: self._waiting or self._closed, timeout_s)
            if not self._waiting:
                return None
            found = self._waiting.popleft()
        if not isinstance(found, tuple):
            return found
        return render(found, self._clock.now_us(), self._clock.monotonic_ns(), TAP_SUMMARY_CHARS)

    def close(self) -> None:
        """Listen no longer; what waits can still be read."""
        self._leave(self)
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether nothing will be heard any more: closed, or the actor has ended."""
        return self._closed

    @property
    def dropped(self) -> int:
        """How much was not kept, because the reader was behind by the tap's capacity."""
        return self._dropped

    def hear(self, entry: Entry) -> None:
        """Keep a handled message for the reader."""
        self._put(entry)

    def note(self, note: Note) -> None:
        """Keep a note of the mint for the reader."""
        self._put(note)

    def _put(self, heard: Entry | Note) -> None:
        with self._changed:
            if self._closed:
                return
            if len(self._waiting) < self._capacity:
                self._waiting.append(heard)
                self._changed.notify()
                return
            self._dropped += 1
            self._count_dropped()
            is_deserted = self._clock.monotonic_ns() - self._read_ns > DESERTED_NS
        if is_deserted:
            self.close()


class Trace:
    """Logs every message of one actor until its time is over."""

    def __init__(
        self,
        clock: Clock,
        log: structlog.stdlib.BoundLogger,
        until_ns: int,
        leave: Callable[[Trace], None],
    ) -> None:
        self._clock = clock
        self._log = log
        self._until_ns = until_ns
        self._leave = leave

    def hear(self, entry: Entry) -> None:
        """Log a handled message."""
        now_ns = self._clock.monotonic_ns()
        if now_ns >= self._until_ns:
            self._leave(self)
            return
        handled = render(entry, self._clock.now_us(), now_ns)
        self._log.info(
            "handled",
            trace=True,
            message=handled.message,
            summary=handled.summary,
            weight=handled.weight,
            waited_ms=round(handled.waited_s * 1e3, 3),
            taken_ms=round(handled.taken_s * 1e3, 3),
            failed=handled.failed,
        )


class TapPoint(Protocol):
    """Who can be listened to: a cell. The tuple is replaced, not changed: readers take no lock."""

    name: str
    listeners: tuple[Listener, ...]

    @property
    def ended(self) -> bool:
        """Whether it has ended for good."""


class Listeners:
    """Who listens to which actor and to which mint. Thread-safe."""

    def __init__(
        self, clock: Clock, log: structlog.stdlib.BoundLogger, dropped: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._log = log
        self._dropped = dropped
        self._lock = threading.Lock()
        self._of_mint: dict[str, tuple[Tap, ...]] = {}
        self._taps = 0

    @property
    def taps(self) -> int:
        """How many taps are open."""
        return self._taps

    def tap(self, ears: TapPoint, capacity: int, mint: Mint | None) -> Tap:
        """Have a new tap listen to an actor, and to what is noted of a mint."""

        def leave(tap: Tap) -> None:
            with self._lock:
                self._taps -= tap in ears.listeners
                ears.listeners = _without(ears.listeners, tap)
                self._forget(mint, tap)

        tap = Tap(self._clock, capacity, leave, self._dropped)
        with self._lock:
            self._taps += 1
            ears.listeners = (*ears.listeners, tap)
            if mint is not None:
                self._of_mint[mint] = (*self._of_mint.get(mint, ()), tap)
        if ears.ended:
            # It may have told its listeners before this one was among them.
            tap.close()
        return tap

    def trace(self, ears: TapPoint, seconds: float) -> None:
        """Log what an actor handles for a while, in place of an earlier trace; 0 ends it."""

        def leave(trace: Trace) -> None:
            with self._lock:
                ears.listeners = _without(ears.listeners, trace)

        until_ns = self._clock.monotonic_ns() + round(seconds * 1e9)
        kind, _, key = ears.name.partition(":")
        log = self._log.bind(actor=ears.name, **({"mint": key} if kind == "tracker" else {}))
        with self._lock:
            others = tuple(each for each in ears.listeners if not isinstance(each, Trace))
            new = (Trace(self._clock, log, until_ns, leave),) if seconds > 0 else ()
            ears.listeners = (*others, *new)

    def note(self, mint: Mint, note: Note) -> None:
        """Let the taps of a mint hear a note."""
        if self._of_mint:
            for tap in self._of_mint.get(mint, ()):
                tap.note(note)

    def end(self, ears: TapPoint) -> None:
        """End whoever listens to an actor that has ended."""
        for listener in ears.listeners:
            if isinstance(listener, Tap):
                listener.close()

    def _forget(self, mint: Mint | None, tap: Tap) -> None:
        if mint is None or mint not in self._of_mint:
            return
        left = tuple(each for each in self._of_mint[mint] if each is not tap)
        if left:
            self._of_mint[mint] = left
        else:
            del self._of_mint[mint]


def _without(listeners: tuple[Listener, ...], gone: Listener) -> tuple[Listener, ...]:
    return tuple(each for each in listeners if each is not gone)
