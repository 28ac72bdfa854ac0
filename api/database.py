"""The API's way to PostgreSQL, with short waits and one word for every way of being away."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import psycopg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from db.pool import Connection, Pool

CHECKOUT_SECONDS: Final = 2.0
PING_SECONDS: Final = 1.0
PING_VALID_SECONDS: Final = 1.0
"""How long the last answer about the database is given again."""


class DatabaseAway(Exception):  # noqa: N818 - it names what happened
    """The database cannot be reached, refuses, or takes too long."""


class Database:
    """Lends from a pool that checks a connection before it hands it out. Thread-safe."""

    def __init__(
        self,
        pool: Pool,
        clock: Callable[[], float] = time.monotonic,
        observe: Callable[[float], None] | None = None,
    ) -> None:
        """Lend from `pool`; `observe` is told for how many seconds each time."""
        self._pool = pool
        self._observe = observe
        self._clock = clock
        self._pinged: tuple[float, bool] | None = None

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend a connection for one transaction. Waits `CHECKOUT_SECONDS` for it at most.

        What was changed is committed at the end of the block, or undone when it raises.

        Raises:
            DatabaseAway: There is none, or it broke on the way.
        """
        began = self._clock()
        try:
            with self._pool.connection(timeout=CHECKOUT_SECONDS) as connection:
                yield connection
            if self._observe is not None:
                self._observe(self._clock() - began)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise DatabaseAway(type(error).__name__) from error

    def answers(self) -> bool:
        """Say whether the database answers a query. Waits `PING_SECONDS` at most; up to 1 s old."""
        now = self._clock()
        if self._pinged is not None and now - self._pinged[0] < PING_VALID_SECONDS:
            return self._pinged[1]
        answered = self._ping()
        self._pinged = (self._clock(), answered)
        return answered

    def _ping(self) -> bool:
        try:
            # The pool sends a query before it hands a connection out.
            with self._pool.connection(timeout=PING_SECONDS):
                return True
        except (psycopg.OperationalError, psycopg.InterfaceError):
            return False
