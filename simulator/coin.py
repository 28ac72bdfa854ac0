"""One coin of the simulated market: its reserves, its holders, and what a trade does to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from simulator import curve
from simulator.frames import BUY, SELL

if TYPE_CHECKING:
    from random import Random

    from simulator.curve import Fill, Pool

_MAX_HOLDERS = 400


class Deal(NamedTuple):
    """One trade that happened: side, wallet, amounts, and the wallet's balance after it."""

    kind: str
    trader: str
    fill: Fill
    balance: int


class Holders:
    """Who holds how much of one coin, in base units; a wallet with nothing is forgotten."""

    def __init__(self) -> None:
        self._balances: dict[str, int] = {}
        self._wallets: list[str] = []

    def __len__(self) -> int:
        return len(self._wallets)

    @property
    def full(self) -> bool:
        """Whether further buyers should be holders already, to keep the memory bounded."""
        return len(self._wallets) >= _MAX_HOLDERS

    def balance(self, wallet: str) -> int:
        """Return what a wallet holds, in base units."""
        return self._balances.get(wallet, 0)

    def any(self, rng: Random) -> str:
        """Pick one holder. There must be one."""
        return self._wallets[int(rng.random() * len(self._wallets))]

    def add(self, wallet: str, tokens: int) -> int:
        """Credit a wallet and return its balance."""
        if wallet not in self._balances:
            self._balances[wallet] = 0
            self._wallets.append(wallet)
        self._balances[wallet] += tokens
        return self._balances[wallet]

    def take(self, wallet: str, tokens: int) -> int:
        """Debit a wallet that holds at least `tokens` and return its balance."""
        left = self._balances[wallet] - tokens
        if left:
            self._balances[wallet] = left
            return left
        del self._balances[wallet]
        self._wallets.remove(wallet)
        return 0


@dataclass(slots=True)
class Coin:
    """The state of one mint.

    Attributes:
        reserve: virtual tokens on the curve, base units.
        pool: the AMM pool; None before graduation.
        trades_left: trades still to come in the present market (curve or pool).
        graduates: whether its buyers fill the curve in the end.
        bare_pool: whether its pool trades have only the six common fields.
    """

    mint: str
    curve_key: str
    mayhem: bool
    trades_left: int
    graduates: bool
    bare_pool: bool
    reserve: int = curve.VIRTUAL_TOKENS_AT_START
    pool: Pool | None = None
    holders: Holders = field(default_factory=Holders)

    @property
    def complete(self) -> bool:
        """Whether no token is left on the curve."""
        return self.reserve == curve.VIRTUAL_TOKENS_AT_END

    @property
    def lamports_missing(self) -> int:
        """What it still costs to fill the curve."""
        return curve.real_lamports(curve.VIRTUAL_TOKENS_AT_END) - curve.real_lamports(self.reserve)

    def buy(self, trader: str, lamports: int) -> Deal:
        """Let a wallet spend `lamports`; the last buy on the curve is clamped."""
        if self.pool is None:
            fill = curve.buy(self.reserve, lamports)
            self.reserve = fill.reserve_tokens
        else:
            fill, self.pool = curve.pool_buy(self.pool, lamports)
        return Deal(BUY, trader, fill, self.holders.add(trader, fill.tokens))

    def sell(self, trader: str, lamports: int) -> Deal:
        """Let a holder sell for about `lamports`; everything when that would leave little."""
        tokens = self._tokens_to_sell(self.holders.balance(trader), lamports)
        if self.pool is None:
            fill = curve.sell(self.reserve, tokens)
            self.reserve = fill.reserve_tokens
        else:
            fill, self.pool = curve.pool_sell(self.pool, tokens)
        return Deal(SELL, trader, fill, self.holders.take(trader, tokens))

    def _tokens_to_sell(self, held: int, lamports: int) -> int:
        if self.pool is None:
            wanted = curve.tokens_worth(self.reserve, lamports)
        else:
            wanted = max(1, self.pool.tokens * lamports // self.pool.lamports)
        return held if 10 * wanted > 9 * held else wanted
