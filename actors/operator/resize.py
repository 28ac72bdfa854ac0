"""Sizes an operator changes while trades flow: threads, writers, batches, mailboxes, trackers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from actors.protocol.operator import (
    Resized,
    ResizeDispatcher,
    ResizeMailbox,
    ResizeTrackers,
    ResizeWriters,
)
from actors.protocol.postgres_writer import (
    FinishMove,
    MovePrepared,
    PrepareMove,
    WriterStatus,
)
from actors.protocol.supervisor import writer_name
from actors.runtime import ToSelf
from actors.supervisor.rebalance import WriterMove, joining
from settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.operator.settings import SettingsService
    from actors.runtime import Context
    from actors.supervisor.handlers import Handlers
    from actors.supervisor.state import Dependencies, SupervisorState

SHARE_AGAIN_S: Final = 1.0

_BY: Final = "resize"
_CAPACITY: Final = range(64, 1_000_001)
_MOVES: Final = "Another change of the number of writers is under way: try again in a moment."
_DRAINS: Final = "The service is draining: nothing is resized now."


class _ShareDue(ToSelf, frozen=True):
    """The spool could not be shared out; it is time to try again."""


class Resizing:
    """Changes sizes, in the supervisor's turns. What is a setting stays over restarts."""

    def __init__(
        self,
        context: Context,
        state: SupervisorState,
        dependencies: Dependencies,
        settings_service: SettingsService,
    ) -> None:
        self._context = context
        self._state = state
        self._dependencies = dependencies
        self._system = dependencies.system
        self._routes = dependencies.routes
        self._settings_service = settings_service
        self.handlers: Handlers = {
            ResizeDispatcher: lambda wish: self._change(
                {"dispatcher_threads": wish.threads}, dry_run=wish.dry_run
            ),
            ResizeTrackers: lambda wish: self._change(
                {"max_trackers": wish.max_trackers}, dry_run=wish.dry_run
            ),
            ResizeMailbox: self._resize_mailbox,
            ResizeWriters: self._resize_writers,
            MovePrepared: self._prepared,
            _ShareDue: lambda _: self._share_due(),
        }

    @property
    def writers(self) -> tuple[str, ...]:
        """Every postgres-writer there is, those that are about to leave too."""
        move = self._state.move
        return self._routes.names if move is None else (*self._routes.names, *move.leaving)

    def adapt(self) -> None:
        """Bring every size to what the settings say."""
        settings, state = self._context.settings, self._state
        state.admission.limit = settings.max_trackers
        state.drain.timeout_s = settings.drain_timeout
        if self._system.dispatcher.size != settings.dispatcher_threads:
            self._system.dispatcher.resize(settings.dispatcher_threads)
        if state.move is None and self._routes.writers != settings.postgres_writers:
            self._move(settings.postgres_writers)

    # Settings that are sizes.

    def _resize_writers(self, message: ResizeWriters) -> Resized | None:
        """Answer, or have the answer come when the writers have moved: None."""
        wished = {
            "postgres_writers": message.instances,
            "db_batch_size": message.batch_size,
            "db_batch_timeout_ms": message.batch_timeout_ms,
        }
        changes = {name: value for name, value in wished.items() if value is not None}
        if "postgres_writers" in changes and self._state.move is not None:
            return Resized(found=True, refusal=_MOVES)
        resized = self._change(changes, dry_run=message.dry_run)
        move = self._state.move
        if move is None or resized.refusal is not None or message.dry_run:
            return resized
        envelope = self._context.cell.envelope
        if envelope is not None and envelope.reply_to is not None:
            move.reply, envelope.reply_to = (envelope.reply_to, resized), None
        return None

    def _change(self, changes: Mapping[str, int], *, dry_run: bool) -> Resized:
        if self._state.drain.active:
            return Resized(found=True, refusal=_DRAINS)
        try:
            settings, changed = self._settings_service.propose(changes)
            if changed and not dry_run:
                self._settings_service.put_in_force(settings, changes, changed, _BY)
                self.adapt()
        except SettingsError as error:
            return Resized(found=True, refusal=str(error))
        return Resized(
            found=True,
            before={name: _number(changed, name, settings, 0) for name in changes},
            after={name: _number(changed, name, settings, 1) for name in changes},
            effects=tuple(_EFFECTS[name] for name in changed),
        )

    def _resize_mailbox(self, wish: ResizeMailbox) -> Resized:
        name, capacity = wish.name, wish.capacity
        actor = self._system.report(name)
        if actor is None:
            return Resized(found=False)
        if capacity not in _CAPACITY:
            refusal = f"A mailbox takes {_CAPACITY[0]} to {_CAPACITY[-1]} events."
            return Resized(found=True, refusal=refusal)
        if not wish.dry_run:
            self._system.set_capacity(name, capacity)
        return Resized(
            found=True,
            before={"mailbox_capacity": actor.mailbox_capacity},
            after={"mailbox_capacity": capacity},
            effects=("Until this process ends; what waits already stays.",),
        )

    # Writers.

    def _move(self, writers: int) -> None:
        before, after = self._routes.names, tuple(writer_name(index) for index in range(writers))
        self._state.epoch += 1
        epoch = self._state.epoch
        for name in joining(before, after):
            self._system.start_child(self._dependencies.writer_spec(name, epoch))
        told = self._routes.switch(self._context, writers, PrepareMove(writers, epoch))
        self._state.move = WriterMove(epoch, before, after, set(told))
        self._context.log.info("writers_move", before=len(before), after=len(after))

    def _prepared(self, message: MovePrepared) -> None:
        """Take note that an old writer holds nothing any more; finish behind the last one."""
        move = self._state.move
        if move is None or not move.prepared(message.name, message.epoch):
            return
        self._finish(move)

    def _share_due(self) -> None:
        """Try to share the spool out again."""
        move = self._state.move
        if move is not None and not move.waiting_for and not move.ending:
            self._finish(move)

    def _finish(self, move: WriterMove) -> None:
        if not self._dependencies.share_spool(len(move.after)):
            # Writers wait meanwhile, and what is sent to them stands in their mailboxes.
            self._context.after("share", SHARE_AGAIN_S, _ShareDue())
            return
        for name in move.after:
            self._context.tell(name, FinishMove(move.epoch))
        move.ending = set(move.leaving)
        for name in move.leaving:
            move.rows_committed += self._rows_committed(name)
            self._system.stop_child(name, 0.0)
        self._end(move)

    def _rows_committed(self, name: str) -> int:
        status = self._context.status_of(name)
        return status.rows_committed if isinstance(status, WriterStatus) else 0

    def stopped(self, name: str) -> None:
        """Take note that an actor has ended; the last writer that leaves ends the change."""
        move = self._state.move
        if move is not None and name in move.ending:
            move.ending.discard(name)
            self._end(move)

    def _end(self, move: WriterMove) -> None:
        if move.ending:
            return
        self._state.rows_of_past_writers += move.rows_committed
        self._state.move = None
        self._context.log.info("writers_moved", writers=len(move.after))
        if move.reply is not None:
            future, resized = move.reply
            future.set(resized)
        self.adapt()


def _number(changed: Mapping[str, tuple[Any, Any]], name: str, settings: Any, index: int) -> int:
    pair = changed.get(name)
    return int(getattr(settings, name) if pair is None else pair[index])


_EFFECTS: Final = {
    "dispatcher_threads": "Trackers and discovery share this many threads from now on.",
    "max_trackers": "Coins that wait for a place start at once; none that is tracked is stopped.",
    "postgres_writers": "Each coin's rows wait until its old writer has committed or stored "
    "what it holds; the spool is shared out anew.",
    "db_batch_size": "The next batch gathers this many rows.",
    "db_batch_timeout_ms": "The next batch waits this long.",
}
