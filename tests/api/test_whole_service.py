"""The changing half of the API against the real service, a simulated market and PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests

from simulator.process import start_simulator
from tests.support.service import Service
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

MINT = "Ai3qS9nAJhGkW4pA2s1nHbzHqVr7TgP8d3cL5yZmpump"
LIMIT_S = 10.0


class Caller:
    """Sends what changes something."""

    def __init__(self, service: Service) -> None:
        self._base = f"http://127.0.0.1:{service.port}"

    def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        answer = requests.request(method, self._base + path, json=body, timeout=LIMIT_S)
        found: dict[str, Any] = answer.json()
        return answer.status_code, found

    def tracker(self) -> dict[str, Any] | None:
        """Describe the running tracker of MINT."""
        status, found = self("GET", f"/trackers/{MINT}")
        return found if status == 200 and found["tracker"] is not None else None


@pytest.fixture
def service(dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("state")
    market = ["simulate", "--seed", "3", "--trades-per-second", "50", "--coins", "10"]
    with (
        start_simulator(market) as running,
        Service(folder, WS_URI=running.uri, PUMPPORTAL_API_KEY="funded", DB_DSN=dsn) as started,
    ):
        started.wait_ready()
        yield started
        assert started.stop() == 0


def test_operator_tracks_changes_restarts_and_stops_a_coin(service: Service) -> None:
    call = Caller(service)

    # Tracked through its stream, at once.
    assert call("GET", f"/trackers/{MINT}")[0] == 404
    assert call("POST", "/trackers", {"mint": MINT})[0] == 202
    tracker = wait_until(call.tracker, what="the tracker")
    assert tracker["actor"]["state"] == "running"
    assert tracker["tracker"]["candle"]["interval_seconds"] == 5
    assert call("POST", "/trackers", {"mint": MINT})[0] == 409

    # A changed phase reaches the tracker by itself.
    status, changed = call("PUT", "/database/phases/1", {"interval_seconds": 7})
    assert (status, changed["updated_streams"]) == (200, 1)
    wait_until(lambda: interval(call) == 7, what="the new interval")
    status, reloaded = call("POST", "/reload-config")
    assert (status, reloaded["updated_streams"]) == (200, 0)

    # The tracker chooses whether it moves.
    status, refused = call("PUT", f"/trackers/{MINT}/phase", {"phase_id": 98})
    assert (status, refused["detail"]) == (
        409,
        "There is no regular phase 98; there are 1, 2, 3.",
    )
    assert call("PUT", f"/trackers/{MINT}/phase", {"phase_id": 2})[0] == 200
    wait_until(lambda: interval(call) == 30, what="the other phase")

    # Replaced, it goes on; it is not in quarantine.
    assert call("POST", f"/trackers/{MINT}/restart")[0] == 200
    wait_until(lambda: restarts(call) == 1, what="the new instance")
    assert interval(call) == 30
    assert call("POST", f"/trackers/{MINT}/revive")[0] == 409

    # Deleting a phase moves its streams, and their trackers follow.
    wait_until(lambda: call("GET", "/database/streams/stats")[1]["streams_by_phase"] == {"2": 1})
    status, deleted = call("DELETE", "/database/phases/2")
    assert (status, deleted["affected_streams"]) == (200, 1)
    wait_until(lambda: interval(call) == 60, what="the next phase")

    # Stopped through its stream.
    status, analytics = call("GET", f"/analytics/{MINT}?windows=1m")
    assert (status, analytics["is_active"]) == (200, True)
    assert call("DELETE", f"/trackers/{MINT}")[0] == 202
    wait_until(lambda: call("GET", f"/actors/tracker:{MINT}")[0] == 404, what="its end")
    assert call("DELETE", f"/trackers/{MINT}")[0] == 404
    assert call("GET", "/dead-letters")[1] == {"dead_letters": [], "count": 0, "limit": 50}
    assert call("GET", "/ledger")[1]["balanced"]


def interval(call: Caller) -> int | None:
    tracker = call.tracker()
    return None if tracker is None else tracker["tracker"]["candle"]["interval_seconds"]


def restarts(call: Caller) -> int | None:
    tracker = call.tracker()
    return None if tracker is None else tracker["actor"]["restarts"]
