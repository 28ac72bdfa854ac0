"""Frames, read a second time by code of the audit's own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from actors.audit.reading import SeenTrade, read_frame

TRADE = {
    "signature": "Sig",
    "mint": "MintA",
    "traderPublicKey": "Wallet",
    "txType": "buy",
    "tokenAmount": 1000.5,
    "solAmount": 0.25,
    "vTokensInBondingCurve": 1_000_000_000,
    "vSolInBondingCurve": 32.19,
    "marketCapSol": 32.19,
    "pool": "pump",
}
CREATE = {
    "signature": "Sig",
    "mint": "MintA",
    "traderPublicKey": "Creator",
    "txType": "create",
    "initialBuy": 34_612_903.225806,
    "solAmount": 1,
    "vTokensInBondingCurve": 1_038_387_096.774194,
    "vSolInBondingCurve": 31,
    "pool": "pump",
}


def read(frame: dict[str, Any], **changes: Any) -> SeenTrade | None:
    wanted = {key: value for key, value in {**frame, **changes}.items() if value != "absent"}
    seen = read_frame(json.dumps(wanted).encode(), 7, 11)
    return None if seen is None else seen.trade


def sure(frame: dict[str, Any], **changes: Any) -> SeenTrade:
    trade = read(frame, **changes)
    assert trade is not None
    return trade


def test_trade_has_integer_amounts_and_the_price_of_the_reserves() -> None:
    trade = sure(TRADE)

    assert (trade.seq, trade.at_us, trade.mint, trade.trader) == (7, 11, "MintA", "Wallet")
    assert trade.is_buy
    assert trade.lamports == 250_000_000
    assert trade.virtual_lamports == 32_190_000_000
    assert trade.price_sol == 3.219e-8


@pytest.mark.parametrize(
    ("sol", "lamports"),
    [
        ("0.0000000005", 0),
        ("0.0000000015", 2),
        ("1.9999999995", 2_000_000_000),
        ("0.1234567894999999", 123_456_789),
        ("9999999.999999999", 9_999_999_999_999_999),
    ],
)
def test_amounts_are_rounded_half_to_even(sol: str, lamports: int) -> None:
    text = json.dumps(TRADE).replace('"solAmount": 0.25', f'"solAmount": {sol}')
    seen = read_frame(text.encode(), 1, 1)

    assert seen is not None
    assert seen.trade is not None
    assert seen.trade.lamports == lamports


@pytest.mark.parametrize(
    ("changes", "price"),
    [
        ({}, 3.219e-8),
        ({"vSolInBondingCurve": "absent", "marketCapSol": 50}, 5e-8),
        (
            {
                "vSolInBondingCurve": "absent",
                "vTokensInBondingCurve": "absent",
                "pool": "pump-amm",
                "solInPool": 80,
                "tokensInPool": 200_000_000,
            },
            4e-7,
        ),
        (
            {
                "vSolInBondingCurve": "absent",
                "pool": "bonk",
                "solInPool": 80,
                "tokensInPool": 200_000_000,
                "marketCapSol": 20,
            },
            2e-8,
        ),
        ({"vSolInBondingCurve": "absent", "marketCapSol": "absent", "tokenAmount": 10}, 0.025),
        ({"vSolInBondingCurve": "absent", "marketCapSol": "absent", "solAmount": 0.009}, None),
    ],
)
def test_price_comes_from_the_best_figure_there_is(
    changes: dict[str, Any], price: float | None
) -> None:
    assert sure(TRADE, **changes).price_sol == price


def test_trade_without_an_amount_of_sol_is_a_trade() -> None:
    assert sure(TRADE, solAmount="absent").lamports is None
    assert sure(TRADE, solAmount=None).lamports is None


@pytest.mark.parametrize(
    "changes",
    [
        {"solAmount": -1},
        {"solAmount": 10_000_000},
        {"solAmount": True},
        {"solAmount": "1"},
        {"solAmount": float("nan")},
        {"tokenAmount": "absent"},
        {"tokenAmount": 1e12},
        {"vSolInBondingCurve": -1},
        {"signature": ""},
        {"signature": 5},
        {"traderPublicKey": "absent"},
        {"mint": "with space"},
        {"mint": "M" * 65},
        {"mint": "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"},
        {"txType": "swap"},
    ],
)
def test_frame_that_nobody_can_count_is_no_trade(changes: dict[str, Any]) -> None:
    assert read(TRADE, **changes) is None


@pytest.mark.parametrize(
    "data",
    [b"", b"not JSON", b"[]", b'{"txType": "buy"', b"\xff\xfe", b"[" * 100_000, b"1" * 5_000],
)
def test_bytes_that_are_no_frame_raise_nothing(data: bytes) -> None:
    assert read_frame(data, 1, 1) is None


def test_create_brings_its_creator_and_his_buy() -> None:
    seen = read_frame(json.dumps(CREATE).encode(), 1, 1)

    assert seen is not None
    assert seen.creator == "Creator"
    assert seen.trade is not None
    assert (seen.trade.is_buy, seen.trade.lamports) == (True, 1_000_000_000)


def test_create_without_a_buy_brings_none() -> None:
    seen = read_frame(json.dumps({**CREATE, "initialBuy": 0}).encode(), 1, 1)

    assert seen is not None
    assert (seen.creator, seen.trade) == ("Creator", None)


@pytest.mark.parametrize(
    ("changes", "lamports"),
    [
        ({}, 1_000_000_000),
        ({"pool": "absent"}, 1_000_000_000),
        ({"pool": "bonk"}, None),
        ({"vSolInBondingCurve": 40}, None),
        ({"vSolInBondingCurve": "absent"}, None),
    ],
)
def test_create_without_an_amount_is_paid_by_its_curve_or_unknown(
    changes: dict[str, Any], lamports: int | None
) -> None:
    assert sure(CREATE, solAmount="absent", **changes).lamports == lamports


@pytest.mark.parametrize(
    "changes",
    [
        {"signature": "x"},
        {"traderPublicKey": "x"},
        {"txType": "sell"},
        {"tokenAmount": 1000.500001},
    ],
)
def test_identity_is_of_all_its_parts(changes: dict[str, Any]) -> None:
    assert sure(TRADE, **changes).identity != sure(TRADE).identity


def test_identity_does_not_depend_on_sol_and_reserves() -> None:
    again = sure(TRADE, solAmount=5, vSolInBondingCurve=31, tokenAmount=1000.5000000001)

    assert again.identity == sure(TRADE).identity


def test_texts_are_known_as_they_are_stored() -> None:
    assert sure(TRADE, traderPublicKey="Wal\x00let").trader == "Wallet"
    assert sure(TRADE, traderPublicKey="\ud800W" + "x" * 50).trader == "W" + "x" * 43
