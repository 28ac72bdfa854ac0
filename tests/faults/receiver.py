"""The webhook receiver of a scenario, and what it has ever accepted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.faults.world import World, eventually
from tests.support import independent

if TYPE_CHECKING:
    from pathlib import Path

    from simulator.process import RunningWebhook


class Accepted(NamedTuple):
    """One batch that was answered with 200; seconds UTC."""

    at_s: float
    id: str
    mints: tuple[str, ...]


class Receiver:
    """A webhook receiver and all that it ever accepted."""

    def __init__(self, running: RunningWebhook, log: Path) -> None:
        self.running = running
        self._log = log

    def batches(self) -> list[Accepted]:
        """List the batches that were accepted, in their order."""
        lines = self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else []
        found = []
        for batch in map(json.loads, lines):
            assert batch["body"]["batch_id"] == batch["idempotency_key"]
            mints = tuple(coin["mint"] for coin in batch["body"]["data"])
            found.append(Accepted(batch["received_at"], batch["idempotency_key"], mints))
        return found

    def ids(self) -> dict[str, set[str]]:
        """Say under which ids each coin was accepted."""
        found: dict[str, set[str]] = {}
        for batch in self.batches():
            for mint in batch.mints:
                found.setdefault(mint, set()).add(batch.id)
        return found

    def total(self, name: str) -> int:
        return int(str(self.running.received(0)[name]))

    def wait_for_more(self, name: str, count: int = 1) -> None:
        """Wait until a total has grown."""
        goal = self.total(name) + count
        eventually(lambda: self.total(name) >= goal, 30, f"{count} more: {name}")


def world_of(
    tmp_path: Path, dsn: str, receiver: Receiver, market: tuple[str, ...], **settings: object
) -> World:
    """Make a world whose service sends its discoveries to the receiver."""
    values: dict[str, Any] = {
        "BATCH_SIZE": 5,
        "N8N_TIMEOUT": 1,
        "N8N_WEBHOOK_URL": receiver.running.url,
    }
    return World(tmp_path, dsn, market, **values | settings)


def check_deliveries(world: World, receiver: Receiver) -> None:
    """Every coin that was received has arrived, under one id."""
    created = independent.creates(world.journal()).keys()
    ids = receiver.ids()
    assert created - ids.keys() == set(), "coins were never delivered"
    assert {mint for mint, under in ids.items() if len(under) > 1} == set()
    assert ids.keys() <= created
