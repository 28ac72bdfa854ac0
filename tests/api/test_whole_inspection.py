"""The lens, sizes, settings and commands against the real service and a simulated market."""

from __future__ import annotations

import json
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import requests

from simulator.process import start_simulator
from tests.api.test_whole_service import Caller
from tests.support.service import COMMAND, Service
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT_S = 20.0


@pytest.fixture
def service(dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("state")
    market = ["simulate", "--seed", "3", "--trades-per-second", "100", "--coins", "5"]
    with (
        start_simulator(market) as running,
        Service(
            folder,
            WS_URI=running.uri,
            PUMPPORTAL_API_KEY="funded",
            DB_DSN=dsn,
            ACTIVATION="trades",
            ACTIVATION_MIN_TRADES="0",
        ) as started,
    ):
        started.wait_ready()
        yield started
        assert started.json("/ledger")["balanced"]
        assert started.json("/dead-letters")["dead_letters"] == []
        assert started.stop() == 0


def busy_mint(call: Caller) -> str:
    """Wait for a coin whose tracker has counted a trade."""

    def found() -> str | None:
        _, answer = call("GET", "/actors?kind=tracker&limit=20")
        for actor in answer["actors"]:
            mint: str = actor["name"].partition(":")[2]
            status, shown = call("GET", f"/trackers/{mint}")
            if status == 200 and shown["tracker"] and shown["tracker"]["trades_total"] > 3:
                return mint
        return None

    mint: str = wait_until(found, what="a coin that is traded")
    return mint


def test_operator_looks_into_one_coin(service: Service) -> None:
    call = Caller(service)
    mint = busy_mint(call)
    path = f"/trackers/{mint}"

    # Its trades, its frames, its story.
    _, shown = call("GET", path)
    assert "TradesArrived" in {message["message"] for message in shown["recent"]}
    assert shown["route"]["routed"]
    assert shown["timers"]
    _, why = call("GET", f"{path}/why")
    assert "discovered" in {note["event"] for note in why["notes"]}
    assert [note["at"] for note in why["notes"]] == sorted(note["at"] for note in why["notes"])
    _, journal = call("GET", f"{path}/journal?limit=3")
    assert journal["count"] == 3
    assert all(mint in frame["frame"] for frame in journal["frames"])
    _, recent = call("GET", f"/actors/tracker:{mint}/recent")
    assert 1 <= recent["count"] <= 20

    # Its events as they happen.
    heard = listen(service, mint)
    assert heard[0] == ("begin", 0)
    assert "handled" in {kind for kind, _ in heard}

    # Held, its trades wait; then they come first.
    assert call("POST", f"{path}/pin")[0] == 200
    assert call("POST", f"{path}/pause")[0] == 200
    held = call("GET", path)[1]
    assert (held["paused"], held["pinned"], held["actor"]["state"]) == (True, True, "paused")
    assert call("POST", f"{path}/pause")[0] == 409
    wait_until(lambda: call("GET", path)[1]["route"]["parked_trades"] > 0, what="parked trades")
    assert call("POST", f"{path}/resume")[0] == 200
    wait_until(lambda: call("GET", path)[1]["route"]["parked_trades"] == 0, what="nothing parked")
    assert call("POST", f"{path}/resume")[0] == 409
    assert call("POST", f"{path}/unpin")[0] == 200

    # Logged for a while.
    assert call("POST", f"{path}/trace", {"seconds": 60})[0] == 200
    line = service.wait_log("handled")
    assert mint in line


def listen(service: Service, mint: str) -> list[tuple[str, int]]:
    """Read some events of a coin, then leave."""
    url = f"http://127.0.0.1:{service.port}/trackers/{mint}/tap"
    heard: list[tuple[str, int]] = []
    with closing(requests.get(url, stream=True, timeout=LIMIT_S)) as answer:
        number = 0
        for line in answer.iter_lines(chunk_size=1):
            field, _, value = line.decode().partition(": ")
            if field == "id":
                number = int(value)
            elif field == "event":
                heard.append((value, number))
            if len(heard) > 3:
                return heard
    return heard


def mintwatch(service: Service, *words: str) -> Any:
    """Run a command against the service; its answer as JSON."""
    done = subprocess.run(
        [str(COMMAND), *words, "--url", f"http://127.0.0.1:{service.port}", "--json"],
        capture_output=True,
        timeout=LIMIT_S * 4,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_operator_changes_sizes_and_settings(service: Service) -> None:
    call = Caller(service)
    busy_mint(call)

    # Tried out, nothing happens.
    tried = mintwatch(service, "resize", "writers", "3", "--dry-run")
    assert (
        tried["dry_run"],
        len(mintwatch(service, "actors", "--kind", "postgres-writer")["actors"]),
    ) == (True, 1)

    # More writers, and fewer; more threads.
    for writers in (3, 1):
        mintwatch(service, "resize", "writers", str(writers))
        _, actors = call("GET", "/actors?kind=postgres-writer&state=running")
        assert actors["total"] == writers
    mintwatch(service, "resize", "threads", "3")
    assert mintwatch(service, "resize", "threads", "1")["before"] == {"dispatcher_threads": 3}
    assert call("PATCH", "/actors/discovery", {"mailbox_capacity": 1000})[0] == 200
    assert call("GET", "/actors/discovery")[1]["mailbox_capacity"] == 1000

    # Settings act at once, and are remembered with who changed them.
    changed = mintwatch(service, "config", "set", "spam_burst_window=60", "batch_size=20")
    assert changed["changed"]["spam_burst_window"] == {"before": 30, "after": 60}
    assert call("GET", "/config")[1]["batch_size"] == 20
    status, refused = call("PUT", "/config", {"batch_size": 0, "nonsense": 1})
    assert (status, len(refused["errors"])) == (400, 2)
    newest = mintwatch(service, "config", "history")["changes"][0]
    assert (newest["by"], sorted(newest["changed"])) == (
        "127.0.0.1",
        ["batch_size", "spam_burst_window"],
    )
