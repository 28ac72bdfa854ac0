"""A way to the database that can keep an answer to itself."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qs, quote, urlsplit

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_CHUNK = 65_536
_COMMIT = b"COMMIT"
_CANDLES = b"COPY mintwatch_rows"


class CommitProxy:
    """Forwards a PostgreSQL server's socket; a context manager.

    Once `arm` was called, the next connection that commits candles hears nothing any more, although
    the server does what it was told: `committing` is set then.
    """

    def __init__(self, folder: Path, dsn: str) -> None:
        parts = urlsplit(dsn)
        place = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self._real = f"{place['host']}/.s.PGSQL.{place['port']}"
        self._armed = threading.Event()
        self.committing = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen()
        self._sockets: list[socket.socket] = [self._listener]
        self._threads: list[threading.Thread] = []
        self.dsn = f"postgresql://{parts.netloc}{parts.path}?host={quote(str(folder))}&port=5432"

    def arm(self) -> None:
        """Swallow the answer to the next COMMIT of candles."""
        self._armed.set()

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for each in self._sockets:
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                self._sockets += [client, server]
                with suppress(OSError):
                    server.connect(self._real)
                    muted = threading.Event()
                    self._run(lambda c=client, s=server, m=muted: self._forward(c, s, m))
                    self._run(lambda c=client, s=server, m=muted: self._answer(s, c, m))

    def _forward(
        self, client: socket.socket, server: socket.socket, muted: threading.Event
    ) -> None:
        has_candles = False
        while data := _received(client):
            has_candles = has_candles or _CANDLES in data
            if _COMMIT in data and has_candles and self._armed.is_set():
                self._armed.clear()
                muted.set()
                self.committing.set()
            has_candles = has_candles and _COMMIT not in data
            _send(server, data)
        _end(server)

    def _answer(self, server: socket.socket, client: socket.socket, muted: threading.Event) -> None:
        while data := _received(server):
            if not muted.is_set():
                _send(client, data)
        _end(client)

    def _run(self, work: object) -> None:
        thread = threading.Thread(target=work, daemon=True)  # type: ignore[arg-type]  # a lambda
        self._threads.append(thread)
        thread.start()


def _received(connection: socket.socket) -> bytes:
    with suppress(OSError):
        return connection.recv(_CHUNK)
    return b""


def _send(connection: socket.socket, data: bytes) -> None:
    with suppress(OSError):
        connection.sendall(data)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
