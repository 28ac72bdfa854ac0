"""Stream-watch: follows `coin_streams` and `ref_coin_phases` as others change them.

Purpose: tell the supervisor what to track, at once through notifications and at the latest by a
poll every DB_REFRESH_INTERVAL, which is the only source where notifications do not come through.
Guarantees: the supervisor is told the phases before the first stream, and that all are known once,
behind the last of the first reading. A database that is away, or a reading that fails, untracks
nothing. What the supervisor could not be told is told again by a later reading.
Not guaranteed: that two changes within one reading are seen singly.
Relies on: a thread of its own and a connection of its own. `poll` returns within 50 ms, or, when
something was told, as soon as it was read: a statement may take 10 s.
"""

from __future__ import annotations

import random
import select
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast, get_args

import psycopg

from actors.domain import Mint
from actors.protocol.operator import AcknowledgeKept
from actors.protocol.stream_watch import (
    PollNow,
    StreamChangePending,
    StreamChangesCommitted,
    StreamChangesGivenUp,
    WatchStatus,
)
from actors.protocol.supervisor import (
    SUPERVISOR,
    PhasesLoaded,
    StreamsLoaded,
    TrackMint,
    UntrackMint,
)
from actors.runtime import Actor, SettingsChanged, ToSelf
from actors.stream_watch.reader import EVERYTHING, PHASES_CHANNEL, STREAMS_CHANNEL
from actors.stream_watch.watch import Changes, is_coin, pause_s
from db.aside import COUNTED_ROWS, Kept, Kind
from db.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from actors.domain import Phase
    from actors.runtime import Context
    from actors.stream_watch.connector import Connector
    from actors.stream_watch.reader import Notification, StreamReader
    from actors.stream_watch.state import WatchState
    from db.streams import StreamRow

POLL_MS: Final = 50
_TELL_AGAIN_S: Final = 1.0
_SINGLE_MINTS: Final = 2_000
"""Above so many mints told at once, reading everything is cheaper."""


class _ConnectDue(ToSelf, frozen=True):
    """The pause after a lost connection is over. To oneself, data lane."""


class _ConnectEnded(ToSelf, frozen=True):
    """An attempt to connect has ended, well or not. From the connector's thread, data lane."""


class _PollDue(ToSelf, frozen=True):
    """It is time to read everything again. To oneself, data lane."""


