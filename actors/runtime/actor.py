"""The base class of every actor: an ordinary Pykka actor that runs where its runtime says."""

from __future__ import annotations

import queue
import weakref
from typing import TYPE_CHECKING, Any, ClassVar

import pykka

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.runtime.context import Context


class Actor(pykka.Actor):
    """An actor of this house.

    It stays an ordinary Pykka actor (`tell`, `ask`, `stop`, registry), with three differences: it
    runs on the shared dispatcher or on a thread of its own (`own_thread`), its mailbox belongs to
    its name and outlives it, and a failure under `tell` or `ask` alike is the runtime's to decide
    about.

    Hooks run in the actor's executing thread, never two at a time. A raise in any of them, and in
    the constructor, counts as a failure: the message goes to the dead letters, `on_stop` is called,
    and the child's spec says what happens next.
    """

    own_thread: ClassVar[bool] = False
    """True: a thread of its own, because it blocks on a socket or a database."""
    polls: ClassVar[bool] = False
    """True (with `own_thread` only): `poll` is called whenever the mailbox has nothing to take."""

    def __init__(self, context: Context) -> None:
        """Take the mailbox and the reference that belong to the name."""
        super().__init__()
        self.context = context
        self.events_done = 0
        cell = context.cell
        self.actor_inbox = cell.mailbox
        self.actor_stopped = cell.stopped  # type: ignore[assignment]  # an Event as far as Pykka asks
        reference = cell.pykka_ref
        if reference is None:
            self._actor_ref = pykka.ActorRef(self)
            cell.pykka_ref = self._actor_ref
        else:
            # A restarted actor is the same actor to everyone outside.
            reference._actor_weakref = weakref.ref(self)  # noqa: SLF001 - Pykka has no public way
            self._actor_ref = reference
        self.actor_urn = self._actor_ref.actor_urn

    def on_receive(self, message: Any) -> Any:
        """Handle one message, or one event of a batch; what is returned answers an `ask`."""
        raise NotImplementedError

    def on_batch(self, events: Sequence[Any]) -> None:
        """Handle the events of a batch, by default one after the other.

        Counts in `events_done` those that have taken effect: an event that raises goes to the dead
        letters alone, and those behind it are delivered again. Not called while somebody listens
        in: each event goes to `on_receive` then.
        """
        for event in events:
            self.on_receive(event)
            self.events_done += 1

    def poll(self) -> None:
        """Look outside the mailbox; return within 50 ms, or when the wake-up is set."""
        raise NotImplementedError

    def snapshot(self) -> Any:
        """Say what the actor knows, for whoever looks into its failure; None: nothing to say.

        Called in the actor's thread on the failed instance, before `on_stop`. Plain values, structs
        and collections are shown, of other objects their type alone; a raise is shown, and no more.
        """
        return None

    def stop(self) -> None:
        """Stop in order after the current message."""
        self.context.stop()

    @staticmethod
    def _create_actor_inbox() -> Any:
        # Replaced in __init__ by the mailbox of the name; Pykka only wants something here.
        return queue.SimpleQueue()

    @staticmethod
    def _create_future() -> pykka.Future[Any]:
        return pykka.ThreadingFuture()

    def _start_actor_loop(self) -> None:
        self.context.cell.schedule()

    def _stop(self) -> None:
        self.context.stop()
