"""The API's way to PostgreSQL, with short waits and one word for every way of being away."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import psycopg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from db.pool import Connection, Pool

QUERIES: Final = 3
"""At once. The pool has one connection more, which is kept for `Database.answers`."""
CHECKOUT_SECONDS: Final = 2.0
PING_SECONDS: Final = 0.5
"""Short, because probes wait for it, and are answered within a second."""
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
        *,
        queries: int = QUERIES,
    ) -> None:
        """Lend from `pool`; `observe` is told for how many seconds each time.

        With a pool of more than `queries` connections, many queries are no database that is away.
        """
        self._pool = pool
        self._free = threading.BoundedSemaphore(queries)
        self._observe = observe
        self._clock = clock
        self._pinged: tuple[float, bool] | None = None
        self._pinging = threading.Lock()

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend a connection for one transaction.

        Waits for its turn, and for a connection that works, `CHECKOUT_SECONDS` each at most. What
        was changed is committed at the end of the block, or undone when it raises.

        Raises:
            DatabaseAway: There is none, or it broke on the way.
        """
        began = self._clock()
        if not self._free.acquire(timeout=CHECKOUT_SECONDS):
            raise DatabaseAway("every connection is taken")
        try:
            with self._pool.connection(timeout=CHECKOUT_SECONDS) as connection:
                yield connection
            if self._observe is not None:
                self._observe(self._clock() - began)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise DatabaseAway(type(error).__name__) from error
        finally:
            self._free.release()

    def answers(self) -> bool:
        """Say whether the database answers a query. Waits `PING_SECONDS` at most.

        The answer is up to `PING_VALID_SECONDS` old. While one caller waits for the next one,
        others get the last.
        """
        pinged = self._pinged
        if pinged is not None and self._clock() - pinged[0] < PING_VALID_SECONDS:
            return pinged[1]
        if not self._pinging.acquire(blocking=pinged is None):
            return pinged is not None and pinged[1]
        try:
            answered = self._ping()
            self._pinged = (self._clock(), answered)
        finally:
            self._pinging.release()
        return answered

    def _ping(self) -> bool:
        try:
            # The pool sends a query before it hands a connection out.
            with self._pool.connection(timeout=PING_SECONDS):
                return True
        except (psycopg.OperationalError, psycopg.InterfaceError):
            return False
