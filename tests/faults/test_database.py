"""PostgreSQL dies, throws its clients out or stands still, under load; every row comes."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import psycopg2
import pytest

from db.migrate import migrate
from tests.e2e.rows import query, rows
from tests.faults.world import TRADES_PER_SECOND, World, eventually
from tests.support.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_SESSIONS = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'mintwatch%%'
    AND pid <> pg_backend_pid() ORDER BY pid
"""


@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=pytest.mark.soak)])
@pytest.mark.parametrize("end", [PostgresServer.kill, PostgresServer.stop_immediately])
def test_server_that_dies_and_comes_back_gets_every_row(
    end: Callable[[PostgresServer], None],
    seconds: int,
    own_postgres: PostgresServer,
    tmp_path: Path,
) -> None:
    dsn = own_postgres.dsn("mintwatch")
    migrate(dsn)
    with World(tmp_path, dsn) as world:
        world.start()
        eventually(lambda: rows(dsn), what="first rows")
        end(own_postgres)
        world.receive(seconds * TRADES_PER_SECOND, 2.0 * seconds + 10)
        own_postgres.start()
        before = len(rows(dsn))
        eventually(lambda: len(rows(dsn)) > before, 30, "new rows")
        world.finish()
        world.check()


@pytest.mark.parametrize("times", [3, pytest.param(30, marks=pytest.mark.soak)])
def test_server_that_is_restarted_again_and_again_gets_every_row(
    times: int, own_postgres: PostgresServer, tmp_path: Path
) -> None:
    dsn = own_postgres.dsn("mintwatch")
    migrate(dsn)
    with World(tmp_path, dsn) as world:
        world.start()
        eventually(lambda: rows(dsn), what="first rows")
        for _ in range(times):
            own_postgres.stop()
            own_postgres.start()
            world.receive(TRADES_PER_SECOND)
        world.finish()
        world.check()


@pytest.mark.parametrize("rounds", [1, pytest.param(30, marks=pytest.mark.soak)])
def test_sessions_that_are_ended_one_by_one_cost_no_row(
    rounds: int, dsn: str, tmp_path: Path
) -> None:
    with World(tmp_path, dsn) as world:
        world.start()
        eventually(lambda: rows(dsn), what="first rows")
        ended = set()
        for _ in range(rounds):
            for (pid,) in query(dsn, _SESSIONS):
                query(dsn, "SELECT pg_terminate_backend(%s)", (pid,))
                ended.add(pid)
                world.receive(200)
        assert len(ended) >= 2 * rounds
        world.finish()
        world.check()


@pytest.mark.parametrize("seconds", [3, pytest.param(30, marks=pytest.mark.soak)])
def test_table_that_is_locked_for_a_while_gets_every_row(
    seconds: int, dsn: str, tmp_path: Path
) -> None:
    with World(tmp_path, dsn) as world:
        world.start()
        eventually(lambda: rows(dsn), what="first rows")
        with closing(psycopg2.connect(dsn)) as blocker, blocker.cursor() as cursor:
            cursor.execute("LOCK TABLE coin_metrics IN ACCESS EXCLUSIVE MODE")
            world.receive(seconds * TRADES_PER_SECOND, 2.0 * seconds + 10)
            blocker.rollback()
        world.finish()
        world.check()


def test_kill_while_the_server_is_away_loses_nothing(
    own_postgres: PostgresServer, tmp_path: Path
) -> None:
    dsn = own_postgres.dsn("mintwatch")
    migrate(dsn)
    with World(tmp_path, dsn, ("--coins", "40", "--create-rate", "8")) as world:
        world.start()
        eventually(lambda: rows(dsn), what="first rows")
        own_postgres.kill()
        world.receive(800)
        world.kill()
        own_postgres.start()
        world.start()
        world.receive(500)
        world.finish()
        world.check()
