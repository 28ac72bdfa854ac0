"""n8n misbehaves, is away, and the service dies meanwhile: every coin arrives, under one id."""

from __future__ import annotations

import faulthandler
import itertools
import time
from typing import TYPE_CHECKING

import click
import pytest

from simulator.process import start_webhook
from tests.e2e.rows import check_health
from tests.faults.latency import Span, Waits, stamp_rows, waits
from tests.faults.receiver import Receiver, check_deliveries, world_of
from tests.faults.world import TRADES_PER_SECOND, World, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MARKET = ("--coins", "400", "--create-rate", "8", "--trades-per-second", "100")
_NORMAL_CREATES_PER_S = 22 / 60
_LATER = 1.2
"""How much longer trades may take while the receiver is away."""
_PAUSE_S = 1.0
"""Most that deliveries in a row leave between them; measured, on a busy machine: 0.47."""
_LONGEST_PAUSE_S = 60.0


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    log = tmp_path / "batches.jsonl"
    with start_webhook(["--log", str(log)]) as running:
        yield Receiver(running, log)


def test_every_way_to_fail_is_survived_and_the_backlog_delivered(
    receiver: Receiver, dsn: str, tmp_path: Path
) -> None:
    with world_of(tmp_path, dsn, receiver, _MARKET) as world:
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
    with world_of(tmp_path, dsn, receiver, _MARKET) as world:
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
    with world_of(tmp_path, dsn, receiver, _MARKET) as world:
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
    with world_of(tmp_path, dsn, receiver, _MARKET, BATCH_SIZE=20) as world:
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


def test_backlog_of_a_receiver_that_was_away_goes_out_back_to_back(
    receiver: Receiver, dsn: str, tmp_path: Path
) -> None:
    with world_of(tmp_path, dsn, receiver, busy_market(60)) as world:
        world.start()
        receiver.wait_for_more("count")
        away(world, receiver, 20)
        world.finish()
        world.check()
        check_deliveries(world, receiver)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_trades_take_no_longer_while_the_receiver_is_away(
    receiver: Receiver, dsn: str, tmp_path: Path
) -> None:
    # Minutes of silence are the plan here, not a hang.
    faulthandler.cancel_dump_traceback_later()
    stamp_rows(dsn)
    with world_of(tmp_path, dsn, receiver, busy_market(600), N8N_TIMEOUT=10) as world:
        world.start()
        receiver.wait_for_more("count", 5)
        before = calm(world, 60)
        gone = away(world, receiver, 300)
        after = calm(world, 60)
        world.finish()

    # Coins become more and more, so that a calm time on either side is the fair measure.
    show(before=waits(dsn, before), away=waits(dsn, gone), after=waits(dsn, after))
    world.check()
    check_deliveries(world, receiver)
    assert waits(dsn, gone).p99_s <= _LATER * waits(dsn, before, after).p99_s


def busy_market(seconds: float) -> tuple[str, ...]:
    """Create ten times as many coins a second as usual, for so long."""
    rate = 10 * _NORMAL_CREATES_PER_S
    return ("--coins", str(round(rate * seconds)), "--create-rate", str(rate))


def calm(world: World, seconds: float) -> Span:
    """Let the market go on for so long, by what it sends."""
    began_s = time.time()
    world.receive(round(seconds * TRADES_PER_SECOND), 2 * seconds + 30)
    return Span(began_s, time.time())


def away(world: World, receiver: Receiver, seconds: float) -> Span:
    """Have the receiver refuse for so long, and check how the backlog comes once it is back."""
    receiver.running.set_mode("refuse")
    span = calm(world, seconds)
    waiting = waiting_coins(world)
    assert waiting >= 5 * _NORMAL_CREATES_PER_S * seconds
    back_s = time.time()
    receiver.running.set_mode("ok")
    known = sum(len(batch.mints) for batch in receiver.batches())

    def backlog_is_in() -> bool:
        return sum(len(batch.mints) for batch in receiver.batches()) >= known + waiting

    eventually(backlog_is_in, _LONGEST_PAUSE_S + 30, "the backlog")
    times_s = [batch.at_s for batch in receiver.batches() if batch.at_s >= back_s]
    backlog_s = times_s[: waiting // 5]
    pauses_s = [later - at for at, later in itertools.pairwise(backlog_s)]
    assert max(pauses_s) < _PAUSE_S, f"pauses within the backlog: {pauses_s}"
    return span


def waiting_coins(world: World) -> int:
    """Ask how many coins the service has not delivered yet."""
    return int(world.service.json("/health")["discovery_stats"]["buffer_size"])


def show(**measured: Waits) -> None:
    """Say what was measured; `-s` lets it through."""
    for phase, found in measured.items():
        click.echo(
            f"{phase}: {found.trades:,} trades, median {found.median_s * 1000:.0f} ms, "
            f"99 % within {found.p99_s * 1000:.0f} ms of their window's end"
        )
