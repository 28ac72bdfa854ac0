"""What is wrong around the service is said in one clear line, costs nothing, and heals."""

from __future__ import annotations

import re
import signal
import socket
import time
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import requests

from simulator.process import start_simulator, start_webhook
from tests.e2e.recordings import FROM_CREATE, NO_FILTER, recording
from tests.e2e.rows import check_candles, check_health, insert_streams, query, rows, stored_trades
from tests.support import independent
from tests.support.service import Service, free_port
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from simulator.process import RunningWebhook


class Door:
    """A way to the database that can be shut: a socket's name in a folder of its own."""

    def __init__(self, folder: Path, dsn: str) -> None:
        parts = urlsplit(dsn)
        place = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self._dsn = dsn
        self._real = f"{place['host']}/.s.PGSQL.{place['port']}"
        self._name = folder / ".s.PGSQL.5432"
        self.dsn = f"postgresql://{parts.netloc}{parts.path}?host={quote(str(folder))}&port=5432"

    def open(self) -> None:
        self._name.symlink_to(self._real)

    def shut(self) -> None:
        """Let nobody in any more, and throw out who is there."""
        self._name.unlink()
        query(
            self._dsn,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )


@pytest.fixture
def door(tmp_path: Path, dsn: str) -> Door:
    folder = tmp_path / "door"
    folder.mkdir()
    return Door(folder, dsn)


@pytest.fixture
def webhook() -> Iterator[RunningWebhook]:
    with start_webhook() as running:
        yield running


def test_bad_configuration_names_every_error_at_once(tmp_path: Path) -> None:
    settings = {
        "FEED": "replay:/there/is/no/such/file",
        "WS_URI": "http://127.0.0.1/api/data",
        "DB_DSN": "postgresql://user:***@127.0.0.1/db",
        "DB_BATCH_SIZE": "many",
        "API_PORT": "65536",
        "BAD_NAMES_PATTERN": "(",
        "COIN_CACHE_SECONDS": "9",
        "API_HOST": "0.0.0.0",
    }

    with Service(tmp_path, **settings) as service:
        assert service.wait() == 78

    said = service.log
    assert [name for name in settings if name not in said] == []
    assert "Traceback" not in said
    assert len(said.splitlines()) <= 1 + len(settings)


def test_a_secret_in_a_bad_configuration_is_not_printed(tmp_path: Path) -> None:
    with Service(
        tmp_path, DB_DSN="postgresql://user:s3cr3t@[bad/db", N8N_WEBHOOK_URL="ftp://u:s3cr3t@h/"
    ) as service:
        assert service.wait() == 78

    assert "DB_DSN" in service.log
    assert "s3cr3t" not in service.log


