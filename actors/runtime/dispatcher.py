"""Who runs turns: threads that share the actors, and one for each actor that needs its own.

Guarantees: a cell is run by one worker at a time. A worker whose turn hangs can be replaced: it is
lost until its turn returns, then gives its cell back and ends. The number of workers can change at
any time; nothing that is queued is left out.
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from actors.runtime.cell import Cell
    from actors.runtime.wakeup import Wakeup

MAX_LOST: Final = 8
"""Workers lost at once that are replaced; more of them mean that the trouble is not one actor's."""
MAX_THREADS: Final = 64
"""More of them gain nothing under the GIL; that many help against turns that hang."""
_IDLE_WAIT_S: Final = 1.0


class _Worker:
    """One thread of the shared dispatcher and the cell it runs."""

    __slots__ = ("busy_ns", "cell", "lost", "thread")

    def __init__(self) -> None:
        self.busy_ns = 0
        self.cell: Cell | None = None
        self.lost = False
        self.thread: threading.Thread | None = None


class SharedDispatcher:
    """A run queue and the worker threads that take cells from it. Thread-safe.

    A mailbox that gets its first message puts its cell on the queue; a worker gives it one turn;
    when work is left the cell goes to the end of the queue, so turns are fair.
    """

    def __init__(self, threads: int) -> None:
        self._queue: queue.SimpleQueue[Cell | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._size = threads
        self._workers: list[_Worker] = []
        """Those that take cells."""
        self._lost: list[_Worker] = []
        self._open = False
        self._past_busy_ns = 0
        """Of workers that have ended."""

    @property
    def busy_s(self) -> float:
        """Seconds that workers have spent in turns, of those that are over."""
        with self._lock:
            return (self._past_busy_ns + sum(worker.busy_ns for worker in self._workers)) / 1e9

    @property
    def size(self) -> int:
        """How many workers there are to be."""
        return self._size

    @property
    def lost(self) -> int:
        """How many workers hang in a turn and were given up."""
        return len(self._lost)

    def start(self) -> None:
        """Start the workers."""
        with self._lock:
            self._open = True
            for _ in range(self._size):
                self._add()

    def schedule(self, cell: Cell) -> None:
        """Queue a cell for a turn; the cell makes sure that it stands here at most once."""
        self._queue.put(cell)

    def resize(self, threads: int) -> None:
        """Have another number of workers; those too many end after what is queued by now.

        Raises:
            ValueError: `threads` is not from 1 to 64.
        """
        if not 1 <= threads <= MAX_THREADS:
            raise ValueError(f"the dispatcher has 1 to {MAX_THREADS} threads, not {threads}")
        with self._lock:
            before, self._size = self._size, threads
            if not self._open:
                return
            for _ in range(before, threads):
                self._add()
            for _ in range(threads, before):
                self._queue.put(None)

    def replace(self, cell: Cell) -> bool:
        """Give up the worker that runs a cell, set the cell aside, and start another worker.

        False: nobody runs it any more, or `MAX_LOST` workers are lost already.
        """
        with self._lock:
            worker = next((each for each in self._workers if each.cell is cell), None)
            if worker is None or len(self._lost) >= MAX_LOST:
                return False
            worker.lost = True
            self._workers.remove(worker)
            self._lost.append(worker)
            cell.set_blocked(blocked=True)
            self._add()
        return True

    def running(self) -> list[Cell]:
        """Give the cells whose turns run now, those that hang included."""
        with self._lock:
            cells = [each.cell for each in (*self._workers, *self._lost)]
        return [cell for cell in cells if cell is not None]

    def runs(self, cell: Cell) -> bool:
        """Whether a worker that is not lost runs this cell now."""
        with self._lock:
            return any(each.cell is cell for each in self._workers)

    def stop(self, timeout_s: float) -> None:
        """End the workers after what is queued; lost ones end when their turn returns."""
        with self._lock:
            self._open = False
            workers = list(self._workers)
            for _ in workers:
                self._queue.put(None)
        deadline = time.monotonic() + timeout_s
        for worker in workers:
            if worker.thread is not None:
                worker.thread.join(max(0.0, deadline - time.monotonic()))

    def _add(self) -> None:
        worker = _Worker()
        name = f"dispatcher-{next(self._numbers)}"
        worker.thread = threading.Thread(target=self._work, args=(worker,), name=name, daemon=True)
        self._workers.append(worker)
        worker.thread.start()

    def _work(self, worker: _Worker) -> None:
        while (cell := self._queue.get()) is not None:
            worker.cell = cell
            began_ns = time.monotonic_ns()
            cell.turn()
            worker.busy_ns += time.monotonic_ns() - began_ns
            if self._given_up(worker):
                cell.set_blocked(blocked=False)
                cell.turn_over()
                return
            cell.turn_over()
        with self._lock:
            self._past_busy_ns += worker.busy_ns
            if worker in self._workers:
                self._workers.remove(worker)

    def _given_up(self, worker: _Worker) -> bool:
        """Say that a turn is over; True: the worker was replaced meanwhile."""
        with self._lock:
            worker.cell = None
            if worker.lost:
                self._lost.remove(worker)
            return worker.lost


class PinnedThread:
    """The thread of one actor alone."""

    def __init__(self, cell: Cell, wakeup: Wakeup) -> None:
        self._cell = cell
        self._wakeup = wakeup
        self._thread = threading.Thread(target=self._run, name=cell.name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Wait for the actor's end; False after the timeout."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        cell = self._cell
        while not cell.ended:
            self._wakeup.clear()
            if cell.has_work:
                cell.turn()
            if cell.has_work:
                # More messages than one turn's share: a polling actor looks once, without waiting.
                self._wakeup.set()
            if cell.spec.actor.polls and cell.running:
                cell.poll()
            elif not cell.ended:
                self._wakeup.wait(_IDLE_WAIT_S)
        self._wakeup.close()
