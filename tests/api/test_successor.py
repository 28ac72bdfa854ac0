"""The paths of pump-platform below API_PREFIX: our routes once more, with every check."""

from __future__ import annotations

import re
import threading
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest
import requests

from actors.protocol.operator import GetSettings
from actors.protocol.supervisor import ConfigReloaded, GetHealth, GetLedger, ReloadConfig
from api import ApiServer
from settings.values import OWN_PATHS
from tests.api.fakes import HEALTH, LEDGER, MINT, settings_of
from tests.api.test_attacks import Target
from tests.api.test_config_changes import Keeper
from tests.api.test_database_routes import COIN, candle, stream, write
from tests.docs.pages import page, quoted, rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from flask.testing import FlaskClient

    from db.pool import Pool
    from telemetry import Telemetry
    from tests.api.fakes import FakeSupervisor

LIMIT_S = 20.0
PREFIX = "/api/find"
TOKEN = {"Authorization": "Bearer hunter2"}
OURS = {
    "/health": "/health",
    "/config": "/config",
    "/reload-config": "/reload-config",
    "/phases": "/database/phases",
    "/phases/{id}": "/database/phases/{id}",
    "/streams": "/database/streams",
    "/streams/stats": "/database/streams/stats",
    "/metrics": "/database/metrics",
    "/coins/{mint}": "/database/coins/{mint}",
    "/analytics/{mint}": "/analytics/{mint}",
}
NEEDING_A_TOKEN = [path for path in OURS if path != "/health"]
PHASE = {"name": "Late", "interval_seconds": 300, "min_age_minutes": 60, "max_age_minutes": 90}


@pytest.fixture
def find(app_of: Callable[..., Flask], pool: Pool) -> FlaskClient:
    """The application with its database and the prefix."""
    return app_of(pool, API_PREFIX=PREFIX).test_client()


@pytest.fixture
def closed(app_of: Callable[..., Flask], no_pool: Pool) -> FlaskClient:
    """The application with the prefix and a token, without a database."""
    return app_of(no_pool, API_PREFIX=PREFIX, API_TOKEN="hunter2").test_client()


def filled(path: str) -> str:
    return path.replace("{mint}", MINT).replace("{id}", "1")


def methods_of(client: FlaskClient, path: str) -> set[str]:
    answer = client.options(path)
    assert answer.status_code == 200
    return set(answer.headers["Allow"].split(", "))


# What is there.


@pytest.mark.parametrize(("theirs", "ours"), OURS.items())
def test_each_path_takes_the_same_methods_as_ours(
    find: FlaskClient, theirs: str, ours: str
) -> None:
    assert methods_of(find, PREFIX + filled(theirs)) == methods_of(find, filled(ours))


@pytest.mark.parametrize(
    "theirs", ["/config", "/phases", "/streams?limit=1", "/streams/stats", "/metrics?limit=1",
               "/coins/{mint}", "/analytics/{mint}?windows=30s"],
)  # fmt: skip
def test_each_path_answers_as_ours(find: FlaskClient, dsn: str, theirs: str) -> None:
    write(dsn, COIN, stream(MINT, 1, "true"), stream("b", 2, "true"))
    write(dsn, candle(MINT, 1), candle("b", 2))
    path, question, query = filled(theirs).partition("?")
    ours = filled(OURS[theirs.partition("?")[0]]) + question + query

    answer = find.get(f"{PREFIX}{path}{question}{query}")

    assert answer.status_code == 200
    assert answer.json == find.get(ours).json


def test_metrics_below_the_prefix_are_rows_and_ours_stay_prometheus(find: FlaskClient) -> None:
    assert find.get(f"{PREFIX}/metrics").json == {
        "metrics": [], "count": 0, "limit": 100, "mint_filter": None,
    }  # fmt: skip
    assert find.get("/metrics").content_type.startswith("text/plain")


def test_phases_are_added_changed_and_deleted(find: FlaskClient) -> None:
    added = find.post(f"{PREFIX}/phases", json=PHASE)
    changed = find.put(f"{PREFIX}/phases/4", json={"interval_seconds": 200})
    deleted = find.delete(f"{PREFIX}/phases/4")
    fixed = find.delete(f"{PREFIX}/phases/99")

    assert [each.status_code for each in (added, changed, deleted, fixed)] == [200, 200, 200, 400]
    assert added.json is not None
    assert added.json["phase"] == {"id": 4, **PHASE}


