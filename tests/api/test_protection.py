"""Who may call, what errors look like, and the documentation."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from actors.protocol.supervisor import GetLedger
from api.auth import host_is_allowed, token_fits

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from flask.testing import FlaskClient

    from db.pool import Pool
    from tests.api.fakes import FakeSupervisor

PROBES = ["/livez", "/readyz", "/health", "/metrics"]
OTHERS = [
    "/config",
    "/actors",
    "/actor-tree",
    "/feed",
    "/ledger",
    "/openapi.json",
    "/docs",
    "/",
    "/nothing",
]


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("localhost", True),
        ("localhost:8000", True),
        ("LOCALHOST:8000", True),
        ("127.0.0.1:8000", True),
        ("127.8.8.8", True),
        ("[::1]:8000", True),
        ("mint.example:443", True),
        ("Mint.Example", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("10.0.0.1", False),
        ("[::2]:8000", False),
        ("", False),
        (None, False),
        # Two headers, as the server joins them.
        ("localhost, evil.example", False),
        ("localhost:8000, evil.example", False),
        ("localhost:, evil.example:8000", False),
        ("[::1]:8000, evil.example", False),
        ("localhost:80:80", False),
        ("[::1", False),
    ],
)
def test_host_is_a_loopback_or_an_allowed_name(host: str | None, allowed: bool) -> None:
    assert host_is_allowed(host, frozenset({"mint.example"})) is allowed


@pytest.mark.parametrize(
    ("header", "fits"),
    [
        ("Bearer hunter2", True),
        ("bearer hunter2", True),
        ("Bearer hunter", False),
        ("Bearer hunter22", False),
        ("Basic hunter2", False),
        ("hunter2", False),
        ("Bearer", False),
        ("Bearer h\u00fcnter2", False),
        ("", False),
        (None, False),
    ],
)
def test_token_must_fit_as_a_whole(header: str | None, fits: bool) -> None:
    assert token_fits(header, "hunter2") is fits


@pytest.mark.parametrize("path", OTHERS)
def test_foreign_host_name_is_refused(lonely: FlaskClient, path: str) -> None:
    answer = lonely.get(path, headers={"Host": "evil.example"})

    assert answer.status_code == 400
    assert answer.content_type == "application/problem+json"
    assert b"API_ALLOWED_HOSTS" in answer.data


@pytest.mark.parametrize("path", PROBES)
def test_probes_answer_to_any_host_name(client: FlaskClient, path: str) -> None:
    assert client.get(path, headers={"Host": "evil.example"}).status_code == 200


def test_allowed_host_name_is_answered(app_of: Callable[..., Flask], no_pool: Pool) -> None:
    client = app_of(no_pool, API_ALLOWED_HOSTS="mint.example").test_client()

    assert client.get("/ledger", headers={"Host": "mint.example:8443"}).status_code == 200


@pytest.mark.parametrize("path", OTHERS)
@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}])
def test_token_is_needed_when_it_is_set(
    app_of: Callable[..., Flask], no_pool: Pool, path: str, header: dict[str, str]
) -> None:
    client = app_of(no_pool, API_TOKEN="hunter2").test_client()

    answer = client.get(path, headers=header)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert b"hunter2" not in answer.data


def test_right_token_opens_everything(app_of: Callable[..., Flask], no_pool: Pool) -> None:
    client = app_of(no_pool, API_TOKEN="hunter2").test_client()

    answers = [
        client.get(path, headers={"Authorization": "Bearer hunter2"}).status_code for path in OTHERS
    ]

    assert answers == [200, 200, 200, 200, 200, 200, 200, 302, 404]


@pytest.mark.parametrize("path", PROBES)
def test_probes_need_no_token(app_of: Callable[..., Flask], pool: Pool, path: str) -> None:
    client = app_of(pool, API_TOKEN="hunter2").test_client()

    assert client.get(path).status_code == 200


def test_body_over_the_limit_is_refused_unread(lonely: FlaskClient) -> None:
    answer = lonely.post("/config", data=b"x" * (64 * 1024 + 1))

    assert answer.status_code == 413
    assert b"64 KiB" in answer.data


def test_answers_forbid_what_nobody_needs(lonely: FlaskClient) -> None:
    for path in ("/ledger", "/nothing"):
        headers = lonely.get(path, headers={"Origin": "https://evil.example"}).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert headers["Cache-Control"] == "no-store"
        assert not [name for name, _ in headers if name.startswith("Access-Control")]


@pytest.mark.parametrize(
    ("method", "path", "status", "title"),
    [
        ("GET", "/nothing", 404, "Not Found"),
        ("GET", "/health/", 404, "Not Found"),
        ("DELETE", "/health", 405, "Method Not Allowed"),
        ("GET", "/actors?limit=0", 400, "Bad Request"),
        ("GET", "/docs/assets/..%2Fplugins.py", 404, "Not Found"),
    ],
)
def test_refusal_is_a_problem_with_a_sentence(
    lonely: FlaskClient, method: str, path: str, status: int, title: str
) -> None:
    answer = lonely.open(path, method=method)

    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    assert answer.json is not None
    assert set(answer.json) == {"type", "title", "status", "detail", "instance"}
    assert (answer.json["title"], answer.json["status"]) == (title, status)
    assert answer.json["detail"].endswith(".")


def test_refused_method_names_those_that_are_taken(lonely: FlaskClient) -> None:
    answer = lonely.delete("/health")

    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


def test_failure_of_ours_shows_nothing_of_it(
    lonely: FlaskClient, supervisor: FakeSupervisor
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("hunter2")

    supervisor.replies[GetLedger] = fail

    answer = lonely.get("/ledger")

    assert answer.status_code == 500
    assert answer.content_type == "application/problem+json"
    assert b"hunter2" not in answer.data
    assert b"request_failed" in answer.data


def test_root_leads_to_the_documentation(lonely: FlaskClient) -> None:
    answer = lonely.get("/")

    assert (answer.status_code, answer.headers["Location"]) == (302, "/docs")


def test_documentation_needs_no_other_machine(lonely: FlaskClient) -> None:
    page = lonely.get("/docs").text
    parts = [part.split('"')[0] for part in page.split('="/')[1:]]

    answers = {f"/{part}": lonely.get(f"/{part}", buffered=True).status_code for part in parts}

    assert "http" not in page
    assert answers == {
        "/docs/assets/swagger.svg": 200,
        "/docs/assets/swagger-ui.css": 200,
        "/docs/assets/swagger-ui-bundle.js": 200,
        "/docs/assets/swagger-ui-standalone-preset.js": 200,
        "/docs/start.js": 200,
    }


def test_document_describes_every_path(lonely: FlaskClient) -> None:
    document = lonely.get("/openapi.json").json

    assert document is not None
    assert document["openapi"].startswith("3.")
    assert set(document["paths"]) == {
        "/health",
        "/livez",
        "/readyz",
        "/metrics",
        "/config",
        "/database/phases",
        "/database/streams",
        "/database/streams/stats",
        "/database/metrics",
        "/database/coins/{mint}",
        "/actors",
        "/actors/{name}",
        "/actor-tree",
        "/feed",
        "/ledger",
        "/reload-config",
        "/database/phases/{id}",
        "/analytics/{mint}",
        "/feed/gaps",
        "/dead-letters",
        "/dead-letters/{id}",
        "/dead-letters/{id}/retry",
        "/trackers",
        "/trackers/{mint}",
        "/trackers/{mint}/phase",
        "/trackers/{mint}/revive",
        "/trackers/{mint}/restart",
        "/trackers/{mint}/pause",
        "/trackers/{mint}/resume",
        "/trackers/{mint}/pin",
        "/trackers/{mint}/unpin",
        "/trackers/{mint}/trace",
        "/trackers/{mint}/tap",
        "/trackers/{mint}/journal",
        "/trackers/{mint}/why",
        "/actors/{name}/recent",
        "/actors/dispatcher",
        "/actors/postgres-writer",
        "/actors/trackers",
        "/config/settings",
        "/config/history",
        "/dossiers",
        "/dossiers/{id}",
        "/problems/{kind}/acknowledge",
    }


def test_document_refers_to_nothing_it_lacks(lonely: FlaskClient) -> None:
    answer = lonely.get("/openapi.json")
    assert answer.json is not None
    names = {part.split('"')[0] for part in answer.text.split("#/components/schemas/")[1:]}

    missing = names - set(answer.json["components"]["schemas"])

    assert missing == set()
    assert "Problem" in names


def test_document_says_that_errors_are_problems(lonely: FlaskClient) -> None:
    document = lonely.get("/openapi.json").json

    assert document is not None
    refusals = [
        list(answer["content"])
        for path in document["paths"].values()
        for operation in path.values()
        for status, answer in operation["responses"].items()
        if int(status) >= 400
    ]
    assert refusals
    assert all(types == ["application/problem+json"] for types in refusals)


def test_document_has_an_example_of_everything_that_is_sent(lonely: FlaskClient) -> None:
    document = lonely.get("/openapi.json").json

    assert document is not None
    schemas = document["components"]["schemas"]
    bodies = {
        operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for path in document["paths"].values()
        for operation in path.values()
        if "requestBody" in operation
    }
    without = [
        f"{body}.{name}"
        for body in bodies
        for name, field in schemas[body]["properties"].items()
        if "example" not in str(field)
    ]
    assert schemas["Phase"]["properties"]["name"]["example"] == "Baby Zone"
    assert schemas["PhaseUpdate"]["properties"]["name"]["example"] == "Baby Zone"
    assert bodies == {
        "PhaseCreate",
        "PhaseUpdate",
        "PhasePreset",
        "TrackerStart",
        "PhaseChoice",
        "TraceChoice",
        "DispatcherSize",
        "WritersSize",
        "TrackersSize",
        "MailboxSize",
        "ConfigChange",
    }
    assert without == []


def test_document_names_no_security_without_a_token(lonely: FlaskClient) -> None:
    document = lonely.get("/openapi.json").json

    assert document is not None
    assert document["components"].get("securitySchemes") == {}
    assert "security" not in document


def test_document_asks_for_the_token_everywhere_but_at_the_probes(
    app_of: Callable[..., Flask], no_pool: Pool
) -> None:
    client = app_of(no_pool, API_TOKEN="hunter2").test_client()

    document = client.get("/openapi.json", headers={"Authorization": "Bearer hunter2"}).json

    assert document is not None
    schemes = document["components"]["securitySchemes"]
    assert schemes == {"bearer": {"type": "http", "scheme": "bearer"}}
    assert document["security"] == [{"bearer": []}]
    without = {
        path
        for path, operations in document["paths"].items()
        for operation in operations.values()
        if operation.get("security") == []
    }
    assert without == set(PROBES)


def test_every_list_has_a_limit(lonely: FlaskClient) -> None:
    document = lonely.get("/openapi.json").json

    assert document is not None
    limits = {
        path: parameter["schema"]
        for path, operations in document["paths"].items()
        for parameter in operations.get("get", {}).get("parameters", [])
        if parameter["name"] == "limit"
    }
    assert set(limits) == {
        "/actors",
        "/config/history",
        "/database/metrics",
        "/database/streams",
        "/dead-letters",
        "/dossiers",
        "/feed/gaps",
        "/trackers/{mint}/journal",
    }
    assert all(schema["minimum"] == 1 for schema in limits.values())
    assert all(schema["maximum"] in {200, 1000} for schema in limits.values())


def test_body_over_the_limit_without_a_length_is_refused(lonely: FlaskClient) -> None:
    answer = lonely.post(
        "/trackers",
        input_stream=io.BytesIO(b'{"mint": "' + b"x" * (64 * 1024) + b'"}'),
        content_type="application/json",
        environ_overrides={"wsgi.input_terminated": True},
    )

    assert answer.status_code == 413
