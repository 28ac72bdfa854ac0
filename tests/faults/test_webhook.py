"""n8n misbehaves, is away, and the service dies meanwhile: every coin arrives, under one id."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from simulator.process import RunningWebhook, start_webhook
from tests.e2e.rows import check_health
from tests.faults.world import World, eventually
from tests.support import independent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MARKET = ("--coins", "400", "--create-rate", "8", "--trades-per-second", "100")


class Receiver:
    """A webhook receiver and all that it ever accepted."""

    def __init__(self, running: RunningWebhook, log: Path) -> None:
        self.running = running
        self._log = log

    def ids(self) -> dict[str, set[str]]:
        """Say under which ids each coin was accepted."""
        found: dict[str, set[str]] = {}
        lines = self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else []
        for batch in map(json.loads, lines):
            assert batch["body"]["batch_id"] == batch["idempotency_key"]
            for coin in batch["body"]["data"]:
                found.setdefault(coin["mint"], set()).add(batch["idempotency_key"])
        return found

    def total(self, name: str) -> int:
        return int(str(self.running.received(0)[name]))

    def wait_for_more(self, name: str, count: int = 1) -> None:
        """Wait until a total has grown."""
        goal = self.total(name) + count
        eventually(lambda: self.total(name) >= goal, 30, f"{count} more: {name}")


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    log = tmp_path / "batches.jsonl"
    with start_webhook(["--log", str(log)]) as running:
        yield Receiver(running, log)


def world_of(tmp_path: Path, dsn: str, receiver: Receiver, **settings: object) -> World:
    values: dict[str, Any] = {
        "BATCH_SIZE": 5,
        "N8N_TIMEOUT": 1,
        "N8N_WEBHOOK_URL": receiver.running.url,
    }
    return World(tmp_path, dsn, _MARKET, **values | settings)


def check_deliveries(world: World, receiver: Receiver) -> None:
    """Every coin that was received has arrived, under one id."""
    created = independent.creates(world.journal()).keys()
    ids = receiver.ids()
    assert created - ids.keys() == set(), "coins were never delivered"
    assert {mint for mint, under in ids.items() if len(under) > 1} == set()
    assert ids.keys() <= created


def test_every_way_to_fail_is_survived_and_the_backlog_delivered(
    receiver: Receiver, dsn: str, tmp_path: Path
) -> None:
    with world_of(tmp_path, dsn, receiver) as world:
        world.start()
        receiver.wait_for_more("count")
        for mode in ("hang", "refuse", "status:500", "status:404", "status:413", "redirect"):
            receiver.running.set_mode(mode, times=1)
            receiver.wait_for_more("attempts", 2)
            receiver.wait_for_more("count")
        receiver.running.set_mode("slow:0.3")
        receiver.wait_for_more("count")
        receiver.running.set_mode("ok")
        receiver.wait_for_more("count")
        world.finish()
        world.check()
        check_deliveries(world, receiver)


def test_coins_that_come_while_the_receiver_is_away_are_delivered_when_it_is_back(
    receiver: Receiver, dsn: str, tmp_path: Path
) -> None:
    with world_of(tmp_path, dsn, receiver) as world:
        world.start()
        receiver.wait_for_more("count")
        receiver.running.set_mode("refuse")
        world.receive(150)
        receiver.running.set_mode("ok")
        receiver.wait_for_more("count", 4)
        world.finish()
        check_deliveries(world, receiver)


def test_refused_credentials_stop_deliveries_and_the_next_run_makes_them(
    receiver: Receiver, dsn: str, tmp_path: Path
) -> None:
    with world_of(tmp_path, dsn, receiver) as world:
        world.start()
        receiver.running.set_mode("status:401")
        receiver.wait_for_more("attempts")
        said = world.service.wait_log("n8n_failed")
        world.receive(150)
        assert receiver.total("attempts") == 1
        world.stop()
        receiver.running.set_mode("ok")
        world.start()
        receiver.wait_for_more("count", 3)
        world.finish()
        check_deliveries(world, receiver)

    assert "N8N_AUTH_HEADER" in said


@pytest.mark.parametrize("mode", ["ok", "hang"])
def test_kills_deliver_every_coin_and_none_under_a_second_id(
    mode: str, receiver: Receiver, dsn: str, tmp_path: Path
) -> None:
    with world_of(tmp_path, dsn, receiver, BATCH_SIZE=20) as world:
        receiver.running.set_mode(mode)
        for trades in (120, 200):
            world.start()
            world.receive(trades)
            world.kill()
        receiver.running.set_mode("ok")
        world.start()
        world.receive(100)
        world.market.fault("hold")
        world.rest()
        check_health(world.service)
        world.stop()
        check_deliveries(world, receiver)
