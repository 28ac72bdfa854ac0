"""From the bytes of a frame to what a second count needs. Pure.

Independent of `actors.connection.decoder` and `actors.pricing` by design: the standard library's
JSON with decimals for every number, and the rules of the feed written down once more. A mistake in
the decoder can therefore not hide here as well.

Amounts: decimals times 1e9 (SOL) or 1e6 (tokens), rounded half to even, to integers.
"""

from __future__ import annotations

import json
import math
import re
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from hashlib import blake2b
from typing import Any, Final

import msgspec

QUOTE_MINTS: Final = frozenset(
    {
        "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
        "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB",
        "So11111111111111111111111111111111111111112",
    }
)
"""USDC, USDT and wrapped SOL: they stand in `mint` and are no coins."""

_SOL_DECIMALS: Final = 9
_TOKEN_DECIMALS: Final = 6
_MOST_SOL: Final = 10_000_000
_MOST_TOKENS: Final = 1_000_000_000_000
_MOST_PRICE_SOL: Final = 1e9
_MOST_FIGURE: Final = 1e15
_TOKENS_PER_COIN: Final = 1e9
_LEAST_PRICED_SOL: Final = Decimal("0.01")
_POOLS_WITH_A_RATIO: Final = frozenset({"pump-amm", "raydium", "raydium-cpmm"})

_CURVE_START_SOL: Final = 30
_CURVE_PRODUCT: Final = 32_190_000_000
_CURVE_TOLERANCE: Final = Decimal("1e-6")

_USUAL_DIGITS: Final = 28
"""As many as decimals keep by default."""
_SIGNATURE: Final = 88
_WALLET: Final = 44
_POOL: Final = 20
_MINT: Final = re.compile(r"[!-~]{1,64}")
_LARGEST_FRAME: Final = 16 * 1024 * 1024


class SeenTrade(msgspec.Struct, gc=False):
    """One buy or sell of the journal; a creator's buy inside the create is one."""

    seq: int
    at_us: int
    mint: str
    identity: bytes
    """Of signature, mint, trader, side and tokens: what makes it the same when it comes again."""
    trader: str
    is_buy: bool
    lamports: int | None
    """None: the frame does not say how much SOL was moved."""
    price_sol: float | None
    virtual_lamports: int | None
    due: bool = False
    """Whether it has to be in a row. Set by whoever knows what was tracked."""


class Seen(msgspec.Struct, frozen=True, gc=False):
    """What one frame says."""

    mint: str
    trade: SeenTrade | None = None
    creator: str | None = None
    """Of a create."""
    migrates: bool = False


class _UnusableError(Exception):
    """The frame is one that nobody can count; never leaves this module."""


def read_frame(data: bytes, seq: int, at_us: int) -> Seen | None:
    """Understand a frame; None: it is about no coin, or cannot be used. Raises nothing."""
    try:
        if len(data) > _LARGEST_FRAME:
            return None
        data.decode("utf-8")
        frame = _DECODER.decode(data.decode(json.detect_encoding(data)))
        return _seen(frame, seq, at_us) if isinstance(frame, dict) else None
    except (_UnusableError, ValueError, ArithmeticError, RecursionError):
        return None


def _no_number(text: str) -> str:
    """Keep NaN and the infinities as texts, so that they are wrong, not missing."""
    return text


_DECODER: Final = json.JSONDecoder(parse_float=Decimal, parse_constant=_no_number)


def _seen(frame: dict[str, Any], seq: int, at_us: int) -> Seen | None:
    kind = frame.get("txType")
    if kind not in ("buy", "sell", "create", "migrate"):
        return None
    mint = _mint(frame.get("mint"))
    if mint in QUOTE_MINTS:
        return None
    if kind == "migrate":
        return Seen(mint, migrates=True)
    if kind == "create":
        return _create(frame, mint, seq, at_us)
    tokens = _amount(frame, "tokenAmount")
    if tokens is None:
        raise _UnusableError
    sol = _amount(frame, "solAmount")
    stamp = (seq, at_us)
    return Seen(mint, _trade(frame, mint, stamp, is_buy=kind == "buy", sol=sol, tokens=tokens))


def _create(frame: dict[str, Any], mint: str, seq: int, at_us: int) -> Seen:
    tokens, sol = _amount(frame, "initialBuy"), _amount(frame, "solAmount")
    if sol is None:
        sol = _paid_at_the_start(frame)
    trade = _trade(frame, mint, (seq, at_us), is_buy=True, sol=sol, tokens=tokens or 0)
    has_buy = tokens is not None and _scaled(tokens, _TOKEN_DECIMALS, _MOST_TOKENS) > 0
    return Seen(mint, trade if has_buy else None, creator=trade.trader)


