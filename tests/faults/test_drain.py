"""The service is ended in order, at the worst moments, and the next run goes on from there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from db.migrate import migrate
from tests.e2e.rows import query, rows, streams
from tests.faults.world import World, eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.postgres import PostgresServer

_ACTIVE = "UPDATE coin_streams SET is_active = %s WHERE token_address = %s"


def test_drains_at_full_load_lose_and_double_nothing(dsn: str, tmp_path: Path) -> None:
    with World(tmp_path, dsn) as world:
        for trades in (100, 1_000):
            world.start()
            world.receive(trades)
            world.stop()
        world.start()
        world.receive(100)
        world.finish()
        world.check()


def test_second_signal_at_full_load_ends_at_once_and_loses_nothing(
    dsn: str, tmp_path: Path
) -> None:
    with World(tmp_path, dsn) as world:
        world.start()
        world.receive(1_000)
        world.interrupt()
        world.start()
        world.receive(200)
        world.finish()
        world.check()


def test_drain_in_the_middle_of_a_replay_goes_on_there(dsn: str, tmp_path: Path) -> None:
    with World(tmp_path, dsn, ("--coins", "25", "--trades-per-second", "1500")) as world:
        world.start()
        world.receive(6_000)
        world.kill()
        for _ in range(2):
            world.start()
            world.service.wait_log("streams_loaded")
            world.stop()
            assert "recovered" not in world.service.log
        world.start()
        world.service.wait_log("recovered")
        world.finish()
        world.check()


def test_rows_spooled_while_the_server_is_away_are_written_by_the_next_run(
    own_postgres: PostgresServer, tmp_path: Path
) -> None:
    dsn = own_postgres.dsn("mintwatch")
    migrate(dsn)
    with World(tmp_path, dsn) as world:
        world.start()
        eventually(lambda: rows(dsn), what="first rows")
        own_postgres.kill()
        world.receive(600)
        world.stop()
        own_postgres.start()
        before = len(rows(dsn))
        world.start()
        eventually(lambda: len(rows(dsn)) > before, what="the spooled rows")
        world.receive(200)
        world.finish()
        world.check()


def test_second_signal_while_the_server_is_away_ends_at_once_and_loses_nothing(
    own_postgres: PostgresServer, tmp_path: Path
) -> None:
    dsn = own_postgres.dsn("mintwatch")
    migrate(dsn)
    with World(tmp_path, dsn) as world:
        world.start()
        eventually(lambda: rows(dsn), what="first rows")
        own_postgres.kill()
        world.receive(600)
        world.interrupt()
        own_postgres.start()
        world.start()
        world.receive(200)
        world.finish()
        world.check()


def test_restarts_inside_one_window_give_spans_that_touch(dsn: str, tmp_path: Path) -> None:
    with World(tmp_path, dsn, window_seconds=60) as world:
        world.start()
        world.receive(800)
        world.stop()
        world.start()
        world.receive(400)
        world.kill()
        world.start()
        world.receive(400)
        world.finish()
        world.check()


def test_stream_switched_off_and_on_inside_one_window_keeps_every_trade(
    dsn: str, tmp_path: Path
) -> None:
    with World(tmp_path, dsn, window_seconds=60) as world:
        world.start()
        world.receive(1_000)
        world.market.fault("hold")
        world.rest()
        mint = next(iter(streams(dsn)))
        query(dsn, _ACTIVE, (False, mint))
        eventually(lambda: any(row.mint == mint for row in rows(dsn)), what="the cut candle")
        tracked = world.service.json("/feed")["routes"]
        query(dsn, _ACTIVE, (True, mint))
        eventually(lambda: world.service.json("/feed")["routes"] == tracked + 1, what="a tracker")
        world.market.fault("start")
        world.receive(1_000)
        world.stops += 1  # the candle that was cut
        world.finish()
        world.check()
        assert sum(row.mint == mint for row in rows(dsn)) >= 2
