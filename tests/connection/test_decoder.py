from __future__ import annotations

import gzip
import json
import os
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.connection.decoder import ControlFrame, Malformed, RejectReason, Unknown, decode
from actors.connection.fields import lamports, units
from actors.connection.sanitize import clean_text
from actors.domain import Coin, Migration, Mint, Trade, Wallet

BUY: dict[str, Any] = {
    "signature": "sigBuy",
    "mint": "MintOne",
    "traderPublicKey": "walletOne",
    "txType": "buy",
    "tokenAmount": 7066624.744305,
    "solAmount": 0.512415373,
    "newTokenBalance": 7066624.744305,
    "bondingCurveKey": "curve",
    "vTokensInBondingCurve": 662753986.490062,
    "vSolInBondingCurve": 48.57005865853466,
    "marketCapSol": 73.28520031356005,
    "pool": "pump",
}
CREATE: dict[str, Any] = {
    "signature": "sigCreate",
    "mint": "MintOne",
    "traderPublicKey": "creator",
    "txType": "create",
    "initialBuy": 67062500,
    "solAmount": 2,
    "bondingCurveKey": "curve",
    "vTokensInBondingCurve": 1005937500,
    "vSolInBondingCurve": 32,
    "marketCapSol": 31.811121466,
    "name": "One",
    "symbol": "ONE",
    "uri": "https://ipfs.io/ipfs/one",
    "is_mayhem_mode": False,
    "pool": "pump",
}


def read(frame: dict[str, Any] | str | bytes) -> Any:
    if isinstance(frame, dict):
        frame = json.dumps(frame)
    return decode(frame.encode() if isinstance(frame, str) else frame, 7, 1_000_000)


def without(frame: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in frame.items() if name not in names}


def test_buy_on_the_curve_becomes_a_trade_in_integers() -> None:
    assert read(BUY) == Trade(
        seq=7,
        arrived_us=1_000_000,
        mint=Mint("MintOne"),
        signature="sigBuy",
        trader=Wallet("walletOne"),
        is_buy=True,
        sol_lamports=512_415_373,
        token_units=7_066_624_744_305,
        price_sol=48.57005865853466 / 662753986.490062,
        virtual_sol_lamports=48_570_058_659,
        virtual_token_units=662_753_986_490_062,
        pool="pump",
    )


def test_sell_is_a_trade_with_positive_amounts() -> None:
    trade = read(BUY | {"txType": "sell"})

    assert isinstance(trade, Trade)
    assert (trade.is_buy, trade.sol_lamports) == (False, 512_415_373)


def test_integers_and_doubles_mean_the_same() -> None:
    whole = read(BUY | {"tokenAmount": 2, "solAmount": 30})
    broken = read(BUY | {"tokenAmount": 2.0, "solAmount": 30.0})

    assert whole == broken
    assert (whole.sol_lamports, whole.token_units) == (30_000_000_000, 2_000_000)


@pytest.mark.parametrize(
    ("extra", "price"),
    [
        ({"tokensInPool": 206_900_000, "solInPool": 84.99, "marketCapSol": 410.0}, 4.107781536e-7),
        ({"marketCapSol": 410.0}, 4.1e-7),
        ({}, 0.512415373 / 7066624.744305),
    ],
)
def test_trade_after_graduation_is_priced_from_what_it_has(
    extra: dict[str, Any], price: float
) -> None:
    # Given one of the shapes in which AMM trades come
    frame = without(BUY, "vTokensInBondingCurve", "vSolInBondingCurve", "marketCapSol")

    # When it is decoded
    trade = read(frame | {"pool": "pump-amm"} | extra)

    # Then it has a price and no reserves of a curve
    assert trade.price_sol == pytest.approx(price, rel=1e-9)
    assert (trade.virtual_sol_lamports, trade.virtual_token_units) == (None, None)


def test_trade_with_six_fields_only_counts_as_amm() -> None:
    names = ("signature", "mint", "traderPublicKey", "txType", "tokenAmount", "solAmount")

    trade = read({name: BUY[name] for name in names})

    assert isinstance(trade, Trade)
    assert trade.pool == "pump-amm"


def test_creators_buy_inside_the_create_becomes_the_first_trade() -> None:
    coin = read(CREATE)

    assert isinstance(coin, Coin)
    assert coin.buy == Trade(
        seq=7,
        arrived_us=1_000_000,
        mint=Mint("MintOne"),
        signature="sigCreate",
        trader=Wallet("creator"),
        is_buy=True,
        sol_lamports=2_000_000_000,
        token_units=67_062_500_000_000,
        price_sol=32 / 1005937500,
        virtual_sol_lamports=32_000_000_000,
        virtual_token_units=1_005_937_500_000_000,
        pool="pump",
        in_create=True,
    )


