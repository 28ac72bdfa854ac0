"""The service is ended by SIGKILL, again and again, and what it received is in rows all the same."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.faults.world import World

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("kills", [5, pytest.param(50, marks=pytest.mark.soak)])
def test_kills_at_random_moments_lose_and_double_nothing(
    kills: int, dsn: str, tmp_path: Path
) -> None:
    chance = random.Random(7)
    with World(tmp_path, dsn) as world:
        for _ in range(kills):
            world.start()
            world.receive(chance.randint(50, 2_000))
            world.kill()
        world.start()
        world.receive(500)
        world.finish()
        world.check()
