"""Replays what an earlier process has journalled, while live frames queue behind it.

Purpose: after a crash the open windows, the cache and what is remembered of trades and names are as
they were, because the journal's tail goes through the same code with the times it was recorded at.
Guarantees: live frames are journalled as they arrive and handed on behind the replay, in order; the
feed clock follows the replay and never runs ahead of it; a trade that lies in rows is remembered
and not counted; a mint whose tracking has ended stays ended; a restarted actor goes on where the
last instance was.
Relies on: every active stream is routed before `begin`; rows of one mint commit in order.

The journal says in its own facts from where it is needed (`released`): everything earlier is in
rows, on disk, or given up. Frames from up to ten minutes before that are read only for what has to
be remembered of them.

A slice that has failed twice is taken frame by frame. What fails alone, too, is noted in the
journal, so that it costs neither this process nor the next one any further instance.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from actors.connection.coverage import Change
from actors.connection.frames import decode
from actors.connection.intake import Arrived, sort_slice
from actors.connection.journal_records import Fact, Frame
from actors.control import DISCOVERY, tracker_name
from actors.discovery.messages import CoinsRemembered
from actors.domain import US_PER_SECOND, Coin, Mint, Place, Trade
from actors.tracker.messages import CoverageChanged, TradesRemembered

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from actors.connection.dispatch import Dispatch
    from actors.connection.journal_records import Record
    from actors.connection.recovery_state import RecoveryState
    from actors.connection.state import ConnectionState
    from actors.runtime import Context

RELEASED: Final = "released"
STARTED: Final = "tracker_started"
STOPPED: Final = "tracker_stopped"
LEFT_OUT: Final = "frame_left_out"
MEMORY_US: Final = 600 * US_PER_SECOND
"""Trackers remember trades for this long, discovery names for less."""
SLICE_FRAMES: Final = 256
SLICE_US: Final = 50_000
"""As long as a live slice at most, so that what ends on the feed clock ends where it ended live."""
SEARCH_RECORDS: Final = 4_096
"""Looked through in one step, about 20 ms."""
CONGESTED_AT: Final = 2_000
"""Below the bound of a tracker's mailbox: a replay can wait, and loses nothing by it."""
ATTEMPTS: Final = 2
"""A failure may have passed with the instance that failed; after two of them it has not."""


class NoHistory:
    """No earlier process has kept anything."""

    def records(
        self,
        *,
        since_us: int = 0,  # noqa: ARG002 - there is nothing to choose from
        before_seq: int | None = None,  # noqa: ARG002
        mint: Mint | None = None,  # noqa: ARG002
    ) -> Iterator[Record]:
        """Walk nothing."""
        return iter(())

    def steps(
        self,
        *,
        since_us: int = 0,  # noqa: ARG002 - as above
        before_seq: int | None = None,  # noqa: ARG002
        mint: Mint,  # noqa: ARG002
    ) -> Iterator[Record | None]:
        """Walk nothing."""
        return iter(())


NO_HISTORY: Final = NoHistory()


class History(Protocol):
    """Where the records of earlier processes are read from, oldest first."""

    def records(
        self, *, since_us: int = 0, before_seq: int | None = None, mint: Mint | None = None
    ) -> Iterator[Record]:
        """Walk the records from a time on, up to a sequence number, of one mint or of all."""

    def steps(
        self, *, since_us: int = 0, before_seq: int | None = None, mint: Mint
    ) -> Iterator[Record | None]:
        """Walk the records of a mint, and give None now and then where there are none."""


class Bearings(msgspec.Struct, frozen=True):
    """What the journal's facts say about its frames."""

    needed_us: int
    """From here on they are needed."""
    stopped: dict[Mint, int]
    """The last sequence number of each mint's ended tracking."""
    left_out_us: frozenset[int]
    """When those arrived that were left out."""


