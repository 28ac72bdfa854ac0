"""The application over real HTTP."""

from __future__ import annotations

import http.client
import socket
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from actors.protocol.supervisor import GetLedger
from api import ApiServer, HostNotUsable, PortInUse
from tests.api.fakes import LEDGER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask

    from db.pool import Pool
    from tests.api.fakes import FakeSupervisor

LIMIT_S = 20.0


@pytest.fixture
def app(app_of: Callable[..., Flask], no_pool: Pool) -> Flask:
    return app_of(no_pool)


@pytest.fixture
def server(app: Flask) -> Iterator[ApiServer]:
    started = ApiServer(app, "127.0.0.1", 0)
    started.start()
    yield started
    assert started.stop(LIMIT_S)


def ask(
    server: ApiServer, path: str, method: str = "GET", body: bytes = b"", **headers: str
) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT_S)
    with closing(connection):
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()


def test_port_zero_becomes_a_real_one_that_answers(server: ApiServer) -> None:
    status, _, body = ask(server, "/livez")

    assert server.port > 0
    assert (status, body) == (200, b'{"status":"alive"}\n')


def test_client_that_only_stops_sending_is_answered(
    server: ApiServer, supervisor: FakeSupervisor
) -> None:
    stopped = threading.Event()

    def slowly(_: object) -> object:
        assert stopped.wait(LIMIT_S)
        return LEDGER

    supervisor.replies[GetLedger] = slowly
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S)) as plain:
        plain.sendall(b"GET /ledger HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        plain.shutdown(socket.SHUT_WR)
        stopped.set()

        assert plain.recv(15) == b"HTTP/1.1 200 OK"


def test_server_does_not_say_what_it_is(server: ApiServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT_S)
    with closing(connection):
        connection.request("GET", "/livez")
        answer = connection.getresponse()
        answer.read()

    assert answer.headers["Server"] is None


def test_foreign_host_name_is_refused_over_http(server: ApiServer) -> None:
    status, kind, _ = ask(server, "/ledger", Host="evil.example")

    assert (status, kind) == (400, "application/problem+json")


def test_encoded_slash_of_a_mint_arrives(server: ApiServer) -> None:
    status, _, body = ask(server, "/actors/tracker:a%2Fb")

    assert status == 404
    assert b'"instance": "/actors/tracker:a/b"' in body


@pytest.mark.parametrize("headers", [{}, {"Transfer-Encoding": "chunked"}])
def test_large_body_is_refused_over_http(server: ApiServer, headers: dict[str, str]) -> None:
    body = b"x" * (64 * 1024 + 1)
    if headers:
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)

    status, _, _ = ask(server, "/config", "POST", body, **headers)

    assert status == 413


def test_port_that_is_taken_is_a_clear_error(server: ApiServer, app: Flask) -> None:
    second = ApiServer(app, "127.0.0.1", server.port)

    with pytest.raises(PortInUse) as caught:
        second.start()

    assert str(caught.value) == (
        f"Port {server.port} of 127.0.0.1 is in use: stop the program that listens there, or set "
        "API_PORT to another port."
    )
    assert second.stop(LIMIT_S)


def test_address_of_another_machine_is_a_clear_error(app: Flask) -> None:
    with pytest.raises(HostNotUsable, match=r"cannot listen on port 0 of 192\.0\.2\.1 \(.+\): set"):
        ApiServer(app, "192.0.2.1", 0).start()


def test_running_request_is_answered_before_the_end(
    server: ApiServer, supervisor: FakeSupervisor
) -> None:
    asked, go_on = threading.Event(), threading.Event()
    answers: list[int] = []

    def slowly(_: object) -> object:
        asked.set()
        assert go_on.wait(LIMIT_S)
        return LEDGER

    supervisor.replies[GetLedger] = slowly
    caller = threading.Thread(target=lambda: answers.append(ask(server, "/ledger")[0]))
    caller.start()
    assert asked.wait(LIMIT_S)
    stopper = threading.Thread(target=server.stop, args=(LIMIT_S,))
    stopper.start()
    go_on.set()
    stopper.join(LIMIT_S)
    caller.join(LIMIT_S)

    assert answers == [200]


def test_stopped_server_leaves_nothing_behind(app: Flask) -> None:
    before = set(threading.enumerate())
    server = ApiServer(app, "127.0.0.1", 0)
    server.start()
    ask(server, "/livez")

    assert server.stop(LIMIT_S)

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S)
    left = [t for t in set(threading.enumerate()) - before if not t.name.startswith("pool-")]
    for thread in left:
        thread.join(LIMIT_S)
    assert not [t for t in left if t.is_alive()]


def test_server_that_never_started_can_be_stopped(app: Flask) -> None:
    assert ApiServer(app, "127.0.0.1", 0).stop(LIMIT_S)
