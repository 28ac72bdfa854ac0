"""Which events a tracker refuses before it changes anything.

Pure. A refusal is a `ValueError` whose text names the event and what is wrong with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from actors.domain import Mint, Trade

_LARGEST_PRICE_SOL: Final = 1e9


def check_mint(found: Mint, mint: Mint) -> None:
    """Refuse an event of another mint than the tracker's.

    Raises:
        ValueError: It is of another one.
    """
    if found != mint:
        raise ValueError(f"the tracker of {mint} was given an event of {found}")


def check_trade(trade: Trade, mint: Mint) -> None:
    """Refuse a trade of another mint, or one with a figure that no trade can have.

    Raises:
        ValueError: The mint is another one, an amount or number is negative, or the price is not
            between 0 and 1e9 SOL.
    """
    if trade.mint != mint:
        check_mint(trade.mint, mint)
    if trade.token_units < 0 or trade.seq < 0 or (trade.sol_lamports or 0) < 0:
        raise ValueError(f"trade {trade.signature} holds a negative amount or number")
    price = trade.price_sol
    if price is not None and not 0 < price < _LARGEST_PRICE_SOL:
        raise ValueError(f"trade {trade.signature} has an impossible price of {price} SOL")
