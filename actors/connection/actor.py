"""The connection: frames in, subscriptions out."""

from __future__ import annotations

import random
import ssl
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from actors.connection.address import AddressError, FeedAddress
from actors.connection.live_source import LiveReader
from actors.connection.pipeline import Journal, NoJournal, Pipeline
from actors.connection.poller import LONGEST_WAIT_S, Poller
from actors.connection.recovery import Recovery
from actors.connection.replay_source import ReplayReader
from actors.connection.router import Router
from actors.domain import US_PER_SECOND
from actors.journal.history import NO_HISTORY, MintHistory
from actors.protocol.connection import (
    GetFeed,
    GetRoute,
    ReleaseJournal,
    Resubscribe,
    RouteMint,
    RouteReport,
    StartReading,
    StopReading,
    UnrouteMint,
    UnwatchMint,
    WatchMint,
    _Dialled,
)
from actors.runtime import Actor, SettingsChanged

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.connection.state import ConnectionState
    from actors.domain import Mint
    from actors.runtime import Context

RECOVERY_S: Final = 0.04
"""How long the journal is replayed before the socket is looked at again."""

NEWS_AT_ONCE: Final = 1_000
"""After a loss there is news of every mint: a few milliseconds of notes between two slices."""


class FeedReader(Protocol):
    """A source of frames, driven by the actor in turns."""

    def start(self) -> None:
        """Begin."""

    def resume(self) -> None:
        """Go on where another instance has failed."""

    def turn(self) -> None:
        """Do one slice of work within 50 ms."""

    def stop(self) -> None:
        """Read no more; what is left to do in order follows in later turns."""

    def release(self) -> None:
        """Give everything back at once."""

    def cover(self, mint: Mint) -> None:
        """Tell a routed mint's tracker that it is covered, if it is."""


