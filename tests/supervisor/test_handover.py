"""From the cache to the tracker, while trades go on and windows pass: nothing lost or doubled."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from actors.domain import Candle, Mint
from actors.protocol.supervisor import TrackMint, UntrackMint
from tests.runtime.seeds import seeds, try_each
from tests.supervisor.scripted import (
    CELL_US,
    T0_US,
    House,
    Script,
    Slice,
    Tell,
    create,
    sliced,
    trade,
)

if TYPE_CHECKING:
    from actors.connection.partition import RawFrame

SEEDS = seeds(100)
MINTS = ("A", "B", "C")

Cells = dict[tuple[str, int], list[int]]
"""Lamports of each trade, sorted, by mint and end of the grid cell."""


class Market:
    """Three coins over 40 s, with a creator's buy, 30 trades and some repeated frames each."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.frames: list[RawFrame] = []
        self.cells: Cells = {}
        self.repeated = 0
        number = 0
        for mint in MINTS:
            born_us = T0_US + self.chance.randrange(10_000_000)
            self._add(create(mint, born_us, lamports=1_000), mint, 1_000)
            for _ in range(30):
                number += 1
                at_us = self.chance.randrange(born_us + 1, T0_US + 40_000_000)
                lamports = 2_000 + number
                kind = self.chance.choice(["buy", "sell"])
                self._add(trade(mint, at_us, number, lamports, kind=kind), mint, lamports)
                if self.chance.random() < 0.1:
                    again = trade(mint, at_us + 7, number, lamports, kind=kind)
                    self.frames.append(again)
                    self.repeated += 1
        self.frames.sort(key=lambda frame: frame.at_us)

    def _add(self, frame: RawFrame, mint: str, lamports: int) -> None:
        self.frames.append(frame)
        end_us = frame.at_us - frame.at_us % CELL_US + CELL_US
        self.cells.setdefault((mint, end_us), []).append(lamports)

    @property
    def trades(self) -> int:
        return sum(map(len, self.cells.values()))


def volumes(candles: list[Candle]) -> Counter[tuple[str, int, int, int]]:
    """Mint, end of the grid cell, trades and lamports of every candle."""
    return Counter(
        (candle.mint, -(-candle.timestamp_us // CELL_US) * CELL_US, candle.num_trades,
         candle.volume_lamports)
        for candle in candles
    )  # fmt: skip


def expected(cells: Cells) -> Counter[tuple[str, int, int, int]]:
    return Counter((mint, end, len(each), sum(each)) for (mint, end), each in cells.items())


def check_spans(candles: list[Candle], seed: int) -> None:
    ends: dict[str, int] = {}
    for candle in candles:
        assert candle.window_start_us >= ends.get(candle.mint, 0), f"seed {seed}: spans overlap"
        ends[candle.mint] = candle.timestamp_us


def play(seed: int, script: Script, **settings: Any) -> House:
    house = House(seed, script, **settings)
    house.play()
    assert house.system.letters() == [], f"seed {seed}: dead letters"
    assert house.system.ledger.balanced, f"seed {seed}: the books do not balance"
    assert house.system.telemetry.value("mintwatch_late_trades_total") == 0, f"seed {seed}: late"
    check_spans(house.candles(), seed)
    assert house.exit_codes == [0], f"seed {seed}: the end was not in order"
    return house


@pytest.mark.parametrize("min_trades", [0, 3, 12])
def test_every_trade_since_the_create_is_in_the_one_candle_of_its_window(min_trades: int) -> None:
    def scenario(seed: int) -> None:
        market = Market(seed)
        script = sliced(market.frames, market.chance)
        house = play(
            seed, script, activation="trades", activation_min_trades=min_trades,
            spam_burst_threshold=100,
        )  # fmt: skip
        assert volumes(house.candles()) == expected(market.cells), f"seed {seed}: candles differ"
        assert house.places() == {"queued": market.trades, "duplicate": market.repeated}, (
            f"seed {seed}: trades are elsewhere"
        )

    try_each(scenario, SEEDS)


def test_a_stream_that_starts_elsewhere_takes_over_what_is_cached() -> None:
    def scenario(seed: int) -> None:
        market = Market(seed)
        script: list[Slice | Tell] = list(sliced(market.frames, market.chance))
        for mint in MINTS:
            place = market.chance.randrange(len(script) // 2, len(script))
            wish = TrackMint(Mint(mint), 1, T0_US + 20_000_000, "stream")
            script.insert(place, Tell(wish))
        house = play(seed, script)
        found, right = volumes(house.candles()), expected(market.cells)
        assert found == right, f"seed {seed}: candles differ"

    try_each(scenario, SEEDS)


def test_a_coin_that_is_tracked_twice_has_no_trade_twice() -> None:
    def scenario(seed: int) -> None:
        market = Market(seed)
        script: list[Slice | Tell] = list(sliced(market.frames, market.chance))
        first, second, third = sorted(market.chance.sample(range(1, len(script)), 3))
        wish = TrackMint(Mint("A"), 1, T0_US, "stream")
        script.insert(third, Tell(wish))
        script.insert(second, Tell(UntrackMint(Mint("A"), "inactive")))
        script.insert(first, Tell(wish))
        house = play(seed, script, activation="external")
        right = {
            lamports for (mint, _), each in market.cells.items() if mint == "A" for lamports in each
        }
        volume = sum(candle.volume_lamports for candle in house.candles())
        places = house.places()
        assert volume <= sum(right), f"seed {seed}: {volume} lamports of {sum(right)}"
        in_candles = sum(candle.num_trades for candle in house.candles())
        assert places.get("queued", 0) == in_candles, f"seed {seed}: {places}"
        assert sum(places.values()) == market.trades + market.repeated, f"seed {seed}: {places}"

    try_each(scenario, SEEDS)


def test_a_feed_that_ends_in_the_middle_of_a_hand_over_ends_in_order() -> None:
    def scenario(seed: int) -> None:
        market = Market(seed)
        script = sliced(market.frames, market.chance)
        script = script[: market.chance.randrange(1, len(script) // 2)]
        house = play(
            seed, script, activation="trades", activation_min_trades=1, spam_burst_threshold=100
        )
        received, _ = house.system.ledger.read()
        places = house.places()
        in_candles = sum(candle.num_trades for candle in house.candles())
        assert places.get("queued", 0) == in_candles, f"seed {seed}: {places}"
        cached = places.get("cached", 0)
        assert in_candles + cached + places.get("duplicate", 0) == received, f"seed {seed}"

    try_each(scenario, SEEDS)


def test_a_feed_that_ends_right_behind_a_create_leaves_no_coin_in_the_cache() -> None:
    def scenario(seed: int) -> None:
        market = Market(seed)
        script = sliced(market.frames, market.chance)[: 1 + seed % 4]
        house = play(
            seed, script, activation="trades", activation_min_trades=0, spam_burst_threshold=100
        )
        assert house.places().get("cached", 0) == 0, f"seed {seed}: {house.places()}"

    try_each(scenario, SEEDS)
