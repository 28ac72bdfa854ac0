from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from actors.discovery.coin_cache import CachedCoin, CoinCache, is_full
from actors.domain import Mint
from tests.discovery.builders import START_US, coin, trade

SECOND = 1_000_000
MINTS = st.sampled_from(["MintA", "MintB", "MintC", "MintD", "MintE"])


def make_cache(
    *, max_coins: int = 100, max_trades: int = 1_000, max_trades_per_coin: int = 1_000
) -> CoinCache:
    return CoinCache(120 * SECOND, max_coins, max_trades, max_trades_per_coin)


def mints(entries: list[CachedCoin]) -> list[str]:
    return [entry.coin.mint for entry in entries]


def test_creators_buy_is_the_first_cached_trade() -> None:
    entry = make_cache().add(coin())
    assert [kept.signature for kept in entry.trades] == ["create1"]


def test_coin_without_a_creators_buy_starts_without_trades() -> None:
    assert make_cache().add(coin(with_buy=False)).trades == []


def test_coin_that_is_cached_already_is_refused() -> None:
    cache = make_cache()
    cache.add(coin())
    with pytest.raises(ValueError, match="coin MintA is cached already"):
        cache.add(coin())


def test_trade_counts_once_by_identity() -> None:
    cache = make_cache()
    entry = cache.add(coin(with_buy=False))

    assert cache.add_trade(entry, trade(seq=2, signature="s"))
    assert not cache.add_trade(entry, trade(seq=3, signature="s"))
    assert cache.add_trade(entry, trade(seq=4, signature="other"))

    assert [kept.seq for kept in entry.trades] == [2, 4]
    assert cache.stats().trades == 2


def test_coin_expires_when_it_has_waited_for_the_whole_time() -> None:
    cache = make_cache()
    cache.add(coin(at_s=0))
    assert cache.next_expiry_us() == START_US + 120 * SECOND

    assert cache.expire(START_US + 120 * SECOND - 1) == []
    assert mints(cache.expire(START_US + 120 * SECOND)) == ["MintA"]
    assert cache.next_expiry_us() is None


def test_activated_coin_neither_expires_nor_delays_others() -> None:
    cache = make_cache()
    cache.add(coin("MintA")).activated = True
    cache.add(coin("MintB", at_s=1))

    assert cache.next_expiry_us() == START_US + 121 * SECOND
    assert mints(cache.expire(START_US + 500 * SECOND)) == ["MintB"]
    assert cache.get(Mint("MintA")) is not None


def test_full_cache_evicts_the_oldest_that_is_not_activated() -> None:
    cache = make_cache(max_coins=2)
    cache.add(coin("MintA")).activated = True
    cache.add(coin("MintB", at_s=1))
    newest = cache.add(coin("MintC", at_s=2))

    assert mints(cache.evict(newest)) == ["MintB"]


def test_cache_full_of_activated_coins_evicts_the_oldest_of_all() -> None:
    cache = make_cache(max_coins=1)
    cache.add(coin("MintA")).activated = True
    newest = cache.add(coin("MintB", at_s=1))
    newest.activated = True

    assert mints(cache.evict(newest)) == ["MintA"]


def test_coin_past_its_own_bound_of_trades_is_evicted_whole() -> None:
    cache = make_cache(max_trades_per_coin=2)
    cache.add(coin("MintA"))
    entry = cache.add(coin("MintB", with_buy=False, at_s=1))
    for seq in (2, 3):
        cache.add_trade(entry, trade("MintB", seq))
        assert cache.evict(entry) == []

    cache.add_trade(entry, trade("MintB", 4))

    assert mints(cache.evict(entry)) == ["MintB"]
    assert len(entry.trades) == 3
    assert cache.stats().trades == 1


def test_cache_past_the_bound_of_all_trades_evicts_the_oldest_coin() -> None:
    cache = make_cache(max_trades=2)
    cache.add(coin("MintA"))
    entry = cache.add(coin("MintB", at_s=1))
    cache.add_trade(entry, trade("MintB", 9))

    assert mints(cache.evict(entry)) == ["MintA"]
    assert cache.stats().trades == 2


def test_lowered_bound_acts_with_the_next_change() -> None:
    cache = make_cache()
    cache.add(coin("MintA"))
    entry = cache.add(coin("MintB", at_s=1))
    cache.max_coins = 1

    assert mints(cache.evict(entry)) == ["MintA"]


