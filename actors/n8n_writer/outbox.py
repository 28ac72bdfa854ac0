"""Coins on their way to n8n: from those that wait in memory into batches on disk, and out of them.

Guarantees: a coin leaves memory when its batch is on disk; a batch leaves the disk when it was
delivered, divided, or given up into the dead letters. The counts in the state go along, and the
notes of each coin say where it is.
Raises: `SpoolError` from whatever asks the disk.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from actors.domain import Drop
from actors.n8n_writer.payload import CoinBatch
from actors.protocol.discovery import CoinsDelivered
from actors.protocol.n8n_writer import CoinDiscovered
from actors.protocol.supervisor import DISCOVERY

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.n8n_writer.state import N8nState
    from actors.n8n_writer.store import BatchStore
    from actors.runtime import Context
    from actors.runtime.inspection.timeline import Detail


class Outbox:
    """See the module's docstring. Blocks as the store does."""

    def __init__(
        self, context: Context, state: N8nState, store: BatchStore, new_id: Callable[[], str]
    ) -> None:
        self._context = context
        self._state = state
        self._store = store
        self._new_id = new_id

    def open(self) -> None:
        """Open the store, and learn what is in it unless that is known."""
        self._store.open()
        if self._state.stored_coins is None:
            self._count()
            self._state.batched_seq = self._store.batched_seq()

    def put_waiting(self, batch_size: int) -> None:
        """Put everything that waits on disk, in batches of up to `batch_size` coins."""
        waiting = self._state.waiting
        while waiting:
            coins = tuple(islice(waiting, batch_size))
            batch = CoinBatch(self._new_id(), self._context.now_us(), coins)
            self._store.put([batch])
            for _ in coins:
                waiting.popleft()
            self.note(batch, "n8n_stored")
            if not self._state.stored_coins:
                self._state.oldest_stored_us = batch.created_us
            self._state.stored(len(coins))

    def oldest(self) -> CoinBatch | None:
        """Read the batch that is to be sent next; None: there is none."""
        if self._state.delivered_id:
            self._store.remove(self._state.delivered_id)
            self._state.delivered_id = ""
        batch = self._store.oldest()
        # Unreadable batches are gone now.
        self._count()
        return batch

    def delivered(self, batch: CoinBatch) -> None:
        """Remove a batch that has arrived; should the disk refuse that, `oldest` does it."""
        count, telemetry = len(batch.coins), self._context.telemetry
        self._state.stored(-count)
        self._state.delivered_id = batch.batch_id
        telemetry.coins_sent_n8n.inc(count)
        telemetry.n8n_batches_sent.inc()
        self._context.tell(DISCOVERY, CoinsDelivered(tuple(coin.mint for coin in batch.coins)))
        self._store.remove(batch.batch_id)
        self._state.delivered_id = ""

    def divide(self, batch: CoinBatch) -> None:
        """Replace a batch by its two halves; they come behind all others."""
        self._store.put(batch.halves())
        self._store.remove(batch.batch_id)

    def give_up(self, batch: CoinBatch) -> None:
        """Move the coins of a batch that n8n will never take to the dead letters."""
        self._store.remove(batch.batch_id)
        self._state.stored(-len(batch.coins))
        self._state.reached = "up"
        for coin in batch.coins:
            self._context.dead_letter(CoinDiscovered(coin), "refused")
        self.note(batch, "n8n_dead")
        dropped = self._context.telemetry.dropped
        dropped.labels(reason=Drop.BATCH_REFUSED.value).inc(len(batch.coins))
        self._context.log.error(
            "n8n_batch_refused", batch=batch.batch_id, cause=self._state.last_error
        )

    def note(self, batch: CoinBatch, event: str, **details: Detail) -> None:
        """Note an event of a batch with each of its coins."""
        for coin in batch.coins:
            self._context.note(coin.mint, event, batch_id=batch.batch_id, **details)

    def _count(self) -> None:
        self._state.stored_coins = self._store.coins()
        self._state.oldest_stored_us = self._store.oldest_us()
