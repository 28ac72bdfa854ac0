"""The kinds of message, by what the mailbox does with them."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message in the data lane: handled in the order of arrival.

    Messages hold values alone, so none is part of a cycle, and the collector need not look at them.
    """

    control: ClassVar[bool] = False
    must_arrive: ClassVar[bool] = False
    """True: taken by a full mailbox too, in its order. For what ends or explains the data before
    it, and is rare by nature.
    """
    keyed: ClassVar[bool] = False
    """True: of several waiting messages with the same `coalesce_key` only the newest is kept, at
    the place of the first.
    """

    drop_if_dead: ClassVar[bool] = False
    """True: of no use to an actor that has ended, so no dead letter then."""

    kept_letters: ClassVar[int | None] = None
    """How many of this type are kept as dead letters at once; None: as many as there is room for.
    """

    @property
    def coalesce_key(self) -> object:
        """What a keyed message replaces; by default others of its own type."""
        return type(self)


class Control(Message, frozen=True):
    """A message in the control lane.

    It overtakes data, and reaches an actor whose data lane is held.
    """

    control: ClassVar[bool] = True


class ToSelf(Message, frozen=True):
    """What an actor tells itself, as a timer does. Of no use once it has ended."""

    drop_if_dead: ClassVar[bool] = True


class Batch(Message, frozen=True):
    """Several events in one message.

    The runtime hands each event to `on_receive` by itself. An event that fails goes to the dead
    letters alone; those before it have taken effect, those after it are delivered once the actor
    runs again.
    """

    events: tuple[Any, ...]


class Flush(Message, frozen=True):
    """Write or store all you hold, then tell the supervisor `Drained`.

    Data lane, so it acts behind what came before; never refused.
    """

    drop_if_dead: ClassVar[bool] = True
    must_arrive: ClassVar[bool] = True


class SettingsChanged(Control, frozen=True):
    """The settings have changed; `context.settings` gives the new ones already. Control lane.

    Told to every actor. Each takes over what it has copied from the settings; what it reads from
    them at the time needs nothing.
    """

    drop_if_dead: ClassVar[bool] = True


class ChildFailed(Control, frozen=True):
    """An actor has failed; the runtime has already acted on `decision`.

    Sent to the supervisor by the runtime.
    """

    name: str
    kind: str
    error: str
    decision: str
    """"restart", "quarantine", "stop" or "escalate"."""
    after_s: float = 0.0


class ChildStopped(Control, frozen=True):
    """An actor has ended for good and its name is free again.

    Sent to the supervisor by the runtime.
    """

    name: str
    kind: str


class ActorReport(Message, frozen=True):
    """What the runtime knows of one actor without asking it."""

    name: str
    kind: str
    state: str
    """"starting", "running", "restarting", "quarantined" or "stopped"; "paused" when it runs and an
    operator has paused it, "blocked" when its turn hangs and its thread was replaced.
    """
    own_thread: bool
    held: bool
    mailbox_depth: int
    """Waiting events; a batch counts its events."""
    mailbox_peak: int
    mailbox_capacity: int
    oldest_age_seconds: float | None
    handled: int
    """Events handled since the actor was first started."""
    restarts: int
    last_error: str | None
    busy_share: float
    """Share of its lifetime spent in handlers, 0 to 1."""
    turn_seconds: float | None
    """How long the running handler or hook has been at it, None when idle."""


class TimerReport(Message, frozen=True):
    """An armed timer of an actor, on one of two clocks."""

    key: str
    in_seconds: float | None
    """When it is due on the monotonic clock; negative: it is, and on its way."""
    feed_us: int | None
    """Which time the feed clock has to pass."""
