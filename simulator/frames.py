"""Data frames of the feed: what the market emits and the server routes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from simulator.curve import (
    BASE_UNITS_PER_TOKEN,
    LAMPORTS_PER_SOL,
    SUPPLY_TOKENS,
    Fill,
    Pool,
    printed,
    printed_reserves,
    tidy,
)

if TYPE_CHECKING:
    from simulator.names import CoinName

USDC_MINT = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
CREATE, BUY, SELL, MIGRATE = "create", "buy", "sell", "migrate"
OTHER = "other"
BROKEN = "broken"
TRADES = frozenset((BUY, SELL))

_encode = msgspec.json.Encoder().encode
Json = dict[str, "str | int | float | bool | None"]


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One text frame and what the server must know to route it.

    Attributes:
        due_us: when it is due, microseconds on the source's own clock.
        kind: create, buy, sell, migrate; other: an unknown txType; broken: no valid data frame.
        mint: empty when the frame has none.
        trader: empty when the frame has none.
        data: the text, UTF-8 as it goes on the wire.
    """

    due_us: int
    kind: str
    mint: str
    trader: str
    data: bytes


class _Routing(msgspec.Struct, gc=False):
    tx_type: str | None = msgspec.field(name="txType", default=None)
    mint: str = ""
    trader: str = msgspec.field(name="traderPublicKey", default="")


_routing_decoder = msgspec.json.Decoder(_Routing)


def classify(data: bytes, due_us: int = 0) -> Frame | None:
    """Read what routing needs from a recorded text; None for a control frame (no txType).

    A text that is not an object with the usual field types is `broken`.
    """
    try:
        routing = _routing_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Frame(due_us, BROKEN, "", "", data)
    if routing.tx_type is None:
        return None
    known = routing.tx_type in (CREATE, BUY, SELL, MIGRATE)
    return Frame(due_us, routing.tx_type if known else OTHER, routing.mint, routing.trader, data)


def trade_frame(
    due_us: int,
    kind: str,
    mint: str,
    *,
    signature: str,
    trader: str,
    fill: Fill,
    balance: int,
    curve_key: str,
) -> Frame:
    """Build a buy or sell on the bonding curve; `balance` is the trader's, in base units."""
    v_tokens, v_sol, market_cap = printed_reserves(fill.reserve_tokens)
    message: Json = {
        "signature": signature,
        "mint": mint,
        "traderPublicKey": trader,
        "txType": kind,
        "tokenAmount": printed(fill.tokens, BASE_UNITS_PER_TOKEN),
        "solAmount": printed(fill.lamports, LAMPORTS_PER_SOL),
        "newTokenBalance": printed(balance, BASE_UNITS_PER_TOKEN),
        "bondingCurveKey": curve_key,
        "vTokensInBondingCurve": v_tokens,
        "vSolInBondingCurve": v_sol,
        "marketCapSol": market_cap,
        "pool": "pump",
    }
    return Frame(due_us, kind, mint, trader, _encode(message))


def pool_trade_frame(
    due_us: int,
    kind: str,
    mint: str,
    *,
    signature: str,
    trader: str,
    fill: Fill,
    pool: Pool | None,
) -> Frame:
    """Build a trade after graduation: with the pool's reserves, or the bare six fields."""
    message: Json = {
        "signature": signature,
        "mint": mint,
        "traderPublicKey": trader,
        "txType": kind,
        "tokenAmount": printed(fill.tokens, BASE_UNITS_PER_TOKEN),
        "solAmount": printed(fill.lamports, LAMPORTS_PER_SOL),
    }
    if pool is not None:
        tokens = printed(pool.tokens, BASE_UNITS_PER_TOKEN)
        sol = printed(pool.lamports, LAMPORTS_PER_SOL)
        message["tokensInPool"] = tokens
        message["solInPool"] = sol
        message["marketCapSol"] = tidy(sol / tokens * SUPPLY_TOKENS)
        message["pool"] = "pump-amm"
    return Frame(due_us, kind, mint, trader, _encode(message))


def create_frame(
    due_us: int,
    mint: str,
    *,
    signature: str,
    creator: str,
    fill: Fill,
    curve_key: str,
    says: CoinName,
    mayhem: bool,
) -> Frame:
    """Build a create on pool `pump`; `fill` is the creator's own buy (zero amounts: none)."""
    v_tokens, v_sol, market_cap = printed_reserves(fill.reserve_tokens)
    message: Json = {
        "signature": signature,
        "mint": mint,
        "traderPublicKey": creator,
        "txType": CREATE,
        "initialBuy": printed(fill.tokens, BASE_UNITS_PER_TOKEN),
        "solAmount": printed(fill.lamports, LAMPORTS_PER_SOL),
        "bondingCurveKey": curve_key,
        "vTokensInBondingCurve": v_tokens,
        "vSolInBondingCurve": v_sol,
        "marketCapSol": market_cap,
        **_spoken(says),
        "is_mayhem_mode": mayhem,
        "pool": "pump",
    }
    return Frame(due_us, CREATE, mint, creator, _encode(message))


def bonk_create_frame(
    due_us: int, mint: str, *, signature: str, creator: str, lamports: int, says: CoinName
) -> Frame:
    """Build a create on pool `bonk`: pool reserves that are not the price, no curve fields."""
    tokens = 1_073_025_605_596_382 * lamports // (30_000_852_951 + lamports)
    sol_in_pool = printed(lamports, LAMPORTS_PER_SOL)
    price = (30.000852951 + sol_in_pool) / (1_073_025_605.596382 - tokens / BASE_UNITS_PER_TOKEN)
    message: Json = {
        "signature": signature,
        "traderPublicKey": creator,
        "txType": CREATE,
        "mint": mint,
        "solInPool": sol_in_pool,
        "tokensInPool": printed(10**15 - tokens, BASE_UNITS_PER_TOKEN),
        "initialBuy": printed(tokens, BASE_UNITS_PER_TOKEN),
        "solAmount": sol_in_pool,
        "newTokenBalance": printed(tokens, BASE_UNITS_PER_TOKEN),
        "marketCapSol": price * SUPPLY_TOKENS,
        **_spoken(says),
        "pool": "bonk",
    }
    return Frame(due_us, CREATE, mint, creator, _encode(message))


def migrate_frame(due_us: int, mint: str, signature: str) -> Frame:
    """Build the four-field frame that says a coin graduated."""
    message = {"signature": signature, "mint": mint, "txType": MIGRATE, "pool": "pump-amm"}
    return Frame(due_us, MIGRATE, mint, "", _encode(message))


def _spoken(says: CoinName) -> Json:
    return {key: value for key, value in says._asdict().items() if value is not None}
