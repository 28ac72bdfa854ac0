"""The postgres-writer: rows, stream changes and all-time highs into the database, in batches.

Purpose: gather by count or age, write one transaction a batch, and keep what cannot be written.
Guarantees: items of one mint are committed in the order they were told. A batch that the database
refuses is halved until the bad item stands alone; that one is a dead letter, the others are
committed. A stored trade or a coin's description that is refused costs nothing but itself. A candle
whose row is there with other figures is kept beside the rows. While the database is away or refuses
everything up to `MEMORY_ROWS` rows stay in memory; beyond that the oldest go to the spool, and
leave it before anything in memory is written. When the spool refuses as well, new rows are parked:
refused, with everything later of their mint, and left to the journal.
Whatever ends the actor, what it held in memory is on disk afterwards or, when even that fails, in
its its state. When the number of writers changes it lets go of all it holds and takes no data until
every other writer has, so that no mint stands with two of them; an instance that fails meanwhile
leaves that to the next one.
Not guaranteed: exactly once towards the database. A batch whose commit was not
acknowledged is written again; rows are identified by mint and timestamp, so that changes nothing
but the count of repetitions.
Relies on: a thread of its own. One turn blocks about `CHECKOUT_S` for a connection, `LOCK_S` for a
lock and the session's statement timeout for each statement at most.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, ClassVar, Final

from actors.domain import LAMPORTS_PER_SOL
from actors.postgres_writer.batch import Item, pause_s
from actors.postgres_writer.committer import Committer
from actors.postgres_writer.database import server_is_gone
from actors.postgres_writer.outbox import Outbox
from actors.protocol.postgres_writer import FinishMove, MovePrepared, PrepareMove, WriterStatus
from actors.protocol.supervisor import SUPERVISOR, Drained
from actors.runtime import Actor, Control, Flush, SettingsChanged, ToSelf
from actors.spool.entries import StoredEntry
from actors.spool.store import SpoolError
from db.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.postgres_writer.database import WriterDatabase
    from actors.postgres_writer.state import WriterState
    from actors.runtime import Context
    from actors.spool.store import Spool
    from settings import Settings

FLUSH_S: Final = 5.0
"""How long a flush tries the database before it stores what is left."""

PREPARE_S: Final = 3.0
"""How long a move tries the database before it stores what is left: others wait for it."""
GIVE_WAY_S: Final = 15.0
"""How long a move waits for a spool that refuses, before what is left is parked.

