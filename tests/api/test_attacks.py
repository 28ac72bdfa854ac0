"""The server as an attacker meets it: real connections, and never a failure of ours."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import requests

from actors.protocol.operator import (
    GetDossier,
    GetDossiers,
    GetRecent,
    GetSettingsHistory,
    GetTimeline,
    GetTracker,
    OpenTap,
    Outcome,
    PauseTracker,
    TrackerOverview,
)
from actors.protocol.supervisor import GetActor, GetLiveCoin
from api import ApiServer
from tests.api.fakes import MINT
from tests.api.test_config_changes import Keeper
from tests.api.test_database_routes import stream, write
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask

    from db.pool import Pool
    from tests.api.fakes import FakeSupervisor

LIMIT_S = 20.0
TOKEN = "hunter2-token"
OURS = {500, 502}
"""What would be a failure of ours."""


class Target:
    """A running server."""

    def __init__(self, server: ApiServer, token: str | None = TOKEN) -> None:
        self.server = server
        self.base = f"http://127.0.0.1:{server.port}"
        self.headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        headers = {**self.headers, **more.pop("headers", {})}
        return requests.request(
            method,
            self.base + path,
            headers=headers,
            timeout=LIMIT_S,
            allow_redirects=False,
            **more,
        )

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.server.port), timeout=LIMIT_S)

    def send(self, data: bytes) -> bytes:
        """Send bytes as they are, and read all that comes back."""
        with closing(self.connect()) as plain:
            plain.sendall(data)
            return read_all(plain)

    def request(self, line: str, *headers: str, body: bytes = b"") -> int:
        """Send one request as it is, with the token; give the status."""
        given = [f"Authorization: Bearer {TOKEN}", "Connection: close", *headers]
        if not any(header.lower().startswith("host:") for header in headers):
            given.append("Host: localhost")
        head = "\r\n".join([line, *given, "", ""]).encode("latin-1")
        return status_of(self.send(head + body))


def read_all(plain: socket.socket) -> bytes:
    found = b""
    with suppress(ConnectionError):
        while chunk := plain.recv(65_536):
            found += chunk
    return found


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else 0


@pytest.fixture
def replies(supervisor: FakeSupervisor) -> FakeSupervisor:
    """A supervisor that knows nothing."""
    supervisor.replies |= {
        GetTracker: TrackerOverview(None, None),
        GetLiveCoin: None,
        GetActor: None,
        GetRecent: None,
        GetTimeline: None,
        GetDossiers: (),
        GetDossier: None,
        GetSettingsHistory: (),
        OpenTap: None,
        PauseTracker: Outcome(found=False),
    }
    return supervisor


@pytest.fixture
def target(
    app_of: Callable[..., Flask], no_pool: Pool, replies: FakeSupervisor
) -> Iterator[Target]:
    """A server without its database."""
    yield from served(app_of(no_pool, API_TOKEN=TOKEN))


@pytest.fixture
def whole_target(
    app_of: Callable[..., Flask], pool: Pool, replies: FakeSupervisor
) -> Iterator[Target]:
    """A server with its database."""
    yield from served(app_of(pool, API_TOKEN=TOKEN))


def served(app: Flask) -> Iterator[Target]:
    server = ApiServer(app, "127.0.0.1", 0, request_seconds=0.5)
    server.start()
    yield Target(server)
    assert server.stop(LIMIT_S)


# Who may call.


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        f"Bearer {TOKEN},Bearer {TOKEN}",
        "Bearer \xff\xfe",
        "Bearer " + "x" * 8_000,
    ],
)
@pytest.mark.parametrize("path", ["/config", f"/trackers/{MINT}/tap", "/openapi.json", "/docs"])
def test_without_the_token_nothing_is_said(
    target: Target, supervisor: FakeSupervisor, path: str, header: str | None
) -> None:
    given = {} if header is None else {"Authorization": header.encode("latin-1")}

    answer = requests.get(target.base + path, headers=given, timeout=LIMIT_S)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert TOKEN not in answer.text
    assert supervisor.asked == []


@pytest.mark.parametrize(
    "headers",
    [
        ["Host: evil.example"],
        ["Host: localhost.evil.example"],
        ["Host: localhost:80@evil.example"],
        ["Host: localhost", "Host: evil.example"],
        ["Host: localhost:80", "Host: evil.example"],
        ["Host: evil.example", "X-Forwarded-Host: localhost"],
        ["Host: evil.example", "Forwarded: host=localhost"],
        ["Host: "],
        ["Host: \xe9vil"],
        ["Host: localhost\x00"],
        ["Host: [::1"],
        ["Host: " + "a" * 5_000],
    ],
)
def test_other_host_name_is_refused(
    target: Target, supervisor: FakeSupervisor, headers: list[str]
) -> None:
    assert target.request("GET /ledger HTTP/1.1", *headers) == 400
    assert supervisor.asked == []


def test_name_in_the_request_line_is_not_what_counts(target: Target) -> None:
    line = "GET http://localhost/ledger HTTP/1.1"

    assert target.request(line, "Host: evil.example") == 400


# Paths.


@pytest.mark.parametrize(
    "path",
    [
        "/..%2fetc/passwd",
        "/../../etc/passwd",
        "/docs/assets/..%2f..%2fauth.py",
        "/docs/assets/%2e%2e/swagger-ui.css",
        "/docs/assets//etc/passwd",
        "/dossiers/..%2f..%2fsettings.json",
        "/dossiers/%2e%2e",
        "//evil.example/ledger",
        "/\\evil.example",
        "/trackers/%00",
        "/trackers/%0d%0aSet-Cookie:%20a=b",
        "/trackers/%ff%fe",
        "/actors/%00/recent",
        "/actors/" + "%2f" * 40,
        "/actors/" + "x" * 129,
        "/database/phases/9999999999999999999999",
        "/dead-letters/%31%00",
        "/livez/..%2fconfig",
        "/health%00",
        "/health/../config",
        "/%",
        "/%zz",
        "/" + "a/" * 3_000,
        "/?" + "a=b&" * 3_000,
        "*",
        "x",
        "",
    ],
)
def test_odd_path_leads_nowhere(target: Target, path: str) -> None:
    status = target.request(f"GET {path} HTTP/1.1")

    assert status in {301, 302, 308, 400, 404, 405}


def test_path_without_an_end_is_refused(target: Target) -> None:
    assert target.request("GET /" + "a" * 100_000 + " HTTP/1.1") == 431


def test_odd_path_is_no_way_around_the_token(target: Target, supervisor: FakeSupervisor) -> None:
    paths = [
        "//config",
        "/livez/..%2fconfig",
        "/health%2f..%2fconfig",
        "/%63onfig",
        "/config?/livez",
    ]
    heads = [
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" for path in paths
    ]

    statuses = [status_of(target.send(head.encode())) for head in heads]

    assert statuses == [401] * 5
    assert supervisor.asked == []


# Headers.


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (["Content-Length: 5", "Content-Length: 6"], {400}),
        (["Content-Length: -1"], {400}),
        (["Content-Length: +1"], {400}),
        (["Content-Length: 1e3"], {400}),
        (["Content-Length: 9" + "9" * 5_000], {400}),
        (["Transfer-Encoding: xchunked"], {400}),
        (["Transfer-Encoding: chunked, identity"], {400}),
        (["Transfer-Encoding: identity, chunked"], {400}),
        (["Transfer-Encoding: chunked, chunked"], {400}),
        (["Transfer-Encoding: chunked,\r\n CHUNKED"], {400}),
        (["Transfer-Encoding: chunked", "transfer-encoding: chunked"], {400}),
        (["Transfer-Encoding: chunked,"], {400}),
        (["Transfer-Encoding: gzip"], {400}),
        (["Transfer-Encoding:"], {400}),
        (["Transfer-Encoding: chunked\x0b"], {400}),
        (["X: " + "x" * 20_000], {431}),
        (["Bad Header: 1"], {400}),
        ([": no name"], {400}),
        (["X: a\n b"], {400, 404, 200}),
        (["Expect: 200-maybe"], {200, 400, 417}),
        (["Content-Type: application/json; charset=\xff"], {200, 400}),
        (["Range: bytes=0-18446744073709551616"], {200}),
        (["Cookie: " + "a=b; " * 2_000], {200}),
        (["Upgrade: websocket", "Sec-WebSocket-Key: x"], {200}),
        (["X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: https"], {200}),
    ],
)
def test_odd_header_is_refused_or_means_nothing(
    target: Target, headers: list[str], expected: set[int]
) -> None:
    assert target.request("GET /livez HTTP/1.1", *headers) in expected


def test_two_lengths_of_a_body_are_no_second_request(
    target: Target, supervisor: FakeSupervisor
) -> None:
    smuggled = b"POST /trackers/x/pause HTTP/1.1\r\nHost: localhost\r\n\r\n"
    head = (
        "POST /reload-config HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n"
        "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )

    answer = target.send(head.encode() + b"0\r\n\r\n" + smuggled)

    assert answer.count(b"HTTP/1.1 ") == 1
    assert status_of(answer) in {400, 401}
    assert supervisor.asked == []


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "BREW", "get", "G" * 10_000, "\x00", "PUT"])
def test_odd_method_is_refused(target: Target, method: str) -> None:
    assert target.request(f"{method} /ledger HTTP/1.1") in {400, 404, 405}


def test_transfer_coding_that_http_1_0_does_not_have_is_refused(target: Target) -> None:
    head = b"POST /trackers HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"

    assert status_of(target.send(head)) == 400


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500 + b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET /livez\r\n\r\n",
        b"GET http://[::1/livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /trackers HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n\r\n",
        b"POST /trackers HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n\r\n",
    ],
)
def test_rubbish_is_no_failure_of_ours(target: Target, data: bytes) -> None:
    with closing(target.connect()) as plain:
        plain.sendall(data)
        plain.shutdown(socket.SHUT_WR)
        answer = read_all(plain)

    assert status_of(answer) not in OURS
    assert target.ask("GET", "/livez").status_code == 200


# Bodies.


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"x" * 65_537, 413),
        (b'{"mint": "' + b"x" * 65_000 + b'"}', 400),
        (b"[" * 60_000, 400),
        (b'{"mint":' * 8_000, 400),
        (b'{"mint": ' + b"9" * 60_000 + b"}", 400),
        (b'{"mint": 1e999}', 400),
        (b'{"mint": NaN}', 400),
        (b'{"mint": "\\ud800"}', 400),
        (b'{"mint": "a\\u0000"}', 400),
        (b"\xff\xfe{", 400),
        (b'\xef\xbb\xbf{"mint": 1}', 400),
        (b'{"mint": "x", "mint": []}', 400),
        (b"null", 400),
        (b"", 400),
    ],
)
@pytest.mark.parametrize("path", ["/trackers", "/database/phases"])
def test_odd_body_is_refused(target: Target, path: str, body: bytes, status: int) -> None:
    answer = target.ask("POST", path, data=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == status


@pytest.mark.parametrize(
    "name", ["a\0b", "\ud800", "'; DROP TABLE ref_coin_phases; --", "x" * 51, "\u202e", ""]
)
def test_odd_name_of_a_phase_is_kept_or_refused(whole_target: Target, name: str) -> None:
    new = {"name": name, "interval_seconds": 5, "min_age_minutes": 0, "max_age_minutes": 1}

    answer = whole_target.ask(
        "POST",
        "/database/phases",
        data=json.dumps(new).encode(),
        headers={"Content-Type": "application/json"},
    )

    assert answer.status_code in {200, 400}
    assert whole_target.ask("GET", "/database/phases").json()["count"] in {5, 6}


def test_body_that_never_ends_is_given_up_while_others_are_answered(target: Target) -> None:
    head = (
        f"POST /trackers HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Content-Length: 1000\r\nContent-Type: application/json\r\n\r\n"
    ).encode()

    with ExitStack() as stack:
        slow = [stack.enter_context(closing(target.connect())) for _ in range(50)]
        for number, plain in enumerate(slow):
            plain.sendall(head if number % 2 else head[:40])
        assert target.ask("GET", "/livez").status_code == 200

        wait_until(lambda: trickle(slow) == 0, what="the end of the slow ones")


def trickle(connections: list[socket.socket]) -> int:
    """Send one byte more on each connection; count those that are still open."""
    still_open = 0
    for plain in connections:
        plain.setblocking(False)  # noqa: FBT003 - a method of the standard library
        try:
            plain.send(b"x")
            still_open += plain.recv(1) != b""
        except BlockingIOError:
            still_open += 1
        except OSError:
            continue
    return still_open


def test_hundreds_of_idle_connections_keep_nobody_out(target: Target) -> None:
    with ExitStack() as stack:
        for _ in range(400):
            stack.enter_context(closing(target.connect()))

        assert [target.ask("GET", path).status_code for path in ("/livez", "/health")] == [200, 200]


def test_hundreds_of_requests_in_one_go_are_answered_in_order(target: Target) -> None:
    one = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    answer = target.send(one * 299 + last)

    assert answer.count(b"HTTP/1.1 200 OK") == 300


# What ends up in a query.


INJECTIONS = [
    "' OR '1'='1",
    "'; DROP TABLE coin_streams; --",
    "1; SELECT pg_sleep(10)",
    "1 UNION SELECT password FROM pg_shadow",
    "%27%20OR%201=1",
    "$$; DROP TABLE coin_streams; $$",
    "\\'; --",
    "%(limit)s",
    "{limit}",
    "\0",
]
PLACES = [
    "/database/coins/{}",
    "/database/metrics?mint={}",
    "/database/metrics?limit={}",
    "/database/streams?limit={}",
    "/database/phases/{}",
    "/analytics/{}",
    f"/analytics/{MINT}?windows={{}}",
    "/feed/gaps?mint={}",
    "/feed/gaps?limit={}",
    "/trackers/{}",
    "/trackers/{}/why",
    "/trackers/{}/journal",
    "/trackers/{}/tap",
    "/actors/{}",
    "/actors/{}/recent",
    "/actors?kind={}",
    "/actors?offset={}",
    "/dossiers?actor={}",
    "/dossiers/{}",
    "/dead-letters/{}",
    "/config/history?offset={}",
]


@pytest.mark.parametrize("place", PLACES)
def test_sql_is_a_text_like_any_other(whole_target: Target, dsn: str, place: str) -> None:
    write(dsn, stream(MINT, 1, "true"))
    began_s = time.monotonic()

    answers = [whole_target.ask("GET", place.format(quote(text, safe=""))) for text in INJECTIONS]

    assert {answer.status_code for answer in answers} <= {200, 400, 404, 405, 409}
    assert time.monotonic() - began_s < 10
    assert whole_target.ask("GET", "/database/streams/stats").json()["total_streams"] == 1


@pytest.mark.parametrize("text", INJECTIONS[:-1])
def test_sql_in_a_body_is_a_text_like_any_other(whole_target: Target, dsn: str, text: str) -> None:
    phase = {"name": text[:50], "interval_seconds": 5, "min_age_minutes": 0, "max_age_minutes": 1}

    answers = [
        whole_target.ask("POST", "/trackers", json={"mint": text.replace(" ", "/**/")}),
        whole_target.ask("POST", "/database/phases", json=phase),
        whole_target.ask("PUT", "/database/phases/1", json={"name": text[:50]}),
    ]

    assert {answer.status_code for answer in answers} <= {200, 202, 400}
    names = [row["name"] for row in whole_target.ask("GET", "/database/phases").json()["phases"]]
    assert names.count(text[:50]) == 2


# Patterns.


@pytest.mark.parametrize(
    ("pattern", "status"),
    [
        ("(a+)+$", 200),
        ("(a|aa)+b|(a|a?)+c", 200),
        ("(x+x+)+y", 200),
        ("(" * 2_000 + "a" + ")" * 2_000, 200),
        ("((a{1,100}){1,100}){1,100}", 400),
        ("a{1001}", 400),
        ("(?=a)b", 400),
        ("(a)\\1", 400),
        ("(", 400),
        ("", 400),
        (".*", 400),
        ("a" * 4_097, 400),
    ],
)
def test_pattern_that_explodes_elsewhere_is_harmless_or_refused(
    target: Target, supervisor: FakeSupervisor, pattern: str, status: int
) -> None:
    keeper = Keeper(supervisor)
    began_s = time.monotonic()

    answer = target.ask("PUT", "/config", json={"bad_names_pattern": pattern})

    assert answer.status_code == status
    assert time.monotonic() - began_s < 2
    if status == 200:
        assert keeper.settings.bad_names_pattern == pattern
