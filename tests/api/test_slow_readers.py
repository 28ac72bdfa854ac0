"""Clients that do not read, read slowly, or ask for too much: cut off, while probes answer."""

from __future__ import annotations

import select
import socket
import threading
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from actors.protocol.supervisor import GetHealth, GetLedger
from api import ApiServer
from api.database import Database, DatabaseAway
from tests.api.fakes import HEALTH, LEDGER
from tests.api.test_attacks import TOKEN, Target, status_of
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask

    from db.pool import Pool
    from tests.api.fakes import FakeSupervisor

PROBES = ["/livez", "/health", "/readyz"]
PROBE_S = 4.0
"""A probe is answered within a second; the rest is for a machine that does other things as well."""
CUT_OFF_S = 20.0
ONE_BUNDLE = b"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
ONE_METRICS = b"GET /metrics HTTP/1.1\r\n\r\n"


@pytest.fixture
def target(app_of: Callable[..., Flask], no_pool: Pool) -> Iterator[Target]:
    """A server that asks for a token."""
    yield from served(app_of(no_pool, API_TOKEN=TOKEN))


@pytest.fixture
def open_target(app_of: Callable[..., Flask], no_pool: Pool) -> Iterator[Target]:
    """A server without a token, as on loopback."""
    yield from served(app_of(no_pool))


def served(app: Flask) -> Iterator[Target]:
    server = ApiServer(app, "127.0.0.1", 0)
    server.start()
    yield Target(server)
    assert server.stop(CUT_OFF_S)