class StreamWatchActor(Actor):
    """See the module's docstring.

    Args:
        context: The runtime.
        state: What outlives this instance.
        connector: Makes this instance's connections; abandoned at its end.
        jitter: Random numbers in 0..1 for the pauses.
    """

    own_thread: ClassVar[bool] = True
    polls: ClassVar[bool] = True

    def __init__(
        self,
        context: Context,
        *,
        state: WatchState,
        connector: Connector,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(context)
        self._state = state
        self._watch = state.watch
        self._connector = connector
        self._jitter = jitter
        self._supervisor = context.ref(SUPERVISOR)
        self._interval_s: float = context.settings.db_refresh_interval
        self._reader: StreamReader | None = None
        self._connecting = False
        self._listening = False
        self._has_read = False
        """Whether a query ran since the last look at notifications: those that arrived behind its
        answer are no longer in the socket."""
        self._failures = 0
        self._lost_at_s: float | None = None
        self._database = "unknown"
        self._last_error: str | None = None
        self._last_read_us: int | None = None
        self._kept = Kept(0, None, 0, None)
        self._kept_unreadable = False

    def on_start(self) -> None:
        """Begin to connect."""
        self._connect()
        self._publish()

    def on_receive(self, message: Any) -> Any:
        """Note changes of our own, or read."""
        match message:
            case StreamChangePending(mint, active):
                self._watch.change_pending(mint, active=active)
            case StreamChangesCommitted(mints):
                self._read_some(self._watch.changes_committed(mints), "own change")
            case StreamChangesGivenUp(mints):
                self._read_some(self._watch.changes_given_up(mints), "own change")
            case PollNow():
                self._poll_now()
            case AcknowledgeKept(what):
                return self._acknowledge(what)
            case _PollDue():
                self._read_all()
            case _ConnectDue():
                self._connect()
            case _ConnectEnded():
                self._connected()
            case SettingsChanged():
                self._adapt()
            case _:
                self.context.dead_letter(message, "refused")
        return None

    def on_stop(self) -> None:
        """Close the connection, also one that is still being made."""
        self._connector.abandon()
        self._drop_reader()

    def poll(self) -> None:
        """Wait up to 50 ms for a notification or a message; read what was told."""
        reader = self._reader
        poller = select.poll()
        poller.register(self.context.wakeup_fd, select.POLLIN)
        if reader is not None:
            poller.register(reader.fileno(), select.POLLIN)
        ready = [fd for fd, _ in poller.poll(0 if self._has_read else POLL_MS)]
        if reader is not None and (self._has_read or reader.fileno() in ready):
            self.take_notifications()

    def take_notifications(self) -> None:
        """Read again what notifications name."""
        if self._reader is None:
            return
        self._has_read = False
        try:
            told = self._reader.notifications()
        except psycopg.Error as error:
            self._lost(error)
            return
        self._follow(told)

    def _adapt(self) -> None:
        """Poll at the interval of the settings from now on."""
        interval_s: float = self.context.settings.db_refresh_interval
        if interval_s != self._interval_s:
            self._interval_s = interval_s
            self._read_all()

    # The connection.

    def _connect(self) -> None:
        if self._connecting or self._reader is not None:
            return
        self._connecting = True
        self.context.cancel("connect")
        self._connector.start(lambda: self.context.tell_self(_ConnectEnded()))

    def _connected(self) -> None:
        ended = self._connector.take()
        if ended is None:
            return  # the attempt was that of an earlier instance
        self._connecting = False
        if isinstance(ended, Exception):
            self._lost(ended)
            return
        self._reader = ended
        self._listen(ended)
        self._read_all()

    def _listen(self, reader: StreamReader) -> None:
        try:
            reader.listen()
            self._listening = True
        except psycopg.Error as error:
            self._listening = False
            self.context.log.warning(
                "listen_refused",
                error=one_line(error),
                consequence=f"changes are found by polling, within {self._interval_s:g} s",
            )

    def _poll_now(self) -> None:
        if self._reader is None:
            self._connect()
        else:
            self._read_all()

    def _lost(self, error: Exception) -> None:
        """Give the connection up and try again after a growing pause; nothing is untracked."""
        self._drop_reader()
        if not self._failures:
            self._lost_at_s = self.context.monotonic_s()
            self.context.log.warning("streams_unreadable", error=one_line(error))
        self._failures += 1
        self._database = "away"
        self._last_error = one_line(error)
        self.context.telemetry.db_connected.set(0)
        self.context.cancel("poll")
        self.context.after("connect", pause_s(self._failures, self._jitter()), _ConnectDue())
        self._publish()

    def _found(self) -> None:
        """Note that a reading went well."""
        if self._lost_at_s is not None:
            away_s = self.context.monotonic_s() - self._lost_at_s
            self.context.log.info("streams_readable", away_s=round(away_s, 1))
            self._lost_at_s = None
        self._has_read = True
        self._failures = 0
        self._database = "up"
        self._last_error = None
        self._last_read_us = self.context.now_us()
        self.context.telemetry.db_connected.set(1)

    def _drop_reader(self) -> None:
        reader, self._reader = self._reader, None
        self._listening = self._has_read = False
        if reader is not None:
            reader.close()

    # Reading.

    def _read_all(self) -> None:
        """Read phases and all active streams, and what is needed of the new ones."""
        reader = self._reader
        if reader is None:
            return
        try:
            phases = reader.phases()
            active = self._coins(reader.active())
            changes = self._watch.read_all(active)
            rows = reader.streams(changes.started) if changes.started else ()
        except psycopg.Error as error:
            self._lost(error)
            return
        self._found()
        self._look_aside(reader)
        self._tell_phases(phases)
        complete = self._apply(changes, rows, "poll")
        self._publish()
        self._tell_loaded(complete=complete)
        self.context.after("poll", self._interval_s if complete else _TELL_AGAIN_S, _PollDue())

    def _acknowledge(self, what: str) -> int | None:
        """Note that somebody has looked at rows that stand aside; None: not now."""
        reader = self._reader
        if reader is None or what not in get_args(Kind):
            return None
        try:
            found = reader.acknowledge(cast("Kind", what))
        except psycopg.Error as error:
            self._lost(error)
            return None
        self._look_aside(reader)
        self.context.log.info("acknowledged", what=what, rows=found)
        self._publish()
        return found

    def _look_aside(self, reader: StreamReader) -> None:
        """Count what stands aside; streams are read whatever becomes of that.

        A connection that was lost here is found to be lost by the next reading.
        """
        try:
            self._kept = reader.kept()
        except psycopg.Error as error:
            if not self._kept_unreadable:
                self.context.log.warning("rows_aside_unreadable", error=one_line(error))
            self._kept_unreadable = True
        else:
            self._kept_unreadable = False

    def _read_some(self, mints: Iterable[Mint], by: str) -> None:
        """Read only these mints' streams; `by` says what made us look."""
        asked = self._coins(mints)
        reader = self._reader
        if not asked or reader is None:
            return
        try:
            rows = reader.streams(asked)
        except psycopg.Error as error:
            self._lost(error)
            return
        self._found()
        changes = self._watch.read_some(asked, [row.mint for row in rows if row.is_active])
        if not self._apply(changes, rows, by):
            self.context.after("poll", _TELL_AGAIN_S, _PollDue())
        self._publish()

    def _follow(self, told: Sequence[Notification]) -> None:
        streams = {note.payload for note in told if note.channel == STREAMS_CHANNEL}
        phases_changed = any(note.channel == PHASES_CHANNEL for note in told)
        if phases_changed or EVERYTHING in streams or len(streams) > _SINGLE_MINTS:
            self._read_all()
        else:
            self._read_some((Mint(mint) for mint in sorted(streams)), "notification")

    def _coins(self, mints: Iterable[Mint]) -> list[Mint]:
        """Leave out what cannot be a coin, with one warning for each address."""
        coins = []
        for mint in mints:
            if is_coin(mint):
                coins.append(mint)
            elif reason := self._watch.refuse(mint):
                self.context.log.warning("stream_ignored", mint=mint[:64], reason=reason)
        return coins

    # Telling the supervisor.

    def _apply(self, changes: Changes, rows: Sequence[StreamRow], by: str) -> bool:
        """Tell what has changed; False: not everything could be told."""
        wanted = set(changes.started)
        begun = [row for row in rows if row.mint in wanted and row.is_active]
        started = [
            row.mint for row in begun if self._supervisor.offer(_track(row, self.context.now_us()))
        ]
        stopped = [mint for mint in changes.stopped if self._supervisor.offer(_untrack(mint))]
        self._watch.told(Changes(tuple(started), tuple(stopped)))
        for mint in started:
            self.context.note(mint, "stream_seen_active", by=by)
        for mint in stopped:
            self.context.note(mint, "stream_seen_inactive", by=by)
        return len(started) == len(begun) and len(stopped) == len(changes.stopped)

    def _tell_phases(self, phases: tuple[Phase, ...]) -> None:
        if not phases:
            self.context.log.warning("no_phases", consequence="the phases known before stay")
        elif phases != self._state.phases and self._supervisor.offer(PhasesLoaded(phases)):
            self._state.phases = phases

    def _tell_loaded(self, *, complete: bool) -> None:
        if complete and not self._state.loaded:
            count = len(self._watch.tracked)
            self._state.loaded = self._supervisor.offer(StreamsLoaded(count))

    def _publish(self) -> None:
        self.context.publish(
            WatchStatus(
                database=self._database,
                last_error=self._last_error,
                listening=self._listening,
                active=len(self._watch.tracked),
                pending=len(self._watch.pending),
                last_read_us=self._last_read_us,
                rows_ahead=self._kept.ahead,
                rows_ahead_since_us=self._kept.ahead_since_us,
                row_conflicts=self._kept.conflicts,
                row_conflicts_since_us=self._kept.conflicts_since_us,
                rows_counted_to=COUNTED_ROWS,
            )
        )


def _track(row: StreamRow, now_us: int) -> TrackMint:
    """Have a stream tracked. One that begins in the future, by another clock, begins now."""
    created_us = None if row.created_us is None else min(row.created_us, now_us)
    return TrackMint(
        mint=row.mint,
        phase_id=row.phase_id,
        started_us=min(row.started_us or created_us or now_us, now_us),
        by="stream",
        created_us=created_us,
        creator=row.creator,
        ath=row.ath,
        last_row_us=row.last_row_us,
        rows_seq=row.rows_seq,
    )


def _untrack(mint: Mint) -> UntrackMint:
    return UntrackMint(mint=mint, reason="its stream is no longer active")
