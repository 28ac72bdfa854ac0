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

    def is_graduated(self, virtual_sol_lamports: int) -> bool:
        """Say whether progress has reached 99.5 percent. Exact: compares integers."""
        real = virtual_sol_lamports - self.initial_lamports
        return real * 1000 >= _GRADUATION_PER_MILLE * self.full_lamports


def market_cap_sol(price_sol: float) -> float:
    """Value all tokens of a coin at this price, in SOL."""
    return price_sol * SUPPLY_TOKENS


def follows(before_units: int, after_units: int, trade: Trade) -> bool:
    """Say whether a trade leads from one virtual token reserve to the other, +-1 base unit.

    Holds on the constant product curve only: tokens bought leave the reserve, tokens sold return to
    it. Not usable for mayhem coins and AMM pools.
    """
    change = -trade.token_units if trade.is_buy else trade.token_units
    return abs(after_units - before_units - change) <= _ROUNDING_UNITS


class ReserveChain:
    """The token reserves of one coin from trade to trade, to notice what was missed.

    A break means a trade that was missed, doubled or reordered; it is told once, and the chain goes
    on from the new value.
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
        return before is None or trade.in_create or follows(before, after, trade)
