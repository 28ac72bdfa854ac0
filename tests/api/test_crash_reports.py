"""/dossiers: what is on record of failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from actors.protocol.operator import GetDossier, GetDossiers
from actors.runtime.inspection.crash_reports import CrashReport
from actors.runtime.inspection.recent_messages import RecentMessage
from tests.api.fakes import MINT, NOON_US

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from flask.testing import FlaskClient

    from db.pool import Pool
    from tests.api.fakes import FakeSupervisor

DOSSIER = CrashReport(
    id="01783080000000000-0001",
    at_us=NOON_US,
    actor=f"tracker:{MINT}",
    kind="tracker",
    error="ValueError: bad key-hunter2",
    traceback="Traceback ... key-hunter2",
    message="Trade",
    summary="Trade(seq=7)",
    recent=(RecentMessage(NOON_US, "Trade", "Trade(seq=7)", 1, 0.001, 0.0005, failed=True),),
    state="TrackerState(key-hunter2)",
    decision="restart",
    restart_after_s=0.5,
    restarts=1,
)
LINE = {
    "id": "01783080000000000-0001",
    "at": "2026-07-03T12:00:00+00:00",
    "actor": f"tracker:{MINT}",
    "kind": "tracker",
    "error": "ValueError: bad ***",
    "message": "Trade",
    "decision": "restart",
}


@pytest.fixture
def client(app_of: Callable[..., Flask], no_pool: Pool) -> FlaskClient:
    return app_of(no_pool, PUMPPORTAL_API_KEY="key-hunter2").test_client()


def test_failures_are_listed(client: FlaskClient, supervisor: FakeSupervisor) -> None:
    supervisor.replies[GetDossiers] = (DOSSIER.line,)

    answer = client.get(f"/dossiers?limit=5&actor=tracker:{MINT}")

    assert answer.json == {"dossiers": [LINE], "count": 1, "limit": 5}
    assert supervisor.asked == [GetDossiers(5, f"tracker:{MINT}")]


def test_failure_is_given_in_full(client: FlaskClient, supervisor: FakeSupervisor) -> None:
    supervisor.replies[GetDossier] = DOSSIER

    answer = client.get("/dossiers/01783080000000000-0001")

    assert answer.json == {
        **LINE,
        "traceback": "Traceback ... ***",
        "summary": "Trade(seq=7)",
        "recent": [
            {
                "at": "2026-07-03T12:00:00+00:00",
                "message": "Trade",
                "summary": "Trade(seq=7)",
                "events": 1,
                "waited_seconds": 0.001,
                "taken_seconds": 0.0005,
                "failed": True,
            }
        ],
        "state": "TrackerState(***)",
        "restart_after_seconds": 0.5,
        "restarts": 1,
    }
    assert supervisor.asked == [GetDossier("01783080000000000-0001")]


def test_unknown_failure_is_not_found(client: FlaskClient, supervisor: FakeSupervisor) -> None:
    supervisor.replies[GetDossier] = None

    assert client.get("/dossiers/01783080000000000-0001").status_code == 404


@pytest.mark.parametrize("name", ["..%2Fsettings.json", "..%5C..", "a b", "x" * 101, "%00", "a;b"])
def test_id_that_is_no_name_reaches_nobody(
    client: FlaskClient, supervisor: FakeSupervisor, name: str
) -> None:
    assert client.get(f"/dossiers/{name}").status_code in {400, 404}
    assert supervisor.asked == []


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "actor=", "actor=" + "x" * 129])
def test_list_out_of_bounds_is_refused(client: FlaskClient, query: str) -> None:
    assert client.get(f"/dossiers?{query}").status_code == 400
