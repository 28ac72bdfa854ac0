"""/actors, /actor-tree, /feed, /ledger, /config, /metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from actors.protocol.connection import GetFeed
from actors.protocol.supervisor import GetActor, GetActors
from tests.api.fakes import ACTORS, FEED, actor

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from flask.testing import FlaskClient

    from db.pool import Pool
    from telemetry import Telemetry
    from tests.api.fakes import FakeSupervisor


def test_every_actor_is_given(lonely: FlaskClient) -> None:
    answer = lonely.get("/actors").json

    assert answer is not None
    assert (answer["count"], answer["total"]) == (7, 7)
    assert answer["actors"][1] == {
        "name": "postgres-writer:0",
        "kind": "postgres-writer",
        "state": "running",
        "mailbox_depth": 1,
        "mailbox_peak": 9,
        "mailbox_capacity": 4096,
        "oldest_age_seconds": 0.25,
        "handled": 100,
        "restarts": 0,
        "last_error": None,
        "busy_share": 0.125,
        "pinned": True,
    }


@pytest.mark.parametrize(
    ("query", "names", "total"),
    [
        ("kind=tracker", ["tracker:a", "tracker:b", "tracker:c"], 3),
        ("kind=tracker&state=running", ["tracker:a", "tracker:c"], 2),
        ("state=quarantined", ["tracker:b"], 1),
        ("kind=tracker&limit=1", ["tracker:a"], 3),
        ("kind=nothing", [], 0),
    ],
)
def test_actors_are_chosen_by_kind_and_state(
    lonely: FlaskClient, query: str, names: list[str], total: int
) -> None:
    answer = lonely.get(f"/actors?{query}").json

    assert answer is not None
    assert [found["name"] for found in answer["actors"]] == names
    assert answer["total"] == total


def test_one_actor_is_given(lonely: FlaskClient) -> None:
    answer = lonely.get("/actors/discovery").json

    assert answer is not None
    assert (answer["restarts"], answer["last_error"]) == (1, "ValueError: bad")


def test_actor_name_may_hold_any_mint(lonely: FlaskClient, supervisor: FakeSupervisor) -> None:
    supervisor.replies[GetActor] = lambda question: actor(question.name, "tracker")

    answer = lonely.get("/actors/tracker:a%2F%2Fb%3F").json

    assert answer is not None
    assert answer["name"] == "tracker:a//b?"


def test_unknown_actor_is_not_found(lonely: FlaskClient) -> None:
    answer = lonely.get("/actors/nobody")

    assert answer.status_code == 404
    assert answer.json is not None
    assert answer.json["detail"] == ("No actor has this name: see /actors for those there are.")


def test_tree_has_the_supervisor_above_all(lonely: FlaskClient) -> None:
    answer = lonely.get("/actor-tree").json

    assert answer is not None
    assert answer["tree"]["name"] == "supervisor"
    assert [child["name"] for child in answer["tree"]["children"]] == [
        "connection",
        "discovery",
        "tracker:b",
        "tracker:a",
        "tracker:c",
        "postgres-writer:0",
        "api",
    ]
    assert answer["tracker_count"] == 3
    assert answer["trackers_by_state"] == {"running": 2, "quarantined": 1}


def test_tree_of_many_trackers_shows_the_broken_ones_first(
    lonely: FlaskClient, supervisor: FakeSupervisor
) -> None:
    many = tuple(actor(f"tracker:{number}", "tracker") for number in range(500))
    supervisor.replies[GetActors] = (*many, *ACTORS)

    answer = lonely.get("/actor-tree?trackers=1").json

    assert answer is not None
    kinds = [child["name"] for child in answer["tree"]["children"] if child["kind"] == "tracker"]
    assert kinds == ["tracker:b"]
    assert answer["tracker_count"] == 503


@pytest.mark.parametrize("path", ["/actors", "/actors/x", "/actor-tree", "/feed", "/ledger"])
def test_silent_supervisor_is_a_gateway_timeout(
    lonely: FlaskClient, supervisor: FakeSupervisor, path: str
) -> None:
    supervisor.silent = "supervisor"

    answer = lonely.get(path)

    assert answer.status_code == 504
    assert answer.json is not None
    assert answer.json == {
        "type": "about:blank",
        "title": "Gateway Timeout",
        "status": 504,
        "detail": (
            "The actor supervisor did not answer within 3 s: try again, and look at /actors if it "
            "stays so."
        ),
        "instance": path,
    }


def test_feed_is_given_as_the_connection_sees_it(lonely: FlaskClient) -> None:
    assert lonely.get("/feed").json == {
        "state": "live",
        "reason": "",
        "since": "2026-07-03T12:00:00+00:00",
        "source": "wss://pumpportal.fun/api/data",
        "connected_since": "2026-07-03T12:00:00+00:00",
        "last_frame_at": "2026-07-03T12:00:00.000001+00:00",
        "last_trade_at": None,
        "covered_until": None,
        "next_seq": 7,
        "frames": {"create": 4, "buy": 2, "sell": 1},
        "billed_frames": 3,
        "estimated_cost_sol": 0.000003,
        "reconnects": 1,
        "last_error": None,
        "subscriptions": {"acknowledged": 2, "pending": 1},
        "routes": 2,
        "recovering": False,
        "journal": "off",
    }


def test_feed_without_a_connection_names_it(
    lonely: FlaskClient, supervisor: FakeSupervisor
) -> None:
    supervisor.replies[GetFeed] = None

    answer = lonely.get("/feed")

    assert answer.status_code == 504
    assert b"The actor connection did not answer" in answer.data


def test_secret_in_a_report_is_masked(
    app_of: Callable[..., Flask], no_pool: Pool, supervisor: FakeSupervisor
) -> None:
    client = app_of(no_pool, PUMPPORTAL_API_KEY="key-hunter2").test_client()
    leaking = "refused wss://feed/?api-key=key-hunter2"
    supervisor.replies[GetFeed] = msgspec.structs.replace(FEED, reason=leaking, last_error=leaking)
    supervisor.replies[GetActors] = (actor("connection", "connection", last_error=leaking),)

    text = client.get("/feed").text + client.get("/actors").text

    assert "hunter2" not in text
    assert text.count("refused wss://feed/?api-key=***") == 3


def test_ledger_is_given(lonely: FlaskClient) -> None:
    assert lonely.get("/ledger").json == {
        "received": 10,
        "places": {"committed": 7, "open": 3},
        "balanced": True,
    }


def test_config_gives_the_values_in_force(app_of: Callable[..., Flask], no_pool: Pool) -> None:
    client = app_of(
        no_pool,
        DB_DSN="postgresql://mint:hunter2@db:5432/coins",
        N8N_WEBHOOK_URL="https://mint:hunter2@n8n/webhook/coins?token=hunter2",
        N8N_WEBHOOK_METHOD="GET",
        COIN_CACHE_SECONDS="90",
        PUMPPORTAL_API_KEY="hunter2",
    ).test_client()

    answer = client.get("/config")

    assert answer.json == {
        "n8n_webhook_url": "https://***@n8n/webhook/coins?token=***",
        "n8n_webhook_method": "GET",
        "db_dsn": "postgresql://mint:***@db:5432/coins",
        "coin_cache_seconds": 90,
        "db_refresh_interval": 10,
        "batch_size": 10,
        "batch_timeout": 30,
        "bad_names_pattern": "test|bot|rug|scam|cant|honey|faucet",
        "spam_burst_window": 30,
        "sol_reserves_full": 85.0,
        "whale_threshold_sol": 1.0,
        "age_calculation_offset_min": 0,
        "trade_buffer_seconds": 90,
        "ath_flush_interval": 5.0,
    }


def test_metrics_can_be_read_by_prometheus(lonely: FlaskClient, telemetry: Telemetry) -> None:
    telemetry.trades_received.inc(3)

    answer = lonely.get("/metrics")

    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    samples = {
        sample.name: sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert samples["unified_trades_received_total"] == 3


def test_requests_are_counted_by_rule_and_never_by_path(
    lonely: FlaskClient, telemetry: Telemetry
) -> None:
    lonely.get("/actors/discovery")
    lonely.get("/actors/nemo")
    lonely.get("/some/where")

    name = "mintwatch_api_requests_total"
    assert telemetry.value(name, route="/actors/{name}", status="200") == 1
    assert telemetry.value(name, route="/actors/{name}", status="404") == 1
    assert telemetry.value(name, route="unmatched", status="404") == 1
    assert b"nemo" not in telemetry.render()
