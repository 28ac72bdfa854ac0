"""The actor of one watched coin: carries out what its state decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from actors.domain import US_PER_SECOND, Drop, Migration, Phase, Place, Trade
from actors.protocol.connection import Resubscribe
from actors.protocol.postgres_writer import (
    AthReached,
    CandleClosed,
    StreamEnded,
    StreamPhaseChanged,
)
from actors.protocol.stream_watch import StreamChangePending
from actors.protocol.supervisor import (
    CONNECTION,
    STREAM_WATCH,
    SUPERVISOR,
    GetLiveCoin,
    TrackerReport,
    TrackingEnded,
    TrackMint,
)
from actors.protocol.tracker import (
    CoverageChanged,
    CreatorBuy,
    HandOverDone,
    PhaseChosen,
    PhasesChanged,
    RouteClosed,
    SetPhase,
    SetPinned,
    TradesParked,
    TradesRemembered,
    TradesUnparked,
)
from actors.runtime import Actor, Control, Message, SettingsChanged, ToSelf
from actors.tracker.curve import market_cap_sol
from actors.tracker.effects import (
    Arm,
    AthDue,
    Effect,
    Ended,
    Mark,
    PhaseSwitched,
    RenewSubscription,
    TimerKey,
    WindowClosed,
)
from actors.tracker.phases import regular
from actors.tracker.rules import TrackerRules, rules_of
from actors.tracker.state import TrackerState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from actors.protocol.partitioner import WriterRoutes
    from actors.runtime import Context

HAND_OVER_LIMIT_S: Final = 10.0
"""How long routed trades wait for the cached ones before they go on without them."""

_HAND_OVER: Final = "hand-over"

_ADDED: Final = Mark.ADDED
_BOOKED: Final[dict[Mark, tuple[Place | None, Drop | None]]] = {
    Mark.DUPLICATE: (Place.DUPLICATE, Drop.DUPLICATE_TRACKED),
    Mark.REMEMBERED: (Place.DUPLICATE, Drop.REMEMBERED),
    Mark.ORPHAN: (Place.ORPHAN, Drop.ORPHAN_ENDED),
    Mark.LATE: (None, Drop.LATE),
    Mark.STALE_WINDOW: (None, Drop.STALE_WINDOW),
}
"""Where a trade goes in the ledger that was not added, and the reason it was dropped for."""


class _TimerDue(ToSelf, frozen=True):
    """The feed clock has passed what the state waited for. Data lane, behind earlier arrivals."""

    timer: TimerKey
    at_us: int


class _HandOverOverdue(Control, frozen=True):
    """The cached trades did not come in time. Control lane: the data lane is held meanwhile."""

    drop_if_dead: ClassVar[bool] = True


class _HandOverEnded(ToSelf, frozen=True):
    """The cached trades are in. Data lane: coverage told before them has been heard by now."""


class TrackerActor(Actor):
    """Tracks one mint on the shared dispatcher.

    Its state belongs to the name, not to the instance, and outlives restarts. A handler raises only
    before it has changed anything, so a poisonous event is left out whole.
    """

    def __init__(self, context: Context, state: TrackerState, routes: WriterRoutes) -> None:
        """Take over a state.

        Args:
            context: The actor's side of the runtime.
            state: What is known of the coin; shared with no other running actor.
            routes: The way to the postgres-writer of the coin.
        """
        super().__init__(context)
        self._state = state
        self._mint = state.mint
        self._routes = routes

    def on_start(self) -> None:
        """Set the timers again, and wait for the cached trades unless they came before."""
        state = self._state
        if not state.handed_over:
            self.context.hold()
            self.context.after(_HAND_OVER, HAND_OVER_LIMIT_S, _HandOverOverdue())
        elif not state.settled:
            self.context.tell_self(_HandOverEnded())
        self._carry_out(state.timers(self.context.feed_us()))

    def snapshot(self) -> TrackerReport:
        """Describe the coin for whoever looks into a failure."""
        return report_of(self._state, self.context.feed_us())

    def on_batch(self, events: Sequence[Any]) -> None:
        """Take the events of a slice in; what follows from its trades is carried out in one go."""
        effects: list[Effect] = []
        add, done = self._state.add, 0
        try:
            for event in events:
                if event.__class__ is Trade:
                    effects += add(event)
                else:
                    self._carry_out(effects)
                    effects.clear()
                    self.on_receive(event)
                done += 1
        finally:
            self.events_done = done
            self._carry_out(effects)

    def on_receive(self, message: Any) -> Any:  # noqa: C901, PLR0912 - one arm a message
        """Handle one message, or one event of a batch."""
        match message:
            case Trade():
                self._carry_out(self._state.add(message))
            case _TimerDue(timer, at_us):
                self._carry_out(self._state.due(timer, at_us, self.context.feed_us()))
            case CoverageChanged(covered, at_us):
                self._state.coverage.change(covered=covered, at_us=at_us)
            case Migration():
                self._carry_out(self._state.migrate(message))
            case CreatorBuy(coin):
                self._carry_out(self._state.see_create(coin))
            case TradesRemembered(trades):
                for trade in trades:
                    self._state.remember(trade)
            case HandOverDone(_, coin):
                self._end_hand_over(self._state.finish_hand_over(coin))
            case _HandOverOverdue():
                self._give_up_hand_over()
            case _HandOverEnded():
                self._carry_out(self._state.settle())
            case TradesParked(number, from_us):
                self._state.park(number, from_us)
            case TradesUnparked(number):
                self._carry_out(self._state.unpark(number, self.context.feed_us()))
            case PhasesChanged(phases):
                self._change_phases(phases)
            case SetPhase(phase_id):
                return self._set_phase(phase_id)
            case SetPinned(pinned):
                self._carry_out(self._state.pin(pinned=pinned, now_us=self.context.feed_us()))
            case SettingsChanged():
                self._carry_out(self._state.change_rules(rules_of(self.context.settings)))
            case GetLiveCoin():
                return report_of(self._state, self.context.feed_us())
            case RouteClosed(_, at_us):
                self._cut(at_us)
            case _:
                raise TypeError(f"a tracker does not know {type(message).__name__}")
        return None

    def _end_hand_over(self, effects: list[Effect]) -> None:
        self._carry_out(effects)
        self.context.cancel(_HAND_OVER)
        self.context.release()
        self.context.tell_self(_HandOverEnded())

    def _give_up_hand_over(self) -> None:
        if self._state.handed_over:
            return
        self.context.log.warning("hand_over_missing", mint=self._mint, waited_s=HAND_OVER_LIMIT_S)
        self.context.note(self._mint, "hand_over_missing", waited_s=HAND_OVER_LIMIT_S)
        self._end_hand_over(self._state.finish_hand_over(None))

    def _change_phases(self, phases: tuple[Phase, ...]) -> None:
        if not regular(phases):
            # A table that is being refilled must not end every coin.
            self.context.log.warning("phases_refused", mint=self._mint, found=len(phases))
            return
        self._carry_out(self._state.change_phases(phases, self.context.feed_us()))

    def _cut(self, at_us: int) -> None:
        if not self._state.ended:
            self.context.note(self._mint, "cut", trades=self._state.trades_total)
        self._carry_out(self._state.cut(at_us))
        self.context.stop()

    def _set_phase(self, phase_id: int) -> PhaseChosen:
        refusal, effects = self._state.set_phase(phase_id, self.context.feed_us())
        self._carry_out(effects)
        return PhaseChosen(refusal is None, refusal)

    # Effects. Nothing below raises: the state has changed already.

    def _carry_out(self, effects: Iterable[Effect]) -> None:
        marks: dict[Mark, int] = {}
        added = 0
        for effect in effects:
            if effect is _ADDED:
                added += 1
                continue
            if isinstance(effect, Mark):
                marks[effect] = marks.get(effect, 0) + 1
                continue
            # The books first: a window that ends moves the trades that were added to it.
            self._book(added, marks)
            added, marks = 0, {}
            match effect:
                case Arm(timer, at_us):
                    self.context.at(timer, at_us, _TimerDue(timer, at_us))
                case WindowClosed():
                    self._write(effect)
                case AthDue():
                    self._tell_ath()
                case PhaseSwitched(phase_id):
                    self._switch_phase(phase_id)
                case RenewSubscription(in_doubt, first_doubt):
                    self._resubscribe(in_doubt=in_doubt, first_doubt=first_doubt)
                case Ended():
                    self._end(effect)
        self._book(added, marks)

    def _book(self, added: int, marks: dict[Mark, int]) -> None:
        telemetry, ledger = self.context.telemetry, self.context.ledger
        if added:
            ledger.move(Place.QUEUED, Place.OPEN, added)
            telemetry.trades_processed.inc(added)
        for mark, count in marks.items():
            place, drop = _BOOKED.get(mark, (None, None))
            if place is not None:
                ledger.move(Place.QUEUED, place, count)
            if drop is not None:
                telemetry.dropped.labels(reason=drop.value).inc(count)
            match mark:
                case Mark.WITHOUT_AMOUNT:
                    telemetry.trades_without_amount.inc(count)
                case Mark.DUPLICATE:
                    telemetry.duplicates.inc(count)
                case Mark.LATE:
                    telemetry.late_trades.inc(count)
                case Mark.CHAIN_BREAK:
                    telemetry.chain_breaks.inc(count)
                case Mark.STALE_WINDOW:
                    telemetry.stale_data_skipped.inc(count)

    def _write(self, closed: WindowClosed) -> None:
        candle = self._state.candle_of(closed)
        self.context.ledger.move(Place.OPEN, Place.QUEUED, candle.num_trades)
        ath = self._state.take_ath()
        self._commit(CandleClosed(candle, ath, closed.candle.kept_trades))

    def _tell_ath(self) -> None:
        ath = self._state.take_ath()
        if ath is not None:
            self._commit(AthReached(ath))

    def _switch_phase(self, phase_id: int) -> None:
        # Pending first: once the writer has the change, its commit could be told before.
        self.context.tell(STREAM_WATCH, StreamChangePending(self._mint, active=True))
        self._commit(StreamPhaseChanged(self._mint, phase_id))
        self.context.telemetry.phase_switches.inc()
        self.context.log.debug("phase_switched", mint=self._mint, phase_id=phase_id)
        self.context.note(self._mint, "phase_moved", phase_id=phase_id)

    def _resubscribe(self, *, in_doubt: bool, first_doubt: bool) -> None:
        self.context.tell(CONNECTION, Resubscribe(self._mint, in_doubt))
        self.context.note(self._mint, "subscription_renewed", in_doubt=in_doubt)
        self.context.telemetry.force_resubscribes.inc()
        if first_doubt:
            self.context.telemetry.zombie_coins_detected.inc()

    def _end(self, ended: Ended) -> None:
        telemetry = self.context.telemetry
        (telemetry.coins_graduated if ended.graduated else telemetry.coins_finished).inc()
        reason = "graduated" if ended.graduated else "finished"
        # Pending first: once the writer has the change, its commit could be told before.
        self.context.tell(STREAM_WATCH, StreamChangePending(self._mint, active=False))
        self._commit(StreamEnded(self._mint, ended.phase_id, ended.graduated, ended.at_us))
        self.context.tell(SUPERVISOR, TrackingEnded(self._mint, ended.phase_id, reason))
        self.context.log.info("tracking_ended", mint=self._mint, reason=reason)
        self.context.note(self._mint, reason, phase_id=ended.phase_id)

    def _commit(self, message: Message) -> None:
        self._routes.tell(self.context, self._mint, message)


def tracker_state(track: TrackMint, phases: tuple[Phase, ...], rules: TrackerRules) -> TrackerState:
    """Make the state that a coin's tracker begins with.

    Raises:
        ValueError: `phases` holds no regular phase.
    """
    return TrackerState(
        mint=track.mint,
        phases=phases,
        phase_id=track.phase_id,
        started_us=track.started_us,
        rules=rules,
        created_us=track.created_us,
        creator=track.creator,
        ath=track.ath,
        last_row_us=track.last_row_us,
        rows_seq=track.rows_seq,
    )


def report_of(state: TrackerState, feed_us: int) -> TrackerReport:
    """Describe a coin as of the running window; without one the figures are None and 0."""
    window, candle = state.window, state.candle
    close = candle.price_close if candle else None
    return TrackerReport(
        mint=state.mint,
        phase_id=state.life.phase_id,
        interval_seconds=state.windows.interval_seconds,
        price_open=candle.price_open if candle else None,
        price_high=candle.price_high if candle else None,
        price_low=candle.price_low if candle else None,
        price_close=close,
        market_cap_sol=None if close is None else market_cap_sol(close),
        volume_lamports=candle.volume_lamports if candle else 0,
        buy_volume_lamports=candle.buy_volume_lamports if candle else 0,
        sell_volume_lamports=candle.sell_volume_lamports if candle else 0,
        num_buys=candle.num_buys if candle else 0,
        num_sells=candle.num_sells if candle else 0,
        unique_wallets=candle.unique_wallets if candle else 0,
        window_start_us=window.start_us if window else None,
        window_end_us=window.end_us if window else None,
        next_flush_seconds=max(0, window.end_us - feed_us) / US_PER_SECOND if window else None,
        trades_total=state.trades_total,
        candles_total=state.windows.closed_total,
        ath=state.ath,
        created_us=state.life.base_us,
        creator=state.creator,
        covered=state.coverage.on,
        graduated=state.graduated,
    )
