"""Looking after a database whose server may not answer."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import psycopg2
import pytest

from db.instance import Holding, InstanceLock
from db.keeper import DatabaseKeeper
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.postgres import PostgresServer


@pytest.fixture
def keeper(own_postgres: PostgresServer, tmp_path: Path) -> Iterator[DatabaseKeeper]:
    keeper = DatabaseKeeper(own_postgres.dsn("mintwatch"), tmp_path)
    keeper.open()
    yield keeper
    keeper.close()


def end_lock_session(dsn: str) -> None:
    connection = psycopg2.connect(dsn)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'mintwatch instance'"
        )
    connection.close()


def test_a_server_that_does_not_answer_holds_nobody_up(
    own_postgres: PostgresServer, keeper: DatabaseKeeper
) -> None:
    dsn, pid = own_postgres.dsn("mintwatch"), own_postgres.pid
    end_lock_session(dsn)
    os.kill(pid, signal.SIGSTOP)
    try:
        began_s = time.monotonic()
        for _ in range(100):
            keeper.look_after()
        assert time.monotonic() - began_s < 1.0
    finally:
        os.kill(pid, signal.SIGCONT)

    other = InstanceLock(dsn)

    def is_kept() -> bool:
        keeper.look_after()
        held = other.keep()
        other.release()
        return held is Holding.THEIRS

    wait_until(is_kept, what="the lock being ours again")
