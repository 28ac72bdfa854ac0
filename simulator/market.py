"""A whole market of bonding-curve coins on simulated time.

Purpose: the frames that PumpPortal would have sent, drawn from what was measured on it.
Guarantees: the same seed and configuration give the same frames, however the time is cut into
calls; per mint (not mayhem, not after graduation) vTokens after = vTokens before -/+ tokenAmount.
Not guaranteed: any likeness of one coin's price path to a real one.
Relies on: time coming in as an argument, in microseconds from the market's start.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import partial
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Literal

from simulator import curve, quantiles
from simulator.coin import Coin, Deal
from simulator.curve import LAMPORTS_PER_SOL, Fill
from simulator.frames import (
    USDC_MINT,
    Frame,
    bonk_create_frame,
    create_frame,
    migrate_frame,
    pool_trade_frame,
    trade_frame,
)
from simulator.identity import Identities
from simulator.names import CoinName, Names, Reuse
from simulator.quantiles import chance

if TYPE_CHECKING:
    from collections.abc import Callable

_US_PER_S = 1_000_000
_CAP_REAL_LAMPORTS = 60 * LAMPORTS_PER_SOL
_LARGEST_PLAIN_BUY = 20 * LAMPORTS_PER_SOL
_WITH_FEE = 10_125
_NICE_SOL = (0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0)


@dataclass(frozen=True, slots=True)
class MarketConfig:
    """What kind of market.

    Attributes:
        rate: multiplier of the creates a minute (1: about 22).
        coins: direct mode, this many coins at time 0 and no others; None: the measured market.
        create_rate_per_s: direct mode, spread the coins instead of creating all at time 0.
        trades_per_second: direct mode, trades over all coins together.
        burst_size: direct mode, additionally so many trades within 10 ms at every burst.
        burst_every_s: direct mode, seconds between bursts.
        bundle_share: share of trades that bring a second one under the same signature.
        graduate_share: share of coins whose curve is filled (measured market only).
        instant_share: share of coins filled by their creator and migrated at once.
        usdc_share: share of creates that carry the USDC mint and no name.
        mayhem_share: share of mayhem coins.
        bonk_share: share of creates of pool bonk.
        pool_shape: which form trades after graduation have; mixed: half of the coins each.
    """

    rate: float = 1.0
    coins: int | None = None
    create_rate_per_s: float | None = None
    trades_per_second: float = 100.0
    burst_size: int = 0
    burst_every_s: float = 10.0
    bundle_share: float = 0.024
    graduate_share: float = 0.033
    instant_share: float = 0.003
    usdc_share: float = 0.05
    mayhem_share: float = 0.18
    bonk_share: float = 0.005
    pool_shape: Literal["full", "bare", "mixed"] = "mixed"


class Market:
    """Yields frames in due order. Not thread-safe, never blocks."""

    def __init__(self, seed: int, config: MarketConfig | None = None) -> None:
        self._rng = Random(seed)  # noqa: S311 -- a repeatable market, no secret
        self._config = config or MarketConfig()
        self._ids = Identities(self._rng)
        self._names = Names(self._rng)
        self._creators = Reuse(self._ids.wallet, 0.5, 0.6, memory=30)
        self._traders = Reuse(self._ids.wallet, 0.6, 0.3, memory=200)
        self._shared_curve_key = self._ids.wallet()
        self._agenda: list[tuple[int, int, Callable[[int], None]]] = []
        self._numbers = count()
        self._out: list[Frame] = []
        self._coins: list[Coin] = []
        self._open()

    @property
    def next_due_us(self) -> int | None:
        """When the next event happens; None when nothing is to come."""
        return self._agenda[0][0] if self._agenda else None

    def frames(self, until_us: int) -> list[Frame]:
        """Let the market run to `until_us` (inclusive) and return what it sent, in order."""
        while self._agenda and self._agenda[0][0] <= until_us:
            now_us, _, act = heapq.heappop(self._agenda)
            act(now_us)
        out, self._out = self._out, []
        return out

    def _at(self, due_us: int, act: Callable[[int], None]) -> None:
        heapq.heappush(self._agenda, (due_us, next(self._numbers), act))

    def _open(self) -> None:
        config = self._config
        if config.coins is None:
            self._at(self._create_gap_us(), self._measured_create)
            return
        for index in range(config.coins):
            rate = config.create_rate_per_s
            self._at(int(index / rate * _US_PER_S) if rate else 0, self._direct_create)
        if config.trades_per_second > 0:
            self._at(self._direct_gap_us(), self._direct_trade)
        if config.burst_size > 0:
            self._at(int(config.burst_every_s * _US_PER_S), self._burst)

    def _create_gap_us(self) -> int:
        gap_s = quantiles.CREATE_GAP_S.draw(self._rng) / self._config.rate
        return max(1, int(gap_s * _US_PER_S))

    def _measured_create(self, now_us: int) -> None:
        self._at(now_us + self._create_gap_us(), self._measured_create)
        if chance(self._rng, self._config.usdc_share):
            self._usdc_create(now_us)
        elif chance(self._rng, self._config.bonk_share):
            self._bonk_create(now_us)
        else:
            self._pump_create(now_us)

    def _usdc_create(self, now_us: int) -> None:
        nothing = Fill(0, 0, curve.VIRTUAL_TOKENS_AT_START)
        self._out.append(
            create_frame(
                now_us,
                USDC_MINT,
                signature=self._ids.signature(),
                creator=self._creators.next(self._rng),
                fill=nothing,
                curve_key=self._ids.wallet(),
                says=CoinName(None, None, None),
                mayhem=False,
            )
        )

    def _bonk_create(self, now_us: int) -> None:
        sol = max(0.01, quantiles.CREATOR_BUY_SOL.draw(self._rng))
        self._out.append(
            bonk_create_frame(
                now_us,
                self._ids.wallet(),
                signature=self._ids.signature(),
                creator=self._creators.next(self._rng),
                lamports=self._lamports(sol),
                says=self._names.draw(self._ids.wallet()),
            )
        )

    def _pump_create(self, now_us: int) -> None:
        coin = self._new_coin()
        instant = chance(self._rng, self._config.instant_share)
        sol = 90.0 if instant else quantiles.CREATOR_BUY_SOL.draw(self._rng)
        self._announce(now_us, coin, sol)
        if coin.complete:
            self._at(now_us + self._rng.randrange(35_000, 240_000), partial(self._migrate, coin))
        elif coin.trades_left:
            self._at(now_us + self._trade_gap_us(), partial(self._measured_trade, coin))

    def _direct_create(self, now_us: int) -> None:
        coin = self._new_coin()
        coin.graduates = False
        self._announce(now_us, coin, quantiles.CREATOR_BUY_SOL.draw(self._rng))
        self._coins.append(coin)

    def _new_coin(self) -> Coin:
        rng, config = self._rng, self._config
        mayhem = chance(rng, config.mayhem_share)
        graduates = chance(rng, config.graduate_share)
        share = 0.75 + rng.random() / 4 if graduates else rng.random()
        bare = chance(rng, 0.5) if config.pool_shape == "mixed" else config.pool_shape == "bare"
        shared_key = mayhem and chance(rng, 0.5)
        return Coin(
            mint=self._ids.mint(),
            curve_key=self._shared_curve_key if shared_key else self._ids.wallet(),
            mayhem=mayhem,
            trades_left=round(quantiles.TRADES_PER_MINT.at(share)),
            graduates=graduates,
            bare_pool=bare,
        )

    def _announce(self, now_us: int, coin: Coin, creator_sol: float) -> None:
        creator = self._creators.next(self._rng)
        fill = Fill(0, 0, coin.reserve)
        if creator_sol > 0:
            fill = coin.buy(creator, self._lamports(creator_sol)).fill
        self._out.append(
            create_frame(
                now_us,
                coin.mint,
                signature=self._ids.signature(),
                creator=creator,
                fill=fill,
                curve_key=coin.curve_key,
                says=self._names.draw(self._ids.wallet()),
                mayhem=coin.mayhem,
            )
        )

    def _trade_gap_us(self) -> int:
        return max(1, int(quantiles.TRADE_GAP_S.draw(self._rng) * _US_PER_S))

    def _measured_trade(self, coin: Coin, now_us: int) -> None:
        coin.trades_left -= self._trade(coin, now_us)
        if coin.complete and coin.pool is None:
            self._at(now_us + self._rng.randrange(35_000, 2_000_000), partial(self._migrate, coin))
        elif coin.trades_left > 0 or (coin.graduates and coin.pool is None):
            self._at(now_us + self._trade_gap_us(), partial(self._measured_trade, coin))

    def _migrate(self, coin: Coin, now_us: int) -> None:
        self._out.append(migrate_frame(now_us, coin.mint, self._ids.signature()))
        coin.pool = curve.Pool()
        coin.trades_left = round(quantiles.TRADES_PER_MINT.draw(self._rng))
        if coin.trades_left:
            self._at(now_us + 500_000 + self._trade_gap_us(), partial(self._measured_trade, coin))

    def _direct_gap_us(self) -> int:
        return max(1, int(self._rng.expovariate(self._config.trades_per_second) * _US_PER_S))

    def _direct_trade(self, now_us: int) -> None:
        self._at(now_us + self._direct_gap_us(), self._direct_trade)
        if self._coins:
            self._trade(self._coins[int(self._rng.random() * len(self._coins))], now_us)

    def _burst(self, now_us: int) -> None:
        self._at(now_us + int(self._config.burst_every_s * _US_PER_S), self._burst)
        step_us = 10_000 / self._config.burst_size
        for index in range(self._config.burst_size):
            coin = self._coins[int(self._rng.random() * len(self._coins))]
            self._trade(coin, now_us + int(index * step_us))

    def _trade(self, coin: Coin, now_us: int) -> int:
        """Make one trade, or two under one signature; return how many."""
        if coin.mayhem and coin.pool is None and chance(self._rng, 0.1):
            self._deal(coin)
        signature = self._ids.signature()
        made = 0
        for _ in range(2 if chance(self._rng, self._config.bundle_share) else 1):
            if coin.complete and coin.pool is None:
                break
            self._print(coin, self._deal(coin), signature, now_us)
            made += 1
        return made

    def _deal(self, coin: Coin) -> Deal:
        if coin.graduates and coin.pool is None:
            return self._push(coin)
        high = coin.pool is None and curve.real_lamports(coin.reserve) > _CAP_REAL_LAMPORTS
        if coin.holders and (high or chance(self._rng, 0.51)):
            return self._sale(coin)
        lamports = self._lamports(quantiles.BUY_SOL.draw(self._rng))
        return coin.buy(self._buyer(coin), min(lamports, _LARGEST_PLAIN_BUY))

    def _push(self, coin: Coin) -> Deal:
        """Trade so that the curve is full after about `trades_left` trades."""
        if coin.holders and coin.trades_left > 1 and chance(self._rng, 0.4):
            return self._sale(coin)
        share = coin.lamports_missing // max(1, coin.trades_left)
        wanted = int(share * (0.8 + 1.7 * self._rng.random())) if coin.trades_left > 1 else share
        usual = self._lamports(quantiles.BUY_SOL.draw(self._rng))
        return coin.buy(self._buyer(coin), max(wanted, usual, 1000))

    def _sale(self, coin: Coin) -> Deal:
        lamports = self._lamports(quantiles.SELL_SOL.draw(self._rng))
        two = (coin.holders.any(self._rng), coin.holders.any(self._rng))
        return coin.sell(max(two, key=coin.holders.balance), lamports)

    def _buyer(self, coin: Coin) -> str:
        if coin.holders and (coin.holders.full or chance(self._rng, 0.25)):
            return coin.holders.any(self._rng)
        return self._traders.next(self._rng)

    def _lamports(self, sol: float) -> int:
        """Round an amount as people and bots do: some nice, some nice before the fee."""
        if sol < _NICE_SOL[0] or chance(self._rng, 0.5):
            return max(1, int(sol * LAMPORTS_PER_SOL))
        nice_sol = min(_NICE_SOL, key=lambda nice: abs(nice - sol))
        lamports = int(max(nice_sol, int(sol)) * LAMPORTS_PER_SOL)
        return lamports if chance(self._rng, 0.4) else lamports * 10_000 // _WITH_FEE

    def _print(self, coin: Coin, deal: Deal, signature: str, now_us: int) -> None:
        kind, trader, fill, balance = deal
        if coin.pool is None:
            frame = trade_frame(
                now_us,
                kind,
                coin.mint,
                signature=signature,
                trader=trader,
                fill=fill,
                balance=balance,
                curve_key=coin.curve_key,
            )
        else:
            frame = pool_trade_frame(
                now_us,
                kind,
                coin.mint,
                signature=signature,
                trader=trader,
                fill=fill,
                pool=None if coin.bare_pool else coin.pool,
            )
        self._out.append(frame)
