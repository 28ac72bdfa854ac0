"""The transport against a real receiver over real sockets."""

from __future__ import annotations

import logging
import queue
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from actors.n8n_writer.client import MAX_STUCK, HttpTransport
from actors.n8n_writer.payload import CoinBatch, WebhookRequest, build_request
from actors.n8n_writer.retry_policy import Failure, Outcome, WebhookAnswer
from tests.discovery.builders import START_US, coin
from tests.n8n_writer.receiver import (
    LIMIT_S,
    Handler,
    Receiver,
    answer_twice,
    drip_body,
    drip_headers,
    endless_body,
    hang,
    hang_up,
    redirect,
    retry_after,
    rubbish,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture
def transport() -> Iterator[HttpTransport]:
    before = set(threading.enumerate())
    transport = HttpTransport()
    yield transport
    transport.close()
    left = [thread for thread in threading.enumerate() if thread.name == "n8n-request"]
    assert not [thread for thread in left if thread not in before]


def request(url: str, method: str = "POST", auth_header: str | None = None) -> WebhookRequest:
    return build_request(CoinBatch("id1", START_US, (coin(),)), method, url, auth_header)


def outcome_of(
    transport: HttpTransport, wanted: WebhookRequest, timeout_s: float = LIMIT_S
) -> Outcome:
    replies: queue.Queue[Outcome] = queue.Queue()
    transport.start(wanted, timeout_s, replies.put)
    return replies.get(timeout=LIMIT_S)


@pytest.mark.parametrize("status", [200, 201, 204, 301, 400, 401, 404, 413, 500])
def test_status_is_the_answer(transport: HttpTransport, status: int) -> None:
    with Receiver(status) as receiver:
        assert outcome_of(transport, request(receiver.url)) == WebhookAnswer(status)


def test_request_carries_body_id_and_authentication(transport: HttpTransport) -> None:
    with Receiver() as receiver:
        outcome_of(transport, request(receiver.url, auth_header="X-Token: secret"))
        received = receiver.next()

    assert received.method == "POST"
    assert received.path == "/webhook/path-secret"
    assert received.headers["Idempotency-Key"] == received.body["batch_id"] == "id1"
    assert received.headers["X-Token"] == "secret"
    assert received.headers["Content-Type"] == "application/json"
    assert received.body["data"][0]["mint"] == "MintA"


def test_get_carries_the_batch_in_its_query(transport: HttpTransport) -> None:
    with Receiver() as receiver:
        outcome_of(transport, request(receiver.url, "GET"))
        received = receiver.next()

    assert received.method == "GET"
    assert received.body["count"] == 1


def test_credentials_of_the_address_become_basic_authentication(transport: HttpTransport) -> None:
    with Receiver() as receiver:
        outcome_of(transport, request(receiver.url.replace("//", "//user:pw@")))
        received = receiver.next()

    assert received.headers["Authorization"] == "Basic dXNlcjpwdw=="


def test_netrc_of_the_user_is_not_sent(
    transport: HttpTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with Receiver() as receiver:
        outcome_of(transport, request(receiver.url, auth_header="Authorization: Bearer t"))
        received = receiver.next()

    assert received.headers["Authorization"] == "Bearer t"


def test_redirect_is_not_followed(transport: HttpTransport) -> None:
    with Receiver(redirect) as receiver:
        assert outcome_of(transport, request(receiver.url)) == WebhookAnswer(307)
        receiver.next()
        assert receiver.requests.empty()


def test_retry_after_is_read(transport: HttpTransport) -> None:
    with Receiver(retry_after) as receiver:
        assert outcome_of(transport, request(receiver.url)) == WebhookAnswer(429, 7.0)


def test_connection_is_used_again(transport: HttpTransport) -> None:
    ports: list[int] = []

    def note_port(handler: Handler) -> None:
        ports.append(handler.client_address[1])
        handler.answer(200)

    with Receiver(note_port, note_port) as receiver:
        outcome_of(transport, request(receiver.url))
        outcome_of(transport, request(receiver.url))

    assert len(set(ports)) == 1


def test_second_answer_is_not_taken_for_that_of_the_next_request(
    transport: HttpTransport,
) -> None:
    with Receiver(answer_twice, 404) as receiver:
        assert outcome_of(transport, request(receiver.url)) == WebhookAnswer(500)
        assert outcome_of(transport, request(receiver.url)) == WebhookAnswer(404)


@pytest.mark.parametrize("behaviour", [hang_up, rubbish])
def test_broken_answer_is_a_failed_connection(
    transport: HttpTransport, behaviour: Callable[[Handler], None]
) -> None:
    with Receiver(behaviour) as receiver:
        assert outcome_of(transport, request(receiver.url)) is Failure.CONNECTION


def test_refused_connection_is_a_failure(transport: HttpTransport) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/webhook"
        assert outcome_of(transport, request(url)) is Failure.CONNECTION


@pytest.mark.parametrize(
    "url",
    [
        "http://no-such-host.invalid/x",
        "http://" + "a" * 70 + ".example/x",
        "http://[::1/x",
        "ftp://h/x",
    ],
)
def test_impossible_address_is_a_failed_connection(transport: HttpTransport, url: str) -> None:
    built = WebhookRequest("POST", url, {}, b"{}")
    assert outcome_of(transport, built) is Failure.CONNECTION


def test_impossible_header_is_a_failed_connection(transport: HttpTransport) -> None:
    with Receiver() as receiver:
        built = WebhookRequest("POST", receiver.url, {"X": "a\r\nInjected: b"}, b"{}")
        assert outcome_of(transport, built) is Failure.CONNECTION
        assert receiver.requests.empty()


def test_silence_ends_with_the_timeout(transport: HttpTransport) -> None:
    with Receiver(hang) as receiver:
        assert outcome_of(transport, request(receiver.url), timeout_s=0.2) is Failure.TIMEOUT


def test_endless_body_is_cut(transport: HttpTransport) -> None:
    with Receiver(endless_body) as receiver:
        assert outcome_of(transport, request(receiver.url)) == WebhookAnswer(200)


def test_headers_that_drip_are_ended_by_abort(transport: HttpTransport) -> None:
    replies: queue.Queue[Outcome] = queue.Queue()
    with Receiver(drip_headers) as receiver:
        transport.start(request(receiver.url), LIMIT_S, replies.put)
        receiver.next()

        started = time.monotonic()
        assert transport.abort() is Failure.TIMEOUT
        replies.get(timeout=LIMIT_S)

    assert time.monotonic() - started < 5


def test_answer_whose_body_drips_is_known_to_abort(transport: HttpTransport) -> None:
    replies: queue.Queue[Outcome] = queue.Queue()
    with Receiver(drip_body) as receiver:
        transport.start(request(receiver.url), LIMIT_S, replies.put)
        receiver.next()
        exchange = transport._exchange
        assert exchange is not None
        assert exchange.answered.wait(LIMIT_S)

        assert transport.abort() == WebhookAnswer(200)
        assert replies.get(timeout=LIMIT_S) == WebhookAnswer(200)


def test_transport_works_again_after_an_abort(transport: HttpTransport) -> None:
    with Receiver(hang) as receiver:
        transport.start(request(receiver.url), LIMIT_S, lambda _: None)
        receiver.next()
        transport.abort()

        assert outcome_of(transport, request(receiver.url)) == WebhookAnswer(200)


def test_threads_that_do_not_end_are_bounded(
    transport: HttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()

    def look_up(*_: object, **__: object) -> list[object]:
        release.wait(LIMIT_S)
        raise socket.gaierror("released")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    built = request("http://slow-name.example/x")
    for _ in range(MAX_STUCK):
        transport.start(built, 0.1, lambda _: None)
        assert transport.abort() is Failure.TIMEOUT
    replies: queue.Queue[Outcome] = queue.Queue()

    transport.start(built, 0.1, replies.put)
    assert replies.get_nowait() is Failure.TIMEOUT
    release.set()


@pytest.mark.parametrize("behaviour", [hang_up, rubbish, 200, redirect])
def test_nothing_of_address_or_header_is_logged(
    transport: HttpTransport,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    behaviour: Callable[[Handler], None] | int,
) -> None:
    caplog.set_level(logging.DEBUG)
    with Receiver(behaviour) as receiver:
        url = receiver.url.replace("//", "//user:password-secret@") + "?token=query-secret"
        outcome_of(transport, request(url, auth_header="X-Token: header-secret"))

    out, err = capfd.readouterr()
    assert "secret" not in caplog.text + out + err
