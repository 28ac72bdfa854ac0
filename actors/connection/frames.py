"""Bytes of the feed to typed events.

Purpose: the one place where a frame is understood; everything behind it works on `Trade`, `Coin`
and `Migration`.
Guarantees: `decode` raises nothing, whatever it is given; amounts are integers, rounded once;
every rejection has a reason.
Not guaranteed: that a frame is true. It is only well formed, and its amounts lie within their
bounds.

Buys, sells and migrations take a fast path (a msgspec union tagged by `txType`). Whatever that
refuses, and every create, is read again by the tolerant path, which accepts NaN in fields that
nobody uses, lone surrogates and wrong types of optional fields.

Amounts: SOL times 1e9 and tokens times 1e6, as decimals rounded half to even. A double's product is
taken for it wherever its own rounding cannot have passed the middle between two integers.
"""

from __future__ import annotations

import json
import math
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NoReturn

import msgspec

from actors.connection.texts import clean_text, coin_frame, printed
from actors.domain import (
    LAMPORTS_PER_SOL,
    UNITS_PER_TOKEN,
    Coin,
    FeedEvent,
    Migration,
    Mint,
    Trade,
    Wallet,
)
from actors.pricing import price_sol

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_FRAME_BYTES: Final = 16 * 1024 * 1024
MAX_SOL: Final = 1e7
MAX_TOKENS: Final = 1e12
MAX_MINT_CHARACTERS: Final = 64

_PRODUCT_ERROR: Final = 2.0**-52
"""Twice the largest relative error of one product of doubles."""
_NAME_CHARACTERS: Final = 255
_SYMBOL_CHARACTERS: Final = 30
_URI_CHARACTERS: Final = 2048
_SIGNATURE_CHARACTERS: Final = 88
_WALLET_CHARACTERS: Final = 44
_POOL_CHARACTERS: Final = 20
_KIND_CHARACTERS: Final = 64
_CONTROL_CHARACTERS: Final = 500

_AMM_POOLS: Final = frozenset({"pump-amm", "raydium", "raydium-cpmm"})
"""Pools whose reserves have the price as their ratio; launch pools such as `bonk` do not."""

_CURVE_INITIAL_LAMPORTS: Final = 30 * LAMPORTS_PER_SOL
"""Virtual SOL of a fresh curve of pump.fun: a constant of the protocol, none of it real."""
_CURVE_PRODUCT: Final = 32_190_000_000 * LAMPORTS_PER_SOL * UNITS_PER_TOKEN
"""Virtual SOL times virtual tokens of such a curve, at any time, in lamports and base units."""
_PRODUCT_TOLERANCE: Final = 1_000_000
"""The product may be off by this part: reserves are printed rounded."""

_SOCIALS: Final = ("twitter", "telegram", "website", "discord")


class Reason(StrEnum):
    """Why a frame was rejected."""

    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_OBJECT = "not_object"
    BAD_FIELD = "bad_field"
    """`txType`, signature or trader is missing or is no text."""
    BAD_MINT = "bad_mint"
    BAD_AMOUNT = "bad_amount"


class ControlFrame(msgspec.Struct, frozen=True):
    """A frame without `txType`: an acknowledgement, a refusal or a complaint of the server."""

    text: str
    """Cleaned and cut to 500 characters."""
    is_error: bool
    """The text stood in `errors`."""


class Unknown(msgspec.Struct, frozen=True):
    """A data frame of a kind that nobody here knows."""

    kind: str


class Malformed(msgspec.Struct, frozen=True):
    """A frame that cannot be used."""

    reason: Reason


Decoded = Trade | Coin | Migration | ControlFrame | Unknown | Malformed


class _TradeFrame(msgspec.Struct, tag_field="txType", rename="camel"):
    signature: str
    mint: str
    trader_public_key: str
    token_amount: float
    sol_amount: float | None = None
    v_tokens_in_bonding_curve: float | None = None
    v_sol_in_bonding_curve: float | None = None
    sol_in_pool: float | None = None
    tokens_in_pool: float | None = None
    market_cap_sol: float | None = None
    pool: str | None = None


class _BuyFrame(_TradeFrame, tag="buy"):
    pass


class _SellFrame(_TradeFrame, tag="sell"):
    pass