What is told meanwhile stands in a mailbox that no back-pressure counts.
"""

_PREPARE_AGAIN_S: Final = 1.0
_STATUS_S: Final = 1.0
"""How old the published status may become while rows keep coming and none are written."""


class _WriteDue(ToSelf, frozen=True):
    """A batch is full or old enough. To oneself, data lane; one at a time."""

    keyed: ClassVar[bool] = True


class _RetryDue(ToSelf, frozen=True):
    """The pause after a failure is over. To oneself, data lane."""


class _PrepareDue(Control, frozen=True):
    """The spool may be asked again. To oneself; control lane, as the data lane is held."""

    drop_if_dead: ClassVar[bool] = True


class PostgresWriterActor(Actor):
    """See the module's docstring.

    Args:
        context: The runtime.
        state: What outlives this instance.
        spool: The spool's file, for this writer alone; opened and closed by the actor.
        database: Where batches go; closed by the actor.
        jitter: Random numbers in 0..1 for the pauses.
    """

    own_thread: ClassVar[bool] = True

    def __init__(
        self,
        context: Context,
        *,
        state: WriterState,
        spool: Spool,
        database: WriterDatabase,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(context)
        self._state = state
        self._outbox = Outbox(context, state, spool)
        self._database = database
        self._committer = Committer(context, state, self._outbox, database)
        self._jitter = jitter
        self._take_settings()
        self._failures = 0
        self._failing_since_s = 0.0
        self._published_s = 0.0
        self._database_state = "unknown"
        self._refusing_since_us: int | None = None
        self._last_error: str | None = None

    def on_start(self) -> None:
        """Open the spool; what is in it goes out first, then what the last instance left.

        In the middle of a move: wait for its end, or go on preparing it.
        """
        moving = self._state.moving
        if moving.awaiting is None:
            self.context.release()
            self._outbox.open()
            self._arm()
        else:
            self.context.hold()
            if not moving.prepared:
                self._outbox.open()
                self._prepare()
        self._publish()

    def on_receive(self, message: Any) -> Any:
        """Gather, or write when a timer says so."""
        match message:
            case _WriteDue():
                self._write_due()
            case _RetryDue():
                self._write()
            case Flush():
                self._flush()
            case PrepareMove(writers, epoch):
                self._begin_move(writers, epoch)
            case _PrepareDue():
                self._prepare()
            case FinishMove(epoch):
                self._finish_move(epoch)
            case SettingsChanged():
                self._adapt()
            case StoredEntry():
                # A dead letter, sent again: it could not be read before, and cannot be now.
                self.context.dead_letter(message, "refused")
            case _:
                self._gather(message)

    def on_stop(self) -> None:
        """Store what is in memory; give connections and files back."""
        self._outbox.close()
        self._publish()
        self._database.close()

    # Gathering.

    def _gather(self, item: Item) -> None:
        if self._outbox.is_parked(item) or not self._has_room():
            self._outbox.park(item)
            return
        first = self._outbox.add(item)
        if first or self._published_s + _STATUS_S < self.context.monotonic_s():
            self._publish()
        if self._failures:
            return
        if self._state.backlog.rows >= self._batch_rows:
            self.context.tell_self(_WriteDue())
        elif first:
            self.context.after("write", self._batch_age_s, _WriteDue())

    def _has_room(self) -> bool:
        """Make room in memory when there is none: by writing, else by storing the oldest."""
        if not self._outbox.full:
            return True
        if not self._failures:
            self._write()
        if self._outbox.full:
            self._outbox.store_oldest()
            self._publish()
        return not self._outbox.full

    # Settings.

    def _take_settings(self) -> None:
        settings = self._settings = self.context.settings
        self._batch_rows = settings.db_batch_size
        self._batch_age_s = settings.db_batch_timeout_ms / 1000
        self._database.mark_whales(round(settings.whale_threshold_sol * LAMPORTS_PER_SOL))

    def _adapt(self) -> None:
        """Go on with what the settings say now."""
        before = self._settings
        self._take_settings()
        if before.spool_max_mb != self._settings.spool_max_mb:
            self._outbox.resize(self._settings.spool_max_mb << 20)
        if _pool_of(before) != _pool_of(self._settings):
            # The next batch opens a pool with the limits that hold now.
            self._database.forget()
        if self._state.moving.awaiting is None:
            self._arm()

    # A change of the number of writers.

    def _begin_move(self, writers: int, epoch: int) -> None:
        if self._state.moving.begin(epoch, self.context.monotonic_s()):
            self.context.log.info("move_begins", writers=writers, epoch=epoch)
            self.context.hold()
            self._prepare()

    def _prepare(self) -> None:
        """Let go of everything in memory, and say so; what waits in the mailbox goes on waiting."""
        moving = self._state.moving
        if moving.awaiting is None or moving.prepared:
            return
        if not self._failures and not self._outbox.stats.entries:
            self._write_all(PREPARE_S)
        self._outbox.store_all()
        if self._state.backlog:
            if self.context.monotonic_s() < moving.began_s + GIVE_WAY_S:
                self.context.after("prepare", _PREPARE_AGAIN_S, _PrepareDue())
                return
            self._outbox.park_all()
        # Told before it is noted: told twice does no harm.
        self.context.tell(SUPERVISOR, MovePrepared(self.context.name, moving.awaiting))
        moving.prepared = True
        self._publish()

    def _finish_move(self, epoch: int) -> None:
        if not self._state.moving.finish(epoch):
            return
        self._state.shared_out()
        self._outbox.reopen()
        self.context.cancel("prepare")
        self.context.release()
        self._publish()
        self._arm()

    # When to write.

    def _due_in_s(self) -> float | None:
        if self._outbox.stats.entries:
            return 0.0
        now_s = self.context.monotonic_s()
        return self._state.backlog.due_in_s(now_s, self._batch_rows, self._batch_age_s)

    def _arm(self) -> None:
        """See to it that what is due gets written; after a failure the retry's timer does that."""
        due_in_s = None if self._failures else self._due_in_s()
        if due_in_s == 0.0:
            self.context.tell_self(_WriteDue())
        elif due_in_s is not None:
            self.context.after("write", due_in_s, _WriteDue())

    def _write_due(self) -> None:
        if self._failures:
            return
        if self._due_in_s() == 0.0:
            self._write()
        else:
            self._arm()

    def _write(self) -> None:
        """Write one batch and see to the next one, or to another try."""
        if not self._outbox.left:
            self._failures = 0
            return
        self._take_up(self._committer.write(self._batch_rows, None))
        self._publish()
        self._arm()

    def _flush(self) -> None:
        """Write everything within `FLUSH_S`, store the rest, report."""
        self._write_all(FLUSH_S)
        self._outbox.store_all()
        self._publish()
        self._arm()
        undelivered = self._outbox.left
        self.context.tell(SUPERVISOR, Drained(name=self.context.name, undelivered=undelivered))

    def _write_all(self, limit_s: float) -> None:
        """Write until nothing is left, a batch is put off, or the time is up."""
        deadline_s = self.context.monotonic_s() + limit_s
        while self._outbox.left and (left_s := deadline_s - self.context.monotonic_s()) > 0:
            error = self._committer.write(self._batch_rows, left_s)
            self._take_up(error)
            if error is not None:
                break

    # Success and failure.

    def _take_up(self, error: Exception | None) -> None:
        """Note how a batch went, and arm another try after a failure."""
        if error is None:
            self._succeeded()
        else:
            self._failed(error)

    def _succeeded(self) -> None:
        if self._failures:
            away_s = self.context.monotonic_s() - self._failing_since_s
            left = self._outbox.left
            self.context.log.info("database_back", away_s=round(away_s, 1), rows_waiting=left)
        self._failures = 0
        self._last_error = None
        self._show_database("up")

    def _failed(self, error: Exception) -> None:
        """Put the batch off: it stays where it is; the next try comes after a growing pause."""
        state = _database_after(error)
        if not self._failures:
            self._failing_since_s = self.context.monotonic_s()
        if not self._failures or state not in {None, self._database_state}:
            event = "database_away" if state == "away" else "write_postponed"
            self.context.log.warning(event, error=one_line(error))
        self._failures += 1
        self._last_error = one_line(error)
        if state is not None:
            self._show_database(state)
        if state == "away":
            self._database.forget()
        self.context.cancel("write")
        self.context.after("retry", pause_s(self._failures, self._jitter()), _RetryDue())

    def _show_database(self, state: str) -> None:
        """Note what the database is worth: connected is one that takes rows."""
        if state != "refusing":
            self._refusing_since_us = None
        elif self._refusing_since_us is None:
            self._refusing_since_us = self.context.now_us()
        self._database_state = state
        self.context.telemetry.db_connected.set(state == "up")

    def _publish(self) -> None:
        self._published_s = self.context.monotonic_s()
        state, stats = self._state, self._outbox.stats
        self.context.publish(
            WriterStatus(
                database=self._database_state,
                last_error=self._last_error,
                rows_waiting=state.backlog.rows,
                rows_spooled=stats.entries,
                rows_committed=state.committed_rows,
                oldest_waiting_us=state.journal_needed_from_us,
                rows_parked=state.parked_rows,
                spool_bytes=stats.file_bytes,
                spool_oldest_us=stats.oldest_put_us,
                prepared_epoch=state.moving.prepared_epoch,
                refusing_since_us=self._refusing_since_us,
            )
        )


def _database_after(error: Exception) -> str | None:
    """Tell what a failure says of the database; None: it was not the database that failed."""
    if isinstance(error, SpoolError):
        return None
    return "away" if server_is_gone(error) else "refusing"


def _pool_of(settings: Settings) -> tuple[object, ...]:
    return settings.db_pool_min, settings.db_pool_max, settings.db_statement_timeout
