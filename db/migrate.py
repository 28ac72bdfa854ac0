"""Bring a database to what this version of mintwatch needs, once, whoever starts first.

Guarantees: a step is applied whole or not at all; a database with a foreign `coin_metrics` is
refused before anything is changed; two processes at once wait for each other; a second run changes
nothing; no row is lost (db.adopt).
"""

from __future__ import annotations

import os
import socket
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict
from yoyo import read_migrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import DatabaseURI

from db import phases
from db.errors import MigrationError
from db.pool import connect, connection_string

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCK_TIMEOUT_S: Final = 10.0
_ADVISORY_LOCK: Final = 0x6D696E74_00000001
_TABLE: Final = "mintwatch_migrations"

_FOREIGN_METRICS: Final = (
    "The table coin_metrics in this database has no column mint, so it belongs to another program: "
    "rename it "
    "(ALTER TABLE coin_metrics RENAME TO coin_metrics_old) or point DB_DSN at another database, "
    "then start again. "
    "Nothing was changed."
)


def migrate(dsn: str, *, lock_timeout_s: float = LOCK_TIMEOUT_S) -> list[str]:
    """Apply what is missing and seed the phases when there are none.

    Blocks as long as the steps take; an index on a large `coin_metrics` can take minutes, a lock at
    most `lock_timeout_s`.

    Returns:
        The names of the steps applied now, in order.

    Raises:
        DsnError: The connection string cannot be used.
        MigrationError: A step is not possible; says why and what to do. Steps before it stay
            applied.
        psycopg.OperationalError: The server cannot be reached.
    """
    with connect(dsn, application_name="mintwatch migrate") as connection:
        if _is_foreign(connection):
            raise MigrationError(_FOREIGN_METRICS)
    try:
        applied = _apply(dsn, lock_timeout_s)
        with connect(
            dsn, application_name="mintwatch migrate", lock_timeout_s=lock_timeout_s
        ) as connection:
            phases.seed(connection)
    except psycopg.errors.LockNotAvailable:
        raise MigrationError(
            f"A table was locked by another session for {lock_timeout_s:g} s: stop the programs "
            "that use this database "
            "(a long transaction of psql counts), then start again."
        ) from None
    except psycopg.errors.InsufficientPrivilege as error:
        raise MigrationError(
            f"The role of DB_DSN may not change the tables ({_said(error)}): start mintwatch once "
            "with the role that owns them."
        ) from None
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        raise MigrationError(
            f"The tables cannot be brought to what mintwatch needs: {_said(error)}. Remedy that (a "
            "view on a column "
            "whose type changes has to be dropped and made again), then start again."
        ) from None
    return applied


def _is_foreign(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute(
        """
        SELECT to_regclass('coin_metrics') IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM pg_attribute
            WHERE attrelid = to_regclass('coin_metrics') AND attname = 'mint' AND NOT attisdropped)
        """
    ).fetchone()
    return row == (True,)


def _apply(dsn: str, lock_timeout_s: float) -> list[str]:
    conninfo = connection_string(
        dsn,
        application_name="mintwatch migrate",
        statement_timeout_s=0,
        lock_timeout_s=lock_timeout_s,
    )
    uri = DatabaseURI(
        "postgresql+psycopg", None, None, None, None, None, conninfo_to_dict(conninfo)
    )
    with _Backend(uri, _TABLE) as backend, backend.lock():
        wanted = read_migrations("package:db:migrations").filter(
            lambda found: found.id.startswith("m0")
        )
        missing = backend.to_apply(wanted)
        # One by one: yoyo goes on in silence after a step it could not load.
        for step in missing:
            backend.apply_one(step)
        return [step.id for step in missing]


class _Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo has no types
    """Yoyo's backend with our table names and a lock that ends with its session.

    Yoyo's own lock is a row, which a killed process leaves behind; its log asks the network for
    this host's full name and the system for the user's, and neither has to answer.
    """

    _is_locked: bool = False
    log_table = "mintwatch_migration_log"
    version_table = "mintwatch_migration_version"

    @contextmanager
    def lock(self, timeout: float = 0) -> Iterator[None]:  # noqa: ARG002 - the session's lock_timeout holds
        if self._is_locked:
            yield
            return
        self.connection.execute("SELECT pg_advisory_lock(%s)", (_ADVISORY_LOCK,))
        self._is_locked = True
        try:
            yield
        finally:
            self._is_locked = False
            if not self.connection.closed:
                self.connection.execute("SELECT pg_advisory_unlock(%s)", (_ADVISORY_LOCK,))

    def get_log_data(self, migration: Any = None, operation: str = "apply") -> dict[str, Any]:
        return {
            "id": str(uuid.uuid4()),
            "migration_id": migration.id if migration else None,
            "migration_hash": migration.hash if migration else None,
            "username": str(os.getuid()),
            "hostname": socket.gethostname(),
            "created_at_utc": datetime.now(UTC).replace(tzinfo=None),
            "operation": operation,
        }


def _said(error: psycopg.Error) -> str:
    return error.diag.message_primary or str(error).strip()
