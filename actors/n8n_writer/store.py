"""Batches on disk: none is sent before it is here, and it leaves when it was delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import msgspec
import structlog

from actors.n8n_writer.payload import CoinBatch
from actors.spool.entries import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from actors.spool.store import Spool

KIND: Final = "n8n"


class BatchStore(Protocol):
    """What the n8n-writer needs of a store; every method may raise `SpoolError`."""

    def open(self) -> None:
        """Make the store usable in the calling thread."""

    def close(self) -> None:
        """Give the store back; may be called twice."""

    def put(self, batches: Sequence[CoinBatch]) -> None:
        """Append batches, all or none; on disk when this returns."""

    def remove(self, batch_id: str) -> None:
        """Forget a batch; nothing happens when it is not here."""

    def oldest(self) -> CoinBatch | None:
        """Read the batch that was put first; it stays. None when the store is empty."""

    def coins(self) -> int:
        """Count the coins in all batches."""

    def oldest_us(self) -> int | None:
        """Tell when the oldest batch was put; None when the store is empty."""

    def resize(self, max_bytes: int) -> None:
        """Use another bound for the file from now on."""

    def batched_seq(self) -> int:
        """Read the highest sequence number of a coin that was ever put here; 0 when none was."""


class SpooledBatches:
    """Batches in the spool, under the name of one owner. Blocks as the spool does."""

    def __init__(self, spool: Spool, owner: str, now_us: Callable[[], int]) -> None:
        self._spool = spool
        self._owner = owner
        self._now_us = now_us
        self._log = structlog.get_logger("mintwatch").bind(actor=owner)

    def open(self) -> None:
        """Open the spool."""
        self._spool.open()

    def close(self) -> None:
        """Close the spool."""
        self._spool.close()

    def put(self, batches: Sequence[CoinBatch]) -> None:
        """Append batches in one transaction."""
        entries = [
            Entry(KIND, msgspec.msgpack.encode(batch), batch.batch_id, len(batch.coins))
            for batch in batches
        ]
        mark = max((coin.seq for batch in batches for coin in batch.coins), default=0)
        self._spool.put(self._owner, entries, self._now_us(), mark)

    def remove(self, batch_id: str) -> None:
        """Forget a batch."""
        self._spool.remove_key(self._owner, batch_id)

    def oldest(self) -> CoinBatch | None:
        """Read the oldest batch; one that cannot be read is dropped with an error in the log."""
        while entries := self._spool.oldest(self._owner, 1):
            try:
                return msgspec.msgpack.decode(entries[0].payload, type=CoinBatch)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                # It would stand in front of every later batch for ever.
                self._log.error("n8n_batch_unreadable", batch=entries[0].key, error=str(error))
                self._spool.remove(self._owner, entries)
        return None

    def coins(self) -> int:
        """Count the coins in all batches: the number stands beside each, so none is read."""
        return self._spool.stats(self._owner).weight

    def oldest_us(self) -> int | None:
        """Tell when the oldest batch was put; None when there is none."""
        return self._spool.stats(self._owner).oldest_put_us

    def resize(self, max_bytes: int) -> None:
        """Use another bound for the spool, which others share."""
        self._spool.resize(max_bytes)

    def batched_seq(self) -> int:
        """Read the mark that `put` leaves with each batch."""
        return self._spool.mark(self._owner)
