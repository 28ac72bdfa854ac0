"""Which thread a request gets: probes do without those that everything else can take.

Guarantees: a request waits for requests of its own lane alone; of each lane a bounded number waits,
and any further one is answered 503 at once. `/livez`, which asks nobody, is answered by the
server's loop itself.
Relies on: a request never waits for its client (`api.connections`), so a thread is soon free again.
"""

from __future__ import annotations

import time
from typing import Any, Final

from waitress.task import ThreadedTaskDispatcher  # type: ignore[import-untyped]  # has no types

from api.services import STREAMS

THREADS: Final = STREAMS + 8
"""Each event stream keeps one; eight are left when all streams are taken."""
WAITING: Final = 64
HEALTH_THREADS: Final = 2
HEALTH_WAITING: Final = 128
"""With the 64 and all threads still so few that a connection is free for others."""


class RequestLane(ThreadedTaskDispatcher):  # type: ignore[misc]  # its base has no types
    """Some threads, and a bounded queue of connections with a request before them. Thread-safe."""

    def __init__(self, threads: int, waiting: int) -> None:
        super().__init__()
        self._waiting = waiting
        self.set_thread_count(threads)

    def add_task(self, task: Any) -> None:
        """Queue a connection's request, or have the connection refuse it."""
        with self.lock:
            has_room = len(self.queue) < self._waiting
            if has_room:
                self.queue.append(task)
                self.queue_cv.notify()
        if not has_room:
            task.refuse()


class RequestLanes:
    """The lanes of a server, as waitress sees them: one dispatcher."""

    def __init__(self, health_paths: frozenset[str]) -> None:
        """Start every lane's threads."""
        self._health_paths = health_paths | {"/readyz"}
        self._common = RequestLane(THREADS, WAITING)
        self._health = RequestLane(HEALTH_THREADS, HEALTH_WAITING)

    def add_task(self, channel: Any) -> None:
        """Queue a connection's request in its lane, or have it answered. Called by the loop."""
        # A head that could not be read has no path.
        path = getattr(channel.requests[0], "path", "")
        if path == "/livez":
            channel.service()
        elif path in self._health_paths:
            self._health.add_task(channel)
        else:
            self._common.add_task(channel)

    def shutdown(self, *, cancel_pending: bool, timeout: float) -> None:
        """Let running requests end within `timeout` seconds over all lanes."""
        deadline_s = time.monotonic() + timeout
        for lane in (self._common, self._health):
            left_s = max(0.0, deadline_s - time.monotonic())
            lane.shutdown(cancel_pending=cancel_pending, timeout=left_s)
