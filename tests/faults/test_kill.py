"""The service is ended by SIGKILL, again and again; what it received is in rows all the same."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.e2e.rows import rows
from tests.faults.proxy import CommitProxy
from tests.faults.world import World, eventually

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("kills", [5, pytest.param(50, marks=pytest.mark.soak)])
def test_kills_at_random_moments_lose_and_double_nothing(
    kills: int, dsn: str, tmp_path: Path
) -> None:
    chance = random.Random(7)
    with World(tmp_path, dsn, STORE_TRADES=True) as world:
        for _ in range(kills):
            world.start()
            world.receive(chance.randint(50, 1_200))
            world.kill()
        world.start()
        world.receive(500)
        world.finish()
        world.check()


def test_kills_in_the_middle_of_a_replay_lose_and_double_nothing(dsn: str, tmp_path: Path) -> None:
    with World(tmp_path, dsn, ("--coins", "25", "--trades-per-second", "1500")) as world:
        world.start()
        world.receive(6_000)
        world.kill()
        for _ in range(2):
            world.start()
            world.service.wait_log("streams_loaded")
            world.kill()
            assert "recovered" not in world.service.log
        world.start()
        world.service.wait_log("recovered")
        world.finish()
        world.check()


def test_kill_between_a_commit_and_its_answer_writes_nothing_twice(
    dsn: str, tmp_path: Path
) -> None:
    folder = tmp_path / "socket"
    folder.mkdir()
    with CommitProxy(folder, dsn) as proxy, World(tmp_path, proxy.dsn) as world:
        world.start()
        eventually(lambda: rows(dsn), what="first rows")
        before = len(rows(dsn))
        proxy.arm()
        assert proxy.committing.wait(20)
        eventually(lambda: len(rows(dsn)) > before, what="the rows of the unanswered commit")
        world.kill()
        world.start()
        world.receive(500)
        world.finish()
        world.check()
