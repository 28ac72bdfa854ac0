"""The n8n-writer: batches of discovered coins on their way to a webhook.

Purpose: gather coins, put each batch on disk, deliver the oldest batch, one request in flight.
Guarantees: a batch, its id and its members, is on disk before its first attempt and leaves only
when it was delivered, divided, or given up into the dead letters; delivery is at least once; no
turn waits for the network.
Not guaranteed: the order of coins once a batch was divided.
Bounds: `BATCH_SIZE` coins in memory. Should the disk refuse them, nothing is sent, up to
`MAX_WAITING` coins are kept, and beyond that the newest goes to the dead letters.
"""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from actors.n8n_writer.outbox import Outbox
from actors.n8n_writer.payload import CoinBatch, WebhookRequest, build_request, fits, prove
from actors.n8n_writer.retry_policy import (
    Decision,
    Deliver,
    GiveUp,
    Outcome,
    Retry,
    Split,
    Undeliverable,
    WebhookAnswer,
    decide,
    describe,
    error_type,
    has_arrived,
)
from actors.n8n_writer.state import MAX_WAITING
from actors.protocol.n8n_writer import CoinDiscovered, N8nStatus
from actors.protocol.supervisor import SUPERVISOR, Drained
from actors.runtime import Actor, Flush, SettingsChanged, ToSelf
from actors.spool.store import SpoolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.domain import Coin
    from actors.n8n_writer.client import Transport
    from actors.n8n_writer.state import N8nState
    from actors.n8n_writer.store import BatchStore
    from actors.runtime import Context
    from settings import Settings

_STORE_PAUSE_S: Final = 5.0


class _BatchDue(ToSelf, frozen=True):
    """The oldest waiting coin has waited for BATCH_TIMEOUT, or the disk may be asked again."""


class _SendDue(ToSelf, frozen=True):
    """It is time for the next attempt."""


class _Answered(ToSelf, frozen=True):
    """The request with this number has ended; sent by its thread."""

    number: int
    outcome: Outcome


class _Overdue(ToSelf, frozen=True):
    """The request with this number has had N8N_TIMEOUT."""

    number: int


class _FlushOver(ToSelf, frozen=True):
    """A flush may take no longer."""


@dataclass(frozen=True)
class _InFlight:
    number: int
    batch: CoinBatch
    started_s: float


