"""Sizes, pauses, phases and filters change while trades flow; no trade is lost or doubled."""

from __future__ import annotations

import faulthandler
import json
from typing import TYPE_CHECKING

import pytest

from tests.faults.operator import Operator
from tests.faults.world import World, eventually

if TYPE_CHECKING:
    from pathlib import Path

PAUSED = 100
COINS = 200
HARMLESS = "no name is like this"


@pytest.mark.parametrize(
    ("rounds", "per_s"),
    [(1, 400), pytest.param(3, 2_000, marks=[pytest.mark.soak, pytest.mark.timeout(600)])],
)
def test_steering_under_load_loses_and_doubles_nothing(
    rounds: int, per_s: int, dsn: str, tmp_path: Path
) -> None:
    # Minutes of silence are the plan here, not a hang.
    faulthandler.cancel_dump_traceback_later()
    market = ("--coins", str(COINS), "--create-rate", "100", "--trades-per-second", str(per_s))
    with World(tmp_path, dsn, market) as world:
        world.start()
        operator = Operator(world)
        world.receive(3 * per_s)
        for _ in range(rounds):
            steer(world, operator, per_s)
        world.finish()
        world.check()
        assert "[error" not in world.service.log


def steer(world: World, operator: Operator, per_s: int) -> None:
    """Change everything once, with half a second of trades behind each change."""
    for writers in (2, 8, 1):
        operator.writers(writers)
        world.receive(per_s // 2)
    for threads in (1, 8, 2):
        operator.threads(threads)
        world.receive(per_s // 2)
    paused = operator.pause(PAUSED)
    for seconds in (2, 1):
        operator.window(seconds)
        world.receive(per_s)
    for writers, threads in ((8, 8), (1, 2)):
        operator.writers(writers)
        operator.threads(threads)
        world.receive(per_s // 2)
    operator.resume(paused)
    sift(world, operator)
    world.receive(per_s)


def sift(world: World, operator: Operator) -> None:
    """Refuse a name, and see that a coin of this name is refused."""
    operator.refuse_names("sieve")
    before = operator.refused()
    world.market.fault("send", text=create(f"Sieve{before:.0f}"))
    eventually(lambda: operator.refused() == before + 1, what="the coin that is refused")
    operator.refuse_names(HARMLESS)


def create(mint: str) -> str:
    return json.dumps(
        {
            "txType": "create",
            "mint": mint,
            "signature": f"create {mint}",
            "traderPublicKey": "creator",
            "name": mint,
            "symbol": mint,
            "uri": "",
            "pool": "pump",
            "bondingCurveKey": "curve",
            "initialBuy": 0,
            "solAmount": 0,
            "vSolInBondingCurve": 30,
            "vTokensInBondingCurve": 1_073_000_000,
            "marketCapSol": 27.9,
        }
    )