@pytest.mark.parametrize("said", [BUY, BUY | {"newTokenBalance": float("nan")}])
@pytest.mark.parametrize("amount", ["absent", None])
def test_trade_of_2024_without_an_amount_is_a_trade(
    said: dict[str, Any], amount: str | None
) -> None:
    frame = without(said, "solAmount") if amount == "absent" else said | {"solAmount": None}

    trade = read(without(frame, "pool") | {"txType": "sell"})

    assert isinstance(trade, Trade)
    assert (trade.is_buy, trade.sol_lamports, trade.pool) == (False, None, "pump")
    assert trade.token_units == 7_066_624_744_305
    assert trade.price_sol == 48.57005865853466 / 662753986.490062


def test_trade_without_a_token_amount_cannot_be_known_again_and_is_malformed() -> None:
    assert read(without(BUY, "tokenAmount")) == Malformed(RejectReason.BAD_AMOUNT)


@pytest.mark.parametrize("pool", [{"pool": "pump"}, {}])
def test_first_buy_of_2024_cost_what_lies_above_the_initial_reserves(pool: dict[str, str]) -> None:
    frame = without(CREATE, "solAmount", "pool") | {
        "initialBuy": 12_345_678.9,
        "vTokensInBondingCurve": 1_060_654_321.1,
        "vSolInBondingCurve": 30.349191704,
    }

    coin = read(frame | pool)

    assert coin.buy.sol_lamports == 349_191_704
    assert coin.buy.token_units == 12_345_678_900_000


@pytest.mark.parametrize(
    "unknown",
    [
        {"pool": "bonk"},
        {"vSolInBondingCurve": None},
        {"vTokensInBondingCurve": None},
        # Another curve: the product is off by more than a millionth.
        {"vSolInBondingCurve": 32.0001},
        # No SOL lies above the initial 30, or less than that.
        {"vSolInBondingCurve": 30, "vTokensInBondingCurve": 1_073_000_000},
        {"vSolInBondingCurve": 29, "vTokensInBondingCurve": 1_110_000_000},
    ],
)
def test_first_buy_whose_amount_nobody_knows_has_none_not_0(unknown: dict[str, Any]) -> None:
    coin = read(without(CREATE, "solAmount") | unknown)

    assert coin.buy.sol_lamports is None
    assert coin.buy.token_units == 67_062_500_000_000


@pytest.mark.parametrize("amounts", [{"initialBuy": 0, "solAmount": 0}, None])
def test_create_without_a_buy_has_none(amounts: dict[str, int] | None) -> None:
    frame = without(CREATE, "initialBuy", "solAmount") if amounts is None else CREATE | amounts

    assert read(frame).buy is None


def test_bonk_create_takes_its_price_from_the_market_cap() -> None:
    # Given a launch pool whose reserves' ratio is not the price
    frame = without(CREATE, "bondingCurveKey", "vTokensInBondingCurve", "vSolInBondingCurve")
    frame |= {
        "pool": "bonk",
        "solInPool": 0.89055,
        "tokensInPool": 967574707.778913,
        "marketCapSol": 29.72713613571716,
    }

    coin = read(frame)

    assert coin.price_sol == pytest.approx(2.972713613571716e-8)
    assert (coin.virtual_sol_lamports, coin.bonding_curve_key) == (None, "")


def test_migrate_may_stand_for_a_mint_never_seen() -> None:
    frame = {"signature": "s", "mint": "MintOne", "txType": "migrate", "pool": "pump-amm"}

    assert read(frame) == Migration(7, 1_000_000, Mint("MintOne"), "s", "pump-amm")


def test_create_without_name_symbol_and_uri_has_empty_texts() -> None:
    coin = read(without(CREATE, "name", "symbol", "uri"))

    assert (coin.name, coin.symbol, coin.uri) == ("", "", "")


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({}, None),
        ({"twitter": "", "telegram": None}, 0),
        ({"twitter": "https://x.com/a", "website": "https://a.b", "discord": " "}, 2),
    ],
)
def test_social_count_is_known_only_if_the_frame_has_such_fields(
    fields: dict[str, Any], count: int | None
) -> None:
    assert read(CREATE | fields).social_count == count


def test_name_with_nul_and_lone_surrogate_is_cleaned() -> None:
    coin = read(json.dumps(CREATE | {"name": "x"}).replace('"x"', r'"a\u0000b\ud83dc\ud83d\ude00"'))

    assert coin.name == "abc\U0001f600"
    assert json.loads(coin.frame)["name"] == "abc\U0001f600"


def test_ten_megabyte_name_is_cut_and_the_frame_stays_small() -> None:
    coin = read(CREATE | {"name": "x" * 10_000_000})

    assert isinstance(coin, Coin)
    assert coin.name == "x" * 255
    assert len(coin.frame) <= 16_384
    assert json.loads(coin.frame)["mint"] == "MintOne"


