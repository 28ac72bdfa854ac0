from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.discovery.coin_filter import CoinFilter, FilterReason, compile_pattern
from tests.discovery.builders import coin

SECOND = 1_000_000


def make_filter(
    pattern: str = "rug|scam", *, threshold: int = 3, max_texts: int = 100
) -> CoinFilter:
    return CoinFilter(pattern, window_us=30 * SECOND, threshold=threshold, max_texts=max_texts)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Honest coin", None),
        ("RUG pull", FilterReason.BAD_NAME),
        ("a dRuG store", FilterReason.BAD_NAME),
        ("", None),
        ("x" * 256 + "rug", None),
        ("x" * 253 + "rug", FilterReason.BAD_NAME),
        ("line\nrug", FilterReason.BAD_NAME),
    ],
)
def test_bad_names_are_found_anywhere_in_the_first_256_characters(
    name: str, reason: FilterReason | None
) -> None:
    assert make_filter().check(coin(name=name), 0) is reason


def test_pattern_is_not_asked_about_the_symbol() -> None:
    assert make_filter().check(coin(symbol="RUG"), 0) is None


@pytest.mark.parametrize(
    "mint",
    [
        "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
        "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB",
        "So11111111111111111111111111111111111111112",
    ],
)
def test_quote_mints_are_filtered_whatever_their_name(mint: str) -> None:
    assert make_filter().check(coin(mint, name="rug"), 0) is FilterReason.QUOTE_MINT


@pytest.mark.parametrize("text", ["", "(", "[a", "a(?=b)", r"(a)\1", "a{2000}"])
def test_invalid_pattern_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="The pattern for bad names is"):
        compile_pattern(text)


def test_refused_pattern_leaves_the_former_one_in_force() -> None:
    coins = make_filter("rug")

    with pytest.raises(ValueError, match="not an RE2 expression"):
        coins.reconfigure("(", 30 * SECOND, 3)

    assert coins.check(coin(name="rug"), 0) is FilterReason.BAD_NAME


def test_pattern_that_backtracks_elsewhere_is_matched_in_linear_time() -> None:
    # Python's re would need 2**200 steps for this.
    assert make_filter("(a+)+$").check(coin(name="a" * 200 + "!"), 0) is None


def test_fourth_coin_of_a_name_within_the_window_is_a_burst() -> None:
    coins = make_filter()
    reasons = [coins.check(coin(name="Same", symbol=f"S{n}"), n * SECOND) for n in range(4)]
    assert reasons == [None, None, None, FilterReason.SPAM_BURST]


def test_fourth_coin_of_a_symbol_within_the_window_is_a_burst() -> None:
    coins = make_filter()
    reasons = [coins.check(coin(name=f"N{n}", symbol="SAME"), n * SECOND) for n in range(4)]
    assert reasons == [None, None, None, FilterReason.SPAM_BURST]


def test_names_are_compared_without_case_width_and_margins() -> None:
    coins = make_filter()
    for name in ("Straße", " STRASSE ", "\uff33\uff34\uff32\uff21\uff33\uff33\uff25"):
        assert coins.check(coin(name=name, symbol=""), 0) is None
    assert coins.check(coin(name="strasse", symbol=""), 0) is FilterReason.SPAM_BURST


def test_coin_seen_exactly_a_window_ago_does_not_count() -> None:
    coins = make_filter(threshold=1)
    assert coins.check(coin(), 0) is None
    assert coins.check(coin(), 30 * SECOND - 1) is FilterReason.SPAM_BURST
    assert coins.check(coin(), 30 * SECOND) is None


def test_filtered_coins_do_not_prolong_a_burst() -> None:
    coins = make_filter(threshold=1)
    assert coins.check(coin(), 0) is None
    for second in range(1, 30):
        assert coins.check(coin(), second * SECOND) is FilterReason.SPAM_BURST
    assert coins.check(coin(), 31 * SECOND) is None


def test_bad_names_do_not_register_for_bursts() -> None:
    coins = make_filter(threshold=1)
    assert coins.check(coin(name="rug", symbol="S"), 0) is FilterReason.BAD_NAME
    assert coins.check(coin(name="fine", symbol="S"), 0) is None


@pytest.mark.parametrize("text", ["", "   ", "\u3000"])
def test_empty_names_and_symbols_never_burst(text: str) -> None:
    coins = make_filter(threshold=1)
    assert [coins.check(coin(name=text, symbol=text), 0) for _ in range(5)] == [None] * 5


def test_memory_forgets_the_longest_unseen_name_first() -> None:
    coins = make_filter(threshold=1, max_texts=2)
    for name in ("one", "two", "three"):
        assert coins.check(coin(name=name, symbol=""), 0) is None

    assert coins.check(coin(name="three", symbol=""), 1) is FilterReason.SPAM_BURST
    assert coins.check(coin(name="two", symbol=""), 1) is FilterReason.SPAM_BURST
    assert coins.check(coin(name="one", symbol=""), 1) is None


COINS = st.lists(
    st.tuples(st.sampled_from(["a", "A", "b", "rug", ""]), st.sampled_from(["x", "y", ""]),
              st.integers(0, 12)),
    max_size=60,
)  # fmt: skip


@given(coins=COINS, threshold=st.integers(1, 4))
def test_filter_agrees_with_a_list_of_everything_ever_seen(
    coins: list[tuple[str, str, int]], threshold: int
) -> None:
    subject = make_filter("rug", threshold=threshold)
    passed: list[tuple[int, str, str]] = []
    now_us = 0
    for name, symbol, pause_s in coins:
        now_us += pause_s * SECOND
        expected: FilterReason | None = None
        key = unicodedata.normalize("NFKC", name).strip().casefold()
        recent = [entry for entry in passed if now_us - entry[0] < 30 * SECOND]
        same_name = sum(1 for entry in recent if key and entry[1] == key)
        same_symbol = sum(1 for entry in recent if symbol and entry[2] == symbol)
        if name == "rug":
            expected = FilterReason.BAD_NAME
        elif same_name >= threshold or same_symbol >= threshold:
            expected = FilterReason.SPAM_BURST
        else:
            passed.append((now_us, key, symbol))

        assert subject.check(coin(name=name, symbol=symbol), now_us) is expected
