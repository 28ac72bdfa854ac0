"""What arrives on the live feed, and what follows from it for the feed's state, coverage and gaps.

Guarantees: control frames and data count in the order they came; every change of the state is
told; trackers are covered while, and only while, the feed is live and their subscription is
acknowledged and not doubted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.connection.control_frames import (
    Complaint,
    SubscriptionAcknowledged,
    SubscriptionRefused,
    meaning_of,
)
from actors.connection.decoder import ControlFrame
from actors.domain import FeedState

if TYPE_CHECKING:
    from actors.connection.address import FeedAddress
    from actors.connection.partition import FrameBatch
    from actors.connection.pipeline import Pipeline
    from actors.connection.state import ConnectionState
    from actors.domain import Mint
    from actors.runtime import Context


class StatusRules:
    """See the module's docstring."""

    def __init__(
        self, context: Context, state: ConnectionState, pipeline: Pipeline, address: FeedAddress
    ) -> None:
        self._context = context
        self._state = state
        self._pipeline = pipeline
        self._address = address

    def apply(self, batch: FrameBatch) -> None:
        """Take in what a slice says about the feed."""
        for at_us, mark in batch.marks:
            if isinstance(mark, ControlFrame):
                self._read_control(at_us, mark)
            else:
                self.react(has_changed=self._state.status.data(at_us, is_trade=mark))
        self._prove(batch)

    def _prove(self, batch: FrameBatch) -> None:
        """Let trades prove subscriptions, and unsubscribe those that nobody wants."""
        state = self._state
        now_s = self._context.monotonic_s()
        if not state.subscriptions.are_proven:
            for mint, at_us in batch.trade_mints.items():
                if state.subscriptions.prove(mint, at_us):
                    self.cover(mint)
        for mint in batch.orphans:
            state.subscriptions.stray(mint, now_s)

    def _read_control(self, at_us: int, frame: ControlFrame) -> None:
        match meaning_of(frame):
            case SubscriptionAcknowledged(ack=ack):
                result = self._state.subscriptions.acknowledge(ack, at_us)
                status = self._state.status
                if result.is_probe and status.is_refused:
                    self.react(has_changed=status.probe_acknowledged(at_us))
                    return
                self.react(has_changed=status.acknowledged(at_us))
                for mint in result.mints:
                    self.cover(mint)
            case SubscriptionRefused() as refused:
                self._read_refusal(at_us, refused)
            case Complaint() as complaint:
                self._read_complaint(complaint)

    def _read_refusal(self, at_us: int, refused: SubscriptionRefused) -> None:
        state = self._state
        text = self._address.redact(refused.text)
        if refused.answers_call:
            state.subscriptions.refuse_oldest()
        if not state.status.is_refused:
            state.last_error = text
            state.refusal.open(state.last_trade_us or at_us, f"discovery_only: {text}")
            self._context.log.warning("trades_refused", server_said=text)
        has_changed = state.status.refused(text, at_us, self._context.monotonic_s())
        self.react(has_changed=has_changed)

    def _read_complaint(self, complaint: Complaint) -> None:
        if complaint.is_error:
            self._context.telemetry.feed_errors.inc()
        text = self._address.redact(complaint.text)
        if self._state.complaints.is_new(text):
            self._context.log.warning("server_said", text=text, is_error=complaint.is_error)

    # What a change of state entails.

    def react(self, *, has_changed: bool) -> None:
        """Do what a change of the feed's state entails."""
        if not has_changed:
            return
        state = self._state
        self._pipeline.tell_status()
        if state.status.is_refused:
            state.subscriptions.withhold()
        else:
            state.subscriptions.offer_again()
        if not state.status.is_live:
            since_us = self._last_proof_us()
            for change in state.coverage.end_all(since_us):
                self._pipeline.tell_coverage(change)
            return
        self._pipeline.record_gap(state.refusal.close(state.status.since_us))
        for mint in state.subscriptions.routed():
            self.cover(mint)

    def _last_proof_us(self) -> int:
        """The last instant up to which trades are known to have arrived."""
        state = self._state
        if state.status.state is FeedState.DISCOVERY_ONLY:
            return state.last_trade_us or 0
        return state.last_frame_us or 0

    def cover(self, mint: Mint) -> None:
        """Tell the tracker of a routed mint that it is covered, if it is."""
        state = self._state
        since_us = state.subscriptions.covered_since_us(mint)
        if since_us is None or not state.status.is_live or not state.subscriptions.is_routed(mint):
            return
        since_us = max(since_us, state.status.since_us)
        self._pipeline.tell_coverage(state.coverage.begin(mint, since_us))
