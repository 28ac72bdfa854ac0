"""An operator steers a running service over its API; what he does holds, and costs no trade."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from simulator.process import start_simulator
from tests.e2e.recordings import FROM_CREATE, NO_FILTER
from tests.e2e.rows import check_candles, check_health, check_totals, rows, stored_trades
from tests.support import independent
from tests.support.service import Service
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from simulator.process import Running

MARKET = ["simulate", "--seed", "21", "--trades-per-second", "200", "--coins", "20"]


class Market:
    """A living market that writes down what it sends."""

    def __init__(self, running: Running, sent: Path, dsn: str) -> None:
        self.running = running
        self.dsn = dsn
        self._sent = sent

    def settings(self, **more: object) -> dict[str, object]:
        return {
            "WS_URI": self.running.uri,
            "PUMPPORTAL_API_KEY": "funded",
            "DB_DSN": self.dsn,
            "STORE_TRADES": True,
            **FROM_CREATE,
            **NO_FILTER,
            **more,
        }

    def check_rows(self, *, cuts: int) -> None:
        """Every trade that was sent is in the rows, once, and every row is right."""
        lines = independent.read(self._sent)
        sent = {trade.identity: trade for trade in independent.trades(lines)}
        stored = stored_trades(self.dsn)
        assert sorted(trade.identity for trade in stored) == sorted(sent)
        expected = [sent[trade.identity]._replace(at_us=trade.at_us) for trade in stored]
        check_candles(rows(self.dsn), expected, independent.creators(lines), cuts=cuts)
        check_totals(rows(self.dsn), expected)


@pytest.fixture
def market(tmp_path: Path, dsn: str) -> Iterator[Market]:
    sent = tmp_path / "sent.jsonl"
    with start_simulator([*MARKET, "--sent-log", str(sent)]) as running:
        yield Market(running, sent, dsn)


def settle(service: Service, market: Market) -> None:
    """Let the market pause, and everything it sent be dealt with."""
    market.running.fault("hold")
    service.settled()


def mint_of(service: Service) -> str:
    found: list[dict[str, Any]] = service.json("/actors?kind=tracker")["actors"]
    return str(found[0]["name"]).partition(":")[2]


def ok(service: Service, method: str, path: str, body: object = None) -> dict[str, Any]:
    response = service.ask(method, path, body)
    assert response.status_code == 200, f"{path}: {response.status_code} {response.text}"
    answer: dict[str, Any] = response.json()
    return answer


def test_changed_settings_hold_over_a_restart(market: Market, tmp_path: Path) -> None:
    settings = market.settings(COIN_CACHE_SECONDS="90")
    with Service(tmp_path / "state", **settings) as first:
        first.wait_ready()
        changed = ok(first, "PUT", "/config", {"coin_cache_seconds": 60})
        assert changed["updated_fields"] == ["coin_cache_seconds"]
        assert first.stop() == 0
    with Service(tmp_path / "state", **settings) as second:
        second.wait_ready()
        assert second.json("/config")["coin_cache_seconds"] == 60
        [change] = second.json("/config/history")["changes"]
        assert change["changed"]["coin_cache_seconds"] == {"before": 90, "after": 60}
        assert second.stop() == 0


def test_setting_that_needs_a_restart_drains_and_goes_on_in_the_same_process(
    market: Market, tmp_path: Path
) -> None:
    with Service(tmp_path / "state", **market.settings()) as service:
        service.wait_received(300)
        first_port = service.port
        settle(service, market)
        assert ok(service, "PUT", "/config", {"db_pool_max": 5})["restarts"] is True
        wait_until(lambda: service.port != first_port, what="the second beginning")
        service.wait_ready()
        market.running.fault("start")
        service.wait_received(300)
        settle(service, market)
        check_health(service)
        assert service.stop() == 0

    market.check_rows(cuts=2)
    assert service.log.count("drained") == 2


def test_paused_coin_loses_nothing_and_is_no_hindrance(market: Market, tmp_path: Path) -> None:
    with Service(tmp_path / "state", **market.settings()) as service:
        service.wait_received(200)
        mint = mint_of(service)
        ok(service, "POST", f"/trackers/{mint}/pause")
        wait_until(lambda: service.ledger()["places"]["parked"] > 0, what="parked trades")
        assert service.json(f"/trackers/{mint}")["paused"] is True
        ok(service, "POST", f"/trackers/{mint}/resume")
        wait_until(lambda: service.ledger()["places"]["parked"] == 0, what="no parked trades")
        settle(service, market)
        check_health(service)
        assert service.metrics()["mintwatch_late_trades_total"] == 0
        assert service.stop() == 0

    market.check_rows(cuts=1)


def test_coin_that_is_paused_at_the_end_is_complete_after_the_next_start(
    market: Market, tmp_path: Path
) -> None:
    with Service(tmp_path / "state", **market.settings()) as first:
        first.wait_received(200)
        ok(first, "POST", f"/trackers/{mint_of(first)}/pause")
        wait_until(lambda: first.ledger()["places"]["parked"] > 0, what="parked trades")
        settle(first, market)
        assert first.stop() == 0
    with Service(tmp_path / "state", **market.settings()) as second:
        second.wait_ready()
        second.settled()
        assert second.stop() == 0

    market.check_rows(cuts=2)


def test_pins_and_timelines_are_there_after_a_restart(market: Market, tmp_path: Path) -> None:
    with Service(tmp_path / "state", **market.settings()) as first:
        first.wait_received(50)
        mint = mint_of(first)
        wait_until(
            lambda: any(row["is_active"] for row in first.json("/database/streams")["streams"]),
            what="streams",
        )
        ok(first, "POST", f"/trackers/{mint}/pin")
        assert first.ask("DELETE", f"/trackers/{mint}").status_code == 409
        assert first.stop() == 0
    with Service(tmp_path / "state", **market.settings()) as second:
        second.wait_ready()
        wait_until(lambda: second.get(f"/trackers/{mint}").status_code == 200, what="the tracker")
        assert second.json(f"/trackers/{mint}")["pinned"] is True
        events = [note["event"] for note in second.json(f"/trackers/{mint}/why")["notes"]]
        assert events[0] == "discovered"
        assert events.count("tracking") == 2
        assert second.stop() == 0


def test_usr1_shows_every_thread_and_the_busiest_actors_and_nothing_ends(
    market: Market, tmp_path: Path
) -> None:
    with Service(tmp_path / "state", **market.settings()) as service:
        service.wait_ready()
        service.signal(signal.SIGUSR1)
        service.wait_log("actor_busy")
        assert "dispatcher-0" in service.log
        check_health(service)
        assert service.stop() == 0