class _MigrateFrame(msgspec.Struct, tag_field="txType", tag="migrate"):
    mint: str
    signature: str = ""
    pool: str | None = None


class _CreateFrame(msgspec.Struct, tag_field="txType", tag="create"):
    pass


_DECODER: Final = msgspec.json.Decoder(_BuyFrame | _SellFrame | _MigrateFrame | _CreateFrame)


class _RejectedError(Exception):
    """A frame cannot be used; never leaves this module."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


def decode(frame: bytes, seq: int, arrived_us: int) -> Decoded:
    """Understand one frame.

    Args:
        frame: the payload as it came.
        seq: the sequence number that an event gets.
        arrived_us: when it arrived, UTC.

    Returns:
        An event, a control frame, or what is wrong with it. Raises nothing.
    """
    if len(frame) > MAX_FRAME_BYTES:
        return Malformed(Reason.TOO_LARGE)
    try:
        return _decode(frame, seq, arrived_us)
    except _RejectedError as rejected:
        return Malformed(rejected.reason)


def _decode(frame: bytes, seq: int, arrived_us: int) -> Decoded:
    if not frame.isascii():
        _require_utf8(frame)
    try:
        parsed = _DECODER.decode(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _decode_tolerantly(frame, seq, arrived_us)
    match parsed:
        case _BuyFrame():
            return _trade(parsed, seq, arrived_us, is_buy=True)
        case _SellFrame():
            return _trade(parsed, seq, arrived_us, is_buy=False)
        case _MigrateFrame():
            return _migration(parsed, seq, arrived_us)
        case _:
            return _coin(_load(frame), seq, arrived_us)


def _decode_tolerantly(frame: bytes, seq: int, arrived_us: int) -> Decoded:
    obj = _load(frame)
    if "txType" not in obj:
        return _control(obj)
    kind = obj["txType"]
    if not isinstance(kind, str):
        _reject(Reason.BAD_FIELD)
    read = _READERS.get(kind)
    if read is None:
        return Unknown(clean_text(kind, _KIND_CHARACTERS))
    return read(obj, seq, arrived_us)


# Events.


def _trade(frame: _TradeFrame, seq: int, arrived_us: int, *, is_buy: bool) -> Trade:
    v_sol, v_tokens = frame.v_sol_in_bonding_curve, frame.v_tokens_in_bonding_curve
    pool = _pool_of(frame.pool, v_sol)
    return Trade(
        seq=seq,
        arrived_us=arrived_us,
        mint=_mint(frame.mint),
        signature=_identifier(frame.signature, _SIGNATURE_CHARACTERS),
        trader=Wallet(_identifier(frame.trader_public_key, _WALLET_CHARACTERS)),
        is_buy=is_buy,
        sol_lamports=None if frame.sol_amount is None else _lamports(frame.sol_amount),
        token_units=_units(frame.token_amount),
        virtual_sol_lamports=None if v_sol is None else _lamports(v_sol),
        virtual_token_units=None if v_tokens is None else _units(v_tokens),
        price_sol=price_sol(
            v_sol=v_sol,
            v_tokens=v_tokens,
            sol_in_pool=frame.sol_in_pool,
            tokens_in_pool=frame.tokens_in_pool,
            is_amm_pool=pool in _AMM_POOLS,
            market_cap_sol=frame.market_cap_sol,
            sol_amount=frame.sol_amount,
            token_amount=frame.token_amount,
        ),
        pool=pool,
    )


def _pool_of(pool: str | None, v_sol: float | None) -> str:
    """Name the pool; a trade that names none is on the curve if it has the curve's reserves."""
    if pool:
        return clean_text(pool, _POOL_CHARACTERS)
    return "pump-amm" if v_sol is None else "pump"


def _migration(frame: _MigrateFrame, seq: int, arrived_us: int) -> Migration:
    return Migration(
        seq=seq,
        arrived_us=arrived_us,
        mint=_mint(frame.mint),
        signature=clean_text(frame.signature, _SIGNATURE_CHARACTERS),
        pool=_pool_of(frame.pool, None),
    )


