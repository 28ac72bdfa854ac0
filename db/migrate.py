"""Bring a database to what this version of mintwatch needs, once, whoever starts first.

Guarantees: all that is missing is applied or nothing; a database with a foreign `coin_metrics` is
refused before anything is changed; two processes at once wait for each other; a second run changes
nothing; no row is lost (db.adopt).
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import sql
from yoyo import internalmigrations, read_migrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import DatabaseURI

from db import phases
from db.dependents import refill
from db.errors import MigrationError
from db.indexes import giving_way, make_indexes
from db.pool import connect
from db.pooler import refuse_shared_sessions

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCK_TIMEOUT_S: Final = 1.0
PATIENCE_S: Final = 60.0
_LOOK_S: Final = 0.1
_NAME: Final = "mintwatch migrate"
_ADVISORY_LOCK: Final = 0x6D696E74_00000001
_TABLE: Final = "mintwatch_migrations"

_FOREIGN_METRICS: Final = (
    "The table coin_metrics in this database has no column mint, so it belongs to another program: "
    "rename it "
    "(ALTER TABLE coin_metrics RENAME TO coin_metrics_old) or point DB_DSN at another database, "
    "then start again. "
    "Nothing was changed."
)
_MAY_NOT: Final = (
    "The role of DB_DSN may not change the tables ({said}). Nothing was changed. Run `mintwatch "
    "migrate` once with a DB_DSN of the role that owns them, or have an administrator GRANT that "
    "role to this one, and CREATE ON SCHEMA where a schema is named; then start again. To run, "
    "less is needed: see docs/operations.md, Rights."
)


def migrate(
    dsn: str, *, lock_timeout_s: float = LOCK_TIMEOUT_S, patience_s: float = PATIENCE_S
) -> list[str]:
    """Apply what is missing, all of it or nothing, and seed the phases when there are none.

    Then, each by itself and again at the next start until it is done: indexes on large tables,
    which are made while others read and write, and materialised views that came back empty.

    Blocks as long as that takes. Nobody waits for a lock of ours longer than `lock_timeout_s`.

    Args:
        dsn: The database.
        lock_timeout_s: How long a statement waits for a lock, before it gives way and tries again.
        patience_s: After how long of giving way it is said that a table is locked.

    Returns:
        The names of the steps applied now, in order.

    Raises:
        DsnError: The connection string cannot be used.
        MigrationError: A step is not possible; says why and what to do. Nothing was changed.
        psycopg.OperationalError: The server cannot be reached.
    """
    refuse_shared_sessions(dsn)
    with (
        _said_to_operators(patience_s),
        connect(dsn, application_name=_NAME, statement_timeout_s=0, autocommit=True) as connection,
        _alone(connection, patience_s),
    ):
        if _is_foreign(connection):
            raise MigrationError(_FOREIGN_METRICS)
        applied = giving_way(lambda: _apply(dsn, lock_timeout_s), patience_s)
        make_indexes(dsn, lock_timeout_s=lock_timeout_s, patience_s=patience_s)
        refill(connection)
    return applied


@contextmanager
def _alone(connection: psycopg.Connection[Any], patience_s: float) -> Iterator[None]:
    """Hold a lock that ends with the session, so that nobody else migrates at the same time."""
    until_s = time.monotonic() + patience_s
    while not _holds(connection, "pg_try_advisory_lock"):
        if time.monotonic() >= until_s:
            raise MigrationError(
                "Another mintwatch migrates this database, which takes longer than "
                f"{patience_s:g} s: wait until it is done, then start again."
            )
        time.sleep(min(_LOOK_S, patience_s))
    try:
        yield
    finally:
        if not connection.closed:
            _holds(connection, "pg_advisory_unlock")


def _holds(connection: psycopg.Connection[Any], function: str) -> bool:
    query = sql.SQL("SELECT {}(%s)").format(sql.Identifier(function))
    return connection.execute(query, (_ADVISORY_LOCK,)).fetchone() == (True,)


@contextmanager
def _said_to_operators(patience_s: float) -> Iterator[None]:
    """Turn what the server refuses into a sentence that tells what to do."""
    try:
        yield
    except psycopg.errors.LockNotAvailable:
        raise MigrationError(
            f"A table was locked by another session for {patience_s:g} s: stop the programs "
            "that use this database "
            "(a long transaction of psql counts), then start again."
        ) from None
    except psycopg.errors.InsufficientPrivilege as error:
        raise MigrationError(_MAY_NOT.format(said=_said(error))) from None
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        raise MigrationError(
            f"The tables cannot be brought to what mintwatch needs: {_said(error)}. Nothing was "
            "changed. Remedy that, then start again."
        ) from None


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
    arguments = {"dsn": dsn, "lock_timeout_s": lock_timeout_s}
    uri = DatabaseURI("postgresql+psycopg", None, None, None, None, None, arguments)
    # One transaction for all: a refused database is as it was before, our own tables included.
    with _Backend(uri, _TABLE) as backend, backend.transaction():
        wanted = read_migrations("package:db:migrations").filter(
            lambda found: found.id.startswith("m0")
        )
        missing = backend.to_apply(wanted)
        # One by one: yoyo goes on in silence after a step it could not load.
        for step in missing:
            backend.apply_one(step)
        phases.seed(backend.connection)
        return [step.id for step in missing]


class _Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo has no types
    """Yoyo's backend with our table names, in one session and without its lock.

    Yoyo's own lock is a row, which a killed process leaves behind; it opens a session for each
    step, so that one refused leaves those before it; its log asks the network for this host's full
    name and the system for the user's, and neither has to answer.
    """

    log_table = "mintwatch_migration_log"
    version_table = "mintwatch_migration_version"

    def connect(self, dburi: DatabaseURI) -> psycopg.Connection[Any]:
        """Open a session of ours."""
        return connect(
            dburi.args["dsn"],
            application_name=_NAME,
            statement_timeout_s=0,
            lock_timeout_s=dburi.args["lock_timeout_s"],
            autocommit=True,
        )

    def lock(self, timeout: float = 0) -> AbstractContextManager[None]:  # noqa: ARG002 - yoyo's signature
        """Do nothing: whoever migrates holds a lock already."""
        return nullcontext()

    def copy(self) -> AbstractContextManager[_Backend]:
        """Give the session itself: a step is part of the transaction that is open."""
        return nullcontext(self)

    def ensure_internal_schema_updated(self) -> None:
        """Make yoyo's own tables, in the transaction that is open."""
        if internalmigrations.needs_upgrading(self):
            internalmigrations.upgrade(self)

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
