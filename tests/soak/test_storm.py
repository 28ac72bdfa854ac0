"""A storm of failing coins costs exactly the events that fail, and no neighbour its pace."""

from __future__ import annotations

import faulthandler
from typing import TYPE_CHECKING

import click
import pytest

from actors.domain import Place
from tests.soak.storm import POISON, SLOW, Plan, Storm

if TYPE_CHECKING:
    from actors.domain import Mint

SLOWER = 2.0
"""How much longer the others' trades may take than in calm."""


def test_storm_adds_up_exactly() -> None:
    plan = Plan(seed=11, trackers=200, doomed=3)
    with Storm(plan) as storm:
        run(storm, calm_s=1, storm_s=6)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_ten_thousand_coins_in_a_storm_add_up_exactly_and_keep_their_pace() -> None:
    # Minutes of silence are the plan here, not a hang.
    faulthandler.cancel_dump_traceback_later()
    plan = Plan(seed=12, trackers=10_000, doomed=20)
    with Storm(plan) as storm:
        calm_ms, storm_ms = run(storm, calm_s=60, storm_s=180)
    click.echo(f"\n99 % within {calm_ms:.2f} ms in calm, {storm_ms:.2f} ms in the storm")
    assert storm_ms <= SLOWER * calm_ms


def run(storm: Storm, calm_s: float, storm_s: float) -> tuple[float, float]:
    """Let a calm time and a storm pass, check what they leave behind, and give both latencies."""
    plan, system = storm.plan, storm.system
    storm.send(plan.calm(calm_s))
    storm.wait_ended(len(plan.trades))
    calm = len(storm.waits)
    storm.send(plan.doom())
    storm.wait_quarantined(plan.doomed)
    storm.send(plan.storm(storm_s))
    late = plan.behind_doom()
    storm.wait_ended(len(plan.trades) - late)
    check_quarantine(storm, late)
    storm.revive()
    storm.wait_ended(len(plan.trades))

    poison = plan.count(POISON)
    assert plan.count(SLOW) >= 1
    places = {place: trades for place, trades in storm.places().items() if trades}
    assert places == {Place.OPEN: len(plan.trades) - poison, Place.DEAD: poison}
    assert {mint: volume(storm, mint) for mint in plan.lamports()} == plan.lamports()
    assert system.dead_letters.counts() == {"failed": poison}
    # Each doomed coin is given up at the failure that exceeds what it may have.
    given_up = len(plan.doomed)
    assert storm.decisions() == {"restart": poison - given_up, "quarantine": given_up}
    assert system.telemetry.value("mintwatch_late_trades_total") == 0
    troubled = plan.troubled()
    return p99_ms(storm.waits[:calm], troubled), p99_ms(storm.waits[calm:], troubled)


def check_quarantine(storm: Storm, late: int) -> None:
    """What came too late for the doomed coins waits for them, or is parked; nothing else is."""
    assert storm.quarantined() == storm.plan.doomed
    places = storm.places()
    assert places[Place.PARKED] > 0
    assert places[Place.PARKED] + places[Place.QUEUED] == late
    assert storm.system.telemetry.value("mintwatch_trades_parked_total") == places[Place.PARKED]


def volume(storm: Storm, mint: Mint) -> int:
    candle = storm.states[mint].candle
    return 0 if candle is None else candle.volume_lamports


def p99_ms(waits: list[tuple[Mint, int]], but: frozenset[Mint]) -> float:
    """Find within what time 99 % of the trades of the coins without trouble were handled."""
    sorted_us = sorted(wait_us for mint, wait_us in waits if mint not in but)
    return sorted_us[len(sorted_us) * 99 // 100] / 1000