def _coin(obj: dict[str, Any], seq: int, arrived_us: int) -> Coin:
    mint = _mint(obj.get("mint"))
    creator = Wallet(_identifier(obj.get("traderPublicKey"), _WALLET_CHARACTERS))
    signature = _identifier(obj.get("signature"), _SIGNATURE_CHARACTERS)
    sol_amount = _amount(obj.get("solAmount"))
    token_amount = _amount(obj.get("initialBuy")) or 0.0
    v_sol = _amount(obj.get("vSolInBondingCurve"))
    v_tokens = _amount(obj.get("vTokensInBondingCurve"))
    pool = _optional_text(obj, "pool", _POOL_CHARACTERS) or ("" if v_sol is None else "pump")
    market_cap_sol = _helper(obj.get("marketCapSol"))
    price = price_sol(
        v_sol=v_sol,
        v_tokens=v_tokens,
        sol_in_pool=_helper(obj.get("solInPool")),
        tokens_in_pool=_helper(obj.get("tokensInPool")),
        is_amm_pool=pool in _AMM_POOLS,
        market_cap_sol=market_cap_sol,
        sol_amount=sol_amount,
        token_amount=token_amount,
    )
    virtual_sol = None if v_sol is None else _lamports(v_sol)
    virtual_tokens = None if v_tokens is None else _units(v_tokens)
    buy = Trade(
        seq=seq,
        arrived_us=arrived_us,
        mint=mint,
        signature=signature,
        trader=creator,
        is_buy=True,
        sol_lamports=_sol_of_first_buy(sol_amount, pool, virtual_sol, virtual_tokens),
        token_units=_units(token_amount),
        price_sol=price,
        virtual_sol_lamports=virtual_sol,
        virtual_token_units=virtual_tokens,
        pool=pool,
        in_create=True,
    )
    return Coin(
        seq=seq,
        arrived_us=arrived_us,
        mint=mint,
        creator=creator,
        signature=signature,
        name=_optional_text(obj, "name", _NAME_CHARACTERS),
        symbol=_optional_text(obj, "symbol", _SYMBOL_CHARACTERS),
        uri=_optional_text(obj, "uri", _URI_CHARACTERS),
        pool=pool,
        bonding_curve_key=_optional_text(obj, "bondingCurveKey", _WALLET_CHARACTERS),
        is_mayhem=obj.get("is_mayhem_mode") is True,
        price_sol=price,
        virtual_sol_lamports=virtual_sol,
        virtual_token_units=virtual_tokens,
        market_cap_sol=market_cap_sol,
        social_count=_social_count(obj),
        buy=buy if buy.token_units > 0 else None,
        frame=coin_frame(obj),
    )


def _sol_of_first_buy(
    sol_amount: float | None, pool: str, v_sol_lamports: int | None, v_token_units: int | None
) -> int | None:
    """Give what the creator paid in lamports, from the reserves where the frame does not say it.

    Only pump.fun's own curve, whose reserves have the known product, tells: the create is its first
    event, so what lies above the initial 30 SOL is this buy. None: nobody knows.
    """
    if sol_amount is not None:
        return _lamports(sol_amount)
    if pool != "pump" or v_sol_lamports is None or v_token_units is None:
        return None
    error = abs(v_sol_lamports * v_token_units - _CURVE_PRODUCT)
    paid = v_sol_lamports - _CURVE_INITIAL_LAMPORTS
    return paid if paid > 0 and error * _PRODUCT_TOLERANCE <= _CURVE_PRODUCT else None


def _social_count(obj: dict[str, Any]) -> int | None:
    if not any(name in obj for name in _SOCIALS):
        return None
    return sum(1 for name in _SOCIALS if isinstance(obj.get(name), str) and obj[name].strip())


def _control(obj: dict[str, Any]) -> ControlFrame:
    is_error = "errors" in obj
    said = obj["errors"] if is_error else obj.get("message", obj)
    text = said if isinstance(said, str) else printed(said)
    return ControlFrame(text=clean_text(text, _CONTROL_CHARACTERS), is_error=is_error)


# The tolerant path: a dictionary of anything to the same frames.


def _tolerant_buy(obj: dict[str, Any], seq: int, arrived_us: int) -> Trade:
    return _trade(_trade_frame(obj), seq, arrived_us, is_buy=True)


