"""Reads the live feed: dials, subscribes, reads, notices when nothing comes, and dials again.

Purpose: one `turn` after the other, each at most 50 ms, in the actor's thread; nothing in here
blocks longer.
Guarantees: a new connection object for each attempt; subscriptions are restored on each; frames
read before a loss are handed on; the feed clock goes on while the feed is away, and stands still
while reading is paused for full mailboxes.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

from actors.connection.poller import LONGEST_WAIT_S
from actors.connection.status_rules import StatusRules
from actors.connection.websocket import MAX_ABANDONED, Dial, DialFailure, WebSocketSession
from actors.domain import FeedState
from actors.protocol.connection import _Dialled

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.connection.address import FeedAddress
    from actors.connection.calls import Outgoing
    from actors.connection.partition import RawFrame
    from actors.connection.pipeline import Pipeline
    from actors.connection.poller import Poller
    from actors.connection.state import ConnectionState
    from actors.domain import Mint
    from actors.runtime import Context

DIAL_STEP_S: Final = 10.0
DIAL_DEADLINE_S: Final = 25.0
SLICE_S: Final = 0.008
CONGESTED_AT: Final = 100_000
RELIEVED_AT: Final = 50_000


class LiveReader:
    """See the module's docstring."""

    def __init__(
        self,
        context: Context,
        state: ConnectionState,
        pipeline: Pipeline,
        address: FeedAddress,
        poller: Poller,
        *,
        chance: Callable[[], float],
        make_context: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        self._context = context
        self._state = state
        self._pipeline = pipeline
        self._address = address
        self._poller = poller
        self._chance = chance
        self._make_context = make_context
        self._status_rules = StatusRules(context, state, pipeline, address)
        self._session: WebSocketSession | None = None
        self._dial: Dial | None = None
        self._abandoned: list[Dial] = []
        self._dial_s = 0.0
        self._away_s = 0.0
        self._opened_s = 0.0
        self._last_data_s = 0.0
        self._ping_sent_s = 0.0
        self._is_pong_due = False
        self._is_stopped = False
        self._close_deadline_s = 0.0

    # Beginning and end.

    def start(self) -> None:
        """Dial at the next turn."""
        self._dial_s = self._context.monotonic_s()

    def resume(self) -> None:
        """Go on where another instance has failed: dial again after a pause."""
        self._lose("the connection's actor was restarted")

    def stop(self) -> None:
        """Read no more; close in order within WS_CLOSE_TIMEOUT, in the turns that follow."""
        self._is_stopped = True
        self._abandon_dial()
        state = self._state
        state.subscriptions.lost()
        state.connected_us = None
        if self._session is not None:
            self._session.begin_close()
            self._close_deadline_s = (
                self._context.monotonic_s() + self._context.settings.ws_close_timeout
            )
        if state.status.stopped(self._context.now_us()):
            self._pipeline.tell_status()

    def release(self) -> None:
        """Close everything at once."""
        self._abandon_dial()
        if self._session is not None:
            self._session.begin_close()
            self._session.close()
            self._session = None

    def cover(self, mint: Mint) -> None:
        """Tell the tracker of a routed mint that it is covered, if it is."""
        self._status_rules.cover(mint)

    # Turns.

    def turn(self) -> None:
        """Do what is due, wait at most 50 ms for something to read, and read one slice."""
        if self._is_stopped:
            self._turn_closing()
        elif self._session is None:
            self._turn_away()
        else:
            self._turn_open(self._session)

    def _turn_closing(self) -> None:
        session = self._session
        if session is None:
            self._poller.wait(LONGEST_WAIT_S)
            return
        self._poller.wait(LONGEST_WAIT_S, session.fileno(), for_writing=session.has_unsent)
        # What still comes was asked not to be read: it is not counted as received.
        session.read(self._slice_clock(), self._context.monotonic_s())
        if session.lost is not None or self._context.monotonic_s() >= self._close_deadline_s:
            session.close()
            self._session = None

    def _turn_away(self) -> None:
        self._look_at_dial()
        if self._session is None:
            # Without a connection this only forgets what nobody wants any more.
            self._state.subscriptions.due(self._context.monotonic_s())
            self._poller.wait(LONGEST_WAIT_S)
        self._pipeline.advance(self._context.now_us())

    def _turn_open(self, session: WebSocketSession) -> None:
        if self._is_congested():
            self._poller.wait(LONGEST_WAIT_S)
            if self._pipeline.journal_is_full:
                # Windows have to end all the same: only their rows set the journal free.
                self._pipeline.advance(self._context.now_us())
            return
        self._send_due(session)
        if not session.has_buffered:
            self._poller.wait(LONGEST_WAIT_S, session.fileno(), for_writing=session.has_unsent)
        read = session.read(self._slice_clock(), self._context.monotonic_s())
        frames = self._pipeline.stamped(read)
        if frames:
            self._take(frames)
        if session.lost is not None:
            self._lose(session.lost)
        else:
            self._look_for_silence()
        self._pipeline.advance(self._context.now_us())

    def _slice_clock(self) -> Callable[[], bool]:
        monotonic_s = self._context.monotonic_s
        deadline_s = monotonic_s() + SLICE_S
        return lambda: monotonic_s() < deadline_s

    def _is_congested(self) -> bool:
        state = self._state
        queued = self._queued()
        if not state.is_congested and queued > CONGESTED_AT:
            state.is_congested = True
            self._context.log.warning("reading_paused", queued_events=queued)
        elif state.is_congested and queued < RELIEVED_AT:
            state.is_congested = False
            # Nobody was listening, so the silence was ours.
            self._last_data_s = self._context.monotonic_s()
            self._context.log.info("reading_resumed", queued_events=queued)
        return state.is_congested

    def _queued(self) -> int:
        """Count what waits to be handled; a full journal counts as more than can be borne."""
        if self._pipeline.journal_is_full:
            return CONGESTED_AT + 1
        recovery = self._state.recovery
        return self._context.queued_events() + (len(recovery.pending) if recovery else 0)

    # Opening.

    def _look_at_dial(self) -> None:
        now_s = self._context.monotonic_s()
        if self._dial is None:
            if now_s >= self._next_dial_s:
                self._begin_dial(now_s)
            return
        match self._dial.outcome():
            case WebSocketSession() as session:
                self._dial = None
                self._open(session, now_s)
            case DialFailure() as failure:
                self._dial = None
                self._fail(failure)
            case _ if now_s >= self._dial_s + DIAL_DEADLINE_S:
                self._abandon_dial()
                self._fail(DialFailure("the connection could not be opened in time"))

    @property
    def _next_dial_s(self) -> float:
        """When to dial: a pause begun under a longer WS_MAX_RETRY_DELAY ends by the present one."""
        if self._state.status.state is FeedState.BANNED:
            return self._dial_s
        return min(self._dial_s, self._away_s + self._context.settings.ws_max_retry_delay)

    def _begin_dial(self, now_s: float) -> None:
        self._abandoned = [dial for dial in self._abandoned if dial.is_running]
        if len(self._abandoned) >= MAX_ABANDONED:
            return
        self._dial_s = now_s
        if self._state.status.dialling(self._context.now_us()):
            self._pipeline.tell_status()
        tell_self = self._context.tell_self
        self._dial = Dial(
            self._address, DIAL_STEP_S, self._make_context, lambda: tell_self(_Dialled())
        )

    def _abandon_dial(self) -> None:
        if self._dial is not None:
            self._dial.abandon()
            self._abandoned.append(self._dial)
            self._dial = None

    def _open(self, session: WebSocketSession, now_s: float) -> None:
        state, now_us = self._state, self._context.now_us()
        self._session = session
        self._opened_s = self._last_data_s = self._ping_sent_s = now_s
        self._is_pong_due = False
        state.connected_us = now_us
        state.subscriptions.opened(now_s)
        if state.has_connected:
            state.reconnects += 1
            self._context.telemetry.ws_reconnects.inc()
        state.has_connected = True
        self._context.log.info("feed_connected", source=self._address.shown)
        if state.status.opened(now_us):
            self._pipeline.tell_status()

    def _fail(self, failure: DialFailure) -> None:
        if failure.is_ban:
            delay_s = self._state.backoff.after_ban()
        else:
            delay_s = self._state.backoff.after_failure(self._chance())
        self._away(failure.reason, delay_s, is_ban=failure.is_ban)

    # Losing.

    def _lose(self, reason: str) -> None:
        self._drop_session()
        self._away(reason, self._state.backoff.after_failure(self._chance()))

    def _look_for_silence(self) -> None:
        age_s = self._context.monotonic_s() - self._last_data_s
        if age_s <= self._context.settings.ws_connection_timeout:
            return
        reason = f"no data for {age_s:.0f} s on an open connection"
        self._drop_session()
        self._away(reason, self._state.backoff.after_failure(self._chance()), is_silence=True)

    def _drop_session(self) -> None:
        if self._session is not None:
            self._session.begin_close()
            self._session.close()
            self._session = None

    def _away(
        self, reason: str, delay_s: float, *, is_ban: bool = False, is_silence: bool = False
    ) -> None:
        state, now_us = self._state, self._context.now_us()
        self._away_s = self._context.monotonic_s()
        self._dial_s = self._away_s + delay_s
        state.connected_us = None
        state.last_error = reason
        state.subscriptions.lost()
        self._context.log.warning("feed_away", reason=reason, retry_in_s=round(delay_s, 1))
        if is_ban:
            has_changed = state.status.banned(reason, now_us)
        elif is_silence:
            has_changed = state.status.silent(reason, now_us)
        else:
            has_changed = state.status.lost(reason, now_us)
        self._status_rules.react(has_changed=has_changed)
        since_us = state.last_frame_us or state.reading_since_us
        state.outage.open(since_us, f"{state.status.state.value}: {reason}")

    # Sending.

    def _send_due(self, session: WebSocketSession) -> None:
        now_s = self._context.monotonic_s()
        for call in self._state.subscriptions.due(now_s):
            self._send(session, call)
        if self._state.status.probe_is_due(now_s):
            probe = self._state.subscriptions.probe(now_s)
            if probe is not None:
                self._state.status.probe_sent(now_s)
                self._send(session, probe)
        self._ping(session, now_s)

    def _send(self, session: WebSocketSession, call: Outgoing) -> None:
        session.send(call.text)
        if call.keys:
            telemetry = self._context.telemetry
            telemetry.batches_sent.inc()
            telemetry.subscriptions_batched.inc(call.keys)
            telemetry.batch_size.set(call.keys)

    def _ping(self, session: WebSocketSession, now_s: float) -> None:
        if session.has_pong:
            session.has_pong = self._is_pong_due = False
        age_s = now_s - self._ping_sent_s
        if self._is_pong_due and age_s >= self._context.settings.ws_ping_timeout:
            self._is_pong_due = False
            self._context.telemetry.pongs_missing.inc()
            self._context.log.warning(
                "pong_missing", waited_s=self._context.settings.ws_ping_timeout
            )
        if 0 < self._context.settings.ws_ping_interval <= age_s:
            session.ping()
            self._ping_sent_s = now_s
            self._is_pong_due = True

    # Reading.

    def _take(self, frames: list[RawFrame]) -> None:
        """Send one slice on its way: decoded, sorted, journalled, routed, billed."""
        batch = self._pipeline.partition(frames)
        self._pipeline.journal(batch)
        self._pipeline.route(batch)
        self._bill(batch.billed)
        if batch.first_data_us is not None:
            self._note_data(batch.first_data_us)
        self._status_rules.apply(batch)

    def _bill(self, frames: int) -> None:
        if not frames:
            return
        self._context.telemetry.billed_frames.inc(frames)
        passed_sol = self._state.cost.count(frames)
        if passed_sol is not None:
            self._context.log.warning(
                "feed_cost", estimated_sol=self._state.cost.cost_sol, passed_sol=passed_sol
            )

    def _note_data(self, first_us: int) -> None:
        now_s = self._context.monotonic_s()
        self._last_data_s = now_s
        self._state.backoff.data_arrived(now_s - self._opened_s)
        self._pipeline.record_gap(self._state.outage.close(first_us))
