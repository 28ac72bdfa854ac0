"""The same recordings, and a living market, over a WebSocket."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from simulator.process import start_simulator, start_webhook
from tests.e2e.recordings import FROM_CREATE, NO_FILTER, recording
from tests.e2e.rows import (
    check_candles,
    check_health,
    check_totals,
    coins,
    insert_streams,
    rows,
    stored_trades,
    streams,
)
from tests.support import independent
from tests.support.service import Service
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from simulator.process import Running, RunningWebhook
    from tests.support.independent import Line, Trade


def live(running: Running, dsn: str, **more: object) -> dict[str, object]:
    """Give the settings of a service that listens to a server of this machine."""
    return {
        "WS_URI": running.uri,
        "PUMPPORTAL_API_KEY": "funded",
        "DB_DSN": dsn,
        "STORE_TRADES": True,
        "BATCH_TIMEOUT": 10,
        **more,
    }


def arrived(dsn: str, expected: Iterable[Trade]) -> list[Trade]:
    """Give the expected trades the times at which they arrived, in that order.

    Everything must be stored, once, and nothing else.
    """
    stored = stored_trades(dsn)
    wanted = {trade.identity: trade for trade in expected}
    assert len({trade.identity for trade in stored}) == len(stored)
    assert {trade.identity for trade in stored} == wanted.keys()
    for trade in stored:
        assert trade.lamports == wanted[trade.identity].lamports
        assert trade.price == wanted[trade.identity].price
    return [wanted[trade.identity]._replace(at_us=trade.at_us) for trade in stored]


def check_all(
    dsn: str, expected: list[Trade], creators: dict[str, str] | None = None, runs: int = 1
) -> None:
    """Compare all that was written with all that was sent; each run may cut a candle."""
    found = rows(dsn)
    check_candles(found, arrived(dsn, expected), creators, cuts=runs)
    check_totals(found, expected)


@pytest.mark.parametrize("times", [1, 2])
def test_market_over_a_websocket_counts_each_trade_once(
    times: int, dsn: str, tmp_path: Path
) -> None:
    market = recording("market")
    expected = independent.trades(independent.read(market))
    mints = {trade.mint for trade in expected}
    insert_streams(dsn, mints, time.time_ns() // 1000)
    player = ["replay", str(market), "--speed", "0", "--wait-keys", str(len(mints))]

    with (
        start_simulator([*player, "--fault", f"duplicates={times - 1}"]) as running,
        Service(tmp_path, **live(running, dsn)) as service,
    ):
        service.wait_received(times * len(expected))
        # A duplicate is known as one when its tracker has handled it.
        service.settled()
        ledger = check_health(service)
        assert service.stop() == 0

    assert ledger["received"] == times * len(expected)
    assert ledger["places"]["duplicate"] == (times - 1) * len(expected)
    check_all(dsn, expected)


def test_creates_over_a_websocket_become_coins_and_reach_the_webhook(
    dsn: str, tmp_path: Path
) -> None:
    lines = independent.read(recording("session"))
    created = independent.creators(lines)
    total = sum(line.frame.get("txType") == "create" for line in lines)

    with (
        start_simulator(["replay", str(recording("session")), "--speed", "0"]) as running,
        start_webhook() as webhook,
        Service(
            tmp_path,
            **live(running, dsn, N8N_WEBHOOK_URL=webhook.url, **FROM_CREATE, **NO_FILTER),
        ) as service,
    ):
        wait_until(lambda: service.json("/feed")["frames"].get("create") == total, what="creates")
        wait_until(lambda: len(streams(dsn)) == len(created), what="streams")
        wait_until(lambda: delivered(webhook) >= created.keys(), what="deliveries")
        check_health(service)
        assert service.stop() == 0

    assert coins(dsn) == created
    check_all(dsn, independent.trades(lines), created)
    graduated = independent.migrated(lines) & created.keys()
    assert {mint for mint, stream in streams(dsn).items() if stream.is_graduated} == graduated


def test_living_market_is_in_the_rows_up_to_the_last_frame_that_was_read(
    dsn: str, tmp_path: Path
) -> None:
    sent = tmp_path / "sent.jsonl"
    market = ["simulate", "--seed", "7", "--trades-per-second", "400", "--coins", "250"]
    market += ["--create-rate", "40", "--sent-log", str(sent)]

    with (
        start_simulator(market) as running,
        start_webhook() as webhook,
        Service(
            tmp_path,
            **live(running, dsn, N8N_WEBHOOK_URL=webhook.url, ACTIVATION="trades", **NO_FILTER),
        ) as service,
    ):
        service.wait_received(1500)
        # While the market stands still, what was sent is what was received.
        running.fault("hold")
        known = wait_until(lambda: all_received(service, sent), what="quiet")
        assert known["balanced"]
        check_health(service)
        running.fault("start")
        service.wait_received(known["received"] + 1000)
        service.signal()
        code = service.wait()
        received = delivered(webhook)

    assert code == 0
    read = until_last_read(independent.read(sent), dsn, received)
    created = independent.creators(read)
    tracked = streams(dsn).keys()
    assert received >= created.keys()
    assert coins(dsn).keys() == tracked
    expected = [trade for trade in independent.trades(read) if trade.mint in tracked]
    assert len(expected) > 2000
    check_all(dsn, expected, created)


def test_second_run_goes_on_where_the_first_one_stopped(dsn: str, tmp_path: Path) -> None:
    sent = tmp_path / "sent.jsonl"
    market = ["simulate", "--seed", "8", "--trades-per-second", "200", "--coins", "40"]
    new = []

    with start_simulator([*market, "--sent-log", str(sent)]) as running:
        settings = live(running, dsn, **FROM_CREATE, **NO_FILTER)
        for _ in range(2):
            with Service(tmp_path / "state", **settings) as service:
                service.wait_received(600)
                running.fault("hold")
                ledger = service.settled()
                check_health(service)
                assert service.metrics()["unified_coins_tracked"] == 40
                # What comes back from the journal is known already.
                new.append(ledger["received"] - ledger["places"]["duplicate"])
                assert service.stop() == 0
                running.fault("start")

    lines = independent.read(sent)
    expected = independent.trades(lines)
    assert len(expected) == sum(new)
    check_all(dsn, expected, independent.creators(lines), runs=2)


def test_kill_9_loses_nothing_that_was_received(dsn: str, tmp_path: Path) -> None:
    sent = tmp_path / "sent.jsonl"
    market = ["simulate", "--seed", "10", "--trades-per-second", "200", "--coins", "40"]

    with start_simulator([*market, "--sent-log", str(sent)]) as running:
        settings = live(running, dsn, **FROM_CREATE, **NO_FILTER)
        with Service(tmp_path / "state", **settings) as first:
            wait_until(lambda: first.json("/ledger")["places"]["open"] > 300, what="open candles")
            running.fault("hold")
            wait_until(lambda: all_received(first, sent), what="quiet")
            first.kill9()
        wait_until(lambda: not running.stats()["connected"], what="the end of the connection")
        killed_at = len(independent.trades(independent.read(sent)))
        with Service(tmp_path / "state", **settings) as second:
            second.wait_ready()
            running.fault("start")
            wait_until(
                lambda: len(independent.trades(independent.read(sent))) > killed_at + 500,
                what="more trades",
            )
            running.fault("hold")
            second.settled()
            check_health(second)
            assert second.stop() == 0

    lines = independent.read(sent)
    check_all(dsn, independent.trades(lines), independent.creators(lines))


def delivered(webhook: RunningWebhook) -> set[str]:
    """List the mints that the webhook receiver has got."""
    batches: Any = webhook.received(1000)["batches"]
    return {coin["mint"] for batch in batches for coin in batch["body"]["data"]}


def all_received(service: Service, sent: Path) -> dict[str, Any] | None:
    """Give the ledger once it holds every trade that was sent."""
    ledger = service.json("/ledger")
    return ledger if ledger["received"] == len(independent.trades(independent.read(sent))) else None


def until_last_read(lines: list[Line], dsn: str, received: set[str]) -> list[Line]:
    """Cut off what was sent behind the last frame that left a trace; it was never read."""
    stored = {trade.identity for trade in stored_trades(dsn)}
    last = max(
        index
        for index, line in enumerate(lines)
        if any(trade.identity in stored for trade in independent.trades([line]))
        or (line.frame["txType"] == "create" and line.frame["mint"] in received)
    )
    return lines[: last + 1]