def _tolerant_sell(obj: dict[str, Any], seq: int, arrived_us: int) -> Trade:
    return _trade(_trade_frame(obj), seq, arrived_us, is_buy=False)


def _tolerant_migration(obj: dict[str, Any], seq: int, arrived_us: int) -> Migration:
    return _migration(_migrate_frame(obj), seq, arrived_us)


_READERS: Final[dict[str, Callable[[dict[str, Any], int, int], FeedEvent]]] = {
    "buy": _tolerant_buy,
    "sell": _tolerant_sell,
    "create": _coin,
    "migrate": _tolerant_migration,
}


def _load(frame: bytes) -> dict[str, Any]:
    try:
        obj = json.loads(frame)
    except (ValueError, RecursionError):
        _reject(Reason.NOT_JSON)
    if not isinstance(obj, dict):
        _reject(Reason.NOT_OBJECT)
    return obj


def _trade_frame(obj: dict[str, Any]) -> _TradeFrame:
    token_amount = _amount(obj.get("tokenAmount"))
    if token_amount is None:
        # It is part of the trade's identity: without it nobody could know the trade again.
        _reject(Reason.BAD_AMOUNT)
    pool = obj.get("pool")
    return _TradeFrame(
        signature=obj.get("signature", ""),
        mint=obj.get("mint", ""),
        trader_public_key=obj.get("traderPublicKey", ""),
        token_amount=token_amount,
        sol_amount=_amount(obj.get("solAmount")),
        v_tokens_in_bonding_curve=_amount(obj.get("vTokensInBondingCurve")),
        v_sol_in_bonding_curve=_amount(obj.get("vSolInBondingCurve")),
        sol_in_pool=_helper(obj.get("solInPool")),
        tokens_in_pool=_helper(obj.get("tokensInPool")),
        market_cap_sol=_helper(obj.get("marketCapSol")),
        pool=pool if isinstance(pool, str) else None,
    )


def _migrate_frame(obj: dict[str, Any]) -> _MigrateFrame:
    pool = obj.get("pool")
    return _MigrateFrame(
        mint=obj.get("mint", ""),
        signature=_optional_text(obj, "signature", _SIGNATURE_CHARACTERS),
        pool=pool if isinstance(pool, str) else None,
    )


def _amount(value: object) -> float | None:
    """Read an amount that counts: None when missing; anything but a number is rejected."""
    if value is None:
        return None
    number = _number(value)
    if number is None:
        _reject(Reason.BAD_AMOUNT)
    return number


def _helper(value: object) -> float | None:
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


def _lamports(sol: float) -> int:
    if not 0 <= sol < MAX_SOL:
        _reject(Reason.BAD_AMOUNT)
    return _rounded(sol, LAMPORTS_PER_SOL, 9)


def _units(tokens: float) -> int:
    if not 0 <= tokens < MAX_TOKENS:
        _reject(Reason.BAD_AMOUNT)
    return _rounded(tokens, UNITS_PER_TOKEN, 6)


def _rounded(amount: float, scale: int, decimals: int) -> int:
    product = amount * scale
    nearest = round(product)
    if abs(product - nearest) + product * _PRODUCT_ERROR < 0.5:  # noqa: PLR2004 - the middle
        return nearest
    return int(Decimal(repr(amount)).scaleb(decimals).to_integral_value(ROUND_HALF_EVEN))


# Texts.


def _require_utf8(frame: bytes) -> None:
    try:
        frame.decode("utf-8")
    except UnicodeDecodeError:
        _reject(Reason.NOT_UTF8)


def _mint(value: object) -> Mint:
    if (
        not isinstance(value, str)
        or not 1 <= len(value) <= MAX_MINT_CHARACTERS
        or not value.isascii()
        or not value.isprintable()
        or " " in value
    ):
        _reject(Reason.BAD_MINT)
    return Mint(value)


def _identifier(value: object, limit: int) -> str:
    text = clean_text(value, limit) if isinstance(value, str) else ""
    if not text:
        _reject(Reason.BAD_FIELD)
    return text


def _optional_text(obj: dict[str, Any], name: str, limit: int) -> str:
    value = obj.get(name)
    return clean_text(value, limit) if isinstance(value, str) else ""


def _reject(reason: Reason) -> NoReturn:
    raise _RejectedError(reason)
