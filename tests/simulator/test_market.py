import json
import re
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.frames import Frame
from simulator.market import Market, MarketConfig

USDC = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
HOUR_US = 3_600_000_000
BASE58 = re.compile(r"[1-9A-HJ-NP-Za-km-z]+")


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return Market(11).frames(2 * HOUR_US)


@pytest.fixture(scope="module")
def messages(frames: list[Frame]) -> list[dict[str, Any]]:
    return [json.loads(frame.data) for frame in frames]


def of(messages: list[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    return [message for message in messages if message["txType"] in kinds]


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)]


def base_units(tokens: float) -> int:
    return round(tokens * 1_000_000)


def test_same_seed_gives_the_same_frames() -> None:
    assert Market(5).frames(60_000_000) == Market(5).frames(60_000_000)


def test_other_seed_gives_other_frames() -> None:
    assert Market(5).frames(60_000_000) != Market(6).frames(60_000_000)


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, 30_000_000), max_size=8))
def test_cutting_the_time_into_calls_changes_nothing(cuts: list[int]) -> None:
    whole = Market(5).frames(30_000_000)
    market, parts = Market(5), []
    for until_us in [*sorted(cuts), 30_000_000]:
        parts += market.frames(until_us)

    assert parts == whole


def test_frames_come_in_due_order(frames: list[Frame]) -> None:
    dues = [frame.due_us for frame in frames]

    assert dues == sorted(dues)
    assert dues[0] > 0
    assert dues[-1] <= 2 * HOUR_US


def test_routing_fields_agree_with_the_text(
    frames: list[Frame], messages: list[dict[str, Any]]
) -> None:
    for frame, message in zip(frames[:5000], messages[:5000], strict=True):
        assert (frame.kind, frame.mint) == (message["txType"], message["mint"])
        assert frame.trader == message.get("traderPublicKey", "")


def test_reserves_of_a_mint_form_a_chain(messages: list[dict[str, Any]]) -> None:
    reserves: dict[str, int] = {}
    checked = 0
    mayhem = {m["mint"] for m in of(messages, "create") if m.get("is_mayhem_mode")}
    for message in messages:
        mint = message["mint"]
        if message.get("pool") != "pump" or mint in mayhem or mint == USDC:
            continue
        after = base_units(message["vTokensInBondingCurve"])
        if message["txType"] == "create":
            assert after == 1_073_000_000_000_000 - base_units(message["initialBuy"])
        else:
            moved = base_units(message["tokenAmount"])
            expected = -moved if message["txType"] == "buy" else moved
            assert after - reserves[mint] == expected
            checked += 1
        reserves[mint] = after
    assert checked > 10_000


def test_mayhem_chains_break_now_and_then(messages: list[dict[str, Any]]) -> None:
    mayhem = {m["mint"] for m in of(messages, "create") if m.get("is_mayhem_mode")}
    reserves: dict[str, int] = {}
    breaks = 0
    for message in of(messages, "buy", "sell"):
        mint = message["mint"]
        if mint in mayhem and message.get("pool") == "pump":
            after = base_units(message["vTokensInBondingCurve"])
            moved = base_units(message["tokenAmount"])
            before = after + moved if message["txType"] == "buy" else after - moved
            breaks += before != reserves.get(mint, before)
            reserves[mint] = after

    assert breaks > 10


def test_nobody_sells_more_than_he_holds(messages: list[dict[str, Any]]) -> None:
    sells = of(messages, "sell")
    on_curve = [m for m in sells if m.get("pool") == "pump"]

    assert all(m["newTokenBalance"] >= 0 for m in on_curve)
    assert any(m["newTokenBalance"] == 0 for m in on_curve)


def test_every_curve_frame_prints_the_exact_product(messages: list[dict[str, Any]]) -> None:
    for message in messages:
        if "vTokensInBondingCurve" in message:
            v_tokens = message["vTokensInBondingCurve"]
            assert message["vSolInBondingCurve"] == 32190000000 / v_tokens
            assert message["marketCapSol"] == message["vSolInBondingCurve"] / v_tokens * 1e9


