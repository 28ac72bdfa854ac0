"""A real PostgreSQL for tests: one server a session, one fresh database a test.

Fixtures: `dsn` (a migrated database), `empty_dsn` (nothing in it), `own_postgres` (a server of the
test's own, to be stopped and killed), `postgres_server` (the session's, which no test may stop).
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from db.embedded.server import EmbeddedPostgres
from db.migrate import migrate
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

_TEMPLATE = "migrated"


class PostgresServer:
    """One embedded server in a temporary folder, without fsync."""

    def __init__(self, folder: Path) -> None:
        self._embedded = EmbeddedPostgres(folder, durable=False)
        self._databases = 0

    def start(self) -> str:
        """Make the server run and return the DSN of its first database."""
        return self._embedded.start()

    def stop(self) -> None:
        """Stop the server in order."""
        self._embedded.stop()

    def kill(self) -> None:
        """End the server with SIGKILL and wait until nothing of it is left."""
        self._end(signal.SIGKILL)

    def stop_immediately(self) -> None:
        """Stop it as `pg_ctl stop -m immediate` does: no checkpoint, it recovers at its start."""
        self._end(signal.SIGQUIT)

    def _end(self, number: signal.Signals) -> None:
        pid = self.pid
        children = _children_of(pid)
        os.kill(pid, number)
        wait_until(lambda: not any(map(_exists, (pid, *children))), what=f"end of {pid}")

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        pid = self._embedded.status().pid
        assert pid is not None, "the server does not run"
        return pid

    def dsn(self, database: str) -> str:
        """Name a database of the running server."""
        dsn = self._embedded.status().dsn
        assert dsn is not None, "the server does not run"
        return dsn.replace("/mintwatch?", f"/{database}?")

    def make_database(self, template: str = "template1") -> str:
        """Create a database, as a copy of another one, and return its name."""
        self._databases += 1
        name = f"test_{self._databases}"
        with self._admin() as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database and end its sessions."""
        with self._admin() as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )

    def make_template(self) -> None:
        """Migrate a database once, for copies of it."""
        with self._admin() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_TEMPLATE)))
        migrate(self.dsn(_TEMPLATE))

    def _admin(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.dsn("postgres"), autocommit=True)


@contextmanager
def running_server() -> Iterator[PostgresServer]:
    """Run a server in a folder of its own, and remove both at the end."""
    folder = Path(tempfile.mkdtemp(prefix="mintwatch-"))
    # The unprivileged user that the server runs as must be able to enter.
    folder.chmod(0o711)
    server = PostgresServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The session's server, with a migrated template."""
    with running_server() as server:
        server.make_template()
        yield server


@pytest.fixture
def dsn(postgres_server: PostgresServer) -> Iterator[str]:
    """A migrated database of this test alone."""
    name = postgres_server.make_database(_TEMPLATE)
    yield postgres_server.dsn(name)
    postgres_server.drop_database(name)


@pytest.fixture
def empty_dsn(postgres_server: PostgresServer) -> Iterator[str]:
    """A database of this test alone, without a table."""
    name = postgres_server.make_database()
    yield postgres_server.dsn(name)
    postgres_server.drop_database(name)


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A server of this test alone; `migrate(own_postgres.dsn("mintwatch"))` fills its database."""
    with running_server() as server:
        yield server


def _exists(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def _children_of(pid: int) -> list[int]:
    with suppress(OSError):
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return [int(child) for child in listed.split()]
    return []