class ConnectionActor(Actor):
    """Reads the feed in a thread of its own and hands every event to whoever wants it.

    Args:
        context: the runtime's side.
        state: what outlives this instance.
        journal: where frames are kept before they are routed.
        history: where earlier processes have kept theirs; replayed when the state says so.
        make_tls_context: makes the context of a `wss://` connection; the default verifies
        certificate and name.
        chance: gives numbers in [0, 1) for the jitter of reconnects.
    """

    own_thread: ClassVar[bool] = True
    polls: ClassVar[bool] = True

    def __init__(
        self,
        context: Context,
        state: ConnectionState,
        journal: Journal | None = None,
        history: MintHistory | None = None,
        *,
        make_tls_context: Callable[[], ssl.SSLContext] = ssl.create_default_context,
        chance: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(context)
        self._state = state
        self._pipeline = Pipeline(context, state, journal or NoJournal(), history or NO_HISTORY)
        self._make_tls_context = make_tls_context
        self._chance = chance
        self._poller = Poller(None)
        self._reader: FeedReader | None = None
        self._router = Router(context, state, self._pipeline)
        self._recovery = Recovery(context, state, self._pipeline, history or NO_HISTORY)

    def on_start(self) -> None:
        """Make the reader; go on reading when another instance was."""
        self._poller = Poller(_wakeup_fd(self.context))
        self._reader = self._make_reader()
        if self._reader is None:
            return
        if self._state.is_reading:
            self._reader.resume()
        elif self._state.has_stopped:
            self._reader.stop()
        elif self._state.is_recovering:
            # What arrives from now on is journalled, and waits until streams and tail are known.
            self._open()
        self._state.take_up_untold()
        if self._state.recovery is not None and self._state.recovery.is_begun:
            self._recovery.begin()

    def on_stop(self) -> None:
        """Close the socket or the recording."""
        if self._reader is not None:
            self._reader.release()

    def on_receive(self, message: Any) -> Any:  # noqa: C901, PLR0912 - one arm a message
        """Handle one message; each arm is one call."""
        match message:
            case RouteMint():
                self._route(message)
            case UnrouteMint(mint=mint, ended=ended):
                self._router.close(mint, ended=ended)
            case WatchMint(mint=mint):
                self._state.subscriptions.watch(mint)
            case UnwatchMint(mint=mint, from_seq=from_seq):
                self._unwatch(mint, from_seq)
            case Resubscribe(mint=mint, in_doubt=in_doubt):
                self._resubscribe(mint, in_doubt=in_doubt)
            case StartReading():
                self._start()
            case ReleaseJournal(before_us=before_us):
                self._pipeline.release(before_us)
            case StopReading():
                self._stop_reading()
            case GetFeed():
                return self._pipeline.report()
            case GetRoute(mint=mint):
                return self._report_route(mint)
            case SettingsChanged():
                self._change_settings()
            case _Dialled():
                pass
            case _:
                raise TypeError(f"the connection does not take {type(message).__name__}")
        return None

    def poll(self) -> None:
        """Let the reader do one slice of work, and publish the report."""
        if self._reader is None or not (self._state.is_reading or self._state.has_stopped):
            self._poller.wait(LONGEST_WAIT_S)
        else:
            self._recover()
            self._router.tend()
            self._reader.turn()
            self._note_subscriptions()
        self._pipeline.publish()

    def _note_subscriptions(self) -> None:
        for mint, news in self._state.subscriptions.take_news(NEWS_AT_ONCE):
            self.context.note(mint, "subscription", state=news.state.value, attempt=news.attempt)

    def _recover(self) -> None:
        """Replay for a moment; the socket is looked at in between, so that stamps stay true."""
        if not self._state.is_recovering or self._state.has_stopped:
            return
        deadline_s = self.context.monotonic_s() + RECOVERY_S
        while self._recovery.step() and self.context.monotonic_s() < deadline_s:
            pass

    # What messages do.

    def _route(self, route: RouteMint) -> None:
        self._router.open(route)
        if self._reader is not None and not self._state.has_stopped:
            self._reader.cover(route.mint)

    def _unwatch(self, mint: Mint, from_seq: int | None) -> None:
        if from_seq is not None:
            self._pipeline.note_hand_over(mint, from_seq)
        self._state.recent.discard(mint)
        self._state.subscriptions.unwatch(mint, self.context.monotonic_s())

    def _resubscribe(self, mint: Mint, *, in_doubt: bool) -> None:
        if self._state.subscriptions.repeat(mint, in_doubt=in_doubt):
            self._pipeline.tell_coverage(
                self._state.coverage.end(mint, self._pipeline.next_free_us)
            )

    def _start(self) -> None:
        if self._state.is_recovering:
            self._recovery.begin()
        self._open()

    def _open(self) -> None:
        if self._state.is_reading:
            return
        self._state.is_reading = True
        self._state.reading_since_us = self.context.now_us()
        if self._reader is not None:
            self._reader.start()

    def _stop_reading(self) -> None:
        state = self._state
        state.is_reading = False
        state.has_stopped = True
        self._router.begin_stop()
        if self._reader is not None:
            self._reader.stop()
        self._pipeline.publish(at_once=True)
        self._router.tend()

    def _change_settings(self) -> None:
        """Take over what was copied; everything else is read from the settings at the time."""
        settings, state = self.context.settings, self._state
        state.subscriptions.reconfigure(
            settings.subscribe_batch_size,
            settings.subscribe_batch_interval,
            self.context.monotonic_s(),
        )
        state.backoff.reconfigure(settings.ws_retry_delay, settings.ws_max_retry_delay)

    def _report_route(self, mint: Mint) -> RouteReport:
        state = self._state
        subscription = state.subscriptions.state_of(mint)
        parked = state.parked.get(mint)
        return RouteReport(
            mint=mint,
            routed=state.subscriptions.is_routed(mint),
            subscription=None if subscription is None else subscription.value,
            covered=mint in state.coverage,
            parked_trades=0 if parked is None else parked.trades,
            parked_from_us=None if parked is None else parked.from_us,
            last_subscribed_us=self._last_subscribed_us(mint),
        )

    def _last_subscribed_us(self, mint: Mint) -> int | None:
        sent_s = self._state.subscriptions.sent_s(mint)
        if sent_s is None:
            return None
        age_us = round((self.context.monotonic_s() - sent_s) * US_PER_SECOND)
        return self.context.now_us() - age_us

    # The source.

    def _make_reader(self) -> FeedReader | None:
        settings = self.context.settings
        path = settings.replay_path
        if path is not None:
            self._pipeline.source = str(path)
            return ReplayReader(self.context, self._state, self._pipeline, path, self._poller)
        key = settings.pumpportal_api_key
        try:
            address = FeedAddress(settings.ws_uri, key.get_secret_value() if key else None)
        except AddressError as error:
            self._refuse_to_read(str(error))
            return None
        self._pipeline.source = address.shown
        return LiveReader(
            self.context,
            self._state,
            self._pipeline,
            address,
            self._poller,
            chance=self._chance,
            make_context=self._make_tls_context,
        )

    def _refuse_to_read(self, reason: str) -> None:
        # A restart would find the same setting: this is for a human, not for the restart policy.
        self._state.last_error = reason
        self.context.log.error("feed_misconfigured", reason=reason)
        if self._state.status.lost(reason, self.context.now_us()):
            self._pipeline.tell_status()


def _wakeup_fd(context: Context) -> int | None:
    try:
        return context.wakeup_fd
    except RuntimeError:
        return None
