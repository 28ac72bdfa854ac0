"""The way of a trade from the source to the mailbox of its tracker, a slice at a time.

Purpose: everything that is the same whether frames come off a socket or out of a recording. A
source does, for each slice that it has read:

    batch = pipeline.partition(frames)   # decode, number, sort by mint; changes nothing outside
    pipeline.journal(batch)              # durable first, one write
    pipeline.route(batch)                # one message a mint

Guarantees: a slice is in the journal before any of it is routed; each destination gets one message
a slice; every trade is entered into the ledger once, before it is routed; stamps rise strictly; the
feed clock never passes a frame that is not routed yet. A slice that an instance fails in is routed
again by the next one, whole: whoever has heard it already knows its trades by their identity.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final, Protocol

from actors.connection.parking import Parking
from actors.connection.partition import FrameBatch, RawFrame, sort_slice
from actors.domain import Coin, Drop, FeedEvent, FeedGap, Mint, Place, Trade
from actors.journal.checkpoint import HANDED_OVER, LEFT_OUT, MEMORY_US, RELEASED, STARTED, STOPPED
from actors.journal.records import FactRecord
from actors.protocol.connection import FeedReport
from actors.protocol.discovery import FeedSlice, RouteClosed, RouteSwitched
from actors.protocol.postgres_writer import GapRecorded
from actors.protocol.shard import Shard
from actors.protocol.supervisor import (
    DISCOVERY,
    SUPERVISOR,
    FeedStateChanged,
    writer_name,
)
from actors.protocol.tracker import CoverageChanged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.connection.coverage import CoverageStep
    from actors.connection.state import ConnectionState
    from actors.journal.history import MintHistory
    from actors.journal.records import FrameRecord, Record
    from actors.runtime import Context

PUBLISH_S: Final = 0.1
SETTLE_S: Final = 10.0
"""After a recovery, until its last frames have become rows or are said to wait."""


class Journal(Protocol):
    """Where every frame is kept before it is routed."""

    def append(self, records: Sequence[Record]) -> None:
        """Keep the records of one slice, in order. Never raises for trouble with the disk."""

    def release_before(self, us: int) -> None:
        """Allow everything from before this time to be removed."""

    @property
    def state(self) -> str:
        """Say "ok", "full", "failed", "closed" or "off"."""
        raise NotImplementedError


class NoJournal:
    """Keeps nothing: for recordings, which are journals already, and for tests."""

    def append(self, records: Sequence[Record]) -> None:
        """Do nothing."""

    def release_before(self, us: int) -> None:
        """Do nothing."""

    @property
    def state(self) -> str:
        """Say "off"."""
        return "off"


class Pipeline:
    """See the module's docstring. One for each instance of the actor; the state outlives it."""

    def __init__(
        self, context: Context, state: ConnectionState, journal: Journal, history: MintHistory
    ) -> None:
        self.shard = Shard(context)
        self.parking = Parking(context, state, history, self.shard)
        self._context = context
        self._state = state
        self._journal = journal
        self._published_s = 0.0
        self.source = ""

    @property
    def journal_is_full(self) -> bool:
        """Whether the journal has reached its cap and may remove nothing."""
        return self._journal.state == "full"

    # Stamps and the feed clock.

    def stamped(self, payloads: Sequence[bytes]) -> list[RawFrame]:
        """Stamp frames that were read just now, in one go: a microsecond apart, for their order."""
        if not payloads:
            return []
        first_us = self.stamp_as(self._context.now_us())
        self._state.last_stamp_us = first_us + len(payloads) - 1
        return [RawFrame(first_us + place, payload) for place, payload in enumerate(payloads)]

    def stamp_as(self, at_us: int) -> int:
        """Give this arrival time, or the next one that is free."""
        state = self._state
        state.last_stamp_us = max(at_us, state.last_stamp_us + 1)
        return state.last_stamp_us

    def advance(self, covered_us: int) -> None:
        """Publish the feed clock: every arrival before this is in a mailbox."""
        state = self._state
        state.covered_us = max(covered_us, state.covered_us, state.last_stamp_us + 1)
        if not state.is_recovering:
            self._context.advance_feed(state.covered_us)

    # Slices.

    def partition(self, frames: Sequence[RawFrame]) -> FrameBatch:
        """Decode the frames of a slice, number their events and sort them by destination."""
        state = self._state
        return sort_slice(frames, state.next_seq, state.subscriptions, state.recent)

    def journal(self, batch: FrameBatch) -> None:
        """Keep a slice on disk, before any of it is routed, and count its frames."""
        state = self._state
        self._journal.append(batch.records)
        state.in_flight = batch.records
        state.next_seq = batch.next_seq
        state.last_frame_us = batch.last_data_us or state.last_frame_us
        state.last_trade_us = batch.last_trade_us or state.last_trade_us
        if self._journal.state == "ok":
            self._context.telemetry.journal_rows.inc(len(batch.records))
        self._count(batch)

    def route(self, batch: FrameBatch) -> None:
        """Tell the events of a slice, or let them queue behind the journal's tail."""
        recovery = self._state.recovery
        if recovery is None or recovery.is_done:
            self.send(batch)
        else:
            recovery.pending.extend(batch.records)
        self._state.in_flight = []

    def send(self, batch: FrameBatch) -> None:
        """Tell the events of a slice to trackers and discovery: one message each.

        The ledger is entered once, before the first is told: nobody can move a trade that is not in
        it. Should this fail half-way, what was told to nobody is taken out again.
        """
        ledger, telemetry = self._context.ledger, self._context.telemetry
        ledger.receive(Place.QUEUED, batch.queued_trades)
        untold, unrouted = dict(batch.routed), batch.unrouted
        try:
            for mint, events in batch.routed.items():
                if mint in self._state.parked or not self.shard.deliver(mint, events):
                    self.parking.park(mint, events)
                del untold[mint]
            if unrouted:
                self._context.tell(DISCOVERY, FeedSlice(tuple(unrouted)))
                unrouted = []
        finally:
            left = sum(_has_trade(event) for event in chain(unrouted, *untold.values()))
            ledger.receive(Place.QUEUED, -left)
            telemetry.trades_received.inc(batch.queued_trades - left)
        ledger.receive(Place.ORPHAN, batch.orphan_trades)
        telemetry.trades_received.inc(batch.orphan_trades)
        self._drop(Drop.ORPHAN_UNWANTED, batch.orphan_trades)

    def _drop(self, reason: Drop, count: int) -> None:
        if count:
            self._context.telemetry.dropped.labels(reason=reason.value).inc(count)

    def _count(self, batch: FrameBatch) -> None:
        telemetry = self._context.telemetry
        self._state.kinds.update(batch.kinds)
        for kind, frames in batch.kinds.items():
            telemetry.frames.labels(kind=kind).inc(frames)
        for reason, frames in batch.malformed.items():
            telemetry.malformed.labels(reason=reason).inc(frames)
        self._drop(Drop.MALFORMED, sum(batch.malformed.values()))
        self._drop(Drop.UNKNOWN_FRAME, batch.kinds.get("unknown", 0))
        if batch.last_trade_us is not None:
            telemetry.last_trade_timestamp.set(batch.last_trade_us / 1e6)

    # Routes.

    def open_route(self, mint: Mint, rows_end_us: int | None) -> None:
        """Tell discovery that it has seen the mint's last event."""
        if rows_end_us is None:
            self._note(STARTED, mint)
        else:
            self._note(STARTED, mint, rows_end_us=rows_end_us)
        self._context.tell(DISCOVERY, RouteSwitched(mint))

    def leave_route(self, mint: Mint, at_us: int) -> None:
        """Tell discovery that the mint's events are routed no more."""
        self._state.coverage.forget(mint)
        self._context.tell(DISCOVERY, RouteClosed(mint, at_us))

    def note_stop(self, mint: Mint, *, ended: bool, through_seq: int | None = None) -> None:
        """Note for a replay that a tracking is over, or is as far as an event's number."""
        if through_seq is None:
            self._note(STOPPED, mint, ended=ended)
        else:
            self._note(STOPPED, mint, ended=ended, through_seq=through_seq)

    def note_hand_over(self, mint: Mint, from_seq: int) -> None:
        """Note for an audit which trades from before the route went to the tracker as well."""
        self._note(HANDED_OVER, mint, from_seq=from_seq)

    def end_route(self, mint: Mint, at_us: int) -> None:
        """Tell the tracker that no event of the mint follows."""
        # Refused only by one that has ended by itself already.
        self.shard.tell(mint, RouteClosed(mint, at_us))
        self.shard.forget(mint)

    @property
    def next_free_us(self) -> int:
        """The first instant that is behind every event told and not behind the feed clock."""
        return self._state.next_free_us

    def note_left_out(self, frame: FrameRecord) -> None:
        """Tell the next process that a frame fails whenever it is handed on."""
        self._note(LEFT_OUT, None, frame_us=frame.at_us)

    def _note(self, fact: str, mint: Mint | None, **details: int) -> None:
        seq = max(0, self._state.next_seq - 1)
        # Before the first frame of all there is no stamp: a segment is named after its first time.
        at_us = self._state.last_stamp_us or self._context.now_us()
        self._journal.append(
            (FactRecord(seq=seq, at_us=at_us, name=fact, mint=mint, details=dict(details)),)
        )

    def release(self, before_us: int) -> None:
        """Let the journal go of what is in rows, and leave a note for the next start."""
        if before_us > self._state.released_us and self._may_release():
            self._state.released_us = before_us
            self._note(RELEASED, None, before_us=before_us)
            # What is kept for the memory alone gives way before the socket does.
            memory_us = 0 if self.journal_is_full else MEMORY_US
            self._journal.release_before(before_us - memory_us)

    def _may_release(self) -> bool:
        recovery = self._state.recovery
        if recovery is None:
            return True
        # What was replayed last is old, although it has not stood in any mailbox for long.
        return recovery.is_done and self._context.monotonic_s() >= recovery.done_s + SETTLE_S

    # What is known of the feed.

    def tell_coverage(self, change: CoverageStep | None) -> None:
        """Tell a tracker that its coverage has changed."""
        if change is None:
            return
        recovery = self._state.recovery
        if recovery is not None and not recovery.is_done:
            recovery.pending.append(change)
        else:
            self.shard.tell(change.mint, CoverageChanged(change.covered, change.at_us))
        what = "covered" if change.covered else "gap"
        self._context.note(change.mint, what, since_us=change.at_us)

    def record_gap(self, gap: FeedGap | None) -> None:
        """Have a gap that has ended written down."""
        if gap is not None:
            self._context.tell(writer_name(0), GapRecorded(gap))

    def tell_status(self) -> None:
        """Tell the supervisor, the metrics and the log the feed's state."""
        status = self._state.status
        self._context.telemetry.show_feed_state(status.state.value)
        self._context.log.info("feed_state", state=status.state.value, reason=status.reason)
        self._context.tell(
            SUPERVISOR,
            FeedStateChanged(status.state, status.reason, self._context.now_us()),
        )
        self.publish(at_once=True)

    def publish(self, *, at_once: bool = False) -> None:
        """Publish the feed's report, at most every 100 ms."""
        now_s = self._context.monotonic_s()
        if at_once or now_s - self._published_s >= PUBLISH_S:
            self._published_s = now_s
            self._show_gauges()
            self._context.publish(self.report())

    def report(self) -> FeedReport:
        """Describe the feed."""
        state = self._state
        status = state.status
        reason = "waiting for the mailboxes to empty" if state.is_congested else status.reason
        return FeedReport(
            state=status.state,
            reason=reason,
            since_us=status.since_us,
            source=self.source,
            connected_us=state.connected_us,
            last_frame_us=state.last_frame_us,
            last_trade_us=state.last_trade_us,
            covered_us=state.covered_us,
            next_seq=state.next_seq,
            frames=dict(state.kinds),
            billed_frames=state.cost.frames,
            estimated_cost_sol=state.cost.cost_sol,
            reconnects=state.reconnects,
            last_error=state.last_error,
            subscriptions=state.subscriptions.counts(),
            routes=state.subscriptions.routes,
            unsent_routes=state.subscriptions.unsent_routes,
            parked_from_us=min((each.from_us for each in state.parked.values()), default=None),
            recovering=state.is_recovering,
            journal=self._journal.state,
        )

    def _show_gauges(self) -> None:
        state, telemetry = self._state, self._context.telemetry
        now_us = self._context.now_us()
        counts = state.subscriptions.counts()
        for name, count in counts.items():
            telemetry.subscriptions.labels(state=name).set(count)
        telemetry.pending_subscriptions.set(counts["pending"])
        telemetry.feed_cost_sol.set(state.cost.cost_sol)
        telemetry.ws_connected.set(state.connected_us is not None)
        telemetry.connection_duration_seconds.set(_age_s(now_us, state.connected_us))
        telemetry.silence_seconds.set(_age_s(now_us, state.last_frame_us))


def _has_trade(event: FeedEvent) -> bool:
    return event.buy is not None if isinstance(event, Coin) else isinstance(event, Trade)


def _age_s(now_us: int, then_us: int | None) -> float:
    return 0.0 if then_us is None else max(0.0, (now_us - then_us) / 1e6)
