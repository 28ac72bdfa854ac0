"""What one tracker knows and decides.

Purpose: what trades, other events, commands and timers mean for one coin. `windows` says which
window an instant belongs to and what waits for its end; what the events tell of the coin is kept
here. The actor carries the effects out and keeps no state of its own, so that a restarted actor
goes on from here.
Guarantees: each operation validates first and then applies, so an event takes effect whole or not
at all. Every trade that counts is in exactly one candle. Nothing here depends on when a timer's
message is dispatched.
Not guaranteed: that events come in order; one that is late is added to the running window, marked.
Relies on: one thread at a time. Times are microseconds UTC: of arrival in events, of the feed clock
elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from actors.tracker.candle import ClosedWindow
from actors.tracker.checks import check_mint, check_trade
from actors.tracker.coverage import MintCoverage
from actors.tracker.curve import ReserveChain
from actors.tracker.dedupe import RecentTrades, identity_hash
from actors.tracker.effects import (
    AthDue,
    Effect,
    Mark,
    TimerKey,
    WindowClosed,
)
from actors.tracker.gate import EffectGate
from actors.tracker.highest_price import HighestPrice
from actors.tracker.lifecycle import Lifecycle
from actors.tracker.silence import SilenceWatch
from actors.tracker.windows import CoinWindows

if TYPE_CHECKING:
    from actors.domain import AllTimeHigh, Candle, Coin, Migration, Mint, Phase, Trade, Wallet
    from actors.tracker.candle import OpenCandle
    from actors.tracker.phases import Window
    from actors.tracker.rules import TrackerRules

_ADDED: Final = Mark.ADDED
"""Looking a member up in its enum takes longer than adding it to a list."""


class TrackerState:
    """Everything about one tracked coin; outlives the instances of its actor.

    Operations return what follows, in order. Until `settle` is called for the first time, whatever
    goes out to other rooms is kept back (see `gate`).
    """

    __slots__ = (
        "_chain",
        "_gate",
        "_graduation_lamports",
        "_highest",
        "_is_mayhem",
        "_parked_from_us",
        "_parked_number",
        "_recent",
        "_rows_seq",
        "_watchdog",
        "coverage",
        "creator",
        "handed_over",
        "life",
        "mint",
        "rules",
        "trades_total",
        "windows",
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
        self.handed_over = False
        """Whether the cache's trades are in, or were given up."""
        self.trades_total = 0
        self.coverage = MintCoverage()
        self._rows_seq = rows_seq
        self._is_mayhem = False
        self._highest = HighestPrice(mint, ath)
        self._recent = RecentTrades()
        self._chain = ReserveChain()
        self._watchdog = SilenceWatch(rules.watchdog_seconds)
        self._gate = EffectGate()
        self.windows = CoinWindows(
            self.life, self._watchdog, self._gate, rules, rows_end_us=last_row_us or 0
        )
        self._graduation_lamports = rules.thresholds.curve.graduation_lamports
        self._parked_number = 0
        self._parked_from_us: int | None = None
        """Trades from here on are still to come, although the feed clock may have passed them."""

    # What others may know. The way of a trade reads `windows` itself: a property is a call.

    @property
    def settled(self) -> bool:
        """Whether effects go out as they come."""
        return self._gate.is_open

    @property
    def ended(self) -> bool:
        """Whether the last candle is closed; what still comes is an orphan."""
        return self.windows.ended

    @property
    def graduated(self) -> bool:
        """Whether the coin has left, or is about to leave, its bonding curve."""
        return self.windows.graduating

    @property
    def window(self) -> Window | None:
        """The running window."""
        return self.windows.window

    @property
    def candle(self) -> OpenCandle | None:
        """The candle of the running window."""
        return self.windows.candle

    @property
    def ath(self) -> AllTimeHigh | None:
        """The highest price so far."""
        return self._highest.ath

    @property
    def covered_until_us(self) -> int:
        """End of the newest span in a candle; the next candle of this mint may not begin before."""
        return self.windows.covered_until_us

    # Events.

    def add(self, trade: Trade) -> list[Effect]:  # noqa: C901 - the one place where each trade pays for calls
        """Take in a trade: into the running window, or into the next one after closing this one.

        Raises:
            ValueError: The trade is of another mint, or holds an impossible figure.
        """
        check_trade(trade, self.mint)
        at_us, windows = trade.arrived_us, self.windows
        if windows.ended:
            return [Mark.ORPHAN]
        identity = identity_hash(trade)
        if self._rows_seq and trade.seq <= self._rows_seq:
            self._recent.remember(identity, at_us)
            return [Mark.REMEMBERED]
        window = windows.window
        effects: list[Effect] = []
        if window is None or at_us >= window.end_us:
            effects = windows.close_until(at_us)
            if windows.ended:
                return [*effects, Mark.ORPHAN]
            window = None
        if not self._recent.remember(identity, at_us):
            return [*effects, *windows.skip(at_us)]
        if window is None:
            effects += windows.open(at_us, self.rules)
            window = windows.window
        candle = windows.candle
        if window is None or candle is None:
            # No window was opened: the coin has outlived its last phase.
            return [*effects, Mark.ORPHAN]
        effects.append(_ADDED)
        if trade.sol_lamports is None:
            effects.append(Mark.WITHOUT_AMOUNT)
        if at_us < window.start_us:
            effects += windows.reach_back(window, at_us)
        if not self._chain.follow(trade) and not self._is_mayhem:
            candle.chain_breaks += 1
            effects.append(Mark.CHAIN_BREAK)
        candle.add(trade)
        self.trades_total += 1
        self._watchdog.saw_trade(at_us)
        reserves = trade.virtual_sol_lamports
        if reserves is not None and reserves >= self._graduation_lamports:
            windows.graduating = True
        price, ath = trade.price_sol, self._highest.ath
        if price is not None and (ath is None or price > ath.price_sol):
            effects += self._highest.reach(price, at_us, self.rules.ath_interval_us)
        return effects

    def remember(self, trade: Trade) -> None:
        """Take note of a trade that lies in rows already; it counts nowhere.

        Raises:
            ValueError: The trade is of another mint, or holds an impossible figure.
        """
        check_trade(trade, self.mint)
        self._recent.remember(identity_hash(trade), trade.arrived_us)

    def migrate(self, migration: Migration) -> list[Effect]:
        """Take note that the coin graduated: its window is the last, without one it ends now.

        Raises:
            ValueError: The migration is of another mint.
        """
        check_mint(migration.mint, self.mint)
        if self.ended:
            return []
        at_us = migration.arrived_us
        return [*self.windows.close_until(at_us), *self.windows.graduate(at_us)]

    def learn(self, coin: Coin) -> list[Effect]:
        """Take the facts of the coin's create, where they are not known yet.

        Raises:
            ValueError: The create is of another mint.
        """
        check_mint(coin.mint, self.mint)
        self._is_mayhem = coin.is_mayhem
        self._chain.begin(coin.seq, coin.virtual_token_units)
        if self.creator is None:
            self.creator = coin.creator
        if self.life.created_us is not None:
            return []
        self.life.created_us = coin.arrived_us
        return [] if self.ended else [self.life.timer]

    def see_create(self, coin: Coin) -> list[Effect]:
        """Take a create that came while the coin was tracked already, with its first trade.

        Raises:
            ValueError: The create or its buy is of another mint, or holds an impossible figure.
        """
        check_mint(coin.mint, self.mint)
        if coin.buy is not None:
            check_trade(coin.buy, self.mint)
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
        """Give what was kept back, and keep nothing back from now on."""
        return self._gate.open()

    def change_phases(self, phases: tuple[Phase, ...], now_us: int) -> list[Effect]:
        """Go by another table of phases once the running window has ended.

        Raises:
            ValueError: The table has no regular phase; the one before stays in force.
        """
        self.life.use(phases)
        if self.ended:
            return []
        return [self.life.timer, *self.windows.advance(now_us)]

    def change_rules(self, rules: TrackerRules) -> list[Effect]:
        """Go by other settings: figures of candles from the next window on, all else at once."""
        self.rules = rules
        self._graduation_lamports = rules.thresholds.curve.graduation_lamports
        self.life.age_offset_us = rules.age_offset_us
        self._watchdog.be_patient_for(rules.watchdog_seconds)
        return [] if self.ended else [self.life.timer, self._watchdog.timer]

    def pin(self, *, pinned: bool, now_us: int) -> list[Effect]:
        """Let the coin stay in its last regular phase however old it gets, or no longer."""
        self.life.pinned = pinned
        return self.windows.advance(now_us)

    def set_phase(self, phase_id: int, now_us: int) -> tuple[str | None, list[Effect]]:
        """Move the coin to another regular phase once the running window has ended.

        Returns:
            Why not, as a sentence, or None when it was accepted; and what follows.
        """
        if self.ended:
            return "This coin is no longer tracked.", []
        refusal = self.life.want(phase_id, now_us)
        return refusal, [] if refusal is not None else self.windows.advance(now_us)

    def cut(self, at_us: int) -> list[Effect]:
        """End here: close the running window at `at_us`, or at its end when that is earlier.

        Nothing is kept back, and what still comes is an orphan.
        """
        return [*self.settle(), *self.windows.cut(at_us)]

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
        return [
            self.life.timer,
            self._watchdog.timer,
            *self.windows.timers,
            *self._highest.timers(now_us, self.rules.ath_interval_us),
        ]

    def due(self, timer: TimerKey, at_us: int, now_us: int) -> list[Effect]:
        """Act on a timer that was set for `at_us`; one that is overtaken by events does nothing."""
        if self.ended or (self._parked_from_us is not None and at_us > self._parked_from_us):
            return []
        match timer:
            case TimerKey.WINDOW:
                return self.windows.close_until(at_us)
            case TimerKey.ATH:
                return self._gate.pass_through(AthDue())
            case TimerKey.PHASE:
                return [*self.windows.close_until(at_us), *self.windows.advance(at_us)]
            case TimerKey.WATCHDOG:
                doubted = self._watchdog.doubt(max(at_us, now_us))
                return [self._watchdog.timer, *self._gate.pass_through(*doubted)]

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
        return self._highest.take()