def test_settings_are_changed_by_our_names(find: FlaskClient, supervisor: FakeSupervisor) -> None:
    keeper = Keeper(supervisor)

    changed = find.put(f"{PREFIX}/config", json={"batch_size": 20})
    refused = find.put(f"{PREFIX}/config", json={"n8n_find_webhook_url": "https://h"})

    assert (changed.status_code, keeper.settings.batch_size) == (200, 20)
    assert refused.status_code == 400
    assert b"Did you mean n8n_webhook_url?" in refused.data


def test_streams_and_phases_are_read_again(find: FlaskClient, supervisor: FakeSupervisor) -> None:
    supervisor.replies[ReloadConfig] = ConfigReloaded(())

    assert find.post(f"{PREFIX}/reload-config").status_code == 200


def test_mint_that_a_path_cannot_hold_is_addressed_as_under_our_path(find: FlaskClient) -> None:
    answer = find.get(f"{PREFIX}/coins/~{b'x/why'.hex()}")

    assert answer.status_code == 404
    assert answer.json is not None
    assert answer.json["detail"].startswith("No coin has this mint")


@pytest.mark.parametrize("path", ["", "/", "/livez", "/ledger", "/actors", "/database/phases"])
def test_nothing_else_is_below_the_prefix(find: FlaskClient, path: str) -> None:
    assert find.get(PREFIX + path).status_code == 404


def test_without_the_setting_there_is_nothing(client: FlaskClient) -> None:
    assert {client.get(PREFIX + filled(path)).status_code for path in OURS} == {404}


def test_page_lists_the_paths_there_are() -> None:
    table = [row for row in rows(page("docs/reference/api.md")) if len(row) == 2]
    written = {
        theirs.removeprefix(PREFIX): ours
        for row in table
        if len(names := quoted(" ".join(row))) == 2
        for theirs, ours in [names]
        if theirs.startswith(PREFIX)
    }

    assert written == OURS


def test_prefix_may_not_begin_as_one_of_our_paths(client: FlaskClient) -> None:
    rules = client.application.url_map.iter_rules()

    assert {rule.rule.split("/")[1] for rule in rules} - {""} == OWN_PATHS


# What the successor's clients look for.


@pytest.mark.parametrize(("url", "has_none"), [("", True), ("https://n8n.example/hook", False)])
def test_health_says_whether_there_is_a_webhook(
    app_of: Callable[..., Flask], pool: Pool, url: str, has_none: bool
) -> None:
    client = app_of(pool, API_PREFIX=PREFIX, N8N_WEBHOOK_URL=url).test_client()

    answer, ours = client.get(f"{PREFIX}/health").json, client.get("/health").json

    assert answer is not None
    assert ours is not None
    assert answer.pop("module") == "find"
    assert answer.pop("n8n_no_url") is has_none
    assert answer["discovery_stats"].pop("n8n_no_url") is has_none
    assert answer == ours


def test_health_follows_a_webhook_that_is_set_while_it_runs(
    find: FlaskClient, supervisor: FakeSupervisor
) -> None:
    supervisor.replies[GetSettings] = settings_of(N8N_WEBHOOK_URL="https://n8n.example/hook")

    answer = find.get(f"{PREFIX}/health").json

    assert answer is not None
    assert answer["n8n_no_url"] is False


def test_health_is_answered_when_nobody_else_answers(
    find: FlaskClient, supervisor: FakeSupervisor
) -> None:
    supervisor.silent = "supervisor"

    answer = find.get(f"{PREFIX}/health")

    assert answer.status_code == 200
    assert answer.json is not None
    assert (answer.json["status"], answer.json["n8n_no_url"]) == ("unhealthy", True)


def test_config_has_the_fields_of_the_successor(find: FlaskClient) -> None:
    answer = find.get(f"{PREFIX}/config").json

    assert answer is not None
    assert {
        name: answer[name]
        for name in (
            *("n8n_webhook_method", "sol_reserves_full", "whale_threshold_sol"),
            "trade_buffer_seconds",
        )
    } == {
        "n8n_webhook_method": "POST",
        "sol_reserves_full": 85.0,
        "whale_threshold_sol": 1.0,
        "trade_buffer_seconds": 120,
    }