class N8nWriterActor(Actor):
    """See the module's docstring. Pinned, because the store waits for the disk."""

    own_thread: ClassVar[bool] = True

    def __init__(
        self,
        context: Context,
        state: N8nState,
        store: BatchStore,
        transport: Transport,
        *,
        jitter: Callable[[], float] = random.random,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        """Take what outlives the instance; `jitter` gives numbers in 0..1, `new_id` batch ids."""
        super().__init__(context)
        self._state = state
        self._store = store
        self._transport = transport
        self._jitter = jitter
        self._outbox = Outbox(context, state, store, new_id)
        self._settings = context.settings
        self._in_flight: _InFlight | None = None
        self._pausing = False
        self._flushing = False

    def on_start(self) -> None:
        """Go on with what is waiting, in memory and on disk."""
        self._warn_of_test_address()
        self._state.reached = "idle"
        try:
            self._outbox.open()
        except SpoolError as error:
            self._store_failed(error)
        if self._state.waiting:
            self.context.after("batch", self.context.settings.batch_timeout, _BatchDue())
        self._send_after(0)
        self._publish()

    def on_receive(self, message: Any) -> Any:
        """Handle one message."""
        match message:
            case CoinDiscovered(coin=coin):
                self._take(coin)
            case _BatchDue():
                self._store_waiting()
            case _SendDue():
                self._pausing = False
                self._send()
            case _Answered(number=number, outcome=outcome):
                self._ended(number, outcome)
            case _Overdue(number=number):
                self._overdue(number)
            case Flush():
                self._flush()
            case _FlushOver():
                self._drained()
            case SettingsChanged():
                self._adapt()
        self._publish()

    def on_stop(self) -> None:
        """Give up the request, and leave the waiting coins on disk."""
        self._transport.close()
        self._put_waiting()
        self._store.close()

    # Settings. What is not here is read from them at the time.

    def _adapt(self) -> None:
        """Go on with what the settings say now; another destination is tried at once."""
        before, now = self._settings, self.context.settings
        self._settings = now
        if now.spool_max_mb != before.spool_max_mb:
            self._store.resize(now.spool_max_mb << 20)
        if _destination(now) != _destination(before):
            self._change_destination()
        waiting = len(self._state.waiting)
        if self._url() is None or waiting >= now.batch_size:
            self._store_waiting()
        elif waiting and now.batch_timeout != before.batch_timeout:
            self.context.after("batch", now.batch_timeout, _BatchDue())

    def _change_destination(self) -> None:
        """Forget how the last destination behaved; what it has not accepted goes to the new one."""
        flight, self._in_flight = self._in_flight, None
        self._state.begin_anew()
        self._warn_of_test_address()
        self._send_after(0)
        if flight is not None:
            self.context.cancel("overdue")
            outcome = self._transport.abort()
            if has_arrived(outcome):
                self._settle(flight.batch, outcome)

    def _warn_of_test_address(self) -> None:
        if "/webhook-test/" in (self._url() or ""):
            self.context.log.warning(
                "n8n_test_webhook",
                advice="n8n listens there only while its editor waits; use the production address",
            )

    # Gathering.

    def _take(self, coin: Coin) -> None:
        waiting, settings = self._state.waiting, self.context.settings
        if self._url() is None or coin.seq <= self._state.batched_seq:
            # After a crash the journal tells of coins again that are in batches already.
            return
        prove(coin)
        if len(waiting) >= MAX_WAITING:
            self.context.dead_letter(CoinDiscovered(coin), "refused")
            return
        waiting.append(coin)
        if len(waiting) == 1:
            self.context.after("batch", settings.batch_timeout, _BatchDue())
        if len(waiting) % settings.batch_size == 0:
            self._store_waiting()

    def _store_waiting(self) -> None:
        """Put what waits on disk, and see to it that it is sent."""
        if not self._put_waiting():
            self.context.after("batch", _STORE_PAUSE_S, _BatchDue())
            return
        self.context.cancel("batch")
        if not self._pausing:
            self._send_after(0)

    def _put_waiting(self) -> bool:
        """Put everything that waits on disk; False when the disk refuses."""
        try:
            self._outbox.put_waiting(self.context.settings.batch_size)
        except SpoolError as error:
            self._store_failed(error)
            return False
        return True

    def _store_failed(self, error: SpoolError) -> None:
        self._state.last_error = f"Coins for n8n cannot be kept on disk: {error}"
        self.context.log.error("n8n_store_failed", error=str(error))

    # Sending.

    def _send_after(self, seconds: float) -> None:
        self._pausing = seconds > 0
        self.context.after("send", seconds, _SendDue())

    def _send(self) -> None:
        """Send the oldest batch, unless a request is in flight or there is none."""
        if self._in_flight is not None:
            return
        try:
            batch = None if self._url() is None else self._outbox.oldest()
        except SpoolError as error:
            self._store_failed(error)
            self._send_after(_STORE_PAUSE_S)
            self._drained()
            return
        if batch is None:
            self._drained()
            return
        request = self._request(batch)
        if fits(request):
            self._start(batch, request)
        else:
            self._too_long(batch)

    def _request(self, batch: CoinBatch) -> WebhookRequest:
        settings = self.context.settings
        header = settings.n8n_auth_header
        return build_request(
            batch,
            settings.n8n_webhook_method,
            self._url() or "",
            None if header is None else header.get_secret_value(),
        )

    def _start(self, batch: CoinBatch, request: WebhookRequest) -> None:
        self._state.requests += 1
        number, timeout_s = self._state.requests, self.context.settings.n8n_timeout
        self._in_flight = _InFlight(number, batch, self.context.monotonic_s())
        self.context.after("overdue", timeout_s, _Overdue(number))
        tell_self = self.context.tell_self
        self._transport.start(
            request, timeout_s, lambda outcome: tell_self(_Answered(number, outcome))
        )

    def _overdue(self, number: int) -> None:
        if self._in_flight is not None and self._in_flight.number == number:
            self._ended(number, self._transport.abort())

    def _ended(self, number: int, outcome: Outcome) -> None:
        flight = self._in_flight
        if flight is None or flight.number != number:
            return
        self._in_flight = None
        self.context.cancel("overdue")
        self.context.telemetry.n8n_seconds.observe(self.context.monotonic_s() - flight.started_s)
        self._settle(flight.batch, outcome)

    def _settle(self, batch: CoinBatch, outcome: Outcome) -> None:
        """Decide about an attempt that has ended."""
        state = self._state
        decision = decide(
            outcome,
            coins=len(batch.coins),
            failures=state.failures + 1,
            refusals=state.refusals_of(batch) + 1,
            jitter=self._jitter(),
        )
        if isinstance(decision, Deliver):
            # Only the oldest batch is tried, so failures in a row were its own.
            status = outcome.status if isinstance(outcome, WebhookAnswer) else None
            self._outbox.note(batch, "n8n_sent", attempt=state.failures + 1, status=status)
        else:
            self._failed(decision, outcome)
        self._carry_out(decision, batch)

    def _too_long(self, batch: CoinBatch) -> None:
        """Divide a batch that fits into no address, before anyone has refused it."""
        if len(batch.coins) > 1:
            self._carry_out(Split(), batch)
        else:
            self._state.last_error = "A coin is too long for an address; N8N_WEBHOOK_METHOD=POST"
            self._carry_out(Undeliverable(), batch)

    def _carry_out(self, decision: Decision, batch: CoinBatch) -> None:
        """Act on a decision, then go on: at once, or after the pause it asks for."""
        try:
            pause_s = self._act(decision, batch)
        except SpoolError as error:
            self._store_failed(error)
            pause_s = _STORE_PAUSE_S
        self._send_after(pause_s)
        if pause_s:
            self._drained()

    def _failed(self, decision: Decision, outcome: Outcome) -> None:
        state = self._state
        state.failures += 1
        state.reached = "stopped" if isinstance(decision, GiveUp) else "retrying"
        cause = describe(outcome)
        self.context.telemetry.n8n_errors.labels(type=error_type(outcome)).inc()
        # One line an outage, not one an attempt.
        is_news = state.failures == 1 or cause != state.last_error
        log = self.context.log.warning if is_news else self.context.log.debug
        log("n8n_failed", cause=cause, decision=type(decision).__name__.lower())
        state.last_error = cause

    def _act(self, decision: Decision, batch: CoinBatch) -> float:
        """Carry a decision out; return the pause before the next attempt, in seconds."""
        match decision:
            case Deliver():
                self._state.succeeded(self.context.now_us())
                self._outbox.delivered(batch)
            case Split():
                self._outbox.divide(batch)
            case Undeliverable():
                self._outbox.give_up(batch)
            case Retry(after_s, refused):
                if refused:
                    self._state.refused(batch)
                return after_s
            case GiveUp(after_s):
                return after_s
        return 0.0

    # Stopping.

    def _flush(self) -> None:
        """Store what waits and try to deliver everything within a bound."""
        settings = self.context.settings
        self._flushing = True
        bound_s = min(settings.n8n_timeout, settings.drain_timeout / 2)
        self.context.after("flush", bound_s, _FlushOver())
        self._store_waiting()
        self._send_after(0)

    def _drained(self) -> None:
        """End a flush, if one is on its way: nothing is left, or nothing more can be done now."""
        if not self._flushing:
            return
        self._flushing = False
        self.context.cancel("flush")
        self.context.tell(SUPERVISOR, Drained(self.context.name, self._state.coins))

    # Looking.

    def _url(self) -> str | None:
        secret = self.context.settings.n8n_webhook_url
        return None if secret is None else secret.get_secret_value()

    def _publish(self) -> None:
        state, configured = self._state, self._url() is not None
        reached = state.reached if configured else "off"
        self.context.telemetry.n8n_available.set(reached == "up")
        self.context.telemetry.n8n_buffer_size.set(state.coins)
        self.context.publish(
            N8nStatus(
                available=reached == "up",
                configured=configured,
                waiting=state.coins,
                last_success_us=state.last_success_us,
                last_error=state.last_error,
                needed_from_us=state.waiting[0].arrived_us if state.waiting else None,
                state=reached,
                oldest_us=state.oldest_us,
            )
        )


def _destination(settings: Settings) -> tuple[object, ...]:
    return settings.n8n_webhook_method, settings.n8n_webhook_url, settings.n8n_auth_header
