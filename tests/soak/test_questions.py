"""Whoever watches the service closely does not slow it: many questions, and the trades go on."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

import click
import pytest
import requests

from simulator.process import start_simulator
from tests.e2e.recordings import FROM_CREATE, NO_FILTER
from tests.faults.latency import Span, stamp_rows, waits
from tests.support.service import Service
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

MARKET = ["simulate", "--coins", "100", "--trades-per-second", "400"]
PHASE_S = 60.0
ALLOWED = 2.0
"""Times the calm 99th percentile."""

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]


class Asker:
    """Asks for one path at a steady pace, from a thread of its own."""

    def __init__(self, port: int, path: str, per_second: float) -> None:
        self._url = f"http://127.0.0.1:{port}{path}"
        self._pause_s = 1 / per_second
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.answered = 0
        self.refused: list[int] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _ask(self) -> None:
        with requests.Session() as session:
            due_s = time.monotonic()
            while not self._end.wait(max(0.0, due_s - time.monotonic())):
                due_s += self._pause_s
                status = session.get(self._url, timeout=10).status_code
                self.answered += 1
                if status != 200:
                    self.refused.append(status)


def phase() -> Span:
    """Let some time pass, and give it."""
    began_s = time.time()
    threading.Event().wait(PHASE_S)
    return Span(began_s, time.time())


def test_200_questions_for_health_and_5_for_metrics_a_second_leave_trades_their_pace(
    dsn: str, tmp_path: Path
) -> None:
    stamp_rows(dsn)
    with (
        start_simulator(MARKET) as server,
        Service(
            tmp_path,
            WS_URI=server.uri,
            PUMPPORTAL_API_KEY="funded",
            DB_DSN=dsn,
            LOG_LEVEL="WARNING",
            **FROM_CREATE,
            **NO_FILTER,
        ) as service,
    ):
        wait_until(lambda: service.metrics()["unified_coins_tracked"] == 100, 60, "trackers")
        calm = phase()
        with (
            Asker(service.port, "/health", 100) as one,
            Asker(service.port, "/health", 100) as other,
            Asker(service.port, "/metrics", 5) as scraper,
        ):
            asked = phase()
        assert service.stop() == 0

    before, during = waits(dsn, calm), waits(dsn, asked)
    click.echo(f"\ncalm {before}\nasked {during}")
    assert [*one.refused, *other.refused, *scraper.refused] == []
    assert one.answered + other.answered >= 190 * PHASE_S
    assert scraper.answered >= 4.5 * PHASE_S
    assert during.p99_s <= ALLOWED * before.p99_s
