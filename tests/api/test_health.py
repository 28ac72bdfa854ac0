"""/health, /livez, /readyz."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from actors.protocol.operator import AcknowledgeKept
from actors.protocol.supervisor import GetHealth, Problem
from tests.api.fakes import HEALTH, NOON_US

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from flask.testing import FlaskClient

    from db.pool import Pool
    from tests.api.fakes import FakeSupervisor


def say(supervisor: FakeSupervisor, **changes: Any) -> None:
    supervisor.replies[GetHealth] = msgspec.structs.replace(HEALTH, **changes)


CLOCK = Problem(
    kind="clock",
    since_us=NOON_US,
    says="The machine's clock is 3,600.0 s ahead of the arrival clock, which stamps trades.",
    do="See to the machine's time synchronisation.",
    key="clock",
)


def test_health_gives_every_field_of_the_original(client: FlaskClient) -> None:
    answer = client.get("/health")

    assert answer.status_code == 200
    assert answer.json == {
        "status": "healthy",
        "ws_connected": True,
        "db_connected": True,
        "uptime_seconds": 3600.5,
        "last_message_ago": 0.3,
        "reconnect_count": 2,
        "last_error": None,
        "last_n8n_success": "2026-07-03T12:00:02+00:00",
        "connection_start": "2026-07-03T12:00:00.500000+00:00",
        "cache_stats": {
            "total_coins": 12,
            "activated": 3,
            "activated_coins": 3,
            "expired": 140,
            "expired_coins": 140,
            "oldest_age_seconds": 118.4,
            "newest_age_seconds": 0.7,
        },
        "tracking_stats": {
            "active_coins": 41,
            "total_trades": 182_334,
            "metrics_saved": 9120,
            "total_metrics_saved": 9120,
        },
        "discovery_stats": {
            "total_discovered": 512,
            "total_coins_discovered": 512,
            "n8n_available": True,
            "buffer_size": 4,
            "n8n_buffer_size": 4,
        },
        "feed_state": "live",
        "feed_reason": "",
        "feed_since": "2026-07-03T12:00:01+00:00",
        "database_state": "up",
        "rows_waiting": 5,
        "rows_spooled": 0,
        "draining": False,
        "recovering": False,
        "journal_state": "off",
        "broken_actors": [],
        "problems": [],
    }


@pytest.mark.parametrize(
    ("changes", "status", "connected"),
    [
        ({"last_frame_age_seconds": 299.9}, "healthy", True),
        ({"last_frame_age_seconds": 300.0}, "degraded", False),
        ({"last_frame_age_seconds": None}, "degraded", False),
        ({"broken_actors": ("discovery",)}, "unhealthy", True),
        ({"problems": (CLOCK,)}, "degraded", True),
        ({"problems": (CLOCK,), "broken_actors": ("discovery",)}, "unhealthy", True),
    ],
)
def test_status_follows_feed_and_actors(
    client: FlaskClient,
    supervisor: FakeSupervisor,
    changes: dict[str, Any],
    status: str,
    connected: bool,
) -> None:
    say(supervisor, **changes)

    answer = client.get("/health").json

    assert answer is not None
    assert (answer["status"], answer["ws_connected"]) == (status, connected)


@pytest.mark.parametrize(("age_s", "status"), [(1.0, "degraded"), (301.0, "unhealthy")])
def test_status_without_a_database_depends_on_the_feed(
    lonely: FlaskClient, supervisor: FakeSupervisor, age_s: float, status: str
) -> None:
    say(supervisor, last_frame_age_seconds=age_s)

    answer = lonely.get("/health")

    assert answer.status_code == 200
    assert answer.json is not None
    assert (answer.json["status"], answer.json["db_connected"]) == (status, False)


def test_problems_are_named_with_what_to_do(
    client: FlaskClient, supervisor: FakeSupervisor
) -> None:
    say(supervisor, problems=(CLOCK,))

    answer = client.get("/health").json

    assert answer is not None
    assert answer["problems"] == [
        {
            "kind": "clock",
            "since": "2026-07-03T12:00:00+00:00",
            "says": "The machine's clock is 3,600.0 s ahead of the arrival clock, which stamps "
            "trades.",
            "do": "See to the machine's time synchronisation.",
        }
    ]


def test_secret_in_somebody_s_words_is_masked_in_a_problem(
    app_of: Callable[..., Flask], pool: Pool, supervisor: FakeSupervisor
) -> None:
    client = app_of(pool, API_TOKEN="a-token-nobody-sees").test_client()
    words = msgspec.structs.replace(CLOCK, says="refused: a-token-nobody-sees")
    say(supervisor, problems=(words,))

    answer = client.get("/health").json

    assert answer is not None
    assert answer["problems"][0]["says"] == "refused: ***"


def test_health_answers_even_when_the_supervisor_does_not(
    client: FlaskClient, supervisor: FakeSupervisor
) -> None:
    supervisor.silent = "supervisor"

    answer = client.get("/health")

    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["status"] == "unhealthy"
    assert answer.json["last_error"] == "supervisor did not answer within 3 s"
    assert answer.json["db_connected"] is True


def test_process_is_alive_without_database_and_supervisor(
    lonely: FlaskClient, supervisor: FakeSupervisor
) -> None:
    supervisor.silent = "supervisor"

    answer = lonely.get("/livez")

    assert (answer.status_code, answer.json) == (200, {"status": "alive"})


@pytest.mark.parametrize("feed_state", ["live", "discovery_only"])
def test_service_is_ready_when_all_its_parts_are(
    client: FlaskClient, supervisor: FakeSupervisor, feed_state: str
) -> None:
    say(supervisor, feed_state=feed_state)

    answer = client.get("/readyz")

    assert answer.status_code == 200
    assert answer.json == {"status": "ready", "database": "up", "feed": feed_state}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"feed_state": "silent"}, "the feed is silent"),
        ({"feed_state": "banned", "feed_reason": "403"}, "the feed is banned (403)"),
        ({"streams_loaded": False}, "the streams are not loaded yet"),
        ({"draining": True}, "it is stopping"),
        ({"recovering": True}, "the journal is still being replayed"),
        ({"not_subscribed": 1_200}, "1,200 coins are not subscribed yet"),
        ({"broken_actors": ("discovery",)}, "these actors do not run: discovery"),
    ],
)
def test_service_that_is_not_ready_says_why(
    client: FlaskClient, supervisor: FakeSupervisor, changes: dict[str, Any], why: str
) -> None:
    say(supervisor, **changes)

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.content_type == "application/problem+json"
    assert answer.json is not None
    assert answer.json["detail"] == f"The service is not ready, because {why}: see /health."


@pytest.mark.parametrize("state", ["away", "refusing"])
def test_service_is_ready_without_a_database_while_it_spools(
    lonely: FlaskClient, supervisor: FakeSupervisor, state: str
) -> None:
    say(supervisor, database_state=state, rows_spooled=7)

    assert lonely.get("/readyz").status_code == 200


def test_service_is_ready_while_the_database_answers_and_takes_no_row(
    client: FlaskClient, supervisor: FakeSupervisor
) -> None:
    say(supervisor, database_state="refusing")

    answer = client.get("/readyz")
    assert answer.json == {"status": "ready", "database": "refusing", "feed": "live"}


@pytest.mark.parametrize("state", ["away", "refusing"])
def test_service_is_not_ready_once_the_spool_is_full_too(
    client: FlaskClient, supervisor: FakeSupervisor, state: str
) -> None:
    say(supervisor, database_state=state, rows_parked=1)

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert b"rows can neither be written nor kept on disk" in answer.data


def test_rows_parked_earlier_are_no_obstacle_once_the_database_takes_rows(
    client: FlaskClient, supervisor: FakeSupervisor
) -> None:
    say(supervisor, database_state="up", rows_parked=1)

    assert client.get("/readyz").status_code == 200


def test_service_is_not_ready_before_the_database_was_ever_seen(
    lonely: FlaskClient, supervisor: FakeSupervisor
) -> None:
    say(supervisor, database_state="unknown")

    answer = lonely.get("/readyz")

    assert answer.status_code == 503
    assert b"the database does not answer" in answer.data


def test_service_is_not_ready_when_the_supervisor_is_silent(
    client: FlaskClient, supervisor: FakeSupervisor
) -> None:
    supervisor.silent = "supervisor"

    assert client.get("/readyz").status_code == 504


# Acknowledging.


@pytest.mark.parametrize("kind", ["ahead", "conflicts"])
def test_rows_kept_aside_are_acknowledged(
    client: FlaskClient, supervisor: FakeSupervisor, kind: str
) -> None:
    supervisor.replies[AcknowledgeKept] = 3

    answer = client.post(f"/problems/{kind}/acknowledge")

    assert (answer.status_code, answer.json) == (200, {"kind": kind, "rows": 3})
    assert supervisor.asked == [AcknowledgeKept(kind)]


def test_other_problems_end_with_their_cause(
    client: FlaskClient, supervisor: FakeSupervisor
) -> None:
    answer = client.post("/problems/n8n/acknowledge")

    assert answer.status_code == 404
    assert answer.content_type == "application/problem+json"
    assert answer.json is not None
    assert answer.json["detail"] == (
        "Only problems about rows that are kept aside are acknowledged: `ahead` or `conflicts`. "
        "Every other problem ends with its cause."
    )
    assert supervisor.asked == []


def test_nothing_is_acknowledged_without_the_database(
    client: FlaskClient, supervisor: FakeSupervisor
) -> None:
    supervisor.replies[AcknowledgeKept] = None

    answer = client.post("/problems/ahead/acknowledge")

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert b"The database is needed for this" in answer.data