class _Facts:
    """What is gathered of facts on the way."""

    def __init__(self) -> None:
        self.released_us: int | None = None
        self._has_rows: dict[Mint, bool] = {}
        self._stops: dict[Mint, tuple[Fact, bool]] = {}
        self._left_out_us: set[int] = set()

    def take(self, fact: Fact) -> None:
        if fact.name == RELEASED:
            self.released_us = _number(fact, "before_us", self.released_us)
        elif fact.name == LEFT_OUT:
            self._left_out_us.add(_number(fact, "frame_us", 0) or 0)
        elif fact.mint is not None:
            self._take_tracking(fact, fact.mint)

    def _take_tracking(self, fact: Fact, mint: Mint) -> None:
        if fact.name == STARTED:
            self._has_rows[mint] = "rows_end_us" in fact.details
        elif fact.name == STOPPED:
            self._stops[mint] = (fact, self._has_rows.get(mint, False))

    def bearings(self) -> Bearings:
        needed_us = self.released_us or 0
        stopped = {
            mint: _number(stop, "through_seq", stop.seq) or 0
            for mint, (stop, had_rows) in self._stops.items()
            if _is_final(stop, needed_us, had_rows=had_rows)
        }
        return Bearings(needed_us, stopped, frozenset(self._left_out_us))


def needed_from(history: History, tail_us: int) -> Generator[None, None, Bearings]:
    """Find from where the journal is needed, and which mints' tracking has ended since.

    The note of what is released is renewed every few seconds, so it is looked for near the end
    first, and everywhere only when the end has none, or one of something older.

    Yields:
        Now and then, so that somebody else can have a turn.
    """
    facts = _Facts()
    for since_us in (max(0, tail_us - MEMORY_US), 0):
        facts = _Facts()
        for number, record in enumerate(history.records(since_us=since_us), 1):
            if number % SEARCH_RECORDS == 0:
                yield
            if isinstance(record, Fact):
                facts.take(record)
        if facts.released_us is not None and facts.released_us >= since_us:
            # Whatever has ended since was noted later.
            break
    return facts.bearings()


def _number(fact: Fact, name: str, default: int | None) -> int | None:
    value = fact.details.get(name)
    return value if isinstance(value, int) else default


def _is_final(stop: Fact, needed_us: int, *, had_rows: bool) -> bool:
    """Say whether a mint's frames from before its stop are done with.

    Rows and the end of a tracker that has ended by itself may not have been kept if that was
    lately: its frames are replayed then, come to the same end, and give the same rows. They would
    not give the same rows if an earlier tracker's last one was cut inside a cell. But the stream of
    a mint that had rows when this tracking began is known to the database: it would be active
    there, and routed again, had its end not been kept behind all of its rows. Whoever else stopped
    a tracker has done so in the database.
    """
    return not stop.details.get("ended") or had_rows or stop.at_us < needed_us


