"""A poisonous event in the middle of a batch costs exactly that event; the tracker goes on."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from actors.domain import Trade
from actors.operator.inspection import Inspection
from actors.protocol.supervisor import GetActors
from tests.runtime.seeds import seeds, try_each
from tests.supervisor.scripted import POISONER, T0_US, House, create, sliced, trade

if TYPE_CHECKING:
    from actors.connection.partition import RawFrame

SEEDS = seeds(100)


def market(seed: int, poisons: int) -> tuple[list[tuple[RawFrame, ...]], list[int]]:
    """A coin with 60 trades of 1 to 60 lamports in 30 s; tell which of them are poisonous."""
    chance = random.Random(seed)
    poisonous = sorted(chance.sample(range(1, 61), poisons))
    frames = [create("A", T0_US)]
    for number in range(1, 61):
        trader = POISONER if number in poisonous else "alice"
        at_us = T0_US + number * 500_000
        frames.append(trade("A", at_us, number, lamports=number, trader=trader))
    return sliced(frames, chance), poisonous


def played(seed: int, poisons: int, min_trades: int) -> tuple[House, list[int]]:
    script, poisonous = market(seed, poisons)
    house = House(seed, script, rests=True, activation="trades", activation_min_trades=min_trades)
    house.play()
    assert house.exit_codes == [0], f"seed {seed}: the end was not in order"
    assert house.system.ledger.balanced, f"seed {seed}: the books do not balance"
    return house, poisonous


def check_only_poison_is_missing(seed: int, house: House, poisonous: list[int]) -> None:
    letters = house.system.letters()
    assert [letter.message.sol_lamports for letter in letters] == poisonous, f"seed {seed}"
    assert {(letter.actor, letter.reason) for letter in letters} == {("tracker:A", "failed")}
    assert all(isinstance(letter.message, Trade) for letter in letters), f"seed {seed}"
    lamports = sum(candle.volume_lamports for candle in house.candles())
    assert lamports == 1_830 - sum(poisonous), f"seed {seed}: {lamports} lamports in candles"
    good = 60 - len(poisonous)
    assert house.places() == {"queued": good, "dead": len(poisonous)}, f"seed {seed}"
    late = house.system.telemetry.value("mintwatch_late_trades_total")
    assert late == 0, f"seed {seed}: {late} late trades"


def test_poison_among_routed_trades_costs_exactly_itself() -> None:
    def scenario(seed: int) -> None:
        house, poisonous = played(seed, poisons=4, min_trades=0)
        check_only_poison_is_missing(seed, house, poisonous)

    try_each(scenario, SEEDS)


def test_poison_among_handed_over_trades_costs_exactly_itself() -> None:
    def scenario(seed: int) -> None:
        house, poisonous = played(seed, poisons=4, min_trades=45)
        check_only_poison_is_missing(seed, house, poisonous)

    try_each(scenario, SEEDS)


def test_every_restart_is_counted_and_the_tracker_is_never_replaced() -> None:
    house, _ = played(seed=1, poisons=3, min_trades=0)
    restarts = house.system.telemetry.value("mintwatch_restarts_total", kind="tracker")
    assert restarts == 3


def test_too_much_poison_quarantines_one_tracker_and_leaves_the_others_alone() -> None:
    def scenario(seed: int) -> None:
        script, poisonous = market(seed, poisons=6)
        others = [
            create("B", T0_US + 1),
            *(trade("B", T0_US + n * 1_000, n, 1) for n in range(2, 42)),
        ]
        script = [*sliced(others, random.Random(seed)), *script]
        house = House(seed, script, rests=True, activation="trades", activation_min_trades=0)
        house.play()
        assert house.exit_codes == [0], f"seed {seed}: the end was not in order"
        of_b = [candle for candle in house.candles() if candle.mint == "B"]
        assert sum(candle.num_trades for candle in of_b) == 40, f"seed {seed}: others suffered"
        lamports = sum(c.volume_lamports for c in house.candles() if c.mint == "A")
        # What waited in quarantine is written in the chance that the drain gives.
        assert lamports == 1_830 - sum(poisonous), f"seed {seed}: {lamports} lamports"
        names = [actor.name for actor in Inspection(house.system).answer(GetActors())]
        assert not any(name.startswith("tracker") for name in names), f"seed {seed}"

    try_each(scenario, SEEDS)
