"""Replays what an earlier process has journalled, while live frames queue behind it.

Purpose: after a crash the open windows, the cache and what is remembered of trades and names are as
they were, because the journal's tail goes through the same code with the times it was recorded at.
Guarantees: live frames are journalled as they arrive and handed on behind the replay, in order; the
feed clock follows the replay and never runs ahead of it; a trade that lies in rows, which its
number says, is remembered and not counted; a mint whose tracking has ended stays ended; a restarted
actor goes on where the last instance was; a frame that fails every time is left out, alone.
Relies on: every active stream is routed before `begin`; rows of one mint commit in order.

The journal says in its own facts from where it is needed (`released`): everything earlier is in
rows, on disk, or given up. Frames from up to ten minutes before that are read only for what has to
be remembered of them.

A slice that has failed twice is taken frame by frame. What fails alone, too, is noted in the
journal, so that it costs neither this process nor the next one any further instance.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from actors.connection.coverage import CoverageStep
from actors.connection.decoder import decode
from actors.connection.partition import RawFrame, sort_slice
from actors.domain import Coin, Drop, Mint, Place, Trade
from actors.journal.checkpoint import MEMORY_US, needed_from
from actors.journal.records import FrameRecord
from actors.protocol.discovery import CoinsRemembered
from actors.protocol.supervisor import DISCOVERY
from actors.protocol.tracker import CoverageChanged, TradesRemembered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.connection.partition import FrameBatch
    from actors.connection.pipeline import Pipeline
    from actors.connection.recovery_state import RecoveryState
    from actors.connection.state import ConnectionState
    from actors.journal.history import MintHistory
    from actors.journal.records import Record
    from actors.protocol.connection import RouteMint
    from actors.runtime import Context

SLICE_FRAMES: Final = 256
SLICE_US: Final = 50_000
"""As long as a live slice at most, so that what ends on the feed clock ends where it ended live."""
CONGESTED_AT: Final = 2_000
"""Below the bound of a tracker's mailbox: a replay can wait, and loses nothing by it."""
ATTEMPTS: Final = 2
"""A failure may have passed with the instance that failed; after two of them it has not."""


