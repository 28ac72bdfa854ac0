"""The bonding curve of pump.fun: how far a coin has come, and whether its trades connect.

Pure. A fresh curve shows 30 SOL of virtual reserves, none of them real; progress counts real SOL
only.
"""

from __future__ import annotations

from typing import Final

import msgspec

from actors.domain import LAMPORTS_PER_SOL, SUPPLY_TOKENS, Trade

_GRADUATION_PER_MILLE: Final = 995
_ROUNDING_UNITS: Final = 1
"""The feed prints reserves as doubles; each rounds to a base unit on its own."""


class Curve(msgspec.Struct, frozen=True):
    """Where the bonding curve begins and ends, in lamports.

    `initial_lamports` are the virtual SOL of a fresh curve, `full_lamports` the real SOL that fill
    it (above 0).
    """

    initial_lamports: int
    full_lamports: int

    @classmethod
    def of_sol(cls, initial_sol: float, full_sol: float) -> Curve:
        """Take both ends in SOL, rounded to lamports."""
        return cls(round(initial_sol * LAMPORTS_PER_SOL), round(full_sol * LAMPORTS_PER_SOL))

    def progress_pct(self, virtual_sol_lamports: int) -> float:
        """Tell how much of the real SOL has been paid in, clamped to 0..100 percent."""
        real = virtual_sol_lamports - self.initial_lamports
        return min(100.0, max(0.0, real / self.full_lamports * 100))

    @property
    def graduation_lamports(self) -> int:
        """The least virtual SOL at which progress has reached 99.5 percent. Exact: integers."""
        # Minus a floor of the negative is the ceiling.
        return self.initial_lamports - (-_GRADUATION_PER_MILLE * self.full_lamports // 1000)


def market_cap_sol(price_sol: float) -> float:
    """Value all tokens of a coin at this price, in SOL."""
    return price_sol * SUPPLY_TOKENS


class ReserveChain:
    """The token reserves of one coin from trade to trade, to notice what was missed.

    A break means a trade that was missed, doubled or reordered; it is told once, and the chain goes
    on from the new value. Not usable for mayhem coins and AMM pools, where nothing follows.
    """

    __slots__ = ("_seq", "_units")

    def __init__(self) -> None:
        self._seq = -1
        self._units: int | None = None

    def begin(self, seq: int, virtual_token_units: int | None) -> None:
        """Begin with the reserves after a create, unless later trades are known."""
        if self._units is None and virtual_token_units is not None:
            self._seq, self._units = seq, virtual_token_units

    def follow(self, trade: Trade) -> bool:
        """Go on with a trade; False when it breaks the chain.

        Trades without reserves (AMM pools) and those older than the newest known one say nothing.
        """
        after = trade.virtual_token_units
        if after is None or trade.seq <= self._seq:
            return True
        before, self._units, self._seq = self._units, after, trade.seq
        if before is None or trade.in_create:
            return True
        # The product is constant: tokens bought leave the reserve, tokens sold return to it.
        bought = trade.token_units if trade.is_buy else -trade.token_units
        return -_ROUNDING_UNITS <= after - before + bought <= _ROUNDING_UNITS
