"""A connection to the test's own migrated database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from db.pool import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from db.pool import Connection


@pytest.fixture
def conn(dsn: str) -> Iterator[Connection]:
    """Each statement commits, unless the test opens a transaction."""
    connection = connect(dsn, autocommit=True, lock_timeout_s=10)
    yield connection
    connection.close()
