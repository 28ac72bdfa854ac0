"""Writes candles, stream changes and all-time highs to PostgreSQL, in batches."""

from actors.postgres_writer.actor import PostgresWriterActor
from actors.postgres_writer.database import PooledDatabase
from actors.postgres_writer.messages import (
    AthReached,
    CandleClosed,
    GapRecorded,
    ResizeBatches,
    StreamEnded,
    StreamPhaseChanged,
    StreamStarted,
    WriterStatus,
)
from actors.postgres_writer.state import WriterState

__all__ = [
    "AthReached",
    "CandleClosed",
    "GapRecorded",
    "PooledDatabase",
    "PostgresWriterActor",
    "ResizeBatches",
    "StreamEnded",
    "StreamPhaseChanged",
    "StreamStarted",
    "WriterState",
    "WriterStatus",
]