def test_fields_and_their_order_are_those_of_the_feed(messages: list[dict[str, Any]]) -> None:
    shapes = {
        (m["txType"], m.get("pool"), "name" in m, "tokensInPool" in m): " ".join(m)
        for m in messages
    }

    assert shapes["create", "pump", True, False] == (
        "signature mint traderPublicKey txType initialBuy solAmount bondingCurveKey "
        "vTokensInBondingCurve vSolInBondingCurve marketCapSol name symbol uri is_mayhem_mode pool"
    )
    assert shapes["create", "bonk", True, True] == (
        "signature traderPublicKey txType mint solInPool tokensInPool initialBuy solAmount "
        "newTokenBalance marketCapSol name symbol uri pool"
    )
    assert shapes["buy", "pump", False, False] == (
        "signature mint traderPublicKey txType tokenAmount solAmount newTokenBalance "
        "bondingCurveKey vTokensInBondingCurve vSolInBondingCurve marketCapSol pool"
    )
    assert shapes["migrate", "pump-amm", False, False] == "signature mint txType pool"
    assert shapes["sell", None, False, False] == (
        "signature mint traderPublicKey txType tokenAmount solAmount"
    )
    assert "marketCapSol" in shapes["buy", "pump-amm", False, True]


def test_usdc_creates_carry_the_quote_mint_and_no_name(messages: list[dict[str, Any]]) -> None:
    creates = of(messages, "create")
    usdc = [m for m in creates if m["mint"] == USDC]

    assert 0.03 < len(usdc) / len(creates) < 0.08
    for message in usdc:
        assert message["vTokensInBondingCurve"] == 1_073_000_000
        assert (message["initialBuy"], message["vSolInBondingCurve"]) == (0, 30)
        assert not {"name", "symbol", "uri"} & message.keys()


def test_mints_signatures_and_wallets_look_like_solanas(messages: list[dict[str, Any]]) -> None:
    mints = {m["mint"] for m in messages} - {USDC}

    assert {len(mint) for mint in mints} == {43, 44}
    assert {len(m["signature"]) for m in messages} == {87, 88}
    assert all(BASE58.fullmatch(text) for text in mints)
    assert all(BASE58.fullmatch(m["signature"]) for m in messages)
    assert 0.8 < sum(mint.endswith("pump") for mint in mints) / len(mints) < 0.97


def test_graduation_fills_the_curve_then_migrates_then_trades_on_the_pool(
    messages: list[dict[str, Any]],
) -> None:
    events: dict[str, list[str]] = defaultdict(list)
    for message in messages:
        if message["mint"] == USDC:
            continue
        full = message.get("vTokensInBondingCurve") == 279_900_000
        on_pool = "vTokensInBondingCurve" not in message and message["txType"] in ("buy", "sell")
        kind = "full" if full else "pool" if on_pool else message["txType"]
        if not events[message["mint"]] or events[message["mint"]][-1] != kind:
            events[message["mint"]].append(kind)
    graduated = [order for order in events.values() if "migrate" in order]
    creates = len(of(messages, "create"))

    assert 0.015 < len(graduated) / creates < 0.055
    for order in graduated:
        after = order[order.index("migrate") :]
        assert after in (["migrate"], ["migrate", "pool"])
    assert sum(order[-1] == "pool" for order in graduated) > 5
    assert sum("full" in order for order in graduated) > 0.7 * len(graduated)


def test_some_coins_migrate_right_after_their_create(frames: list[Frame]) -> None:
    created = {frame.mint: frame.due_us for frame in frames if frame.kind == "create"}
    waits_us = [
        f.due_us - created[f.mint] for f in frames if f.kind == "migrate" and f.mint in created
    ]

    assert 35_000 <= min(waits_us) < 240_000


def test_creates_come_as_measured(frames: list[Frame]) -> None:
    dues = [frame.due_us for frame in frames if frame.kind == "create"]
    gaps_s = [(b - a) / 1e6 for a, b in pairwise(dues)]

    assert 18 < len(dues) / 120 < 26
    assert 0.8 < quantile(gaps_s, 0.5) < 1.5
    assert 6 < quantile(gaps_s, 0.9) < 10
    assert 13 < quantile(gaps_s, 0.99) < 25


def test_creators_buys_are_as_measured(messages: list[dict[str, Any]]) -> None:
    sol = [m["solAmount"] for m in of(messages, "create") if m["mint"] != USDC]

    assert 0.11 < sum(amount == 0 for amount in sol) / len(sol) < 0.2
    assert 0.06 < quantile(sol, 0.5) < 0.2
    assert 3 < quantile(sol, 0.9) < 7


