"""Connecting without waiting: a thread for each attempt, as a name lookup has no time limit."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

import psycopg

from db.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.stream_watch.reader import StreamReader


class Connector(Protocol):
    """Makes one connection at a time."""

    def start(self, done: Callable[[], None]) -> None:
        """Begin an attempt, and call `done`, from any thread, when it has ended."""

    def take(self) -> StreamReader | Exception | None:
        """Give what the last attempt ended in; None when it has not ended, or was taken."""

    def abandon(self) -> None:
        """Want nothing any more: a connection that was not taken, now or later, is closed."""


class ThreadConnector:
    """A `Connector` on a thread of its own for each attempt; `abandon` is final.

    Args:
        open_reader: Connects; may block, and may raise psycopg.Error, DatabaseError, OSError or
            ValueError.
    """

    def __init__(self, open_reader: Callable[[], StreamReader]) -> None:
        self._open_reader = open_reader
        self._lock = threading.Lock()
        self._ended: StreamReader | Exception | None = None
        self._abandoned = False

    def start(self, done: Callable[[], None]) -> None:
        """Begin an attempt in a thread that does not keep the process alive."""
        threading.Thread(
            target=self._run, args=(done,), name="stream-watch-connect", daemon=True
        ).start()

    def take(self) -> StreamReader | Exception | None:
        """Give what the last attempt ended in; see `Connector.take`."""
        with self._lock:
            ended, self._ended = self._ended, None
        return ended

    def abandon(self) -> None:
        """Close what nobody takes any more."""
        with self._lock:
            self._abandoned = True
            ended, self._ended = self._ended, None
        _close(ended)

    def _run(self, done: Callable[[], None]) -> None:
        ended: StreamReader | Exception
        try:
            ended = self._open_reader()
        except (psycopg.Error, DatabaseError, OSError, ValueError) as error:
            ended = error
        with self._lock:
            unwanted = ended if self._abandoned else self._ended
            if not self._abandoned:
                self._ended = ended
        _close(unwanted)
        done()


def _close(ended: StreamReader | Exception | None) -> None:
    if ended is not None and not isinstance(ended, Exception):
        ended.close()
