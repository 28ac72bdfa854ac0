"""How a difference is said in words. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from actors.compare.rows import SECOND_US, Figures, Precision, Prices

if TYPE_CHECKING:
    from collections.abc import Iterator

_LAMPORTS_PER_SOL: Final = 1_000_000_000


def difference(differs: Figures) -> str:
    """Say what they have more or fewer than we, such as `1 buy fewer`; empty: nothing.

    Args:
        differs: Their figures less ours.
    """
    buys, sells, volume, bought, sold = differs
    words = [*_count(buys, "buy"), *_count(sells, "sell"), *_sol(volume, "SOL")]
    if not volume:
        words += [*_sol(bought, "SOL bought"), *_sol(sold, "SOL sold")]
    return ", ".join(words)


def price_difference(theirs: Prices, ours: Prices, precision: Precision) -> str:
    """Say which price differs, the high first."""
    if theirs.high_sol is None and ours.high_sol is not None:
        return f"no price, ours go up to {_price(ours.high_sol)}"
    if not precision.same_price(theirs.high_sol, ours.high_sol):
        return f"a high of {_price(theirs.high_sol)}, ours {_price(ours.high_sol)}"
    if not precision.same_price(theirs.low_sol, ours.low_sol):
        return f"a low of {_price(theirs.low_sol)}, ours {_price(ours.low_sol)}"
    return "the prices differ in their last digits"


def clock(us: int) -> str:
    """Write a time of the day, UTC, to the second."""
    return f"{datetime.fromtimestamp(us // SECOND_US, UTC):%H:%M:%S}"


def sol_text(lamports: int) -> str:
    """Write lamports as SOL, with the digits that they have."""
    return f"{lamports / _LAMPORTS_PER_SOL:,.9f}".rstrip("0").rstrip(".")


def span_text(span: tuple[int, int]) -> str:
    """Write from when to when."""
    return f"{clock(span[0])} .. {clock(span[1])}"


def _count(number: int, what: str) -> Iterator[str]:
    if number:
        plural = "" if abs(number) == 1 else "s"
        yield f"{abs(number):,} {what}{plural} {'more' if number > 0 else 'fewer'}"


def _sol(lamports: int, what: str) -> Iterator[str]:
    if lamports:
        yield f"{sol_text(abs(lamports))} {what} {'more' if lamports > 0 else 'less'}"


def _price(sol: float | None) -> str:
    return "none" if sol is None else f"{sol:.6g} SOL"
