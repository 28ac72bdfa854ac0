"""Hands what arrived to those who want it, and keeps the books about it.

Purpose: everything that is the same whether frames come off a socket or out of a recording.
Guarantees: a slice is in the journal before any of it is told; each destination gets one message a
slice; every trade is entered into the ledger once, before it is told; stamps rise strictly; the
feed clock never passes a frame that is not told yet. A slice that an instance fails in is told
again by the next one, whole: whoever has heard it already knows its trades by their identity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from actors.connection.parking import Parking
from actors.connection.partition import Arrived, Slice, sort_slice
from actors.domain import Coin, Drop, FeedEvent, FeedGap, Migration, Mint, Place, Trade
from actors.journal.checkpoint import HANDED_OVER, LEFT_OUT, MEMORY_US, RELEASED, STARTED, STOPPED
from actors.journal.records import Fact
from actors.protocol.connection import FeedReport
from actors.protocol.discovery import FeedSlice, RouteClosed, RouteSwitched
from actors.protocol.postgres_writer import GapRecorded
from actors.protocol.supervisor import (
    DISCOVERY,
    SUPERVISOR,
    FeedStateChanged,
    tracker_name,
    writer_name,
)
from actors.protocol.tracker import CoverageChanged, TradesArrived

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.connection.coverage import Change
    from actors.connection.state import ConnectionState
    from actors.journal.history import History
    from actors.journal.records import Frame, Record
    from actors.runtime import Context, Ref

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


class Dispatch:
    """See the module's docstring. One for each instance of the actor; the state outlives it."""

    def __init__(
        self, context: Context, state: ConnectionState, journal: Journal, history: History
    ) -> None:
        self.parking = Parking(context, state, history)
        self._context = context
        self._state = state
        self._journal = journal
        self._trackers: dict[Mint, Ref] = {}
        self._published_s = 0.0
        self.source = ""

    @property
    def journal_is_full(self) -> bool:
        """Whether the journal has reached its cap and may remove nothing."""
        return self._journal.state == "full"

    # Stamps and the feed clock.

    def stamp(self) -> int:
        """Give the arrival time of a frame that was read just now."""
        return self.stamp_as(self._context.now_us())

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

    def deliver(self, arrived: Sequence[Arrived]) -> Slice:
        """Journal, count and book the frames of one slice; `tell` then hands its events on."""
        state = self._state
        result = sort_slice(arrived, state.next_seq, state.subscriptions, state.recent)
        self._journal.append(result.records)
        state.untold = result.records
        if self._journal.state == "ok":
            self._context.telemetry.journal_rows.inc(len(result.records))
        state.next_seq = result.next_seq
        state.last_frame_us = result.last_data_us or state.last_frame_us
        state.last_trade_us = result.last_trade_us or state.last_trade_us
        self._count(result)
        return result

    def tell(self, result: Slice) -> None:
        """Tell the events of a delivered slice, or let them queue behind the journal's tail."""
        recovery = self._state.recovery
        if recovery is None or recovery.is_done:
            self.send(result)
        else:
            recovery.pending.extend(result.records)
        self._state.untold = []

    def send(self, result: Slice) -> None:
        """Enter the events of a slice into the ledger, and tell them to trackers and discovery.

        Each destination's share is entered right before it is told: should this fail half-way,
        nothing stands in the books that is in no mailbox.
        """
        for mint, events in result.routed.items():
            self._send(mint, events)
        if result.unrouted:
            self._receive(Place.QUEUED, sum(_has_trade(event) for event in result.unrouted))
            self._context.tell(DISCOVERY, FeedSlice(tuple(result.unrouted)))
        self._receive(Place.ORPHAN, result.orphan_trades)
        self._drop(Drop.ORPHAN_UNWANTED, result.orphan_trades)

    def _send(self, mint: Mint, events: list[Trade | Migration]) -> None:
        must_wait = self.parking.holds(mint)
        self._receive(Place.QUEUED, sum(isinstance(event, Trade) for event in events))
        if must_wait or not self._tracker(mint).offer(TradesArrived(tuple(events))):
            self.parking.park(mint, events)

    def _receive(self, place: Place, trades: int) -> None:
        self._context.ledger.receive(place, trades)
        self._context.telemetry.trades_received.inc(trades)

    def _drop(self, reason: Drop, count: int) -> None:
        if count:
            self._context.telemetry.dropped.labels(reason=reason.value).inc(count)

    def _tracker(self, mint: Mint) -> Ref:
        ref = self._trackers.get(mint)
        if ref is None:
            ref = self._trackers[mint] = self._context.ref(tracker_name(mint))
        return ref

    def _count(self, result: Slice) -> None:
        telemetry = self._context.telemetry
        self._state.kinds.update(result.kinds)
        for kind, frames in result.kinds.items():
            telemetry.frames.labels(kind=kind).inc(frames)
        for reason, frames in result.malformed.items():
            telemetry.malformed.labels(reason=reason).inc(frames)
        self._drop(Drop.MALFORMED, sum(result.malformed.values()))
        self._drop(Drop.UNKNOWN_FRAME, result.kinds.get("unknown", 0))
        if result.last_trade_us is not None:
            telemetry.last_trade_timestamp.set(result.last_trade_us / 1e6)

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
        self._tracker(mint).offer(RouteClosed(mint, at_us))
        self._trackers.pop(mint, None)

    @property
    def next_free_us(self) -> int:
        """The first instant that is behind every event told and not behind the feed clock."""
        return self._state.next_free_us

    def note_left_out(self, frame: Frame) -> None:
        """Tell the next process that a frame fails whenever it is handed on."""
        self._note(LEFT_OUT, None, frame_us=frame.at_us)

    def _note(self, fact: str, mint: Mint | None, **details: int) -> None:
        seq = max(0, self._state.next_seq - 1)
        # Before the first frame of all there is no stamp: a segment is named after its first time.
        at_us = self._state.last_stamp_us or self._context.now_us()
        self._journal.append(
            (Fact(seq=seq, at_us=at_us, name=fact, mint=mint, details=dict(details)),)
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

    def tell_coverage(self, change: Change | None) -> None:
        """Tell a tracker that its coverage has changed."""
        if change is None:
            return
        recovery = self._state.recovery
        if recovery is not None and not recovery.is_done:
            recovery.pending.append(change)
        else:
            self._tracker(change.mint).offer(CoverageChanged(change.covered, change.at_us))
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
            billed_frames=state.budget.frames,
            estimated_cost_sol=state.budget.cost_sol,
            reconnects=state.reconnects,
            last_error=state.last_error,
            subscriptions=state.subscriptions.counts(),
            routes=state.subscriptions.routes,
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
        telemetry.feed_cost_sol.set(state.budget.cost_sol)
        telemetry.ws_connected.set(state.connected_us is not None)
        telemetry.connection_duration_seconds.set(_age_s(now_us, state.connected_us))
        telemetry.silence_seconds.set(_age_s(now_us, state.last_frame_us))


def _has_trade(event: FeedEvent) -> bool:
    return event.buy is not None if isinstance(event, Coin) else isinstance(event, Trade)


def _age_s(now_us: int, then_us: int | None) -> float:
    return 0.0 if then_us is None else max(0.0, (now_us - then_us) / 1e6)
