"""What the n8n-writer receives."""

from __future__ import annotations

from actors.domain import Coin
from actors.runtime.messages import Message


class CoinDiscovered(Message, frozen=True):
    """A coin has passed the filter. Data lane. Delivered to n8n at least once, in a batch."""

    coin: Coin


class N8nStatus(Message, frozen=True):
    """Published by the n8n-writer after every attempt and every coin."""

    available: bool
    configured: bool
    waiting: int
    last_success_us: int | None
    last_error: str | None
    needed_from_us: int | None
    """Arrival of the oldest coin that is neither delivered nor on disk; None: there is none."""
    state: str
    """"idle", "up", "retrying", "stopped" (refused with 401 or 403) or "off" (no URL)."""
    oldest_us: int | None = None
    """Since when the oldest coin waits: its arrival, or the moment its batch was put on disk."""
