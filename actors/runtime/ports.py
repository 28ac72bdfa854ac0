"""What the parts of the runtime see of each other: the floor below actor, context and cell.

An actor holds its context, the context its cell and its system, the cell its spec, and the spec
names the actor's class. These protocols are where that ring is open: an actor and its context know
a cell and a system by them alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    import pykka
    import structlog

    from actors.domain import Mint
    from actors.runtime.clocks import Clock
    from actors.runtime.inspection.timeline import Detail
    from actors.runtime.ledger import Ledger
    from actors.runtime.mailbox import Envelope, Load, Mailbox
    from actors.runtime.stop_flag import StopFlag
    from actors.runtime.timers import TimerWheel
    from actors.runtime.wakeup import Wakeup
    from settings import Settings
    from telemetry import Telemetry


class Home(Protocol):
    """An actor's name and what belongs to it, as the instance sees it: a `Cell`."""

    name: str
    mailbox: Mailbox
    stopped: StopFlag
    pykka_ref: pykka.ActorRef[Any] | None
    wakeup: Wakeup | None
    status: Any
    envelope: Envelope | None
    """What is being handled."""
    stop_requested: bool

    def schedule(self) -> None:
        """Ask for a turn."""

    def offer_own(self, message: Any) -> None:
        """Queue a message of the actor to itself."""


class Post(Protocol):
    """Carries messages to whoever has a name."""

    def tell(self, name: str, message: Any) -> bool:
        """Send a message; False: refused, and kept as a dead letter."""

    def offer(self, name: str, message: Any, reply_to: pykka.Future[Any] | None = None) -> bool:
        """Send a message; False: refused, and still the sender's to deal with."""

    def room(self, name: str) -> int:
        """How many events a mailbox would take now."""

    def running(self, name: str) -> bool:
        """Whether an actor of this name is there and has not ended."""


class Runtime(Post, Protocol):
    """What an actor's context asks of the runtime: a `System`."""

    settings: Settings
    telemetry: Telemetry
    clock: Clock
    log: structlog.stdlib.BoundLogger
    ledger: Ledger
    load: Load
    wheel: TimerWheel

    def note(self, actor: str, mint: Mint, what: str, details: dict[str, Detail]) -> None:
        """Note in the timeline of a mint what has happened to it."""

    def dead_letter(
        self, name: str, reason: str, message: Any, error: BaseException | None
    ) -> None:
        """Keep a message that nobody handled."""

    def forward(
        self, asked: Home, name: str, message: Any, complete: Callable[[Any], Any] | None = None
    ) -> None:
        """Hand the question that `asked` handles on to another actor, with its future."""

    def arm_after(self, cell: Home, key: object, seconds: float, message: Any) -> None:
        """Arm a timer of the monotonic clock."""

    def arm_at(self, cell: Home, key: object, feed_us: int, message: Any) -> None:
        """Arm a timer of the feed clock."""

    def advance_feed(self, feed_us: int) -> None:
        """Publish the feed clock."""

    def busy(self, kinds: frozenset[str]) -> str | None:
        """Name an actor of these kinds that has something to do; None: all of them rest."""

    def status_of(self, name: str) -> Any:
        """What an actor last published."""
