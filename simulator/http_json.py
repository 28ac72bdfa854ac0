"""A small HTTP server that answers with JSON, for the side channels of the simulator."""

from __future__ import annotations

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, NamedTuple, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_BODY_BYTES = 32 * 1024 * 1024
_READ_TIMEOUT_S = 30


class Request(NamedTuple):
    """One request: method, path with query, headers (names as sent), body."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Answer(NamedTuple):
    """One answer. A status of 0 means: close the connection without a word."""

    status: int
    body: object
    headers: Mapping[str, str] = {}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    handle_request_json: Callable[[Request], Answer]

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay quiet about clients that went away; they are a normal part of a test."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # passed through


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _READ_TIMEOUT_S

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            self._write(Answer(413, {"error": f"send at most {MAX_BODY_BYTES} bytes"}))
            return
        body = self.rfile.read(int(length))
        server = cast("_Server", self.server)
        request = Request(self.command, self.path, dict(self.headers), body)
        self._write(server.handle_request_json(request))

    def _write(self, answer: Answer) -> None:
        if answer.status == 0:
            self.close_connection = True
            return
        body = msgspec.json.encode(answer.body)
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class names it so
        """Stay quiet: stdout and stderr belong to the command."""


class JsonServer:
    """Serves on a thread of its own; each request has a thread, too.

    `handle` is called on those threads and must return within its own limits.
    """

    def __init__(self, host: str, port: int, handle: Callable[[Request], Answer]) -> None:
        """Bind (port 0: any free one).

        Raises:
            OSError: when the port is taken.
        """
        self._server = _Server((host, port), _Handler)
        self._server.handle_request_json = handle
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="http-json", daemon=True
        )

    @property
    def url(self) -> str:
        """The root of the server, without a slash at the end."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering and free the port; waits for the serving thread (a moment)."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
