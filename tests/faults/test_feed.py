"""The feed is dropped, in the middle of a frame, and tells again what it has told before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.rows import query
from tests.faults.world import World, eventually

if TYPE_CHECKING:
    from pathlib import Path

_GAPS = """
SELECT (extract(epoch from started_at) * 1000000)::bigint,
    (extract(epoch from ended_at) * 1000000)::bigint
FROM feed_gaps WHERE mint IS NULL ORDER BY started_at
"""


@pytest.mark.parametrize("drops", [20, pytest.param(100, marks=pytest.mark.soak)])
def test_drops_cost_no_more_than_the_gaps_say(drops: int, dsn: str, tmp_path: Path) -> None:
    with World(tmp_path, dsn, WS_RETRY_DELAY="0.05", WS_MAX_RETRY_DELAY="0.1") as world:
        world.start()
        world.receive(100)
        for number in range(drops):
            world.drop(mid_frame=number % 2 == 0)
            world.receive(20)
        world.finish()
        world.check()
        gaps = query(dsn, _GAPS)

    assert len(gaps) >= drops
    for away in world.away[:drops]:
        assert any(start <= away.until_us and end >= away.from_us for start, end in gaps)


def test_silence_is_ended_by_another_connection_and_is_in_the_gaps(
    dsn: str, tmp_path: Path
) -> None:
    with World(tmp_path, dsn, WS_CONNECTION_TIMEOUT=2, WS_RETRY_DELAY="0.05") as world:
        world.start()
        for _ in range(2):
            world.receive(400)
            world.silence()
        world.receive(400)
        world.finish()
        world.check()
        gaps = query(dsn, _GAPS)

    for away in world.away[:2]:
        # Nobody hears that the silence has begun: the gap is as long as nothing came.
        assert any(
            start <= away.from_us + 500_000 and end - start >= 2_000_000 for start, end in gaps
        )


def test_frames_that_come_again_after_a_reconnect_or_a_crash_count_once(
    dsn: str, tmp_path: Path
) -> None:
    with World(tmp_path, dsn, ("--coins", "25", "--fault", "redeliver=500")) as world:
        world.start()
        world.receive(800)
        assert came_again(world) > 0
        world.kill()
        world.start()
        assert came_again(world) > 0
        world.finish()
        world.check()


def came_again(world: World) -> int:
    """Drop the connection until trades come again; which of them do is the subscriptions' race."""
    before = world.places()["duplicate"]
    for _ in range(10):
        world.receive(300)
        world.drop(mid_frame=False)
        world.receive(100)
        repeated = world.places()["duplicate"] - before
        if repeated:
            return repeated
    return 0


def test_coins_that_graduate_are_finished_across_a_crash(dsn: str, tmp_path: Path) -> None:
    market = ("--coins", "40", "--create-rate", "10", "--fault", "migrate-after-create=0.5")
    with World(tmp_path, dsn, market) as world:
        world.start()
        world.receive(600)
        world.kill()
        world.start()
        world.receive(600)
        world.finish()
        world.check()
    assert eventually(lambda: query(dsn, "SELECT 1 FROM coin_streams WHERE is_graduated"))
