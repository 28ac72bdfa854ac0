"""Who runs turns: worker threads that share the actors, and one thread for each pinned actor."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from actors.runtime.cell import Cell
    from actors.runtime.wakeup import Wakeup

_IDLE_WAIT_S: Final = 1.0


class SharedDispatcher:
    """A run queue and the worker threads that take cells from it.

    A mailbox that gets its first message puts its cell on the queue; a worker gives it one turn;
    when work is left the cell goes to the end of the queue, so turns are fair.
    """

    def __init__(self, threads: int) -> None:
        self._queue: queue.SimpleQueue[Cell | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"dispatcher-{index}", daemon=True)
            for index in range(threads)
        ]

    def start(self) -> None:
        """Start the workers."""
        for thread in self._threads:
            thread.start()

    def schedule(self, cell: Cell) -> None:
        """Queue a cell for a turn; the cell makes sure that it stands here at most once."""
        self._queue.put(cell)

    def stop(self, timeout_s: float) -> None:
        """End the workers after what is queued."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join(timeout_s)

    def _work(self) -> None:
        while (cell := self._queue.get()) is not None:
            cell.turn()
            cell.turn_over()


class PinnedThread:
    """The thread of one pinned actor."""

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
