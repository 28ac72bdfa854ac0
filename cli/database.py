"""The database that the settings name, for commands that read it themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from db.embedded.server import EmbeddedPostgres

if TYPE_CHECKING:
    from contextlib import ExitStack

    from settings import Settings


def dsn_of(settings: Settings, stack: ExitStack) -> str:
    """Give the connection string; the embedded PostgreSQL is started unless it runs.

    What was started here is stopped when the stack closes.

    Raises:
        DatabaseError: It cannot be started.
    """
    if settings.db_dsn is not None:
        return settings.db_dsn.get_secret_value()
    server = EmbeddedPostgres(settings.state_dir)
    was_running = server.status().running
    dsn = server.start()
    if not was_running:
        stack.callback(server.stop)
    return dsn
