"""A real PostgreSQL in a temporary folder, with everything on disk as in service (fsync on)."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from db.embedded.server import EmbeddedPostgres
from db.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def fresh_database() -> Iterator[str]:
    """Give the DSN of a migrated database; the server and its folder are gone afterwards."""
    with empty_database() as dsn:
        migrate(dsn)
        yield dsn


@contextmanager
def empty_database() -> Iterator[str]:
    """Give the DSN of a database without tables; server and folder are gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="mintwatch-bench-"))
    # The unprivileged user that the server runs as must be able to enter.
    folder.chmod(0o711)
    server = EmbeddedPostgres(folder)
    try:
        yield server.start()
    finally:
        server.stop()
        shutil.rmtree(folder)