def test_frame_of_a_coin_keeps_every_field() -> None:
    coin = read(CREATE | {"description": "new field", "nested": {"a": [1, 2.5, None]}})

    assert json.loads(coin.frame) == CREATE | {
        "description": "new field",
        "nested": {"a": [1, 2.5, None]},
    }


def test_frame_with_too_many_fields_keeps_the_known_ones() -> None:
    coin = read(CREATE | {f"field{number}": number for number in range(5_000)})

    assert json.loads(coin.frame) == CREATE


def test_nan_in_a_field_nobody_counts_is_survived() -> None:
    trade = read(json.dumps(BUY | {"newTokenBalance": float("nan"), "marketCapSol": float("inf")}))

    assert isinstance(trade, Trade)
    assert trade.sol_lamports == 512_415_373


def test_wrong_types_of_helping_fields_are_survived() -> None:
    trade = read(BUY | {"marketCapSol": "73", "pool": 5, "solInPool": []})

    assert isinstance(trade, Trade)
    assert trade.pool == "pump"


@pytest.mark.parametrize(
    "amount",
    [-1, -0.001, 1e7, 1e300, float("nan"), float("inf"), "2", True, [], 10**400],
)
def test_dishonest_sol_amount_is_malformed(amount: object) -> None:
    assert read(json.dumps(BUY | {"solAmount": amount})) == Malformed(RejectReason.BAD_AMOUNT)


@pytest.mark.parametrize("amount", [-1, 1e12, float("-inf"), "7", False])
def test_dishonest_token_amount_is_malformed(amount: object) -> None:
    assert read(json.dumps(BUY | {"tokenAmount": amount})) == Malformed(RejectReason.BAD_AMOUNT)


def test_amounts_just_inside_the_bounds_are_taken() -> None:
    trade = read(BUY | {"solAmount": 9_999_999.0, "tokenAmount": 2**39})

    assert trade.sol_lamports == 9_999_999_000_000_000
    assert trade.token_units == 549_755_813_888_000_000


@pytest.mark.parametrize("name", ["vSolInBondingCurve", "vTokensInBondingCurve"])
@pytest.mark.parametrize("value", [-1, 1e300, "30"])
def test_dishonest_reserves_are_malformed(name: str, value: object) -> None:
    assert read(BUY | {name: value}) == Malformed(RejectReason.BAD_AMOUNT)


@pytest.mark.parametrize(
    "mint", ["", "a b", "a\x00b", "x" * 65, "m\u00fcnt", "a\nb", "a\x7f", 5, None]
)
def test_mint_that_is_not_printable_ascii_is_malformed(mint: object) -> None:
    assert read(BUY | {"mint": mint}) == Malformed(RejectReason.BAD_MINT)


@pytest.mark.parametrize(
    "mint", ["x" * 64, "!", "~", "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"]
)
def test_printable_mint_is_taken(mint: str) -> None:
    assert read(BUY | {"mint": mint}).mint == mint


@pytest.mark.parametrize("name", ["signature", "traderPublicKey"])
@pytest.mark.parametrize("frame", [BUY, CREATE])
def test_frame_without_its_identity_is_malformed(frame: dict[str, Any], name: str) -> None:
    assert read(without(frame, name)) == Malformed(RejectReason.BAD_FIELD)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", RejectReason.NOT_JSON),
        (b"hello", RejectReason.NOT_JSON),
        (b'{"txType":"buy"', RejectReason.NOT_JSON),
        (b"[" * 100_000, RejectReason.NOT_JSON),
        (b'{"a":' + b"9" * 5_000 + b"}", RejectReason.NOT_JSON),
        (b'{"txType":"buy","a":"\xff"}', RejectReason.NOT_UTF8),
        (b"\x00\xff\xfe", RejectReason.NOT_UTF8),
        (b"[]", RejectReason.NOT_OBJECT),
        (b"[1,2]", RejectReason.NOT_OBJECT),
        (b"5", RejectReason.NOT_OBJECT),
        (b"null", RejectReason.NOT_OBJECT),
        (b'"text"', RejectReason.NOT_OBJECT),
        (b"NaN", RejectReason.NOT_OBJECT),
        (b'{"txType":5}', RejectReason.BAD_FIELD),
        (b'{"txType":null}', RejectReason.BAD_FIELD),
        (b" " * (16 * 1024 * 1024 + 1), RejectReason.TOO_LARGE),
    ],
)
def test_rubbish_is_malformed_with_its_reason(frame: bytes, reason: RejectReason) -> None:
    assert read(frame) == Malformed(reason)


def test_unknown_kind_is_named_and_bounded() -> None:
    assert read({"txType": "burn", "mint": "MintOne"}) == Unknown("burn")
    assert read({"txType": "x" * 100}) == Unknown("x" * 64)


