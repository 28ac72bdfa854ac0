"""One candle in the making.

Pure. Guarantees: the candle depends only on the set of trades added, not on their order: sums are
of integers, extremes commute, open and close follow the lowest and highest sequence number.
Relies on: every trade is added once (see `dedupe`), and sequence numbers are unique.
Bounds: grows with the wallets of its window, and with its trades when they are kept.
"""

from __future__ import annotations

import msgspec

from actors.domain import (
    LAMPORTS_PER_SOL,
    MICRO_TRADE_LAMPORTS,
    Candle,
    Mint,
    Trade,
    Wallet,
)
from actors.tracker.curve import Curve, market_cap_sol
from actors.tracker.phases import Window


class Thresholds(msgspec.Struct, frozen=True):
    """What the figures of a candle are measured against."""

    curve: Curve
    whale_lamports: int
    """A trade of at least this much is a whale's."""
    koth_market_cap_sol: float
    """A market cap above this is king of the hill."""

    @classmethod
    def of_sol(
        cls, initial_sol: float, full_sol: float, whale_sol: float, koth_market_cap_sol: float
    ) -> Thresholds:
        """Take all of them in SOL."""
        return cls(
            Curve.of_sol(initial_sol, full_sol),
            round(whale_sol * LAMPORTS_PER_SOL),
            koth_market_cap_sol,
        )


class ClosedWindow(msgspec.Struct, frozen=True):
    """What a closed candle says beyond its trades."""

    mint: Mint
    window: Window
    end_us: int
    """The window's end, or the instant of the cut."""
    creator: Wallet | None
    covered_us: int
    counts_breaks: bool
    """False for coins whose reserves do not follow from their trades."""


