"""The supervisor hangs on a disk that does not answer: what only reads is answered all the same."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest
import requests

from simulator.process import start_simulator
from tests.support.service import Service
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HISTORY = "settings-history.jsonl"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    market = ["simulate", "--seed", "3", "--trades-per-second", "50", "--coins", "10"]
    with (
        start_simulator(market) as running,
        Service(
            tmp_path / "state",
            WS_URI=running.uri,
            PUMPPORTAL_API_KEY="funded",
            ACTIVATION="trades",
            ACTIVATION_MIN_TRADES=1,
        ) as started,
    ):
        started.wait_ready()
        wait_until(lambda: started.ledger()["places"]["committed"], 30.0, "a row")
        yield started
        assert started.stop() == 0


def answers(service: Service) -> bool:
    return "did not answer" not in (service.json("/health")["last_error"] or "")


def test_questions_are_answered_while_the_supervisor_hangs(
    service: Service, tmp_path: Path
) -> None:
    tracker = next(
        each["name"] for each in service.json("/actors")["actors"] if each["kind"] == "tracker"
    )
    mint = tracker.partition(":")[2]

    # Whoever reads this file waits until somebody writes to it
    fifo = tmp_path / "state" / HISTORY
    os.mkfifo(fifo)
    command = threading.Thread(
        target=service.ask, args=("PUT", "/config", {"coin_cache_seconds": 60})
    )
    command.start()

    wait_until(lambda: not answers(service), what="a supervisor that hangs")

    # What only reads is answered
    received = service.ledger()["received"]
    assert service.json(f"/actors/{tracker}")["state"] == "running"
    assert service.json(f"/actors/{tracker}/recent")["recent"]
    assert service.json(f"/trackers/{mint}/why")["notes"]
    assert service.json("/feed")["state"] == "live"
    assert service.json("/dead-letters")["count"] == 0
    assert service.json("/dossiers")["count"] == 0
    assert service.json("/config")["coin_cache_seconds"] == 120
    wait_until(lambda: service.ledger()["received"] > received, what="trades that go on")

    # What changes something is not: it says who did not answer
    refused = service.ask("POST", f"/trackers/{mint}/pause")
    assert (refused.status_code, "supervisor" in refused.text) == (504, True)

    # And works again once the disk answers
    with fifo.open("wb"):
        pass
    command.join(30.0)
    wait_until(lambda: answers(service), what="a supervisor that answers")
    assert service.json("/config")["coin_cache_seconds"] == 60
    assert requests.codes.ok == service.ask("POST", f"/trackers/{mint}/restart").status_code