@pytest.mark.parametrize(
    ("frame", "control"),
    [
        ({"message": "Unsubscribed."}, ControlFrame("Unsubscribed.", is_error=False)),
        ({"errors": "Invalid API key."}, ControlFrame("Invalid API key.", is_error=True)),
        ({"errors": ["a", 1]}, ControlFrame('["a",1]', is_error=True)),
        ({"mint": "MintOne"}, ControlFrame('{"mint":"MintOne"}', is_error=False)),
        ({"message": "x" * 1000}, ControlFrame("x" * 500, is_error=False)),
    ],
)
def test_frame_without_kind_is_control_even_with_a_mint(
    frame: dict[str, Any], control: ControlFrame
) -> None:
    assert read(frame) == control


def test_escaped_field_names_are_read_like_plain_ones() -> None:
    assert isinstance(read(json.dumps(BUY).replace("txType", r"tx\u0054ype")), Trade)


@given(st.binary(max_size=200))
def test_no_bytes_raise(frame: bytes) -> None:
    assert read(frame) is not None


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["\ud800", "\x00", "buy", 1e308, -0.0]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


# How long an input takes to make says more about the machine than about the frames.
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from([BUY, CREATE, {"txType": "migrate", "mint": "m", "signature": "s"}]),
    st.dictionaries(st.sampled_from([*BUY, *CREATE, "solInPool", "extra"]), json_values),
)
def test_no_mutation_of_a_frame_raises_and_events_can_be_stored(
    frame: dict[str, Any], changes: dict[str, Any]
) -> None:
    # When a frame with any fields changed to anything is decoded
    event = read(json.dumps(frame | changes))

    # Then what comes out can be serialised, and its texts can be stored
    if isinstance(event, Trade | Coin | Migration):
        assert "\\u0000" not in msgspec.json.encode(event).decode()
    if isinstance(event, Coin):
        assert len(event.frame) <= 16_384
        assert json.loads(event.frame.decode()) is not None


@given(st.integers(0, 2_000_000 * 10**9), st.integers(0, 2 * 10**15))
def test_printed_amounts_come_back_exactly(lamports: int, units: int) -> None:
    sol = f"{lamports // 10**9}.{lamports % 10**9:09d}"
    tokens = f"{units // 10**6}.{units % 10**6:06d}"
    frame = json.dumps(BUY | {"solAmount": "SOL", "tokenAmount": "TOKENS"})

    trade = read(frame.replace('"SOL"', sol).replace('"TOKENS"', tokens))

    assert (trade.sol_lamports, trade.token_units) == (lamports, units)


@given(st.text(), st.integers(0, 20))
def test_cleaned_text_can_be_stored(text: str, limit: int) -> None:
    cleaned = clean_text(text, limit)

    assert len(cleaned) <= limit
    assert "\x00" not in cleaned
    cleaned.encode()


def test_recorded_session_holds_what_its_description_says() -> None:
    folder = os.environ.get("MINTWATCH_RECORDINGS")
    if folder:
        lines = Path(folder, "session-2026-07-03.jsonl").read_bytes().splitlines()
        expected, expected_buys = {"Coin": 198, "Migration": 7, "ControlFrame": 3}, 168
    else:
        packed = Path(__file__).parents[1] / "recordings" / "session.jsonl.gz"
        lines = gzip.decompress(packed.read_bytes()).splitlines()
        expected, expected_buys = {"Coin": 209, "Migration": 9, "ControlFrame": 3}, 164
    kinds: Counter[str] = Counter()
    buys = 0
    for line in lines:
        frame = line[line.index(b'"message": ') + len(b'"message": ') : -1]
        decoded = read(frame)
        kinds[type(decoded).__name__] += 1
        buys += isinstance(decoded, Coin) and decoded.buy is not None

    assert kinds == expected
    assert buys == expected_buys


@pytest.mark.parametrize(
    ("sol", "expected"),
    [
        (37.136464234500004, 37_136_464_235),
        (37.1364642345, 37_136_464_234),
        (37.1364642355, 37_136_464_236),
        (0.0000000005, 0),
        (0.0000000015, 2),
        (0.1 + 0.2, 300_000_000),
        (1_999_999.123456789, 1_999_999_123_456_789),
    ],
)
def test_amounts_are_rounded_as_the_decimals_they_are_printed_as(sol: float, expected: int) -> None:
    assert lamports(sol) == expected


@given(st.floats(0, 1e7, exclude_max=True), st.floats(0, 1e12, exclude_max=True))
def test_every_amount_is_the_nearest_integer_of_its_decimal(sol: float, tokens: float) -> None:
    assert lamports(sol) == int(Decimal(repr(sol)).scaleb(9).to_integral_value())
    assert units(tokens) == int(Decimal(repr(tokens)).scaleb(6).to_integral_value())