class Recovery:
    """See the module's docstring. One for each instance of the actor; the state outlives it."""

    def __init__(
        self, context: Context, state: ConnectionState, pipeline: Pipeline, history: MintHistory
    ) -> None:
        self._context = context
        self._state = state
        self._pipeline = pipeline
        self._history = history
        self._records: Iterator[Record] | None = None
        self._ahead: FrameRecord | None = None
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

    def _next_slice(self, recovery: RecoveryState) -> tuple[list[FrameRecord], int]:
        """Take the next frames of the tail, and count the records passed with them."""
        frames: list[FrameRecord] = []
        passed = 0
        while len(frames) < self._slice_frames(recovery):
            record = self._ahead or next(self._records or iter(()), None)
            self._ahead = None
            if record is None:
                break
            if isinstance(record, FrameRecord):
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
    def _begin_slice(recovery: RecoveryState, frames: list[FrameRecord]) -> None:
        recovery.in_slice, recovery.trades_in_hand = len(frames), 0
        recovery.attempts += 1
        if recovery.singly:
            # Now, as it could be this that fails.
            recovery.trades_in_hand = sum(_has_trade(frame) for frame in frames)

    @staticmethod
    def _end_slice(recovery: RecoveryState) -> None:
        recovery.singly = max(0, recovery.singly - recovery.in_slice)
        recovery.attempts = 0

    def _leave_out(self, recovery: RecoveryState, frame: FrameRecord) -> None:
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
        self._pipeline.note_left_out(frame)
        self._context.telemetry.dropped.labels(reason=Drop.FRAME_LEFT_OUT.value).inc()
        self._context.ledger.receive(Place.DEAD, recovery.trades_in_hand)
        self._context.telemetry.trades_received.inc(recovery.trades_in_hand)

    def _sort_out(self, recovery: RecoveryState, frames: list[FrameRecord]) -> list[FrameRecord]:
        """Leave out what counts no more, and see to it that it is remembered."""
        wanted: list[FrameRecord] = []
        trades: dict[Mint, list[Trade]] = {}
        coins: list[Coin] = []
        for frame in frames:
            event = decode(frame.data, frame.seq, frame.at_us)
            trade = event.buy if isinstance(event, Coin) else event
            in_rows = isinstance(trade, Trade) and self._lies_in_rows(recovery, trade)
            if isinstance(trade, Trade) and in_rows:
                trades.setdefault(trade.mint, []).append(trade)
            if isinstance(event, Trade) and in_rows:
                continue
            if frame.at_us >= recovery.needed_from_us and not self._has_ended(recovery, event):
                wanted.append(frame)
            elif isinstance(event, Coin):
                coins.append(event)
        for mint, known in trades.items():
            recovery.remembered += len(known)
            self._context.telemetry.dropped.labels(reason=Drop.REMEMBERED.value).inc(len(known))
            self._pipeline.shard.tell(mint, TradesRemembered(tuple(known)))
        if coins:
            self._context.ref(DISCOVERY).offer(CoinsRemembered(tuple(coins)))
        return wanted

    def _lies_in_rows(self, recovery: RecoveryState, trade: Trade) -> bool:
        """Say whether a replayed trade of a tracked coin is in rows, on disk, or was given up.

        By its number, which its row names: a row's time may come from another clock.
        """
        rows = self._state.rows.get(trade.mint)
        if rows is None:
            return False
        return (
            trade.seq <= rows.rows_seq
            or trade.arrived_us < recovery.needed_from_us
            or self._lies_in_unnumbered_rows(trade, rows)
        )

    def _lies_in_unnumbered_rows(self, trade: Trade, rows: RouteMint) -> bool:
        """Decide by time, where the journal had no id yet and no row can name its number."""
        if trade.seq > self._state.unnumbered_seq or rows.rows_end_us is None:
            return False
        return trade.arrived_us < rows.rows_end_us

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
            self._tell_coverage(CoverageStep(mint, covered=False, at_us=self._state.tail_us + 1))
        self._context.log.info(
            "journal_replayed",
            trades=recovery.trades,
            remembered=recovery.remembered,
            waiting=len(recovery.pending),
        )

    # What queued behind it.

    def _step_pending(self, recovery: RecoveryState) -> None:
        frames: list[FrameRecord] = []
        pending = recovery.pending
        while pending and isinstance(pending[0], CoverageStep):
            self._tell_coverage(pending[0])
            pending.popleft()
        for item in islice(pending, self._slice_frames(recovery)):
            if isinstance(item, CoverageStep) or _is_too_late(item, frames, 0):
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

    def _hand_on(self, recovery: RecoveryState, frames: list[FrameRecord]) -> None:
        if not frames:
            return
        # Time goes on to the slice first, so that what ends before it ends in front of it.
        self._context.advance_feed(frames[0].at_us)
        state = self._state
        result = sort_slice(
            [RawFrame(frame.at_us, frame.data, frame.seq) for frame in frames],
            frames[0].seq,
            state.subscriptions,
            state.recent,
        )
        if not recovery.is_past_tail:
            result.queued_trades -= self._take_out_known(recovery, result)
            recovery.trades += result.queued_trades
            for mint in result.routed:
                self._cover(recovery, mint)
        self._pipeline.send(result)

    def _take_out_known(self, recovery: RecoveryState, result: FrameBatch) -> int:
        """Take the buys out of a slice that lie in rows: their creates may still be needed."""
        taken = 0
        for mint, events in list(result.routed.items()):
            left = [
                event
                for event in events
                if not (isinstance(event, Trade) and self._lies_in_rows(recovery, event))
            ]
            taken += len(events) - len(left)
            if left:
                result.routed[mint] = left
            else:
                del result.routed[mint]
        return taken

    def _move_on(self, recovery: RecoveryState, at_us: int) -> None:
        recovery.position_us = max(recovery.position_us, at_us)
        self._context.advance_feed(recovery.position_us + 1)

    def _cover(self, recovery: RecoveryState, mint: Mint) -> None:
        """Count a mint as covered from where its rows end: its frames are here, so it was."""
        if mint in recovery.covered:
            return
        recovery.covered.add(mint)
        rows = self._state.rows.get(mint)
        rows_end_us = (rows.rows_end_us if rows else None) or 0
        since_us = max(rows_end_us, recovery.needed_from_us)
        self._tell_coverage(CoverageStep(mint, covered=True, at_us=since_us))

    def _tell_coverage(self, change: CoverageStep) -> None:
        told = CoverageChanged(change.covered, change.at_us)
        self._pipeline.shard.tell(change.mint, told)


def _has_trade(frame: FrameRecord) -> bool:
    event = decode(frame.data, frame.seq, frame.at_us)
    return isinstance(event, Trade) or (isinstance(event, Coin) and event.buy is not None)


def _is_too_late(frame: FrameRecord, slice_: list[FrameRecord], from_us: int) -> bool:
    """Say whether a frame is too late for a slice; one from before `from_us` may be long."""
    if not slice_ or slice_[0].at_us < from_us:
        return False
    return frame.at_us - slice_[0].at_us >= SLICE_US