class Recovery:
    """See the module's docstring. One for each instance of the actor; the state outlives it."""

    def __init__(
        self, context: Context, state: ConnectionState, dispatch: Dispatch, history: History
    ) -> None:
        self._context = context
        self._state = state
        self._dispatch = dispatch
        self._history = history
        self._records: Iterator[Record] | None = None
        self._ahead: Frame | None = None
        self._search: Iterator[None] | None = None

    def begin(self) -> None:
        """Start, or go on behind what another instance has handed on."""
        recovery = self._state.recovery
        if recovery is None or recovery.is_done:
            return
        recovery.is_begun = True
        if recovery.is_past_tail:
            return
        if recovery.is_located:
            self._open_tail(recovery)
        else:
            self._search = self._locate(recovery)

    def step(self) -> bool:
        """Hand on one slice: of the tail, then of what queued behind it.

        Returns:
            Whether there was something to do; not when mailboxes have to empty first.
        """
        recovery = self._state.recovery
        if recovery is None or recovery.is_done or not recovery.is_begun:
            return False
        if self._context.queued_events() > CONGESTED_AT:
            return False
        if self._search is not None:
            self._go_on_searching(self._search)
        elif recovery.is_past_tail:
            self._step_pending(recovery)
        else:
            self._step_tail(recovery)
        return True

    # Where the tail begins.

    def _go_on_searching(self, search: Iterator[None]) -> None:
        if next(search, self) is self:
            self._search = None

    def _locate(self, recovery: RecoveryState) -> Iterator[None]:
        found = yield from needed_from(self._history, self._state.tail_us)
        recovery.needed_from_us, recovery.stopped = found.needed_us, found.stopped
        recovery.left_out_us = found.left_out_us
        recovery.position_us = max(0, recovery.needed_from_us - 1)
        recovery.is_located = True
        self._open_tail(recovery)

    def _open_tail(self, recovery: RecoveryState) -> None:
        self._records = self._history.records(
            since_us=max(0, recovery.needed_from_us - MEMORY_US), before_seq=recovery.before_seq
        )
        for _ in range(recovery.replayed):
            next(self._records, None)

    # The tail.

    def _step_tail(self, recovery: RecoveryState) -> None:
        frames, passed = self._next_slice(recovery)
        if not passed:
            self._end_tail(recovery)
            return
        if self._is_hopeless(recovery):
            recovery.replayed += passed
            self._leave_out(recovery, frames[0])
            return
        self._begin_slice(recovery, frames)
        if frames:
            self._hand_on(recovery, self._sort_out(recovery, frames))
            self._move_on(recovery, frames[-1].at_us)
        # Last: should this fail, the next instance hands on what is known already, which is
        # harmless, rather than nothing.
        recovery.replayed += passed
        self._end_slice(recovery)

    def _next_slice(self, recovery: RecoveryState) -> tuple[list[Frame], int]:
        """Take the next frames of the tail, and count the records passed with them."""
        frames: list[Frame] = []
        passed = 0
        while len(frames) < self._slice_frames(recovery):
            record = self._ahead or next(self._records or iter(()), None)
            self._ahead = None
            if record is None:
                break
            if isinstance(record, Frame):
                if _is_too_late(record, frames, recovery.needed_from_us):
                    self._ahead = record
                    break
                if record.at_us not in recovery.left_out_us:
                    frames.append(record)
            passed += 1
        return frames, passed

    # A slice that fails.

    def _slice_frames(self, recovery: RecoveryState) -> int:
        """Give how many frames the next slice may have; fewer after failures."""
        if recovery.attempts >= ATTEMPTS and not recovery.singly:
            recovery.singly = recovery.in_slice
            # A frame that was alone already needs no further attempt.
            recovery.attempts = 0 if recovery.in_slice > 1 else ATTEMPTS
        return 1 if recovery.singly else SLICE_FRAMES

    @staticmethod
    def _is_hopeless(recovery: RecoveryState) -> bool:
        """Say whether the one frame that is next has failed by itself."""
        return bool(recovery.singly and recovery.attempts)

    @staticmethod
    def _begin_slice(recovery: RecoveryState, frames: list[Frame]) -> None:
        recovery.in_slice, recovery.trades_in_hand = len(frames), 0
        recovery.attempts += 1
        if recovery.singly:
            # Now, as it could be this that fails.
            recovery.trades_in_hand = sum(_has_trade(frame) for frame in frames)

    @staticmethod
    def _end_slice(recovery: RecoveryState) -> None:
        recovery.singly = max(0, recovery.singly - recovery.in_slice)
        recovery.attempts = 0

    def _leave_out(self, recovery: RecoveryState, frame: Frame) -> None:
        """Go on without a frame; its trade, if that much could be read of it, is dead."""
        recovery.in_slice = 1
        self._end_slice(recovery)
        self._context.log.error(
            "frame_left_out",
            seq=frame.seq,
            at_us=frame.at_us,
            bytes=len(frame.data),
            cause="handing it on has failed every time",
        )
        self._dispatch.note_left_out(frame)
        self._context.ledger.receive(Place.DEAD, recovery.trades_in_hand)
        self._context.telemetry.trades_received.inc(recovery.trades_in_hand)

    def _sort_out(self, recovery: RecoveryState, frames: list[Frame]) -> list[Frame]:
        """Leave out what counts no more, and see to it that it is remembered."""
        wanted: list[Frame] = []
        trades: dict[Mint, list[Trade]] = {}
        coins: list[Coin] = []
        for frame in frames:
            event = decode(frame.data, frame.seq, frame.at_us)
            if isinstance(event, Trade) and self._lies_in_rows(recovery, event):
                trades.setdefault(event.mint, []).append(event)
            elif frame.at_us >= recovery.needed_from_us and not self._has_ended(recovery, event):
                wanted.append(frame)
            elif isinstance(event, Coin):
                coins.append(event)
        for mint, known in trades.items():
            recovery.remembered += len(known)
            self._context.ref(tracker_name(mint)).offer(TradesRemembered(tuple(known)))
        if coins:
            self._context.ref(DISCOVERY).offer(CoinsRemembered(tuple(coins)))
        return wanted

    def _lies_in_rows(self, recovery: RecoveryState, trade: Trade) -> bool:
        if not self._state.subscriptions.is_routed(trade.mint):
            return False
        return trade.arrived_us < max(
            self._state.rows_end_us.get(trade.mint, 0), recovery.needed_from_us
        )

    def _has_ended(self, recovery: RecoveryState, event: object) -> bool:
        mint = getattr(event, "mint", None)
        if mint is None or self._state.subscriptions.is_routed(mint):
            return False
        stopped_seq = recovery.stopped.get(mint)
        return stopped_seq is not None and getattr(event, "seq", 0) <= stopped_seq

    def _end_tail(self, recovery: RecoveryState) -> None:
        recovery.is_past_tail = True
        self._records = None
        for mint in recovery.covered:
            self._tell_coverage(Change(mint, covered=False, at_us=self._state.tail_us + 1))
        self._context.log.info(
            "journal_replayed",
            trades=recovery.trades,
            remembered=recovery.remembered,
            waiting=len(recovery.pending),
        )

    # What queued behind it.

    def _step_pending(self, recovery: RecoveryState) -> None:
        frames: list[Frame] = []
        pending = recovery.pending
        while pending and isinstance(pending[0], Change):
            self._tell_coverage(pending[0])
            pending.popleft()
        for item in islice(pending, self._slice_frames(recovery)):
            if isinstance(item, Change) or _is_too_late(item, frames, 0):
                break
            frames.append(item)
        if frames and self._is_hopeless(recovery):
            pending.popleft()
            self._leave_out(recovery, frames[0])
        elif frames:
            self._begin_slice(recovery, frames)
            self._hand_on(recovery, frames)
            self._move_on(recovery, frames[-1].at_us)
            for _ in frames:
                pending.popleft()
            self._end_slice(recovery)
        if not recovery.pending:
            recovery.is_done = True
            recovery.done_s = self._context.monotonic_s()
            recovery.stopped = {}
            recovery.covered = set()
            self._context.log.info("recovered")

    # Handing on.

    def _hand_on(self, recovery: RecoveryState, frames: list[Frame]) -> None:
        if not frames:
            return
        # Time goes on to the slice first, so that what ends before it ends in front of it.
        self._context.advance_feed(frames[0].at_us)
        state = self._state
        result = sort_slice(
            [Arrived(frame.at_us, frame.data, frame.seq) for frame in frames],
            frames[0].seq,
            state.subscriptions,
            state.recent,
        )
        if not recovery.is_past_tail:
            recovery.trades += result.queued_trades
            for mint in result.routed:
                self._cover(recovery, mint)
        self._dispatch.send(result)

    def _move_on(self, recovery: RecoveryState, at_us: int) -> None:
        recovery.position_us = max(recovery.position_us, at_us)
        self._context.advance_feed(recovery.position_us + 1)

    def _cover(self, recovery: RecoveryState, mint: Mint) -> None:
        """Count a mint as covered from where its rows end: its frames are here, so it was."""
        if mint in recovery.covered:
            return
        recovery.covered.add(mint)
        since_us = max(self._state.rows_end_us.get(mint, 0), recovery.needed_from_us)
        self._tell_coverage(Change(mint, covered=True, at_us=since_us))

    def _tell_coverage(self, change: Change) -> None:
        self._context.ref(tracker_name(change.mint)).offer(
            CoverageChanged(change.covered, change.at_us)
        )


def _has_trade(frame: Frame) -> bool:
    event = decode(frame.data, frame.seq, frame.at_us)
    return isinstance(event, Trade) or (isinstance(event, Coin) and event.buy is not None)


def _is_too_late(frame: Frame, slice_: list[Frame], from_us: int) -> bool:
    """Say whether a frame is too late for a slice; one from before `from_us` may be long."""
    if not slice_ or slice_[0].at_us < from_us:
        return False
    return frame.at_us - slice_[0].at_us >= SLICE_US
