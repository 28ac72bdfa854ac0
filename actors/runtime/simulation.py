"""The same actors on one thread, with manual clocks: a seed decides, and repeats, who runs when.

Each step picks, with a generator made from the seed, one cell that has work, and lets it handle one
message. Nothing here waits or sleeps. Pinned actors run like the others; their `poll` is called
only by `poll`.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

from actors.runtime.actor import Actor
from actors.runtime.cell import Cell, CellState
from actors.runtime.clocks import ManualClock
from actors.runtime.messages import Batch
from actors.runtime.supervision import ChildSpec, Exceeded, RestartBudget, RestartType
from actors.runtime.system import System
from settings import Settings, load
from telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.runtime.context import Context
    from actors.runtime.dead_letters import DeadLetter
    from actors.runtime.wakeup import Wakeup

_STEP_LIMIT: Final = 1_000_000


class Probe(Actor):
    """Stands in for an actor of its name and keeps what it is told."""

    def __init__(self, context: Context, messages: list[Any], reply: Any) -> None:
        super().__init__(context)
        self._messages = messages
        self._reply = reply
        self.messages = messages

    def on_receive(self, message: Any) -> Any:
        """Keep the message, or the event of a batch."""
        self._messages.append(message)
        return self._reply


class ProbeHandle:
    """What a probe was told: `messages` one by one, the events of a batch singly."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.messages: list[Any] = []

    def of(self, kind: type[Any]) -> list[Any]:
        """Pick the messages of one type."""
        return [message for message in self.messages if isinstance(message, kind)]

    def clear(self) -> None:
        """Forget what came so far."""
        self.messages.clear()


class SeededSystem(System):
    """See the module's docstring."""

    def __init__(
        self, seed: int = 0, settings: Settings | None = None, now_us: int = 1_700_000_000_000_000
    ) -> None:
        self.manual_clock = ManualClock(now_us)
        self._random = random.Random(seed)  # noqa: S311 - an interleaving is no secret
        self._ready: list[Cell] = []
        super().__init__(
            settings=settings or load({}, None),
            telemetry=Telemetry(),
            clock=self.manual_clock,
            threads=0,
            jitter=lambda: 1.0,
        )

    def start(
        self,
        name: str,
        factory: Callable[[Context], Actor],
        *,
        restart: RestartType = RestartType.PERMANENT,
        exceeded: Exceeded = Exceeded.ESCALATE,
        budget: RestartBudget | None = None,
        capacity: int = 65_536,
    ) -> None:
        """Start an actor under a name, and let it run."""
        self.start_child(
            ChildSpec(
                name=name,
                kind=name.partition(":")[0],
                actor=Actor,
                make=factory,
                restart=restart,
                exceeded=exceeded,
                budget=budget or RestartBudget(),
                capacity=capacity,
            )
        )
        self.run()

    def probe(self, name: str, reply: Any = None) -> ProbeHandle:
        """Stand in for an actor; it answers every question with `reply`."""
        handle = ProbeHandle(name)
        self.start(name, lambda context: Probe(context, handle.messages, reply))
        return handle

    def ask(self, name: str, message: Any, timeout_s: float = 0.0) -> Any:
        """Ask and let everybody run until the reply is there."""
        from pykka import ThreadingFuture  # noqa: PLC0415 - only tests come here

        future: ThreadingFuture[Any] = ThreadingFuture()
        cell = self._cells[name]
        cell.mailbox.offer(message, future)
        self.run()
        return future.get(timeout=timeout_s)

    def stop(self, name: str) -> None:
        """Stop an actor and let everybody run."""
        cell = self._cells.get(name)
        if cell is not None:
            cell.end_soon()
            self.run()

    def poll(self, name: str) -> None:
        """Let a polling actor look outside once, then everybody run."""
        self._cells[name].poll()
        self.run()

    def run(self) -> None:
        """Step until nobody has anything to do.

        Raises:
            RuntimeError: the actors keep each other busy without end.
        """
        for _ in range(_STEP_LIMIT):
            while self.wheel.fire():
                pass
            if not self._step():
                return
        raise RuntimeError(f"still busy after {_STEP_LIMIT} steps: {self._busy()}")

    def advance(self, seconds: float) -> None:
        """Move arrival and monotonic time, fire what is due, run."""
        self.manual_clock.advance(seconds)
        self.run()

    def advance_feed(self, feed_us: int) -> None:
        """Move the feed clock. From outside any actor: fire what is due and run."""
        super().advance_feed(feed_us)
        if self._current is None:
            self.run()

    def letters(self) -> list[DeadLetter]:
        """List the dead letters."""
        return self.dead_letters.all()

    _current: Cell | None = None

    def _step(self) -> bool:
        if not self._ready:
            return False
        cell = self._ready.pop(self._random.randrange(len(self._ready)))
        self._current = cell
        cell.turn(1)
        self._current = None
        cell.turn_over()
        return True

    def _busy(self) -> list[str]:
        return [cell.name for cell in self._ready]

    def _schedule(self, cell: Cell) -> None:
        self._ready.append(cell)

    def _wakeup_for(self, spec: ChildSpec) -> Wakeup | None:  # noqa: ARG002 - everyone shares the one thread
        return None


def events_of(message: Any) -> tuple[Any, ...]:
    """Give the events of a batch, or the message itself."""
    return message.events if isinstance(message, Batch) else (message,)


__all__ = ["CellState", "Probe", "ProbeHandle", "SeededSystem", "events_of"]
