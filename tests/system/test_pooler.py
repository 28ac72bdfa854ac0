"""Through a real PgBouncer, as Debian has it: sessions work, shared ones are refused."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from db.embedded.server import EmbeddedPostgres
from db.errors import MigrationError
from db.migrate import migrate
from db.pool import connect
from db.pooler import refuse_shared_sessions
from simulator.process import start_simulator
from tests.e2e.recordings import FROM_CREATE, NO_FILTER
from tests.e2e.rows import query, rows
from tests.support.service import Service, free_port
from tests.support.waiting import wait_until
from tests.system.needs import command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from db.embedded.home import Account
    from tests.support.postgres import PostgresServer

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

CONFIGURATION = """
[databases]
* = host={host} port={port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
logfile = {folder}/pgbouncer.log
{more}
"""


@contextmanager
def pooler(dsn: str, more: str = "") -> Iterator[str]:
    """Run a PgBouncer in front of a database, and give the address of the database behind it."""
    with TemporaryDirectory(prefix="mintwatch-") as name:
        folder = Path(name)
        # It does not run as root, and has to reach the socket of the server.
        account = EmbeddedPostgres(folder / "unused").home.account
        if account.switch:
            os.chown(folder, account.uid, account.gid)
        with _running(folder, account, dsn, more) as behind:
            yield behind


@contextmanager
def _running(folder: Path, account: Account, dsn: str, more: str) -> Iterator[str]:
    place, listen = conninfo_to_dict(dsn), free_port()
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(
        CONFIGURATION.format(
            host=place["host"], port=place["port"], user=place["user"], listen=listen,
            folder=folder, more=more,
        )
    )  # fmt: skip
    with subprocess.Popen(
        [command("pgbouncer", "pgbouncer"), str(configuration)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **account.popen_options(),
    ) as process:
        behind = f"postgresql://anybody@127.0.0.1:{listen}/{place['dbname']}"
        try:
            wait_until(lambda: answers(behind) or process.poll() is not None, what="PgBouncer")
            assert process.poll() is None, (folder / "pgbouncer.log").read_text()
            yield behind
        finally:
            process.terminate()
            process.wait(10)


def answers(dsn: str) -> bool:
    try:
        psycopg.connect(dsn, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def test_pooler_as_installed_is_migrated_and_written_through(
    empty_dsn: str, tmp_path: Path
) -> None:
    with (
        pooler(empty_dsn) as behind,
        start_simulator(["simulate", "--coins", "5", "--trades-per-second", "50"]) as market,
        Service(tmp_path, WS_URI=market.uri, DB_DSN=behind, **(FROM_CREATE | NO_FILTER)) as service,
    ):
        service.wait_ready()
        wait_until(lambda: len(rows(empty_dsn)) > 3, 40, "rows")
        assert service.stop() == 0

    sessions = query(empty_dsn, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
    assert sessions == [(0,)]
    assert "Traceback" not in service.log


def test_limits_of_a_session_hold_behind_a_pooler(empty_dsn: str) -> None:
    shown = "SELECT current_setting('statement_timeout'), current_setting('timezone')"
    with pooler(empty_dsn) as behind:
        for seconds, said in ((2.5, "2500ms"), (7.0, "7s")):
            with connect(behind, statement_timeout_s=seconds) as connection:
                row = connection.execute(shown).fetchone()
            connection.close()
            assert row == (said, "UTC")


@pytest.mark.parametrize("mode", ["transaction", "statement"])
@pytest.mark.parametrize("more", ["", "ignore_startup_parameters = options,extra_float_digits"])
def test_pooler_that_shares_sessions_is_refused_with_what_to_set(
    mode: str, more: str, empty_dsn: str, tmp_path: Path
) -> None:
    with pooler(empty_dsn, f"pool_mode = {mode}\n{more}") as behind:
        for _ in range(5):
            with pytest.raises(MigrationError, match="set pool_mode=session"):
                refuse_shared_sessions(behind)
        with (
            start_simulator(["simulate", "--hold"]) as market,
            Service(tmp_path, WS_URI=market.uri, DB_DSN=behind) as service,
        ):
            assert service.process.wait(30) == 78
            assert "pool_mode=session" in service.log
            assert "Traceback" not in service.log

    assert query(empty_dsn, "SELECT count(*) FROM pg_class WHERE relname = 'coin_metrics'") == [
        (0,)
    ]


def test_server_itself_shares_no_session(dsn: str, own_postgres: PostgresServer) -> None:
    for _ in range(5):
        refuse_shared_sessions(dsn)
    migrate(own_postgres.dsn("mintwatch"))
