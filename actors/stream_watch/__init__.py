"""Follows the streams and phases in the database, as others change them."""

from actors.protocol.stream_watch import (
    PollNow,
    StreamChangePending,
    StreamChangesCommitted,
    StreamChangesGivenUp,
    WatchStatus,
)
from actors.stream_watch.actor import StreamWatchActor
from actors.stream_watch.connector import ThreadConnector
from actors.stream_watch.reader import PostgresReader, RowClock
from actors.stream_watch.state import WatchState

__all__ = [
    "PollNow",
    "PostgresReader",
    "RowClock",
    "StreamChangePending",
    "StreamChangesCommitted",
    "StreamChangesGivenUp",
    "StreamWatchActor",
    "ThreadConnector",
    "WatchState",
    "WatchStatus",
]
