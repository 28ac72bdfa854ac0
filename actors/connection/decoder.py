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
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import msgspec

from actors.connection.fields import (
    MAX_MINT_CHARACTERS,
    RejectedError,
    amount_of,
    figure_of,
    first_buy_lamports,
    identifier,
    lamports,
    mint_of,
    optional_text,
    reject,
    units,
)
from actors.connection.fields import RejectReason as RejectReason  # noqa: PLC0414 - what `Malformed` says
from actors.connection.sanitize import clean_text, coin_frame, printed
from actors.domain import Coin, FeedEvent, Migration, Mint, Trade, Wallet
from actors.pricing import price_sol, ratio

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_FRAME_BYTES: Final = 16 * 1024 * 1024
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

_PLAIN_POOLS: Final = frozenset({"pump", "pump-amm", "raydium", "raydium-cpmm", "bonk", "auto"})
"""Names that need no cleaning."""

_SOCIALS: Final = ("twitter", "telegram", "website", "discord")


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

    reason: RejectReason


Decoded = Trade | Coin | Migration | ControlFrame | Unknown | Malformed


class _TradeFrame(msgspec.Struct, tag_field="txType", rename="camel"):
    signature: str
    mint: Mint
    trader_public_key: Wallet
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
        return Malformed(RejectReason.TOO_LARGE)
    try:
        return _decode(frame, seq, arrived_us)
    except RejectedError as rejected:
        return Malformed(rejected.reason)


