"""/trackers: started and stopped by their streams, shown and changed by their actors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from actors.domain import AllTimeHigh, Mint
from actors.protocol.operator import (
    ChoosePhase,
    GetTracker,
    Outcome,
    RestartTracker,
    ReviveTracker,
    TrackerOverview,
)
from actors.protocol.supervisor import CachedCoinReport
from actors.protocol.tracker import PhaseChosen
from api import create_app
from tests.api.fakes import MINT, NOON_US, TRACKED, actor, settings_of
from tests.api.test_database_routes import stream, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from flask.testing import FlaskClient

    from db.pool import Pool
    from telemetry import Telemetry
    from tests.api.fakes import FakeSupervisor

NO_TRACKER = (
    "This mint has no tracker: see /actors?kind=tracker for those there are, or POST /trackers."
)
USDC = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"


@pytest.fixture
def at_noon(supervisor: FakeSupervisor, telemetry: Telemetry, pool: Pool) -> FlaskClient:
    """The application, at noon."""
    app = create_app(supervisor, settings_of(), telemetry, pool, now_us=lambda: NOON_US)
    return app.test_client()


def streams(client: FlaskClient) -> list[dict[str, Any]]:
    answer = client.get("/database/streams").json
    assert answer is not None
    rows: list[dict[str, Any]] = answer["streams"]
    return rows


# Starting and stopping.


def test_coin_is_tracked_by_a_stream_that_survives_a_restart(at_noon: FlaskClient) -> None:
    answer = at_noon.post("/trackers", json={"mint": MINT})

    assert (answer.status_code, answer.json) == (
        202,
        {
            "status": "success",
            "message": "The coin's stream is active.",
            "mint": MINT,
            "phase_id": 1,
        },
    )
    [row] = streams(at_noon)
    assert (row["token_address"], row["is_active"]) == (MINT, True)
    assert (row["current_phase_id"], row["started_at"]) == (1, "2026-07-03T12:00:00+00:00")


def test_ended_stream_begins_anew(at_noon: FlaskClient, dsn: str) -> None:
    write(dsn, stream(MINT, 99, "false"))

    assert at_noon.post("/trackers", json={"mint": MINT}).status_code == 202

    [row] = streams(at_noon)
    assert (row["is_active"], row["current_phase_id"]) == (True, 1)


def test_active_stream_is_not_begun_again(at_noon: FlaskClient, dsn: str) -> None:
    write(dsn, stream(MINT, 2, "true"))

    answer = at_noon.post("/trackers", json={"mint": MINT})

    assert answer.status_code == 409
    assert streams(at_noon)[0]["current_phase_id"] == 2


def test_coin_beyond_the_last_phase_is_not_begun(at_noon: FlaskClient, dsn: str) -> None:
    # 1,440 minutes is where the last phase ends.
    write(
        dsn,
        "INSERT INTO discovered_coins (token_address, token_created_at) "
        f"VALUES ('{MINT}', '2026-07-02 12:00:00+00')",
    )

    answer = at_noon.post("/trackers", json={"mint": MINT})

    assert answer.status_code == 409
    assert b"raise max_age_minutes" in answer.data
    assert streams(at_noon) == []


def test_without_a_regular_phase_nothing_is_begun(at_noon: FlaskClient, dsn: str) -> None:
    write(dsn, "DELETE FROM ref_coin_phases WHERE id < 99")

    answer = at_noon.post("/trackers", json={"mint": MINT})

    assert answer.status_code == 409
    assert streams(at_noon) == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"mint": ""},
        {"mint": "x" * 65},
        {"mint": "two words"},
        {"mint": "m\u00fcnze"},
        {"mint": 7},
        {"mint": None},
        {"mint": USDC},
        {"mint": MINT, "phase": 2},
    ],
)
def test_what_is_no_coin_is_refused(at_noon: FlaskClient, body: dict[str, Any]) -> None:
    answer = at_noon.post("/trackers", json=body)

    assert answer.status_code == 400
    assert streams(at_noon) == []


def test_stopped_coin_keeps_its_phase(at_noon: FlaskClient, dsn: str) -> None:
    write(dsn, stream(MINT, 2, "true"))

    answer = at_noon.delete(f"/trackers/{MINT}")

    assert (answer.status_code, answer.json) == (
        202,
        {"status": "success", "message": "The coin's stream is no longer active."},
    )
    [row] = streams(at_noon)
    assert (row["is_active"], row["current_phase_id"], row["is_graduated"]) == (False, 2, False)


@pytest.mark.parametrize("active", [None, "false"])
def test_coin_without_an_active_stream_cannot_be_stopped(
    at_noon: FlaskClient, dsn: str, active: str | None
) -> None:
    if active is not None:
        write(dsn, stream(MINT, 2, active))

    assert at_noon.delete(f"/trackers/{MINT}").status_code == 404


def test_starting_and_stopping_need_the_database(lonely: FlaskClient) -> None:
    answers = [lonely.post("/trackers", json={"mint": MINT}), lonely.delete(f"/trackers/{MINT}")]

    assert [answer.status_code for answer in answers] == [503, 503]


# Live.


def test_tracked_coin_is_shown_with_its_actor(
    lonely: FlaskClient, supervisor: FakeSupervisor
) -> None:
    live = msgspec.structs.replace(TRACKED, ath=AllTimeHigh(MINT, 3.1e-8, NOON_US + 1))
    supervisor.replies[GetTracker] = TrackerOverview(actor(f"tracker:{MINT}", "tracker"), live)

    answer = lonely.get(f"/trackers/{MINT}")

    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["mint"] == MINT
    assert answer.json["actor"]["state"] == "running"
    assert answer.json["cached"] is None
    assert answer.json["tracker"] == {
        "phase_id": 1,
        "window_start": "2026-07-03T12:00:00+00:00",
        "window_end": "2026-07-03T12:00:05+00:00",
        "candle": {
            "price_open": 2.8e-8,
            "price_high": 3.1e-8,
            "price_low": 2.8e-8,
            "price_close": 3.0e-8,
            "volume_sol": 12.5,
            "buy_volume_sol": 8.25,
            "sell_volume_sol": 4.25,
            "num_buys": 31,
            "num_sells": 12,
            "unique_wallets": 27,
            "market_cap_sol": 30.0,
            "interval_seconds": 5,
            "next_flush_seconds": 3.2,
        },
        "trades_total": 43,
        "candles_total": 1,
        "ath": {"price_sol": 3.1e-8, "at": "2026-07-03T12:00:00.000001+00:00"},
        "age_since": "2026-07-03T12:00:00+00:00",
        "creator": "creator",
        "covered": True,
        "graduated": False,
    }
    assert supervisor.asked == [GetTracker(MINT)]


def test_quarantined_tracker_says_why(
    app_of: Callable[..., Flask], no_pool: Pool, supervisor: FakeSupervisor
) -> None:
    client = app_of(no_pool, PUMPPORTAL_API_KEY="key-hunter2").test_client()
    broken = actor(f"tracker:{MINT}", "tracker", "quarantined", last_error="bad key-hunter2")
    supervisor.replies[GetTracker] = TrackerOverview(broken, None)

    answer = client.get(f"/trackers/{MINT}").json

    assert answer is not None
    assert (answer["actor"]["state"], answer["actor"]["last_error"]) == ("quarantined", "bad ***")
    assert (answer["tracker"], answer["cached"]) == (None, None)


def test_cached_coin_is_shown(lonely: FlaskClient, supervisor: FakeSupervisor) -> None:
    supervisor.replies[GetTracker] = TrackerOverview(
        None,
        CachedCoinReport(
            mint=MINT,
            discovered_us=NOON_US,
            n8n_sent=True,
            activated=False,
            subscription_active=True,
            cached_trades=3,
        ),
    )

    answer = lonely.get(f"/trackers/{MINT}").json

    assert answer is not None
    assert (answer["actor"], answer["tracker"]) == (None, None)
    assert answer["cached"]["cached_trades"] == 3


def test_unknown_coin_is_not_found(lonely: FlaskClient, supervisor: FakeSupervisor) -> None:
    supervisor.replies[GetTracker] = TrackerOverview(None, None)

    assert lonely.get(f"/trackers/{MINT}").status_code == 404


def test_mint_may_hold_slashes_and_look_like_a_path(
    lonely: FlaskClient, supervisor: FakeSupervisor
) -> None:
    supervisor.replies[GetTracker] = TrackerOverview(None, None)

    lonely.get("/trackers/a%2F%2Fb/phase")

    assert supervisor.asked == [GetTracker(Mint("a//b/phase"))]


# Commands.


def test_coin_is_moved_to_another_phase(lonely: FlaskClient, supervisor: FakeSupervisor) -> None:
    supervisor.replies[ChoosePhase] = PhaseChosen(accepted=True, refusal=None)

    answer = lonely.put(f"/trackers/{MINT}/phase", json={"phase_id": 2})

    assert (answer.status_code, answer.json) == (
        200,
        {"status": "success", "message": "The coin moves to phase 2."},
    )
    assert supervisor.asked == [ChoosePhase(MINT, 2)]


@pytest.mark.parametrize(
    ("reply", "status", "detail"),
    [
        (PhaseChosen(accepted=False, refusal="The coin is older."), 409, "The coin is older."),
        (
            None,
            404,
            NO_TRACKER,
        ),
    ],
)
def test_refused_phase_says_why(
    lonely: FlaskClient,
    supervisor: FakeSupervisor,
    reply: PhaseChosen | None,
    status: int,
    detail: str,
) -> None:
    supervisor.replies[ChoosePhase] = reply

    answer = lonely.put(f"/trackers/{MINT}/phase", json={"phase_id": 2})

    assert answer.status_code == status
    assert answer.json is not None
    assert answer.json["detail"] == detail


@pytest.mark.parametrize("phase_id", [0, 99, 100, "2", None, 1.5])
def test_phase_that_is_none_is_refused(lonely: FlaskClient, phase_id: Any) -> None:
    answer = lonely.put(f"/trackers/{MINT}/phase", json={"phase_id": phase_id})

    assert answer.status_code == 400


@pytest.mark.parametrize("command", [ReviveTracker(MINT), RestartTracker(MINT)])
@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome(found=True), 200),
        (Outcome(found=False), 404),
        (Outcome(found=True, refusal="It runs already."), 409),
    ],
)
def test_command_is_answered_by_its_outcome(
    lonely: FlaskClient,
    supervisor: FakeSupervisor,
    command: Any,
    outcome: Outcome,
    status: int,
) -> None:
    supervisor.replies[type(command)] = outcome

    path = "revive" if isinstance(command, ReviveTracker) else "restart"

    answer = lonely.post(f"/trackers/{MINT}/{path}")

    assert answer.status_code == status
    assert supervisor.asked == [command]


CHANGES = [
    ("POST", "/reload-config"),
    ("POST", "/database/phases"),
    ("PUT", "/database/phases/1"),
    ("DELETE", "/database/phases/1"),
    ("POST", "/trackers"),
    ("DELETE", f"/trackers/{MINT}"),
    ("PUT", f"/trackers/{MINT}/phase"),
    ("POST", f"/trackers/{MINT}/revive"),
    ("POST", f"/trackers/{MINT}/restart"),
    ("DELETE", "/dead-letters/1"),
    ("POST", "/dead-letters/1/retry"),
    ("POST", f"/trackers/{MINT}/pause"),
    ("POST", f"/trackers/{MINT}/resume"),
    ("POST", f"/trackers/{MINT}/pin"),
    ("POST", f"/trackers/{MINT}/unpin"),
    ("POST", f"/trackers/{MINT}/trace"),
    ("PATCH", "/actors/dispatcher"),
    ("PATCH", "/actors/postgres-writer"),
    ("PATCH", "/actors/trackers"),
    ("PATCH", "/actors/discovery"),
    ("PUT", "/config"),
]


@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_changes_need_the_token_that_is_set(
    app_of: Callable[..., Flask],
    no_pool: Pool,
    supervisor: FakeSupervisor,
    method: str,
    path: str,
) -> None:
    client = app_of(no_pool, API_TOKEN="hunter2").test_client()

    assert client.open(path, method=method, json={}).status_code == 401
    assert supervisor.asked == []


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1.evil"])
@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_pages_of_other_sites_change_nothing(
    lonely: FlaskClient, supervisor: FakeSupervisor, method: str, path: str, origin: str
) -> None:
    answer = lonely.open(path, method=method, headers={"Origin": origin})

    assert answer.status_code == 403
    assert supervisor.asked == []


def test_own_documentation_page_may_change_things(
    lonely: FlaskClient, supervisor: FakeSupervisor
) -> None:
    supervisor.replies[RestartTracker] = Outcome(found=True)

    # The very page: not that of another port, as `Host` names it.
    answer = lonely.post(
        f"/trackers/{MINT}/restart",
        base_url="http://localhost:8000",
        headers={"Origin": "http://localhost:8000", "Sec-Fetch-Site": "same-origin"},
    )

    assert answer.status_code == 200


# Gaps.


def test_gaps_of_a_coin_and_of_the_whole_feed_are_given(client: FlaskClient, dsn: str) -> None:
    for mint, minute in (("NULL", 0), ("'one'", 1), ("'two'", 2)):
        write(
            dsn,
            "INSERT INTO feed_gaps (mint, started_at, reason) "
            f"VALUES ({mint}, '2026-07-03 12:0{minute}:00+00', 'silence')",
        )

    answer = client.get("/feed/gaps?mint=one")

    assert answer.json is not None
    assert (answer.json["count"], answer.json["limit"]) == (2, 100)
    assert [(gap["mint"], gap["ended_at"]) for gap in answer.json["gaps"]] == [
        ("one", None),
        (None, None),
    ]
    assert len(client.get("/feed/gaps?limit=1").json["gaps"]) == 1  # type: ignore[index]


def test_gaps_need_the_database(lonely: FlaskClient) -> None:
    assert lonely.get("/feed/gaps").status_code == 503
