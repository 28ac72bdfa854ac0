"""What the n8n-writer knows; it belongs to the name, not to the instance, and outlives restarts."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from actors.domain import Coin
    from actors.n8n_writer.payload import CoinBatch

MAX_WAITING: Final = 10_000
"""Coins kept in memory while the disk refuses their batch: about four hours of creates."""


class N8nState:
    """Coins without a batch yet, and how deliveries went. Not thread-safe: one actor has it."""

    def __init__(self) -> None:
        self.waiting: deque[Coin] = deque()
        """Coins that are not in a batch yet; at most a batch, more only while the disk refuses."""
        self.stored_coins: int | None = None
        """Coins in stored batches; None until the store has been counted."""
        self.oldest_stored_us: int | None = None
        """When the oldest of these batches was put there."""
        self.batched_seq = 0
        """Coins up to this sequence number are in batches; when they come again they are known."""
        self.requests = 0
        """Requests so far; a late answer to a former instance is known by its number."""
        self.failures = 0
        """Attempts in a row that failed."""
        self.refused_id = ""
        self.refusals = 0
        """How often the batch `refused_id` was refused."""
        self.delivered_id = ""
        """A batch that has arrived but could not be removed from the store yet."""
        self.reached = "idle"
        """"idle", "up", "retrying" or "stopped", as the last attempt left it."""
        self.last_success_us: int | None = None
        self.last_error: str | None = None

    @property
    def oldest_us(self) -> int | None:
        """Since when the oldest coin waits for its delivery; None: there is none."""
        if self.stored_coins and self.oldest_stored_us is not None:
            return self.oldest_stored_us
        return self.waiting[0].arrived_us if self.waiting else None

    @property
    def coins(self) -> int:
        """Coins that wait for their delivery, in memory and in the store."""
        return len(self.waiting) + (self.stored_coins or 0)

    def stored(self, coins: int) -> None:
        """Count coins into the store (positive) or out of it (negative)."""
        self.stored_coins = max(0, (self.stored_coins or 0) + coins)

    def refusals_of(self, batch: CoinBatch) -> int:
        """Count the refusals of this very batch so far."""
        return self.refusals if self.refused_id == batch.batch_id else 0

    def refused(self, batch: CoinBatch) -> None:
        """Count a refusal of this batch."""
        self.refusals = self.refusals_of(batch) + 1
        self.refused_id = batch.batch_id

    def begin_anew(self) -> None:
        """Forget how deliveries went: from now on they go somewhere else."""
        self.failures = 0
        self.refused_id, self.refusals = "", 0
        self.reached = "idle"
        self.last_error = None

    def succeeded(self, now_us: int) -> None:
        """Note a delivery."""
        self.failures = 0
        self.reached = "up"
        self.last_success_us = now_us
        self.last_error = None
