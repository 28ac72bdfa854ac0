"""A webhook on this machine that behaves as it is told, request by request."""

from __future__ import annotations

import json
import queue
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT_S = 10.0
"""How long a test waits for something that should happen at once."""


class Received(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: Any


class Receiver:
    """Answers the n-th request with the n-th behaviour, later ones with 200."""

    def __init__(self, *behaviours: Callable[[Handler], None] | int) -> None:
        self.behaviours = deque(behaviours)
        self.requests: queue.Queue[Received] = queue.Queue()
        self.release = threading.Event()
        """Set when the test is over: what hangs or drips ends."""
        handler = type("BoundHandler", (Handler,), {"receiver": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/webhook/path-secret"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self._server.shutdown()
        self._thread.join(LIMIT_S)
        self._server.server_close()

    def next(self) -> Received:
        return self.requests.get(timeout=LIMIT_S)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    receiver: Receiver

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self._act(json.loads(self.rfile.read(length)))

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        self._act(json.loads(query["data"][0]) if "data" in query else None)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        return

    def answer(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def drip(self, data: bytes) -> None:
        """Write a byte every 20 ms, over and over, until the client is gone or the test over."""
        try:
            while not self.receiver.release.wait(0.02):
                self.wfile.write(data[:1])
                self.wfile.flush()
        except OSError:
            self.close_connection = True

    def _act(self, body: Any) -> None:
        received = Received(self.command, self.path, dict(self.headers), body)
        behaviours = self.receiver.behaviours
        behaviour = behaviours.popleft() if behaviours else 200
        self.receiver.requests.put(received)
        if isinstance(behaviour, int):
            self.answer(behaviour)
        else:
            behaviour(self)


def hang(handler: Handler) -> None:
    handler.receiver.release.wait(LIMIT_S)
    handler.close_connection = True


def drip_headers(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    handler.drip(b"a")


def drip_body(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
    handler.drip(b"a")


def endless_body(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    handler.close_connection = True
    try:
        while not handler.receiver.release.is_set():
            handler.wfile.write(b"a" * 65_536)
    except OSError:
        return


def answer_twice(handler: Handler) -> None:
    handler.answer(500)
    handler.answer(200)


def hang_up(handler: Handler) -> None:
    handler.close_connection = True


def redirect(handler: Handler) -> None:
    handler.answer(307, {"Location": "/elsewhere"})


def retry_after(handler: Handler) -> None:
    handler.answer(429, {"Retry-After": "7"})


def rubbish(handler: Handler) -> None:
    handler.wfile.write(b"this is not HTTP\r\n\r\n")
    handler.close_connection = True