def _decode(frame: bytes, seq: int, arrived_us: int) -> Decoded:
    if not frame.isascii():
        _require_utf8(frame)
    try:
        parsed = _DECODER.decode(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _decode_tolerantly(frame, seq, arrived_us)
    kind = parsed.__class__
    if kind is _BuyFrame or kind is _SellFrame:
        return _trade(parsed, seq, arrived_us, is_buy=kind is _BuyFrame)
    if isinstance(parsed, _MigrateFrame):
        return _migration(parsed, seq, arrived_us)
    return _coin(_load(frame), seq, arrived_us)


def _decode_tolerantly(frame: bytes, seq: int, arrived_us: int) -> Decoded:
    obj = _load(frame)
    if "txType" not in obj:
        return _control(obj)
    kind = obj["txType"]
    if not isinstance(kind, str):
        reject(RejectReason.BAD_FIELD)
    read = _READERS.get(kind)
    if read is None:
        return Unknown(clean_text(kind, _KIND_CHARACTERS))
    return read(obj, seq, arrived_us)


# Events.


def _trade(frame: _TradeFrame, seq: int, arrived_us: int, *, is_buy: bool) -> Trade:
    v_sol, v_tokens = frame.v_sol_in_bonding_curve, frame.v_tokens_in_bonding_curve
    sol = frame.sol_amount
    mint, signature, trader = frame.mint, frame.signature, frame.trader_public_key
    # Nearly all are base58, which needs no cleaning; the calls would cost more than the questions.
    if not (mint.isalnum() and mint.isascii() and len(mint) <= MAX_MINT_CHARACTERS):
        mint = mint_of(mint)
    if not (
        signature.isalnum() and signature.isascii() and len(signature) <= _SIGNATURE_CHARACTERS
    ):
        signature = identifier(signature, _SIGNATURE_CHARACTERS)
    if not (trader.isalnum() and trader.isascii() and len(trader) <= _WALLET_CHARACTERS):
        trader = Wallet(identifier(trader, _WALLET_CHARACTERS))
    pool = _pool_of(frame.pool, v_sol)
    price = ratio(v_sol, v_tokens)
    if price is None:
        price = price_sol(
            v_sol=v_sol,
            v_tokens=v_tokens,
            sol_in_pool=frame.sol_in_pool,
            tokens_in_pool=frame.tokens_in_pool,
            is_amm_pool=pool in _AMM_POOLS,
            market_cap_sol=frame.market_cap_sol,
            sol_amount=sol,
            token_amount=frame.token_amount,
        )
    # In the order of the fields: by name it takes twice as long, and this is done for each trade.
    return Trade(
        seq,
        arrived_us,
        mint,
        signature,
        trader,
        is_buy,
        None if sol is None else lamports(sol),
        units(frame.token_amount),
        price,
        None if v_sol is None else lamports(v_sol),
        None if v_tokens is None else units(v_tokens),
        pool,
    )


def _pool_of(pool: str | None, v_sol: float | None) -> str:
    """Name the pool; a trade that names none is on the curve if it has the curve's reserves."""
    if pool:
        return pool if pool in _PLAIN_POOLS else clean_text(pool, _POOL_CHARACTERS)
    return "pump-amm" if v_sol is None else "pump"


def _migration(frame: _MigrateFrame, seq: int, arrived_us: int) -> Migration:
    return Migration(
        seq=seq,
        arrived_us=arrived_us,
        mint=mint_of(frame.mint),
        signature=clean_text(frame.signature, _SIGNATURE_CHARACTERS),
        pool=_pool_of(frame.pool, None),
    )


def _coin(obj: dict[str, Any], seq: int, arrived_us: int) -> Coin:
    mint = mint_of(obj.get("mint"))
    creator = Wallet(identifier(obj.get("traderPublicKey"), _WALLET_CHARACTERS))
    signature = identifier(obj.get("signature"), _SIGNATURE_CHARACTERS)
    sol_amount = amount_of(obj.get("solAmount"))
    token_amount = amount_of(obj.get("initialBuy")) or 0.0
    v_sol = amount_of(obj.get("vSolInBondingCurve"))
    v_tokens = amount_of(obj.get("vTokensInBondingCurve"))
    pool = optional_text(obj, "pool", _POOL_CHARACTERS) or ("" if v_sol is None else "pump")
    market_cap_sol = figure_of(obj.get("marketCapSol"))
    price = price_sol(
        v_sol=v_sol,
        v_tokens=v_tokens,
        sol_in_pool=figure_of(obj.get("solInPool")),
        tokens_in_pool=figure_of(obj.get("tokensInPool")),
        is_amm_pool=pool in _AMM_POOLS,
        market_cap_sol=market_cap_sol,
        sol_amount=sol_amount,
        token_amount=token_amount,
    )
    virtual_sol = None if v_sol is None else lamports(v_sol)
    virtual_tokens = None if v_tokens is None else units(v_tokens)
    buy = Trade(
        seq=seq,
        arrived_us=arrived_us,
        mint=mint,
        signature=signature,
        trader=creator,
        is_buy=True,
        sol_lamports=first_buy_lamports(sol_amount, pool, virtual_sol, virtual_tokens),
        token_units=units(token_amount),
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
        name=optional_text(obj, "name", _NAME_CHARACTERS),
        symbol=optional_text(obj, "symbol", _SYMBOL_CHARACTERS),
        uri=optional_text(obj, "uri", _URI_CHARACTERS),
        pool=pool,
        bonding_curve_key=optional_text(obj, "bondingCurveKey", _WALLET_CHARACTERS),
        is_mayhem=obj.get("is_mayhem_mode") is True,
        price_sol=price,
        virtual_sol_lamports=virtual_sol,
        virtual_token_units=virtual_tokens,
        market_cap_sol=market_cap_sol,
        social_count=_social_count(obj),
        buy=buy if buy.token_units > 0 else None,
        frame=coin_frame(obj),
    )


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
        reject(RejectReason.NOT_JSON)
    if not isinstance(obj, dict):
        reject(RejectReason.NOT_OBJECT)
    return obj


def _trade_frame(obj: dict[str, Any]) -> _TradeFrame:
    token_amount = amount_of(obj.get("tokenAmount"))
    if token_amount is None:
        # It is part of the trade's identity: without it nobody could know the trade again.
        reject(RejectReason.BAD_AMOUNT)
    pool = obj.get("pool")
    return _TradeFrame(
        mint=mint_of(obj.get("mint")),
        signature=identifier(obj.get("signature"), _SIGNATURE_CHARACTERS),
        trader_public_key=Wallet(identifier(obj.get("traderPublicKey"), _WALLET_CHARACTERS)),
        token_amount=token_amount,
        sol_amount=amount_of(obj.get("solAmount")),
        v_tokens_in_bonding_curve=amount_of(obj.get("vTokensInBondingCurve")),
        v_sol_in_bonding_curve=amount_of(obj.get("vSolInBondingCurve")),
        sol_in_pool=figure_of(obj.get("solInPool")),
        tokens_in_pool=figure_of(obj.get("tokensInPool")),
        market_cap_sol=figure_of(obj.get("marketCapSol")),
        pool=pool if isinstance(pool, str) else None,
    )


def _migrate_frame(obj: dict[str, Any]) -> _MigrateFrame:
    pool = obj.get("pool")
    return _MigrateFrame(
        mint=obj.get("mint", ""),
        signature=optional_text(obj, "signature", _SIGNATURE_CHARACTERS),
        pool=pool if isinstance(pool, str) else None,
    )


def _require_utf8(frame: bytes) -> None:
    try:
        frame.decode("utf-8")
    except UnicodeDecodeError:
        reject(RejectReason.NOT_UTF8)
