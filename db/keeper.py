"""The database of one run: started or reached, brought up to date, held, and looked after."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

import psycopg
import structlog

from db.embedded.server import EmbeddedPostgres
from db.errors import DatabaseInUseError, DatabaseUnavailableError
from db.instance import Holding, InstanceLock
from db.migrate import migrate
from db.rights import check_rights
from settings.masking import mask_dsn

if TYPE_CHECKING:
    from pathlib import Path

LOOK_S: Final = 5.0
_CLOSE_S: Final = 10.0
"""How long the end waits for a look that is under way; starting a server takes about 2 s of it."""


class DatabaseKeeper:
    """Owns the embedded server, when there is no other, and the lock of this instance.

    Used by one thread. `open` first, `look_after` about once a second, `close` at the end. Looks
    are made in a thread of their own, one at a time: a name lookup has no time limit of ours, and a
    peer that is gone without a word is noticed after half a minute.

    Args:
        dsn: the database to use; None: the embedded PostgreSQL below `state_dir`.
        state_dir: the state folder.
        starts_streams: whether coins become streams by their trades.
        stores_trades: whether each trade is stored.
    """

    def __init__(
        self,
        dsn: str | None,
        state_dir: Path,
        *,
        starts_streams: bool = False,
        stores_trades: bool = False,
    ) -> None:
        self._starts_streams = starts_streams
        self._stores_trades = stores_trades
        self._dsn = dsn or ""
        self._server = EmbeddedPostgres(state_dir) if dsn is None else None
        self._lock: InstanceLock | None = None
        self._log = structlog.get_logger("mintwatch").bind(actor="database")
        self._next_look_s = 0.0
        self._look: threading.Thread | None = None

    def open(self) -> str:
        """Make the database usable and return its connection string; one that is away may come.

        Raises:
            DatabaseUnavailableError: The embedded server does not start.
            MigrationError: The tables cannot be brought up to date, and nothing was changed; or the
                role may not write to them.
            DatabaseInUseError: Another mintwatch writes to it.
        """
        if self._server is not None:
            self._dsn = self._server.start()
        try:
            self._check_rights()
            applied = migrate(self._dsn)
            self._check_rights()
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

    def _check_rights(self) -> None:
        """Look before the migration, which a role without any right cannot do, and behind it."""
        check_rights(
            self._dsn, starts_streams=self._starts_streams, stores_trades=self._stores_trades
        )

    def look_after(self) -> None:
        """Have the lock kept, and the embedded server running, every few seconds. Never blocks."""
        now_s = time.monotonic()
        if now_s < self._next_look_s or (self._look is not None and self._look.is_alive()):
            return
        self._next_look_s = now_s + LOOK_S
        self._look = threading.Thread(target=self._look_once, name="database-keeper", daemon=True)
        self._look.start()

    def close(self) -> None:
        """Give the lock back and stop the embedded server. Waits up to 10 s for a look to end."""
        if self._look is not None:
            self._look.join(_CLOSE_S)
        if self._lock is not None and (self._look is None or not self._look.is_alive()):
            # Otherwise the session, and with it the lock, ends with the process.
            self._lock.release()
        if self._server is not None:
            self._server.stop()

    def _look_once(self) -> None:
        self._revive()
        if self._lock is not None and self._lock.keep() is Holding.THEIRS:
            self._log.error(
                "database_shared",
                holder=self._lock.holder,
                hint="two mintwatch write to one database: stop one of them",
            )

    def _revive(self) -> None:
        if self._server is None:
            return
        try:
            if not self._server.status().running:
                self._log.error("embedded_database_died", action="starting it again")
                self._server.start()
        except DatabaseUnavailableError as error:
            self._log.error("embedded_database_away", cause=str(error))