class OpenCandle:
    """See the module's docstring. Adding a trade costs about a microsecond."""

    __slots__ = (
        "_close_seq",
        "_open_seq",
        "_reserves_seq",
        "_sold_by",
        "_whale_lamports",
        "buy_volume_lamports",
        "chain_breaks",
        "last_arrived_us",
        "last_seq",
        "max_buy_lamports",
        "max_sell_lamports",
        "num_buys",
        "num_micro_trades",
        "num_sells",
        "num_whale_buys",
        "num_whale_sells",
        "pool",
        "price_close",
        "price_high",
        "price_low",
        "price_open",
        "sell_volume_lamports",
        "trades",
        "trades_without_amount",
        "virtual_sol_lamports",
        "whale_buy_lamports",
        "whale_sell_lamports",
    )

    def __init__(self, whale_lamports: int, *, keep_trades: bool = False) -> None:
        self._whale_lamports = whale_lamports
        self._sold_by: dict[Wallet, int] = {}
        # Lamports sold by wallet; a wallet that only bought stands here with 0. Its length is the
        # number of wallets, and the creator's share is read at the close, when he is best known.
        self.trades: list[Trade] | None = [] if keep_trades else None
        self._open_seq = self._close_seq = self._reserves_seq = self.last_seq = -1
        self.last_arrived_us = 0
        self.pool = ""
        self.price_open: float | None = None
        self.price_high: float | None = None
        self.price_low: float | None = None
        self.price_close: float | None = None
        self.virtual_sol_lamports: int | None = None
        self.buy_volume_lamports = self.sell_volume_lamports = 0
        self.num_buys = self.num_sells = 0
        self.max_buy_lamports = self.max_sell_lamports = 0
        self.whale_buy_lamports = self.whale_sell_lamports = 0
        self.num_whale_buys = self.num_whale_sells = 0
        self.num_micro_trades = 0
        self.chain_breaks = 0
        self.trades_without_amount = 0
        # They count as trades of their wallets, and in no figure that is an amount of SOL.

    @property
    def num_trades(self) -> int:
        """Buys and sells together."""
        return self.num_buys + self.num_sells

    @property
    def volume_lamports(self) -> int:
        """Bought and sold together."""
        return self.buy_volume_lamports + self.sell_volume_lamports

    @property
    def unique_wallets(self) -> int:
        """Wallets that traded."""
        return len(self._sold_by)

    @property
    def kept_trades(self) -> tuple[Trade, ...]:
        """The trades in order of arrival, when they are kept."""
        return tuple(sorted(self.trades or (), key=lambda trade: trade.seq))

    def add(self, trade: Trade) -> None:  # noqa: C901, PLR0912 - the one place where each trade pays for calls
        """Take a trade in."""
        seq, lamports, price = trade.seq, trade.sol_lamports, trade.price_sol
        sold = self._sold_by.setdefault(trade.trader, 0)
        if trade.is_buy:
            self.num_buys += 1
        else:
            self.num_sells += 1
        if lamports is None:
            self.trades_without_amount += 1
        else:
            if lamports < MICRO_TRADE_LAMPORTS:
                self.num_micro_trades += 1
            is_whale = lamports >= self._whale_lamports
            if trade.is_buy:
                self.buy_volume_lamports += lamports
                self.max_buy_lamports = max(self.max_buy_lamports, lamports)
                if is_whale:
                    self.num_whale_buys += 1
                    self.whale_buy_lamports += lamports
            else:
                self._sold_by[trade.trader] = sold + lamports
                self.sell_volume_lamports += lamports
                self.max_sell_lamports = max(self.max_sell_lamports, lamports)
                if is_whale:
                    self.num_whale_sells += 1
                    self.whale_sell_lamports += lamports
        if price is not None:
            self._add_price(seq, price)
        if seq > self._reserves_seq and trade.virtual_sol_lamports is not None:
            self._reserves_seq = seq
            self.virtual_sol_lamports = trade.virtual_sol_lamports
        if seq > self.last_seq:
            self.last_seq = seq
            self.pool = trade.pool
        self.last_arrived_us = max(self.last_arrived_us, trade.arrived_us)
        if self.trades is not None:
            self.trades.append(trade)

    def _add_price(self, seq: int, price: float) -> None:
        if self.price_high is None or price > self.price_high:
            self.price_high = price
        if self.price_low is None or price < self.price_low:
            self.price_low = price
        if self.price_open is None or seq < self._open_seq:
            self._open_seq, self.price_open = seq, price
        if seq > self._close_seq:
            self._close_seq, self.price_close = seq, price

    def close(self, closing: ClosedWindow, thresholds: Thresholds) -> Candle:
        """Make the candle; this one stays as it is."""
        market_cap = None if self.price_close is None else market_cap_sol(self.price_close)
        return Candle(
            mint=closing.mint,
            window_start_us=closing.window.start_us,
            timestamp_us=closing.end_us,
            phase_id=closing.window.phase_id,
            interval_seconds=closing.window.interval_seconds,
            pool=self.pool,
            price_open=self.price_open,
            price_high=self.price_high,
            price_low=self.price_low,
            price_close=self.price_close,
            market_cap_close_sol=market_cap,
            bonding_curve_pct=self._progress_pct(thresholds.curve),
            virtual_sol_lamports=self.virtual_sol_lamports,
            is_koth=None if market_cap is None else market_cap > thresholds.koth_market_cap_sol,
            volatility_pct=self._volatility_pct(),
            volume_lamports=self.volume_lamports,
            buy_volume_lamports=self.buy_volume_lamports,
            sell_volume_lamports=self.sell_volume_lamports,
            num_buys=self.num_buys,
            num_sells=self.num_sells,
            unique_wallets=self.unique_wallets,
            num_micro_trades=self.num_micro_trades,
            dev_sold_lamports=self._sold_by_creator(closing.creator),
            max_single_buy_lamports=self.max_buy_lamports,
            max_single_sell_lamports=self.max_sell_lamports,
            whale_buy_volume_lamports=self.whale_buy_lamports,
            whale_sell_volume_lamports=self.whale_sell_lamports,
            num_whale_buys=self.num_whale_buys,
            num_whale_sells=self.num_whale_sells,
            covered_us=closing.covered_us,
            chain_breaks=self.chain_breaks if closing.counts_breaks else 0,
            last_seq=self.last_seq,
            trades_without_amount=self.trades_without_amount,
        )

    def _progress_pct(self, curve: Curve) -> float | None:
        if self.price_close is None or self.virtual_sol_lamports is None:
            return None
        return curve.progress_pct(self.virtual_sol_lamports)

    def _volatility_pct(self) -> float | None:
        if self.price_high is None or self.price_low is None or self.price_open is None:
            return None
        return (self.price_high - self.price_low) / self.price_open * 100

    def _sold_by_creator(self, creator: Wallet | None) -> int | None:
        return None if creator is None else self._sold_by.get(creator, 0)
