"""What one tracker knows and decides.

Purpose: every decision about one coin: which window a trade belongs to, when a window closes, when
the phase changes, when the coin has ended. The actor carries the effects out and keeps no state of
its own, so that a restarted actor goes on from here.
Guarantees: each operation validates first and then applies, so an event takes effect whole or not
at all. Spans of closed candles never overlap, and every trade that counts is in exactly one of
them. Nothing here depends on when a timer's message is dispatched.
Not guaranteed: that events come in order; one that is late is added to the running window, marked.
Relies on: one thread at a time. Times are microseconds UTC: of arrival in events, of the feed clock
elsewhere.
"""

from __future__ import annotations

from typing import Final

import msgspec

from actors.domain import (
    FINISHED_PHASE,
    GRADUATED_PHASE,
    AllTimeHigh,
    Candle,
    Coin,
    Migration,
    Mint,
    Phase,
    Trade,
    Wallet,
)
from actors.tracker.candle import ClosedWindow, OpenCandle, Thresholds
from actors.tracker.coverage import MintCoverage
from actors.tracker.curve import ReserveChain
from actors.tracker.dedupe import RecentTrades, identity_hash
from actors.tracker.effects import (
    Arm,
    AthDue,
    Effect,
    Ended,
    Mark,
    Outgoing,
    PhaseSwitched,
    RenewSubscription,
    TimerKey,
    WindowClosed,
)
from actors.tracker.lifecycle import Lifecycle
from actors.tracker.phases import Window, reach_back, window_of
from actors.tracker.watchdog import SilenceWatch

_LARGEST_PRICE_SOL: Final = 1e9
_ADDED: Final = Mark.ADDED
"""Looking a member up in its enum takes longer than adding it to a list."""


class TrackerRules(msgspec.Struct, frozen=True):
    """The settings that a tracker goes by."""

    thresholds: Thresholds
    age_offset_us: int
    """Taken off every age."""
    ath_interval_us: int
    watchdog_seconds: float
    keep_trades: bool
    """Whether a closed candle brings its trades along."""