def test_trade_sizes_are_as_measured(messages: list[dict[str, Any]]) -> None:
    trades = of(messages, "buy", "sell")
    buys = [m["solAmount"] for m in trades if m["txType"] == "buy"]
    sells = [m["solAmount"] for m in trades if m["txType"] == "sell"]

    assert 0.45 < len(buys) / len(trades) < 0.56
    assert 0.07 < quantile(buys, 0.5) < 0.15
    assert 0.7 < quantile(buys, 0.9) < 1.7
    assert 0.04 < quantile(sells, 0.5) < 0.15
    assert 0.4 < quantile(sells, 0.9) < 1.6


def test_trades_per_mint_have_a_heavy_tail(messages: list[dict[str, Any]]) -> None:
    early = {m["mint"] for m in of(messages, "create")[:1200] if m["pool"] == "pump"} - {USDC}
    counts = Counter(m["mint"] for m in of(messages, "buy", "sell"))
    trades = [float(counts[mint]) for mint in early]

    assert 0.1 < sum(n == 0 for n in trades) / len(trades) < 0.2
    assert 4 < quantile(trades, 0.5) < 11
    assert 60 < quantile(trades, 0.9) < 150
    assert max(trades) > 600


def test_names_symbols_and_creators_are_shared_as_measured(messages: list[dict[str, Any]]) -> None:
    creates = of(messages, "create")
    named = [m for m in creates if m.get("name")]

    def shared(rows: list[dict[str, Any]], field: str) -> float:
        counts = Counter(m[field] for m in rows)
        return sum(counts[m[field]] > 1 for m in rows) / len(rows)

    assert 0.33 < shared(named, "name") < 0.53
    assert 0.43 < shared(named, "symbol") < 0.63
    assert 0.66 < shared(creates, "traderPublicKey") < 0.86
    assert 0.008 < sum(not m["name"].isascii() for m in named) / len(named) < 0.04
    assert any("\n" in m["name"] for m in named)
    assert any(m["name"].endswith(" ") for m in named)
    assert any(m.get("name") == "" for m in creates)
    assert any("name" not in m for m in creates if m["mint"] != USDC)


def test_mayhem_coins_share_one_curve_key(messages: list[dict[str, Any]]) -> None:
    mayhem = [m for m in of(messages, "create") if m.get("is_mayhem_mode")]
    keys = Counter(m["bondingCurveKey"] for m in mayhem)

    assert 0.12 < len(mayhem) / len(of(messages, "create")) < 0.24
    assert 0.4 < keys.most_common(1)[0][1] / len(mayhem) < 0.6


def test_some_signatures_hold_two_different_trades(messages: list[dict[str, Any]]) -> None:
    trades = of(messages, "buy", "sell")
    identities = {
        (m["signature"], m["mint"], m["traderPublicKey"], m["txType"], m["tokenAmount"])
        for m in trades
    }
    signatures = {m["signature"] for m in trades}

    assert len(identities) == len(trades)
    assert 0.01 < 1 - len(signatures) / len(trades) < 0.04


def test_rate_multiplies_the_creates() -> None:
    creates = [
        f for f in Market(3, MarketConfig(rate=10)).frames(300_000_000) if f.kind == "create"
    ]

    assert 900 < len(creates) < 1300


def test_direct_mode_creates_all_coins_at_once_and_trades_at_the_rate() -> None:
    market = Market(3, MarketConfig(coins=50, trades_per_second=400, bundle_share=0))

    opening = market.frames(0)
    later = market.frames(10_000_000)

    assert [frame.kind for frame in opening] == ["create"] * 50
    assert len({frame.mint for frame in opening}) == 50
    assert {frame.kind for frame in later} == {"buy", "sell"}
    assert {frame.mint for frame in later} <= {frame.mint for frame in opening}
    assert 3700 < len(later) < 4300


def test_direct_mode_spreads_creates_when_asked() -> None:
    market = Market(3, MarketConfig(coins=50, create_rate_per_s=10, trades_per_second=0))

    assert len(market.frames(999_999)) == 10
    assert len(market.frames(10_000_000)) == 40
    assert market.next_due_us is None


def test_direct_mode_bursts_fit_into_ten_milliseconds() -> None:
    config = MarketConfig(
        coins=5, trades_per_second=0, burst_size=50, burst_every_s=2, bundle_share=0, mayhem_share=0
    )
    market = Market(3, config)
    market.frames(0)

    burst = market.frames(2_500_000)

    assert len(burst) == 50
    assert burst[0].due_us == 2_000_000
    assert burst[-1].due_us < 2_010_000
