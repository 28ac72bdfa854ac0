"""The two databases, and a role that may do little."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.compare.databases import PASSWORD, execute, make_theirs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.postgres import PostgresServer


@pytest.fixture
def theirs(empty_dsn: str) -> str:
    """The original's database, still without a row."""
    make_theirs(empty_dsn)
    return empty_dsn


@pytest.fixture
def ours(dsn: str) -> str:
    """A database of mintwatch, still without a row."""
    return dsn


@pytest.fixture
def reader(postgres_server: PostgresServer) -> Iterator[str]:
    """A role that may log in, and nothing else."""
    admin = postgres_server.dsn("postgres")
    execute(admin, f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")
    yield "reader"
    execute(admin, "DROP ROLE reader")