# Every check of ours.


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}])
@pytest.mark.parametrize("path", NEEDING_A_TOKEN)
def test_token_is_needed(closed: FlaskClient, path: str, header: dict[str, str]) -> None:
    answer = closed.get(PREFIX + filled(path), headers=header)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_right_token_opens_it(closed: FlaskClient) -> None:
    answers = {
        closed.get(PREFIX + filled(path), headers=TOKEN).status_code for path in NEEDING_A_TOKEN
    }

    # Without a database; two paths take no GET.
    assert answers == {200, 405, 503}


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", path) for path in NEEDING_A_TOKEN] + [("PUT", "/config"), ("POST", "/reload-config")],
)
@pytest.mark.parametrize(
    "header",
    [
        {"Host": "evil.example"},
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Dest": "document"},
    ],
)
def test_other_names_and_pages_are_refused(
    closed: FlaskClient,
    supervisor: FakeSupervisor,
    method: str,
    path: str,
    header: dict[str, str],
) -> None:
    answer = closed.open(PREFIX + filled(path), method=method, headers={**TOKEN, **header})

    assert answer.status_code == (400 if "Host" in header else 403)
    assert answer.content_type == "application/problem+json"
    assert supervisor.asked == []


@pytest.mark.parametrize(("method", "path"), [("POST", "/phases"), ("PUT", "/config")])
def test_bodies_are_bounded_and_objects(closed: FlaskClient, method: str, path: str) -> None:
    large = closed.open(PREFIX + path, method=method, headers=TOKEN, data=b"x" * (64 * 1024 + 1))
    no_object = closed.open(PREFIX + path, method=method, headers=TOKEN, json=[1])

    assert (large.status_code, no_object.status_code) == (413, 400)


def test_answers_forbid_what_nobody_needs(closed: FlaskClient) -> None:
    headers = closed.get(f"{PREFIX}/config", headers=TOKEN).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert not [name for name, _ in headers if name.startswith("Access-Control")]


def test_health_is_a_probe_as_ours_is(closed: FlaskClient) -> None:
    elsewhere = {"Host": "evil.example", "Origin": "https://evil.example"}

    answers = [closed.get(path, headers=elsewhere) for path in ("/health", f"{PREFIX}/health")]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert closed.get("/other/health").status_code == 401


def test_prefix_cannot_be_changed_while_the_service_runs(
    find: FlaskClient, supervisor: FakeSupervisor
) -> None:
    Keeper(supervisor)

    answer = find.put("/config", json={"api_prefix": "/other"})

    assert answer.status_code == 400
    assert b"API_PREFIX cannot be changed while the service runs" in answer.data


# Counting, and the threads.


def test_labels_of_requests_are_patterns(find: FlaskClient, telemetry: Telemetry) -> None:
    for mint in ("a", "b", "c/d", "../x"):
        find.get(f"{PREFIX}/coins/{mint}")
        find.get(f"{PREFIX}/nothing/{mint}")
        find.get(f"{PREFIX}/config", headers={"Host": f"{mint}.example"})

    text = telemetry.render().decode()
    routes = set(re.findall(r'mintwatch_api_requests_total\{route="([^"]*)"', text))
    assert routes == {f"{PREFIX}/coins/{{mint}}", "unmatched", "refused"}


def test_requests_that_take_every_thread_keep_no_probe_waiting(
    app_of: Callable[..., Flask], no_pool: Pool, supervisor: FakeSupervisor
) -> None:
    go_on = threading.Event()

    def slowly(_: object) -> Any:
        assert go_on.wait(LIMIT_S)
        return LEDGER

    supervisor.replies |= {GetLedger: slowly, GetHealth: HEALTH}
    server = ApiServer(app_of(no_pool, API_PREFIX=PREFIX), "127.0.0.1", 0)
    server.start()
    target = Target(server, None)
    with ExitStack() as stack:
        for _ in range(60):
            plain = stack.enter_context(closing(target.connect()))
            plain.sendall(b"GET /ledger HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = requests.get(f"{target.base}{PREFIX}/health", timeout=4.0)
        go_on.set()

    assert answer.status_code == 200
    assert server.stop(LIMIT_S)