def _paid_at_the_start(frame: dict[str, Any]) -> Decimal | int | None:
    """Tell what the creator paid, from a curve of pump.fun that shows nothing but his buy."""
    v_sol, v_tokens = _amount(frame, "vSolInBondingCurve"), _amount(frame, "vTokensInBondingCurve")
    if v_sol is None or v_tokens is None or v_sol < _CURVE_START_SOL:
        return None
    pool = frame.get("pool")
    if isinstance(pool, str) and pool not in ("", "pump"):
        return None
    off = abs(Decimal(v_sol) * Decimal(v_tokens) - _CURVE_PRODUCT)
    return v_sol - _CURVE_START_SOL if off <= _CURVE_TOLERANCE * _CURVE_PRODUCT else None


def _trade(
    frame: dict[str, Any],
    mint: str,
    stamp: tuple[int, int],
    *,
    is_buy: bool,
    sol: Decimal | int | None,
    tokens: Decimal | int,
) -> SeenTrade:
    signature = _text(frame.get("signature"), _SIGNATURE)
    trader = _text(frame.get("traderPublicKey"), _WALLET)
    units = _scaled(tokens, _TOKEN_DECIMALS, _MOST_TOKENS)
    v_sol, v_tokens = _amount(frame, "vSolInBondingCurve"), _amount(frame, "vTokensInBondingCurve")
    if v_tokens is not None:
        _scaled(v_tokens, _TOKEN_DECIMALS, _MOST_TOKENS)
    return SeenTrade(
        seq=stamp[0],
        at_us=stamp[1],
        mint=mint,
        identity=_identity(signature, mint, trader, is_buy, units),
        trader=trader,
        is_buy=is_buy,
        lamports=None if sol is None else _scaled(sol, _SOL_DECIMALS, _MOST_SOL),
        price_sol=_price(frame, sol, tokens),
        virtual_lamports=None if v_sol is None else _scaled(v_sol, _SOL_DECIMALS, _MOST_SOL),
    )


def _price(frame: dict[str, Any], sol: Decimal | int | None, tokens: Decimal | int) -> float | None:
    """Find the price of one token: reserves, a pool's ratio, market cap, its own amounts."""
    price = _quotient(frame.get("vSolInBondingCurve"), frame.get("vTokensInBondingCurve"))
    if price is None and _pool(frame) in _POOLS_WITH_A_RATIO:
        price = _quotient(frame.get("solInPool"), frame.get("tokensInPool"))
    if price is None:
        price = _quotient(frame.get("marketCapSol"), _TOKENS_PER_COIN)
    if price is None and sol is not None and sol >= _LEAST_PRICED_SOL:
        price = _quotient(sol, tokens)
    return price


def _quotient(above: object, below: object) -> float | None:
    over, under = _double(above), _double(below)
    if over is None or under is None:
        return None
    if not (0 < over < _MOST_FIGURE and 0 < under < _MOST_FIGURE):
        return None
    price = over / under
    return price if 0 < price < _MOST_PRICE_SOL else None


def _double(value: object) -> float | None:
    """Read a figure as the double that the feed had; anything else counts as missing."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _pool(frame: dict[str, Any]) -> str:
    pool = frame.get("pool")
    text = _cleaned(pool)[:_POOL] if isinstance(pool, str) else ""
    if text or frame.get("txType") == "create":
        return text
    return "pump-amm" if frame.get("vSolInBondingCurve") is None else "pump"


def _amount(frame: dict[str, Any], name: str) -> Decimal | int | None:
    """Read an amount that counts; None: the frame does not say.

    Raises:
        _UnusableError: It is there, and is no number.
    """
    value = frame.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise _UnusableError
    return value


def _scaled(amount: Decimal | int, decimals: int, bound: int) -> int:
    """Round an amount of at least 0 and below `bound` to its smallest unit."""
    if not 0 <= amount < bound:
        raise _UnusableError
    if isinstance(amount, int):
        return amount * int(10**decimals)
    if len(amount.as_tuple().digits) <= _USUAL_DIGITS:
        return int(amount.scaleb(decimals).to_integral_value(ROUND_HALF_EVEN))
    with localcontext() as context:
        # Nothing is rounded before the end, however many digits a frame prints.
        context.prec = len(amount.as_tuple().digits) + decimals
        return int(amount.scaleb(decimals).to_integral_value(ROUND_HALF_EVEN))


def _mint(value: object) -> str:
    if not isinstance(value, str) or _MINT.fullmatch(value) is None:
        raise _UnusableError
    return value


def _text(value: object, limit: int) -> str:
    text = _cleaned(value)[:limit] if isinstance(value, str) else ""
    if not text:
        raise _UnusableError
    return text


def _cleaned(text: str) -> str:
    """Leave out what PostgreSQL cannot keep: NUL and halves of surrogate pairs."""
    if text.isascii() and "\0" not in text:
        return text
    return "".join(c for c in text if c != "\0" and not "\ud800" <= c <= "\udfff")


def _identity(
    signature: str,
    mint: str,
    trader: str,
    is_buy: bool,
    units: int,
) -> bytes:
    """Make one short key of everything by which a trade is known (128 bits)."""
    # None of the texts holds a NUL.
    text = f"{signature}\0{mint}\0{trader}\0{is_buy}\0{units}"
    return blake2b(text.encode(), digest_size=16).digest()