@pytest.mark.parametrize(
    ("virtual_sol", "full"),
    [
        (None, False),
        (30.0, False),
        (85.0, False),
        (114.574, False),
        (114.575, True),
        (115.005, True),
    ],
)
def test_curve_is_full_at_99_5_percent_of_real_sol(virtual_sol: float | None, full: bool) -> None:
    lamports = None if virtual_sol is None else round(virtual_sol * 1e9)
    assert is_full(lamports, 30.0, 85.0) is full


def test_originals_thresholds_hold_the_virtual_figure_against_85() -> None:
    assert is_full(round(84.575 * 1e9), 0.0, 85.0)


@dataclass
class Row:
    """What the model keeps of one coin."""

    mint: str
    at_s: int
    signatures: set[str] = field(default_factory=set)
    activated: bool = False


class CacheMachine(RuleBasedStateMachine):
    """The cache against a plain list that is searched from its front."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = CoinCache(20 * SECOND, max_coins=3, max_trades=8, max_trades_per_coin=4)
        self.rows: list[Row] = []
        self.at_s = 0
        self.seq = 0

    def row(self, mint: str) -> Row | None:
        return next((row for row in self.rows if row.mint == mint), None)

    def evicted(self, touched: Row) -> list[str]:
        gone = [touched] if len(touched.signatures) > 4 else []
        self.rows = [row for row in self.rows if row not in gone]
        while len(self.rows) > 3 or sum(len(row.signatures) for row in self.rows) > 8:
            victim = next((row for row in self.rows if not row.activated), self.rows[0])
            gone.append(victim)
            self.rows.remove(victim)
        return [row.mint for row in gone]

    @rule(mint=MINTS, pause_s=st.integers(0, 9))
    def create(self, mint: str, pause_s: int) -> None:
        self.at_s += pause_s
        self.seq += 1
        if self.row(mint) is None:
            entry = self.cache.add(coin(mint, self.seq, at_s=self.at_s, with_buy=False))
            row = Row(mint, self.at_s)
            self.rows.append(row)
            assert mints(self.cache.evict(entry)) == self.evicted(row)

    @rule(mint=MINTS, signature=st.sampled_from("abcde"))
    def trade(self, mint: str, signature: str) -> None:
        row, entry = self.row(mint), self.cache.get(Mint(mint))
        assert (row is None) == (entry is None)
        if row is not None and entry is not None:
            is_new = self.cache.add_trade(entry, trade(mint, signature=signature))
            assert is_new == (signature not in row.signatures)
            row.signatures.add(signature)
            assert mints(self.cache.evict(entry)) == self.evicted(row)

    @rule(mint=MINTS)
    def activate(self, mint: str) -> None:
        row, entry = self.row(mint), self.cache.get(Mint(mint))
        if row is not None and entry is not None:
            row.activated = entry.activated = True

    @rule(mint=MINTS)
    def remove(self, mint: str) -> None:
        entry = self.cache.remove(Mint(mint))
        assert (None if entry is None else entry.coin.mint) == getattr(self.row(mint), "mint", None)
        self.rows = [row for row in self.rows if row.mint != mint]

    @rule(pause_s=st.integers(0, 25))
    def expire(self, pause_s: int) -> None:
        self.at_s += pause_s
        due = [row for row in self.rows if not row.activated and self.at_s - row.at_s >= 20]
        expired = self.cache.expire(START_US + self.at_s * SECOND)
        assert mints(expired) == [row.mint for row in due]
        self.rows = [row for row in self.rows if row not in due]

    @invariant()
    def stats_agree(self) -> None:
        stats = self.cache.stats()
        assert stats.total == len(self.rows)
        assert stats.trades == sum(len(row.signatures) for row in self.rows)
        assert stats.oldest_us == (START_US + self.rows[0].at_s * SECOND if self.rows else None)


TestCacheAgreesWithAPlainList = CacheMachine.TestCase
TestCacheAgreesWithAPlainList.settings = settings(max_examples=100, stateful_step_count=40)


def test_activated_coin_that_nobody_tracks_is_given_up_in_the_end() -> None:
    cache = make_cache()
    entry = cache.add(coin("MintA"))
    entry.activated = True
    assert cache.next_expiry_us() == START_US + 720 * SECOND
    assert cache.expire(START_US + 720 * SECOND - 1) == []
    assert cache.give_up(START_US + 720 * SECOND - 1) == []
    assert cache.give_up(START_US + 720 * SECOND) == [entry]
    assert cache.next_expiry_us() is None