def test_an_occupied_port_is_one_line(dsn: str, tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with Service(
            tmp_path, DB_DSN=dsn, API_PORT=port, FEED=f"replay:{recording('market')}"
        ) as service:
            assert service.wait() == 1

    said = [line for line in service.log.splitlines() if line.startswith("mintwatch: ")]
    assert len(said) == 1
    assert str(port) in said[0]
    assert "Traceback" not in service.log


def test_second_process_with_the_same_state_dir_says_who_holds_it(dsn: str, tmp_path: Path) -> None:
    with start_simulator(["simulate", "--hold"]) as running:
        settings = {"DB_DSN": dsn, "WS_URI": running.uri, "STATE_DIR": tmp_path}
        with Service(tmp_path, **settings) as first:
            first.wait_ready()
            with Service(tmp_path, **settings) as second:
                assert second.wait() == 1
            assert first.json("/livez")
            assert first.stop() == 0

    assert f"process {first.process.pid}" in second.log
    assert "Traceback" not in second.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_either_signal_ends_it_in_order(number: signal.Signals, dsn: str, tmp_path: Path) -> None:
    with (
        start_simulator(["simulate", "--hold"]) as running,
        Service(tmp_path, DB_DSN=dsn, WS_URI=running.uri) as service,
    ):
        service.wait_ready()
        service.signal(number)
        assert service.wait() == 0

    assert "Traceback" not in service.log


def test_second_signal_ends_it_at_once(webhook: RunningWebhook, dsn: str, tmp_path: Path) -> None:
    webhook.set_mode("hang")
    with (
        start_simulator(["replay", str(recording("session")), "--speed", "0"]) as running,
        Service(
            tmp_path,
            WS_URI=running.uri,
            DB_DSN=dsn,
            N8N_WEBHOOK_URL=webhook.url,
            DRAIN_TIMEOUT=40,
            N8N_TIMEOUT=40,
        ) as service,
    ):
        wait_until(lambda: webhook.received()["attempts"], what="a request that hangs")
        service.signal()
        service.wait_log("draining")
        service.signal()
        assert service.wait(5) == 128 + signal.SIGTERM


def test_database_that_comes_late_gets_every_row(door: Door, dsn: str, tmp_path: Path) -> None:
    market = recording("market")
    lines = independent.read(market)
    expected = independent.trades(lines)
    mints = {trade.mint for trade in expected}
    insert_streams(dsn, mints, time.time_ns() // 1000)
    player = ["replay", str(market), "--speed", "0", "--wait-keys", str(len(mints))]

    with (
        start_simulator(player) as running,
        Service(
            tmp_path,
            WS_URI=running.uri,
            PUMPPORTAL_API_KEY="funded",
            DB_DSN=door.dsn,
            STORE_TRADES=True,
        ) as service,
    ):
        service.wait_log("database_away")
        assert service.get("/livez").status_code == 200
        assert service.get("/readyz").status_code == 503
        door.open()
        service.wait_received(len(expected))
        service.wait_ready()
        check_health(service)
        assert service.stop() == 0

    times = {trade.identity: trade.at_us for trade in stored_trades(dsn)}
    assert times.keys() == {trade.identity for trade in expected}
    check_candles(rows(dsn), sorted(_at(expected, times), key=lambda trade: trade.at_us))
    assert "Traceback" not in service.log


def test_database_that_goes_away_loses_nothing(door: Door, dsn: str, tmp_path: Path) -> None:
    sent = tmp_path / "sent.jsonl"
    market = ["simulate", "--seed", "9", "--trades-per-second", "200", "--coins", "30"]
    door.open()

    with (
        start_simulator([*market, "--sent-log", str(sent)]) as running,
        Service(
            tmp_path / "state",
            WS_URI=running.uri,
            PUMPPORTAL_API_KEY="funded",
            DB_DSN=door.dsn,
            STORE_TRADES=True,
            **FROM_CREATE,
            **NO_FILTER,
        ) as service,
    ):
        wait_until(lambda: rows(dsn), what="first rows")
        door.shut()
        service.wait_received(service.json("/ledger")["received"] + 1500)
        door.open()
        before = len(rows(dsn))
        wait_until(lambda: len(rows(dsn)) > before, 20, "new rows")
        running.fault("hold")
        service.settled()
        ledger = check_health(service)
        assert service.stop() == 0

    lines = independent.read(sent)
    expected = independent.trades(lines)
    assert ledger["received"] == len(expected)
    times = {trade.identity: trade.at_us for trade in stored_trades(dsn)}
    assert times.keys() == {trade.identity for trade in expected}
    check_candles(
        rows(dsn),
        sorted(_at(expected, times), key=lambda trade: trade.at_us),
        independent.creators(lines),
    )
    assert "Traceback" not in service.log


def test_feed_that_is_not_there_yet_is_found_when_it_comes(dsn: str, tmp_path: Path) -> None:
    port = free_port()
    player = ["replay", str(recording("session")), "--speed", "0", "--port", str(port)]
    lines = independent.read(recording("session"))

    with Service(
        tmp_path,
        WS_URI=f"ws://127.0.0.1:{port}/api/data",
        WS_RETRY_DELAY="0.1",
        WS_MAX_RETRY_DELAY="0.5",
        DB_DSN=dsn,
        **FROM_CREATE,
        **NO_FILTER,
    ) as service:
        said = service.wait_log("feed_away")
        assert service.get("/readyz").status_code == 503
        with start_simulator(player):
            service.wait_received(len(independent.trades(lines)))
            check_health(service)
            assert service.stop() == 0

    assert "refused" in said.lower()
    assert "Traceback" not in service.log


def test_a_ban_is_waited_out_in_minutes(dsn: str, tmp_path: Path) -> None:
    with start_simulator(["simulate"]) as running:
        running.fault("ban", seconds=3600)
        with Service(tmp_path, WS_URI=running.uri, DB_DSN=dsn) as service:
            said = service.wait_log("feed_away")
            feed = service.json("/feed")
            assert service.stop() == 0

    assert feed["state"] == "banned"
    assert "403" in said
    retry_in = re.search(r"retry_in_s=([\d.]+)", said)
    assert retry_in is not None
    assert float(retry_in[1]) >= 300
    assert "Traceback" not in service.log


def test_a_server_that_speaks_something_else_is_one_clear_line(
    webhook: RunningWebhook, dsn: str, tmp_path: Path
) -> None:
    uri = webhook.url.replace("http://", "ws://")
    with Service(tmp_path, WS_URI=uri, PUMPPORTAL_API_KEY="k3y", DB_DSN=dsn) as service:
        said = service.wait_log("feed_away")
        assert service.stop() == 0

    assert "reason=" in said
    assert "Traceback" not in service.log
    assert "k3y" not in service.log


@pytest.mark.parametrize("mode", ["refuse", "status:500", "status:404"])
def test_webhook_that_refuses_at_first_gets_every_coin_later(
    mode: str, webhook: RunningWebhook, dsn: str, tmp_path: Path
) -> None:
    created = independent.creates(independent.read(recording("session")))
    webhook.set_mode(mode, times=2)

    with (
        start_simulator(["replay", str(recording("session")), "--speed", "0"]) as running,
        Service(
            tmp_path,
            WS_URI=running.uri,
            DB_DSN=dsn,
            N8N_WEBHOOK_URL=webhook.url,
            BATCH_TIMEOUT=10,
            **NO_FILTER,
        ) as service,
    ):
        wait_until(lambda: delivered(webhook) >= created.keys(), what="deliveries")
        check_health(service)
        assert service.stop() == 0

    assert delivered(webhook) == created.keys()
    assert webhook.received()["duplicates"] == 0
    assert "Traceback" not in service.log


def test_coins_that_no_webhook_took_are_delivered_by_the_next_run(dsn: str, tmp_path: Path) -> None:
    created = independent.creates(independent.read(recording("session")))
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    settings = {"DB_DSN": dsn, "N8N_WEBHOOK_URL": url, "BATCH_TIMEOUT": 10, **NO_FILTER}

    with (
        start_simulator(["replay", str(recording("session")), "--speed", "0"]) as running,
        Service(tmp_path, WS_URI=running.uri, **settings) as first,
    ):
        first.wait_received(len(independent.trades(independent.read(recording("session")))))
        assert first.stop() == 0
    with (
        start_webhook(["--port", str(port)]) as webhook,
        start_simulator(["simulate", "--hold"]) as running,
        Service(tmp_path, WS_URI=running.uri, **settings) as second,
    ):
        wait_until(lambda: delivered(webhook) == created.keys(), what="deliveries")
        assert second.stop() == 0

    assert "Traceback" not in first.log + second.log


def delivered(webhook: RunningWebhook) -> set[str]:
    """List the mints that the webhook receiver has got."""
    batches = requests.get(f"{webhook.url}/received?last=1000", timeout=10).json()["batches"]
    return {coin["mint"] for batch in batches for coin in batch["body"]["data"]}


def _at(
    found: list[independent.Trade], times: dict[independent.Identity, int]
) -> list[independent.Trade]:
    return [trade._replace(at_us=times[trade.identity]) for trade in found]