def stubborn(target: Target) -> socket.socket:
    """Connect as a client that takes little and never reads."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 88)
    plain.settimeout(PROBE_S)
    plain.connect(("127.0.0.1", target.server.port))
    return plain


@contextmanager
def unread(target: Target, connections: int, data: bytes) -> Iterator[list[socket.socket]]:
    """Hold connections that have asked and read nothing."""
    with ExitStack() as stack:
        held = []
        for _ in range(connections):
            plain = stack.enter_context(closing(stubborn(target)))
            with suppress(OSError):
                plain.send(data)
            held.append(plain)
        yield held


def probe(target: Target) -> dict[str, int | str]:
    """Ask each probe once, on connections of their own."""
    found: dict[str, int | str] = {}
    for path in PROBES:
        try:
            found[path] = requests.get(target.base + path, timeout=PROBE_S).status_code
        except requests.RequestException as error:
            found[path] = type(error).__name__
    return found


def open_ones(held: list[socket.socket]) -> int:
    """Count the connections that the server has not ended, without reading from any."""
    poll = select.poll()
    for plain in held:
        poll.register(plain, select.POLLRDHUP)
    ended = {number for number, _ in poll.poll(0)}
    return len(held) - len(ended)


def memory_bytes() -> int:
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * 4_096


def grow_metrics(target: Target) -> None:
    """Ask for every route without the token and under a foreign name, as a stranger would."""
    rules = [rule.rule for rule in target.server._app.url_map.iter_rules()]
    with requests.Session() as session:
        for rule in rules:
            path = rule.replace("<", "").replace(">", "").replace(":", "")
            session.get(target.base + path, timeout=PROBE_S)
            session.get(target.base + path, timeout=PROBE_S, headers={"Host": "evil.example"})


@pytest.mark.parametrize("connections", [20, 100])
def test_answers_that_nobody_reads_keep_no_probe_waiting(target: Target, connections: int) -> None:
    grow_metrics(target)
    before = memory_bytes()
    with unread(target, connections, ONE_METRICS * 327) as held:
        seen = [probe(target) for _ in range(3)]
        wait_until(lambda: open_ones(held) == 0, CUT_OFF_S, "the end of those who do not read")

        assert seen == [{"/livez": 200, "/health": 200, "/readyz": 503}] * 3
        assert memory_bytes() - before < 100 * 1024 * 1024


def test_files_that_nobody_reads_keep_no_probe_waiting(open_target: Target) -> None:
    with unread(open_target, 16, ONE_BUNDLE * 120) as held:
        seen = [probe(open_target) for _ in range(3)]
        wait_until(lambda: open_ones(held) == 0, CUT_OFF_S, "the end of those who do not read")

    assert seen == [{"/livez": 200, "/health": 200, "/readyz": 503}] * 3


def test_answers_that_are_read_drop_by_drop_are_cut_off(open_target: Target) -> None:
    with unread(open_target, 1, ONE_BUNDLE) as held:

        def sip() -> bool:
            try:
                return held[0].recv(4) == b""
            except ConnectionError:
                return True

        wait_until(sip, CUT_OFF_S, "the end of the one who sips")


def test_one_who_reads_at_an_honest_pace_gets_everything(open_target: Target) -> None:
    with closing(stubborn(open_target)) as plain:
        plain.send(ONE_BUNDLE * 2 + b"GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n")
        found = bytearray()
        began_s = time.monotonic()
        while chunk := plain.recv(65_536):
            found += chunk
            if time.monotonic() - began_s > CUT_OFF_S:
                break

    assert found.count(b"HTTP/1.1 200 OK\r\n") == 3
    assert found.endswith(b'{"status":"alive"}\n')


def test_requests_that_wait_for_the_same_thing_keep_no_probe_waiting(
    open_target: Target, supervisor: FakeSupervisor
) -> None:
    # Given a question that nobody answers for now, asked on hundreds of connections
    go_on = threading.Event()

    def slowly(_: object) -> object:
        assert go_on.wait(CUT_OFF_S)
        return LEDGER

    supervisor.replies[GetLedger] = slowly
    ledger = b"GET /ledger HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with ExitStack() as stack:
        asking = []
        for _ in range(400):
            plain = stack.enter_context(closing(open_target.connect()))
            plain.sendall(ledger)
            asking.append(plain)

        # Then probes are answered, and those who are too many hear it
        seen = [probe(open_target) for _ in range(3)]
        go_on.set()
        statuses = [answer_of(plain) for plain in asking]

    assert seen == [{"/livez": 200, "/health": 200, "/readyz": 503}] * 3
    assert set(statuses) == {200, 503}
    assert statuses.count(200) >= 64


def answer_of(plain: socket.socket) -> int:
    try:
        return status_of(plain.recv(65_536))
    except ConnectionError:
        return 0


@pytest.mark.parametrize("sent", [b"", b"G", b"GET /livez HTTP/1.1\r\nX: ", b"\r\n\r\n"])
def test_connections_that_say_nothing_whole_keep_no_probe_waiting(
    target: Target, sent: bytes
) -> None:
    with ExitStack() as stack:
        for _ in range(500):
            plain = stack.enter_context(closing(target.connect()))
            if sent:
                plain.sendall(sent)

        seen = [probe(target) for _ in range(3)]

    assert seen == [{"/livez": 200, "/health": 200, "/readyz": 503}] * 3


def test_health_that_takes_long_keeps_no_livez_waiting(
    target: Target, supervisor: FakeSupervisor
) -> None:
    go_on = threading.Event()

    def slowly(_: object) -> object:
        assert go_on.wait(CUT_OFF_S)
        return HEALTH

    supervisor.replies[GetHealth] = slowly
    with ExitStack() as stack:
        for _ in range(100):
            plain = stack.enter_context(closing(target.connect()))
            plain.sendall(b"GET /health HTTP/1.1\r\n\r\n")

        answer = requests.get(target.base + "/livez", timeout=PROBE_S)
        go_on.set()

    assert answer.status_code == 200


def test_queries_that_take_every_connection_are_no_database_that_is_away(pool: Pool) -> None:
    # Given the pool of two that the tests have
    database = Database(pool, queries=1)

    with database.connection():
        with pytest.raises(DatabaseAway, match="taken"), database.connection():
            pass
        assert database.answers()

    with database.connection() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def series(target: Target) -> set[str]:
    """List the series of the counter of requests, without their values."""
    text = requests.get(target.base + "/metrics", timeout=PROBE_S).text
    return {line.rpartition(" ")[0] for line in text.splitlines() if "api_requests" in line}


def settled_series(target: Target) -> set[str]:
    """List them once every kind of request was made, and the text is new enough to hold them."""
    probe(target)
    ask_at_random(target, 40)
    wait_until(lambda: any('route="/metrics"' in line for line in series(target)))
    return series(target)


def ask_at_random(target: Target, number: int) -> None:
    """Send requests that no two of are alike, many on one connection."""
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"]
    with requests.Session() as session:
        for index in range(number):
            method = methods[index] if index < len(methods) else f"BREW{index}"
            path = ["/config", "/livez", f"/trackers/x{index}", f"/{index}/x"][index % 4]
            host = [f"evil{index}.example", "localhost"][index // 4 % 2]
            session.request(method, target.base + path, headers={"Host": host}, timeout=PROBE_S)


def test_strangers_cannot_make_the_metrics_grow(target: Target) -> None:
    before = settled_series(target)

    grow_metrics(target)
    ask_at_random(target, 1_000)

    assert series(target) == before
    assert {line for line in before if "refused" in line} == {
        'mintwatch_api_requests_total{route="refused",status="400"}',
        'mintwatch_api_requests_total{route="refused",status="401"}',
    }


def test_random_requests_cannot_make_the_metrics_grow(open_target: Target) -> None:
    before = settled_series(open_target)

    ask_at_random(open_target, 1_000)

    assert series(open_target) == before