class TrackerState:
    """Everything about one tracked coin; outlives the instances of its actor.

    Operations return what follows, in order. Until `settle` is called for the first time, whatever
    goes out to other rooms is kept back: the hand-over of cached trades closes windows before it is
    known who created the coin and since when its trades were observed.
    """

    __slots__ = (
        "_ath_dirty",
        "_chain",
        "_graduating",
        "_graduation_lamports",
        "_is_mayhem",
        "_kept_back",
        "_parked_from_us",
        "_parked_number",
        "_recent",
        "_rows_end_us",
        "_rows_seq",
        "_rules_in_window",
        "_span_end_us",
        "_stale_end_us",
        "_watchdog",
        "ath",
        "candle",
        "candles_total",
        "coverage",
        "creator",
        "ended",
        "handed_over",
        "life",
        "mint",
        "rules",
        "settled",
        "trades_total",
        "window",
    )

    def __init__(
        self,
        *,
        mint: Mint,
        phases: tuple[Phase, ...],
        phase_id: int,
        started_us: int,
        rules: TrackerRules,
        created_us: int | None = None,
        creator: Wallet | None = None,
        ath: AllTimeHigh | None = None,
        last_row_us: int | None = None,
        rows_seq: int = 0,
    ) -> None:
        """Begin to track a coin.

        Args:
            mint: The coin.
            phases: All of `ref_coin_phases`; needs at least one regular phase.
            phase_id: The phase to begin in; one that does not exist is left at the first event.
            started_us: When the stream began; the age base unless `created_us` is known.
            rules: The settings to go by.
            created_us: Arrival of the create, when known.
            creator: Who created the coin, when known.
            ath: The highest price so far; never lowered.
            last_row_us: End of the newest candle in rows; no window begins before.
            rows_seq: The newest trade in rows of earlier runs, by its number: up to here trades
                are replayed ones, which the coin cache gathered again. 0: there is none.

        Raises:
            ValueError: There is no regular phase.
        """
        self.mint = mint
        self.rules = rules
        self.life = Lifecycle(
            phases,
            phase_id,
            started_us=started_us,
            created_us=created_us,
            age_offset_us=rules.age_offset_us,
        )
        self.creator = creator
        self.ath = ath
        self.handed_over = False
        """Whether the cache's trades are in, or were given up."""
        self.settled = False
        """Whether effects go out as they come."""
        self.ended = False
        """Whether the last candle is closed; what still comes is an orphan."""
        self.window: Window | None = None
        self.candle: OpenCandle | None = None
        self.trades_total = 0
        self.candles_total = 0
        self.coverage = MintCoverage()
        self._rows_end_us = last_row_us or 0
        self._rows_seq = rows_seq
        self._span_end_us: int | None = None
        self._stale_end_us: int | None = None
        self._graduating = False
        self._is_mayhem = False
        self._ath_dirty = False
        self._recent = RecentTrades()
        self._chain = ReserveChain()
        self._watchdog = SilenceWatch(rules.watchdog_seconds)
        self._graduation_lamports = rules.thresholds.curve.graduation_lamports
        self._rules_in_window = rules
        """Those of when the running window opened: a change acts from the next one on."""
        self._kept_back: tuple[Outgoing, ...] = ()
        self._parked_number = 0
        self._parked_from_us: int | None = None
        """Trades from here on are still to come, although the feed clock may have passed them."""

    @property
    def covered_until_us(self) -> int:
        """End of the newest span in a candle; the next candle of this mint may not begin before."""
        return max(self._rows_end_us, self._span_end_us or 0)

    @property
    def graduated(self) -> bool:
        """Whether the coin has left, or is about to leave, its bonding curve."""
        return self._graduating

    @property
    def interval_seconds(self) -> int:
        """Length of the running window's grid cell, else of the current phase's; 0 at the end."""
        if self.window is not None:
            return self.window.interval_seconds
        phase = self.life.phase
        return 0 if phase is None else phase.interval_seconds

    # Events.

    def add(self, trade: Trade) -> list[Effect]:
        """Take in a trade: into the running window, or into the next one after closing this one.

        Raises:
            ValueError: The trade is of another mint, or holds an impossible figure.
        """
        self._check(trade)
        if self.ended:
            return [Mark.ORPHAN]
        identity = identity_hash(trade)
        if self._rows_seq and trade.seq <= self._rows_seq:
            self._recent.remember(identity, trade.arrived_us)
            return [Mark.REMEMBERED]
        window = self.window
        effects: list[Effect] = []
        if window is None or trade.arrived_us >= window.end_us:
            effects = self._pass(trade.arrived_us)
            if self.ended:
                return [*effects, Mark.ORPHAN]
        if not self._recent.remember(identity, trade.arrived_us):
            return [*effects, *self._skip(trade.arrived_us)]
        if self.window is None:
            effects += self._open(trade.arrived_us)
            if self.ended:
                return [*effects, Mark.ORPHAN]
        return self._take_in(trade, effects)

    def remember(self, trade: Trade) -> None:
        """Take note of a trade that lies in rows already; it counts nowhere.

        Raises:
            ValueError: The trade is of another mint, or holds an impossible figure.
        """
        self._check(trade)
        self._recent.remember(identity_hash(trade), trade.arrived_us)

    def migrate(self, migration: Migration) -> list[Effect]:
        """Take note that the coin graduated: its window is the last, without one it ends now.

        Raises:
            ValueError: The migration is of another mint.
        """
        self._check_mint(migration.mint)
        if self.ended:
            return []
        effects = self._pass(migration.arrived_us)
        if self.ended:
            return effects
        self._graduating = True
        if self.window is None:
            effects += self._end(GRADUATED_PHASE, migration.arrived_us)
        return effects

    def learn(self, coin: Coin) -> list[Effect]:
        """Take the facts of the coin's create, where they are not known yet.

        Raises:
            ValueError: The create is of another mint.
        """
        self._check_mint(coin.mint)
        self._is_mayhem = coin.is_mayhem
        self._chain.begin(coin.seq, coin.virtual_token_units)
        if self.creator is None:
            self.creator = coin.creator
        if self.life.created_us is not None:
            return []
        self.life.created_us = coin.arrived_us
        return [] if self.ended else [self._phase_timer()]

    def see_create(self, coin: Coin) -> list[Effect]:
        """Take a create that came while the coin was tracked already, with its first trade.

        Raises:
            ValueError: The create or its buy is of another mint, or holds an impossible figure.
        """
        self._check_mint(coin.mint)
        if coin.buy is not None:
            self._check(coin.buy)
        effects = self.learn(coin)
        return effects if coin.buy is None else [*effects, *self.add(coin.buy)]

    def finish_hand_over(self, coin: Coin | None) -> list[Effect]:
        """Take note that everything cached is in.

        Raises:
            ValueError: The create is of another mint; the hand-over is not finished then.
        """
        effects = [] if coin is None else self.learn(coin)
        self.handed_over = True
        return effects

    def settle(self) -> list[Effect]:
        """Let go of what was kept back, and keep nothing back from now on."""
        self.settled = True
        kept_back, self._kept_back = self._kept_back, ()
        return list(kept_back)

    def change_phases(self, phases: tuple[Phase, ...], now_us: int) -> list[Effect]:
        """Go by another table of phases once the running window has ended.

        Raises:
            ValueError: The table has no regular phase; the one before stays in force.
        """
        self.life.use(phases)
        if self.ended:
            return []
        effects: list[Effect] = [self._phase_timer()]
        return effects if self.window is not None else [*effects, *self._advance_phase(now_us)]

    def change_rules(self, rules: TrackerRules) -> list[Effect]:
        """Go by other settings: figures of candles from the next window on, all else at once."""
        self.rules = rules
        self._graduation_lamports = rules.thresholds.curve.graduation_lamports
        self.life.age_offset_us = rules.age_offset_us
        self._watchdog.be_patient_for(rules.watchdog_seconds)
        return [] if self.ended else [self._phase_timer(), self._watchdog_timer()]

    def pin(self, *, pinned: bool, now_us: int) -> list[Effect]:
        """Let the coin stay in its last regular phase however old it gets, or no longer."""
        self.life.pinned = pinned
        if self.ended or self.window is not None:
            return []
        return self._advance_phase(now_us)

    def set_phase(self, phase_id: int, now_us: int) -> tuple[str | None, list[Effect]]:
        """Move the coin to another regular phase once the running window has ended.

        Returns:
            Why not, as a sentence, or None when it was accepted; and what follows.
        """
        if self.ended:
            return "This coin is no longer tracked.", []
        refusal = self.life.want(phase_id, now_us)
        if refusal is not None or self.window is not None:
            return refusal, []
        return None, self._advance_phase(now_us)

    def cut(self, at_us: int) -> list[Effect]:
        """End here: close the running window at `at_us`, or at its end when that is earlier.

        Nothing is kept back, and what still comes is an orphan.
        """
        effects: list[Effect] = self.settle()
        if self.ended:
            return effects
        if self.window is not None and self.candle is not None:
            # Behind the window's last trade, whatever the caller says: a trade is in its span.
            behind_us = max(self.candle.last_arrived_us, self.window.start_us) + 1
            effects += self._close(min(max(at_us, behind_us), self.window.end_us))
        else:
            effects.append(AthDue())
        if self._graduating:
            effects += self._end(GRADUATED_PHASE, at_us)
        self.ended = True
        return effects

    # Timers.

    def park(self, number: int, from_us: int) -> None:
        """Let trades close windows, not timers, from an instant on: its trades come later."""
        known_us = self._parked_from_us
        self._parked_number = number
        self._parked_from_us = from_us if known_us is None else min(known_us, from_us)

    def unpark(self, number: int, now_us: int) -> list[Effect]:
        """Let timers close windows again, unless trades were parked once more meanwhile."""
        if number != self._parked_number:
            return []
        self._parked_from_us = None
        return self.timers(now_us)

    def timers(self, now_us: int) -> list[Effect]:
        """Give every timer that a new instance of the actor has to set."""
        if self.ended:
            return []
        timers = [self._phase_timer(), self._watchdog_timer()]
        ends_us = self._stale_end_us if self.window is None else self.window.end_us
        if ends_us is not None:
            timers.append(Arm(TimerKey.WINDOW, ends_us))
        if self._ath_dirty:
            timers.append(Arm(TimerKey.ATH, now_us + self.rules.ath_interval_us))
        return list(timers)

    def due(self, timer: TimerKey, at_us: int, now_us: int) -> list[Effect]:
        """Act on a timer that was set for `at_us`; one that is overtaken by events does nothing."""
        if self.ended or (self._parked_from_us is not None and at_us > self._parked_from_us):
            return []
        match timer:
            case TimerKey.WINDOW:
                return self._pass(at_us)
            case TimerKey.ATH:
                return self._out(AthDue())
            case TimerKey.PHASE:
                return self._outlive(at_us)
            case TimerKey.WATCHDOG:
                return self._look_after_subscription(max(at_us, now_us))

    def candle_of(self, closed: WindowClosed) -> Candle:
        """Make the candle of a closed window, by what is known of the coin now."""
        covered_us = self.coverage.within_us(closed.window.start_us, closed.end_us)
        self.coverage.forget_before(closed.end_us)
        closing = ClosedWindow(
            mint=self.mint,
            window=closed.window,
            end_us=closed.end_us,
            creator=self.creator,
            covered_us=covered_us,
            counts_breaks=not self._is_mayhem,
        )
        return closed.candle.close(closing, closed.thresholds)

    def take_ath(self) -> AllTimeHigh | None:
        """Give the all-time high if nobody was told of it yet."""
        if not self._ath_dirty:
            return None
        self._ath_dirty = False
        return self.ath

    # Windows.

    def _pass(self, at_us: int) -> list[Effect]:
        """Close what has ended by `at_us`."""
        window = self.window
        if window is not None and at_us >= window.end_us:
            return [*self._close(window.end_us), *self._go_on_after(window.end_us)]
        if self._stale_end_us is not None and at_us >= self._stale_end_us:
            self._stale_end_us = None
            return [Mark.STALE_WINDOW]
        return []

    def _close(self, end_us: int) -> list[Effect]:
        window, candle = self.window, self.candle
        if window is None or candle is None:
            return []
        self.window = self.candle = None
        self._span_end_us = end_us
        self.candles_total += 1
        thresholds = self._rules_in_window.thresholds
        return self._out(WindowClosed(candle, window, end_us, thresholds))

    def _go_on_after(self, end_us: int) -> list[Effect]:
        """Let what waited for the window's end act."""
        if self._graduating:
            return self._end(GRADUATED_PHASE, end_us)
        return self._advance_phase(end_us)

    def _open(self, at_us: int) -> list[Effect]:
        """Open the window of an instant, under the phase of that instant."""
        effects = self._advance_phase(at_us)
        phase = self.life.phase
        if self.ended or phase is None:
            return effects
        self._stale_end_us = None
        self.window = window_of(at_us, phase, self._floor_us(at_us))
        rules = self._rules_in_window = self.rules
        self.candle = OpenCandle(rules.thresholds.whale_lamports, keep_trades=rules.keep_trades)
        return [*effects, Arm(TimerKey.WINDOW, self.window.end_us)]

    def _floor_us(self, at_us: int) -> int:
        """Give the earliest instant a window with this one may begin at."""
        if self._span_end_us is not None:
            return self._span_end_us
        observed_us = self.life.started_us
        if at_us < observed_us:
            # Cached before the stream began: observed since the create.
            observed_us = min(self.life.base_us, at_us)
        return max(observed_us, self._rows_end_us)

    def _take_in(self, trade: Trade, effects: list[Effect]) -> list[Effect]:
        window, candle = self.window, self.candle
        if window is None or candle is None:
            return effects
        effects.append(_ADDED)
        if trade.sol_lamports is None:
            effects.append(Mark.WITHOUT_AMOUNT)
        if trade.arrived_us < window.start_us:
            effects += self._reach_back(window, trade.arrived_us)
        if not self._chain.follow(trade) and not self._is_mayhem:
            candle.chain_breaks += 1
            effects.append(Mark.CHAIN_BREAK)
        candle.add(trade)
        self.trades_total += 1
        self._watchdog.saw_trade(trade.arrived_us)
        reserves = trade.virtual_sol_lamports
        if reserves is not None and reserves >= self._graduation_lamports:
            self._graduating = True
        price = trade.price_sol
        if price is not None and (self.ath is None or price > self.ath.price_sol):
            effects += self._raise_ath(price, trade.arrived_us)
        return effects

    def _reach_back(self, window: Window, at_us: int) -> list[Effect]:
        """Let the running window begin earlier, for a trade that comes behind later ones.

        Where an earlier candle lies in between, the trade is late.
        """
        floor_us = self._floor_us(at_us)
        if at_us < floor_us:
            return [Mark.LATE]
        self.window = reach_back(window, at_us, floor_us)
        return []

    def _skip(self, at_us: int) -> list[Effect]:
        """Leave a known trade out; a window with nothing else in it is stale."""
        if self.window is not None or self._stale_end_us is not None:
            return [Mark.DUPLICATE]
        phase = self.life.phase
        if phase is None or at_us < self.covered_until_us:
            return [Mark.DUPLICATE]
        self._stale_end_us = window_of(at_us, phase, self._floor_us(at_us)).end_us
        return [Mark.DUPLICATE, Arm(TimerKey.WINDOW, self._stale_end_us)]

    # Phases and the end.

    def _phase_timer(self) -> Arm:
        return Arm(TimerKey.PHASE, self.life.outlived_us)

    def _watchdog_timer(self) -> Arm:
        return Arm(TimerKey.WATCHDOG, self._watchdog.due_us)

    def _outlive(self, at_us: int) -> list[Effect]:
        effects = self._pass(at_us)
        if self.ended or self.window is not None:
            return effects
        return [*effects, *self._advance_phase(at_us)]

    def _advance_phase(self, at_us: int) -> list[Effect]:
        """Enter the phase of this instant; between windows only."""
        if not self.life.advance(at_us):
            return []
        phase_id = self.life.phase_id
        if phase_id >= FINISHED_PHASE:
            return self._end(phase_id, at_us)
        effects = [*self._out(PhaseSwitched(phase_id)), self._phase_timer()]
        if self._watchdog.may_call(at_us):
            effects += self._out(RenewSubscription(in_doubt=False, first_doubt=False))
        return effects

    def _end(self, phase_id: int, at_us: int) -> list[Effect]:
        self.ended = True
        self.life.phase_id = phase_id
        return self._out(AthDue(), Ended(phase_id, phase_id == GRADUATED_PHASE, at_us))

    # The rest.

    def _raise_ath(self, price_sol: float, at_us: int) -> list[Effect]:
        self.ath = AllTimeHigh(self.mint, price_sol, at_us)
        if self._ath_dirty:
            return []
        self._ath_dirty = True
        return [Arm(TimerKey.ATH, at_us + self.rules.ath_interval_us)]

    def _look_after_subscription(self, now_us: int) -> list[Effect]:
        first = not self._watchdog.in_doubt
        doubted = self._watchdog.check(now_us)
        effects: list[Effect] = [self._watchdog_timer()]
        if doubted:
            effects += self._out(RenewSubscription(in_doubt=True, first_doubt=first))
        return effects

    def _out(self, *effects: Outgoing) -> list[Effect]:
        """Let effects go out, or keep them back in order until the hand-over is settled."""
        if self.settled:
            return list(effects)
        self._kept_back += effects
        return []

    def _check_mint(self, mint: Mint) -> None:
        if mint != self.mint:
            raise ValueError(f"the tracker of {self.mint} was given an event of {mint}")

    def _check(self, trade: Trade) -> None:
        if trade.mint != self.mint:
            self._check_mint(trade.mint)
        if trade.token_units < 0 or trade.seq < 0 or (trade.sol_lamports or 0) < 0:
            raise ValueError(f"trade {trade.signature} holds a negative amount or number")
        price = trade.price_sol
        if price is not None and not 0 < price < _LARGEST_PRICE_SOL:
            raise ValueError(f"trade {trade.signature} has an impossible price of {price} SOL")
