"""Single fields of a frame, each within its bounds. Pure.

Guarantees: what comes back may be stored; what may not raises `RejectedError` with the reason.
Amounts: SOL times 1e9 and tokens times 1e6, as decimals rounded half to even. A double's product is
taken for it wherever its own rounding cannot have passed the middle between two integers.
"""

from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from typing import Any, Final, NoReturn

from actors.connection.sanitize import clean_text
from actors.domain import LAMPORTS_PER_SOL, UNITS_PER_TOKEN, Mint

MAX_SOL: Final = 1e7
MAX_TOKENS: Final = 1e12
MAX_MINT_CHARACTERS: Final = 64

_PRODUCT_ERROR: Final = 2.0**-52
"""Twice the largest relative error of one product of doubles."""
_MIDDLE: Final = 0.5
"""Between two integers; a product that may have passed it is rounded as a decimal."""

_CURVE_INITIAL_LAMPORTS: Final = 30 * LAMPORTS_PER_SOL
"""Virtual SOL of a fresh curve of pump.fun: a constant of the protocol, none of it real."""
_CURVE_PRODUCT: Final = 32_190_000_000 * LAMPORTS_PER_SOL * UNITS_PER_TOKEN
"""Virtual SOL times virtual tokens of such a curve, at any time, in lamports and base units."""
_PRODUCT_TOLERANCE: Final = 1_000_000
"""The product may be off by this part: reserves are printed rounded."""


class RejectReason(StrEnum):
    """Why a frame was rejected."""

    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_OBJECT = "not_object"
    BAD_FIELD = "bad_field"
    """`txType`, signature or trader is missing or is no text."""
    BAD_MINT = "bad_mint"
    BAD_AMOUNT = "bad_amount"


class RejectedError(Exception):
    """A frame cannot be used; never leaves `decoder.decode`."""

    def __init__(self, reason: RejectReason) -> None:
        super().__init__(reason)
        self.reason = reason


def amount_of(value: object) -> float | None:
    """Read an amount that counts: None when missing; anything but a number is rejected."""
    if value is None:
        return None
    number = _number(value)
    if number is None:
        reject(RejectReason.BAD_AMOUNT)
    return number


def figure_of(value: object) -> float | None:
    """Read a figure that only helps to find a price: a dishonest one counts as missing."""
    return _number(value)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def lamports(sol: float) -> int:
    """Round an amount in SOL; one outside `0 <= SOL < 1e7` is rejected."""
    if not 0 <= sol < MAX_SOL:
        reject(RejectReason.BAD_AMOUNT)
    # These lines stand twice: four amounts of every trade come by, and a call costs as much again.
    product = sol * LAMPORTS_PER_SOL
    nearest = round(product)
    if abs(product - nearest) + product * _PRODUCT_ERROR < _MIDDLE:
        return nearest
    return _rounded_exactly(sol, 9)


def units(tokens: float) -> int:
    """Round an amount in tokens to base units; one outside `0 <= tokens < 1e12` is rejected."""
    if not 0 <= tokens < MAX_TOKENS:
        reject(RejectReason.BAD_AMOUNT)
    product = tokens * UNITS_PER_TOKEN
    nearest = round(product)
    if abs(product - nearest) + product * _PRODUCT_ERROR < _MIDDLE:
        return nearest
    return _rounded_exactly(tokens, 6)


def _rounded_exactly(amount: float, decimals: int) -> int:
    return int(Decimal(repr(amount)).scaleb(decimals).to_integral_value(ROUND_HALF_EVEN))


def first_buy_lamports(
    sol_amount: float | None, pool: str, v_sol_lamports: int | None, v_token_units: int | None
) -> int | None:
    """Give what the creator paid in lamports, from the reserves where the frame does not say it.

    Only pump.fun's own curve, whose reserves have the known product, tells: the create is its first
    event, so what lies above the initial 30 SOL is this buy. None: nobody knows.
    """
    if sol_amount is not None:
        return lamports(sol_amount)
    if pool != "pump" or v_sol_lamports is None or v_token_units is None:
        return None
    error = abs(v_sol_lamports * v_token_units - _CURVE_PRODUCT)
    paid = v_sol_lamports - _CURVE_INITIAL_LAMPORTS
    return paid if paid > 0 and error * _PRODUCT_TOLERANCE <= _CURVE_PRODUCT else None


def mint_of(value: object) -> Mint:
    """Read a mint: 1 to 64 printable ASCII characters without blanks."""
    if (
        not isinstance(value, str)
        or not 1 <= len(value) <= MAX_MINT_CHARACTERS
        or not value.isascii()
        or not value.isprintable()
        or " " in value
    ):
        reject(RejectReason.BAD_MINT)
    return Mint(value)


def identifier(value: object, limit: int) -> str:
    """Read a text that must be there, cleaned and cut to `limit` characters."""
    text = clean_text(value, limit) if isinstance(value, str) else ""
    if not text:
        reject(RejectReason.BAD_FIELD)
    return text


def optional_text(obj: dict[str, Any], name: str, limit: int) -> str:
    """Read a text, cleaned and cut; empty when it is missing or no text."""
    value = obj.get(name)
    return clean_text(value, limit) if isinstance(value, str) else ""


def reject(reason: RejectReason) -> NoReturn:
    """Give the frame up."""
    raise RejectedError(reason)
