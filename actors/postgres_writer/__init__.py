"""Writes candles, stream changes and all-time highs to PostgreSQL, in batches."""

from actors.postgres_writer.actor import PostgresWriterActor
from actors.postgres_writer.database import PooledDatabase
from actors.postgres_writer.state import ParkedMints, WriterState
from actors.protocol.postgres_writer import (
    AthReached,
    CandleClosed,
    FinishMove,
    GapRecorded,
    MovePrepared,
    PrepareMove,
    StoreCoin,
    StoreTrade,
    StreamEnded,
    StreamPhaseChanged,
    StreamStarted,
    WriterStatus,
)

__all__ = [
    "AthReached",
    "CandleClosed",
    "FinishMove",
    "GapRecorded",
    "MovePrepared",
    "ParkedMints",
    "PooledDatabase",
    "PostgresWriterActor",
    "PrepareMove",
    "StoreCoin",
    "StoreTrade",
    "StreamEnded",
    "StreamPhaseChanged",
    "StreamStarted",
    "WriterState",
    "WriterStatus",
]
