"""A feed that sends without end what is no data: given up with a clear reason, and tried again."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import queue
import re
import socket
import ssl
import threading
from itertools import chain, repeat
from typing import TYPE_CHECKING, Self

import pytest

from actors.connection.address import FeedAddress
from actors.connection.websocket import Dial, DialFailure
from actors.domain import FeedState
from tests.connection.system import running
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

LIMIT_S = 10.0
CUT_OFF_BYTES = 20_000_000
"""More than the sockets' buffers hold; an endless answer brings hundreds of megabytes."""


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


class RawFeed:
    """Answers every connection with the bytes of a script, until they end or nobody takes them.

    `%ACCEPT%` in what it sends is replaced by what makes the handshake right.
    """

    def __init__(self, script: Callable[[], Iterable[bytes]], pause_s: float = 0.0) -> None:
        self.sent: queue.Queue[int] = queue.Queue()
        """How many bytes each connection took, once it has ended."""
        self._script = script
        self._pause_s = pause_s
        self._is_over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, name="raw-feed")]
        self.uri = f"ws://127.0.0.1:{self._listener.getsockname()[1]}/"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(LIMIT_S)
            assert not thread.is_alive()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                thread = threading.Thread(target=self._talk, args=(sock,), name="raw-feed")
                self._threads.append(thread)
                thread.start()

    def _talk(self, sock: socket.socket) -> None:
        sent = 0
        with sock, contextlib.suppress(OSError):
            sock.settimeout(0.1)
            accept = _accept_of(sock.recv(65_536))
            for piece in self._script():
                sent += self._send(sock, piece.replace(b"%ACCEPT%", accept))
                self._is_over.wait(self._pause_s)
            while not self._is_over.is_set():
                with contextlib.suppress(TimeoutError):
                    if not sock.recv(65_536):
                        break
        self.sent.put(sent)

    def _send(self, sock: socket.socket, data: bytes) -> int:
        left = memoryview(data)
        while left:
            if self._is_over.is_set():
                raise BrokenPipeError
            with contextlib.suppress(TimeoutError):
                left = left[sock.send(left) :]
        return len(data)


def _accept_of(request: bytes) -> bytes:
    found = re.search(rb"Sec-WebSocket-Key: (\S+)", request)
    assert found is not None
    digest = hashlib.sha1(found[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return base64.b64encode(digest)


BEGIN = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
OPENED = BEGIN + b"Sec-WebSocket-Accept: %ACCEPT%\r\n\r\n"
REFUSED = b"HTTP/1.1 %d No\r\nContent-Length: 1000000000000\r\n\r\n"


def endless(*begin: bytes, then: bytes) -> Callable[[], Iterator[bytes]]:
    block = then * (65_536 // len(then))
    return lambda: chain(begin, repeat(block))


@pytest.mark.parametrize(
    ("begin", "then"),
    [
        (BEGIN + b"X: ", b"x"),
        (BEGIN, b"X: y\r\n"),
        (b"HTTP/1.1 101 ", b"x"),
        (b"", b"x"),
    ],
)
def test_head_that_never_ends_is_given_up(begin: bytes, then: bytes) -> None:
    with RawFeed(endless(begin, then=then)) as feed, running(feed.uri) as run:
        sent = feed.sent.get(timeout=LIMIT_S)

        assert "head of more than 16384 bytes" in run.wait_for_log("feed_away")["reason"]
        assert run.wait_for_log("feed_away")["retry_in_s"] < 10
        assert sent < CUT_OFF_BYTES


def test_head_that_trickles_in_is_given_up_in_time() -> None:
    def pieces() -> Iterator[bytes]:
        return chain([BEGIN, b"X: "], repeat(b"x"))

    done = threading.Event()
    with RawFeed(pieces, pause_s=0.05) as feed:
        dial = Dial(FeedAddress(feed.uri, None), 0.5, ssl.create_default_context, done.set)

        assert done.wait(LIMIT_S)
        assert dial.outcome() == DialFailure("the server did not answer in time")


def test_refusal_with_an_endless_page_is_a_refusal_all_the_same() -> None:
    with RawFeed(endless(REFUSED % 403, then=b"no ")) as feed, running(feed.uri) as run:
        sent = feed.sent.get(timeout=LIMIT_S)

        reason = run.wait_for_state(FeedState.BANNED).reason
        assert reason.startswith("the server answered the upgrade with HTTP 403: no no no")
        assert sent < CUT_OFF_BYTES


def test_refusal_whose_page_does_not_come_is_a_refusal_all_the_same() -> None:
    done = threading.Event()
    with RawFeed(lambda: [REFUSED % 403, b"gone"]) as feed:
        dial = Dial(FeedAddress(feed.uri, None), 0.5, ssl.create_default_context, done.set)

        assert done.wait(LIMIT_S)
        assert dial.outcome() == DialFailure(
            "the server answered the upgrade with HTTP 403: gone", is_ban=True
        )


@pytest.mark.parametrize(
    ("begin", "then"),
    [
        (b"", b"\x89\x00"),
        (b"", b"\x89\x04ping"),
        (b"", b"\x8a\x00"),
        (b"\x01\x01{", b"\x00\x00"),
        (b"\x01\x01{", b"\x00\x01 "),
        (b"\x01\x00", b"\x00\x00\x89\x00"),
        (b"", b"\x81\x00"),
        (b"", b"\x82\x00"),
        (b"", b"\x01\x00\x80\x00"),
    ],
    ids=["ping", "full_ping", "pong", "part", "tiny_part", "mixed", "text", "binary", "two_parts"],
)
def test_frames_without_data_are_given_up(begin: bytes, then: bytes) -> None:
    with RawFeed(endless(OPENED + begin, then=then)) as feed, running(feed.uri) as run:
        sent = feed.sent.get(timeout=LIMIT_S)

        assert run.wait_for_log("feed_away")["reason"] == (
            "the server sent more than 100 frames without data within a second"
        )
        assert run.wait_for_log("feed_away")["retry_in_s"] < 10
        assert sent < CUT_OFF_BYTES
        # And it is tried again.
        feed.sent.get(timeout=LIMIT_S)


def test_some_frames_without_data_are_borne() -> None:
    # Given as many pings, pongs and empty parts as a second may have, and an answer behind them
    frames = b"\x89\x00" * 40 + b"\x8a\x00" * 40 + b"\x01\x00" + b"\x00\x00" * 18
    ack = b'{"message": "Successfully subscribed to token creation events."}'
    whole = b"\x80" + bytes([len(ack)]) + ack

    with RawFeed(lambda: [OPENED + frames + whole]) as feed, running(feed.uri) as run:
        wait_until(lambda: run.report().frames.get("control") == 1)

        run.wait_for_state(FeedState.LIVE)


@pytest.mark.parametrize("size", [64, 10_000])
def test_message_in_many_parts_is_taken(size: int) -> None:
    # Given an acknowledgement with blanks behind it, in 1,000 parts
    ack = b'{"message": "Successfully subscribed to token creation events."}'
    length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
    first = b"\x01" + bytes([len(ack)]) + ack
    part = length + b" " * size

    with (
        RawFeed(lambda: [OPENED + first + (b"\x00" + part) * 998 + b"\x80" + part]) as feed,
        running(feed.uri) as run,
    ):
        wait_until(lambda: run.report().frames.get("control") == 1)
