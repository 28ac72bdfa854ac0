"""Events as the connection would hand them on, with only the fields that a test is about."""

from __future__ import annotations

import json

from actors.domain import Coin, Migration, Mint, Trade, Wallet

START_US = 1_700_000_000_000_000
"""When the first event of a test arrives."""


def trade(
    mint: str = "MintA",
    seq: int = 2,
    *,
    at_s: float = 1.0,
    signature: str | None = None,
    virtual_sol: float | None = 31.0,
    in_create: bool = False,
) -> Trade:
    return Trade(
        seq=seq,
        arrived_us=START_US + round(at_s * 1e6),
        mint=Mint(mint),
        signature=signature or f"sig{seq}",
        trader=Wallet("Trader"),
        is_buy=True,
        sol_lamports=100_000_000,
        token_units=5_000_000,
        price_sol=2.8e-8,
        virtual_sol_lamports=None if virtual_sol is None else round(virtual_sol * 1e9),
        virtual_token_units=1_000_000_000_000_000,
        pool="pump",
        in_create=in_create,
    )


def coin(
    mint: str = "MintA",
    seq: int = 1,
    *,
    at_s: float = 0.0,
    name: str = "Alpha",
    symbol: str = "ALP",
    with_buy: bool = True,
    virtual_sol: float = 30.5,
    signature: str = "create1",
    social_count: int | None = None,
    frame: bytes | None = None,
) -> Coin:
    buy = trade(mint, seq, at_s=at_s, signature=signature, in_create=True)
    return Coin(
        seq=seq,
        arrived_us=START_US + round(at_s * 1e6),
        mint=Mint(mint),
        creator=Wallet("Creator"),
        signature=signature,
        name=name,
        symbol=symbol,
        uri="https://example.org/meta.json",
        pool="pump",
        bonding_curve_key="Curve",
        is_mayhem=False,
        price_sol=2.8e-8,
        virtual_sol_lamports=round(virtual_sol * 1e9),
        virtual_token_units=1_060_000_000_000_000,
        market_cap_sol=28.0,
        social_count=social_count,
        buy=buy if with_buy else None,
        frame=frame
        or json.dumps(
            {"txType": "create", "mint": mint, "name": name, "bondingCurveKey": "Curve"}
        ).encode(),
    )


def migration(mint: str = "MintA", seq: int = 50, *, at_s: float = 2.0) -> Migration:
    return Migration(
        seq=seq,
        arrived_us=START_US + round(at_s * 1e6),
        mint=Mint(mint),
        signature=f"migrate{seq}",
        pool="pump-amm",
    )
