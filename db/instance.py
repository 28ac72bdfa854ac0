"""One mintwatch per database: an advisory lock that lives as long as its session.

Guarantees: while `acquire` has succeeded and the session lives, nobody else's `acquire` succeeds on
this database. Losing the session loses the lock; `keep` takes it again when the server is back.
"""

from __future__ import annotations

from contextlib import suppress
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

import psycopg

from db.pool import connect

if TYPE_CHECKING:
    from db.pool import Connection

_KEY: Final = 0x6D696E74_00000002
_HOLDER: Final = """
    SELECT coalesce(client_addr::text, 'this machine'), pid, backend_start::text
    FROM pg_stat_activity WHERE pid IN (
        SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted
        AND ((classid::bigint << 32) | objid::bigint) = %s
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""


class Holding(Enum):
    """What became of a try."""

    OURS = auto()
    THEIRS = auto()
    """Another session has the lock."""
    UNKNOWN = auto()
    """The database does not answer."""


class InstanceLock:
    """The lock of one process on one database. Used by one thread."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: Connection | None = None
        self.holder = ""
        """Who has it, as far as the server says, after THEIRS."""

    def keep(self) -> Holding:
        """Make sure that the lock is ours, or say why not. Blocks as `db.pool.connect` does."""
        try:
            return self._keep()
        except psycopg.Error:
            self.release()
            return Holding.UNKNOWN

    def release(self) -> None:
        """Give the lock back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()

    def _keep(self) -> Holding:
        if self._connection is not None:
            self._connection.execute("SELECT 1")
            return Holding.OURS
        connection = connect(
            self._dsn,
            application_name="mintwatch instance",
            statement_timeout_s=3.0,
            autocommit=True,
        )
        taken = connection.execute("SELECT pg_try_advisory_lock(%s)", (_KEY,)).fetchone()
        if taken is not None and taken[0]:
            self._connection = connection
            return Holding.OURS
        found = connection.execute(_HOLDER, (_KEY,)).fetchone()
        self.holder = f"from {found[0]} since {found[2][:19]}" if found else "unknown"
        connection.close()
        return Holding.THEIRS
