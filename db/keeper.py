"""The database of one run: started or reached, brought up to date, held, and looked after."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import psycopg
import structlog

from db.dsn import mask_dsn
from db.embedded import EmbeddedPostgres
from db.errors import DatabaseInUseError, DatabaseUnavailableError
from db.instance import Holding, InstanceLock
from db.migrate import migrate

if TYPE_CHECKING:
    from pathlib import Path

LOOK_S: Final = 5.0


class DatabaseKeeper:
    """Owns the embedded server, when there is no other, and the lock of this instance.

    Used by one thread. `open` first, `look_after` about once a second, `close` at the end.

    Args:
        dsn: the database to use; None: the embedded PostgreSQL below `state_dir`.
        state_dir: the state folder.
    """

    def __init__(self, dsn: str | None, state_dir: Path) -> None:
        self._dsn = dsn or ""
        self._server = EmbeddedPostgres(state_dir) if dsn is None else None
        self._lock: InstanceLock | None = None
        self._log = structlog.get_logger("mintwatch").bind(actor="database")
        self._next_look_s = 0.0

    def open(self) -> str:
        """Make the database usable and return its connection string; one that is away may come.

        Raises:
            DatabaseUnavailableError: The embedded server does not start.
            MigrationError: The tables cannot be brought up to date; nothing was changed.
            DatabaseInUseError: Another mintwatch writes to it.
        """
        if self._server is not None:
            self._dsn = self._server.start()
        try:
            applied = migrate(self._dsn)
        except psycopg.OperationalError as error:
            self._log.warning(
                "database_away",
                database=mask_dsn(self._dsn),
                cause=str(error).strip().splitlines()[0],
                hint="coins are tracked once it is there; trying again",
            )
        else:
            self._log.info("database_ready", database=mask_dsn(self._dsn), migrations=len(applied))
        self._lock = InstanceLock(self._dsn)
        if self._lock.keep() is Holding.THEIRS:
            raise DatabaseInUseError(
                f"another mintwatch writes to {mask_dsn(self._dsn)} ({self._lock.holder}): stop "
                "that one, or point DB_DSN at another database."
            )
        return self._dsn

    def look_after(self) -> None:
        """Keep the lock, and the embedded server running. Blocks a few seconds at most."""
        if time.monotonic() < self._next_look_s:
            return
        self._next_look_s = time.monotonic() + LOOK_S
        self._revive()
        if self._lock is not None and self._lock.keep() is Holding.THEIRS:
            self._log.error(
                "database_shared",
                holder=self._lock.holder,
                hint="two mintwatch write to one database: stop one of them",
            )

    def close(self) -> None:
        """Give the lock back and stop the embedded server."""
        if self._lock is not None:
            self._lock.release()
        if self._server is not None:
            self._server.stop()

    def _revive(self) -> None:
        if self._server is None:
            return
        try:
            if not self._server.status().running:
                self._log.error("embedded_database_died", action="starting it again")
                self._server.start()
        except DatabaseUnavailableError as error:
            self._log.error("embedded_database_away", cause=str(error))
