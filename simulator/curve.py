"""Bonding curve and pool arithmetic of pump.fun in integers.

Purpose: what a buy or a sell does to a coin's reserves, and how the feed prints the result.
Guarantees: tokens and lamports are never created by rounding (a round trip never gains); a curve
never goes below the tokens that stay for the pool.
Relies on: tokens in base units (6 decimals), SOL in lamports (9 decimals).
"""

from typing import NamedTuple

BASE_UNITS_PER_TOKEN = 1_000_000
LAMPORTS_PER_SOL = 1_000_000_000
VIRTUAL_TOKENS_AT_START = 1_073_000_000 * BASE_UNITS_PER_TOKEN
VIRTUAL_TOKENS_AT_END = 279_900_000 * BASE_UNITS_PER_TOKEN
INVARIANT = VIRTUAL_TOKENS_AT_START * 30 * LAMPORTS_PER_SOL
INVARIANT_WHOLE_UNITS = 32_190_000_000
SUPPLY_TOKENS = 1_000_000_000
POOL_TOKENS_AT_START = 206_900_000 * BASE_UNITS_PER_TOKEN
POOL_LAMPORTS_AT_START = 84_990_359_057


class Fill(NamedTuple):
    """What one trade moved, and the reserve after it.

    Attributes:
        tokens: base units that changed hands, positive on both sides.
        lamports: net of fees, positive on both sides.
        reserve_tokens: the curve's virtual tokens, or the pool's tokens, after the trade.
    """

    tokens: int
    lamports: int
    reserve_tokens: int


class Pool(NamedTuple):
    """An AMM pool: constant product of its two reserves (base units, lamports)."""

    tokens: int = POOL_TOKENS_AT_START
    lamports: int = POOL_LAMPORTS_AT_START


def buy(v_tokens: int, lamports: int) -> Fill:
    """Buy from the curve (constant product, pump.fun bonding curve).

    Args:
        v_tokens: virtual tokens before, in base units.
        lamports: what the buyer spends; less is taken when the curve has fewer tokens left.

    Returns:
        The fill. On the clamped last buy `lamports` is what the remaining tokens cost.
    """
    divisor = INVARIANT + lamports * v_tokens
    after = -(-INVARIANT * v_tokens // divisor)
    if after >= VIRTUAL_TOKENS_AT_END:
        return Fill(v_tokens - after, lamports, after)
    left = v_tokens - VIRTUAL_TOKENS_AT_END
    cost = -(-INVARIANT * left // (v_tokens * VIRTUAL_TOKENS_AT_END))
    return Fill(left, cost, VIRTUAL_TOKENS_AT_END)


def sell(v_tokens: int, tokens: int) -> Fill:
    """Sell `tokens` base units back to a curve holding `v_tokens` virtual base units."""
    after = v_tokens + tokens
    return Fill(tokens, INVARIANT * tokens // (v_tokens * after), after)


def tokens_worth(v_tokens: int, lamports: int) -> int:
    """Tell how many base units a seller gives to receive about `lamports`; at least one."""
    left = INVARIANT - lamports * v_tokens
    if left <= 0:
        return VIRTUAL_TOKENS_AT_START
    return max(1, lamports * v_tokens * v_tokens // left)


def real_lamports(v_tokens: int) -> int:
    """Tell the real SOL on the curve, in lamports, rounded down (0 at the start)."""
    return INVARIANT // v_tokens - 30 * LAMPORTS_PER_SOL


def pool_buy(pool: Pool, lamports: int) -> tuple[Fill, Pool]:
    """Buy from an AMM pool (constant product, no fee inside)."""
    tokens = pool.tokens * lamports // (pool.lamports + lamports)
    after = Pool(pool.tokens - tokens, pool.lamports + lamports)
    return Fill(tokens, lamports, after.tokens), after


def pool_sell(pool: Pool, tokens: int) -> tuple[Fill, Pool]:
    """Sell to an AMM pool (constant product, no fee inside)."""
    lamports = pool.lamports * tokens // (pool.tokens + tokens)
    after = Pool(pool.tokens + tokens, pool.lamports - lamports)
    return Fill(tokens, lamports, after.tokens), after


def printed(units: int, per_whole: int) -> int | float:
    """Return whole units as the feed prints them: an int when round, else a double."""
    whole, rest = divmod(units, per_whole)
    return units / per_whole if rest else whole


def tidy(value: float) -> int | float:
    """Return a double as the feed prints it: an int when it has no fraction."""
    return int(value) if value.is_integer() else value


def printed_reserves(v_tokens: int) -> tuple[int | float, int | float, int | float]:
    """Return (vTokens, vSol, marketCapSol) as the feed prints them after a trade.

    vSol is 32,190,000,000 / vTokens in doubles, bit for bit what the feed shows.
    """
    tokens = printed(v_tokens, BASE_UNITS_PER_TOKEN)
    sol = INVARIANT_WHOLE_UNITS / tokens
    return tokens, tidy(sol), tidy(sol / tokens * SUPPLY_TOKENS)
