"""The price rule: what one token cost in SOL, read from whatever figures a frame has.

Pure. Shared by the room that decodes frames and by tests; sizes are whole SOL and whole tokens, as
the feed writes them.
"""

from __future__ import annotations

from typing import Final

SMALLEST_HONEST_TRADE_SOL: Final = 0.01
"""Below this the rounding of a trade's own amounts says more than its price."""

_LARGEST_FIGURE: Final = 1e15
_LARGEST_PRICE_SOL: Final = 1e9
"""More SOL than exist; a price above it is rubbish, and its market cap stays far from overflow."""

_TOKENS_PER_COIN: Final = 1e9


def price_sol(
    *,
    v_sol: float | None,
    v_tokens: float | None,
    sol_in_pool: float | None,
    tokens_in_pool: float | None,
    is_amm_pool: bool,
    market_cap_sol: float | None,
    sol_amount: float | None,
    token_amount: float | None,
) -> float | None:
    """Derive the price of one token in SOL after the trade, from the best figure present.

    In this order: virtual reserves of the bonding curve (constant product: `v_sol / v_tokens`);
    reserves of an AMM pool; the market cap of 1e9 tokens; the trade's own amounts when it moved at
    least 0.01 SOL. Pools that are neither pump.fun's curve nor an AMM pool (bonk) print reserves
    whose ratio is not the price, so `is_amm_pool` must be false for them.

    Args:
        v_sol: Virtual SOL reserves after the trade.
        v_tokens: Virtual token reserves after the trade.
        sol_in_pool: SOL in the pool after the trade.
        tokens_in_pool: Tokens in the pool after the trade.
        is_amm_pool: Whether the pool's ratio is its price.
        market_cap_sol: Market cap in SOL, as the frame says it.
        sol_amount: SOL that this trade moved.
        token_amount: Tokens that this trade moved.

    Returns:
        A finite price with 0 < price < 1e9, or None when no figure gives one. Figures that are
        missing, zero, negative, not finite or absurd are passed over; nothing is raised.
    """
    price = ratio(v_sol, v_tokens)
    if price is None and is_amm_pool:
        price = ratio(sol_in_pool, tokens_in_pool)
    if price is None:
        price = ratio(market_cap_sol, _TOKENS_PER_COIN)
    if price is None and sol_amount is not None and sol_amount >= SMALLEST_HONEST_TRADE_SOL:
        price = ratio(sol_amount, token_amount)
    return price


def ratio(numerator: float | None, denominator: float | None) -> float | None:
    """Divide two figures; None when one is missing or the quotient is no honest price.

    Of the curve's virtual reserves this is the price already: `price_sol` asks for it first.
    """
    if numerator is None or denominator is None:
        return None
    # Comparisons come first: they hold for NaN, infinities and integers too large for a float
    # alike.
    if not (0 < numerator < _LARGEST_FIGURE and 0 < denominator < _LARGEST_FIGURE):
        return None
    quotient = numerator / denominator
    return quotient if 0 < quotient < _LARGEST_PRICE_SOL else None
