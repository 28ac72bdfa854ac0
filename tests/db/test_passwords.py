"""Which password reaches a server: the one in the connection string, and none in clear."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psycopg
import pytest

from db import create_pool
from db.pool import connect
from db.probe import try_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CLEAR, MD5 = 3, 5


class FalseServer:
    """Speaks PostgreSQL as far as the question for a password, and keeps every answer."""

    def __init__(self, method: int) -> None:
        self._method = method
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self.port: int = self._socket.getsockname()[1]
        self.heard: list[bytes] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _listen(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            with peer, suppress(OSError):
                peer.settimeout(3.0)
                self._speak(peer)

    def _speak(self, peer: socket.socket) -> None:
        while True:
            size, code = struct.unpack("!ii", peer.recv(8, socket.MSG_WAITALL))
            if code in {80877103, 80877104}:  # no TLS, no GSSAPI
                peer.sendall(b"N")
                continue
            peer.recv(size - 8, socket.MSG_WAITALL)
            salt = b"salt" if self._method == MD5 else b""
            peer.sendall(b"R" + struct.pack("!ii", 8 + len(salt), self._method) + salt)
            self.heard.append(peer.recv(1_000))
            return


@contextmanager
def false_server(method: int) -> Iterator[FalseServer]:
    server = FalseServer(method)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def through_pool(dsn: str) -> None:
    with create_pool(dsn, min_size=1, checkout_timeout_s=2.0) as pool, suppress(Exception):
        pool.open()
        with pool.connection():
            pass


def through_connection(dsn: str) -> None:
    with suppress(psycopg.Error):
        connect(dsn).close()


WAYS: list[Callable[[str], object]] = [through_connection, through_pool, try_database]


@pytest.fixture(params=WAYS, ids=["connect", "pool", "probe"])
def way(request: pytest.FixtureRequest) -> Callable[[str], object]:
    found: Callable[[str], object] = request.param
    return found


def heard(server: FalseServer) -> bytes:
    return b"".join(server.heard)


def test_password_is_sent_in_clear_to_nobody(way: Callable[[str], object]) -> None:
    with false_server(CLEAR) as server:
        way(f"postgresql://u:hunter2-word@127.0.0.1:{server.port}/d")
    assert b"hunter2-word" not in heard(server)


def test_password_of_the_dsn_is_what_a_server_gets(way: Callable[[str], object]) -> None:
    with false_server(MD5) as server:
        way(f"postgresql://u:hunter2-word@127.0.0.1:{server.port}/d")
    assert heard(server).startswith(b"pmd5") or b"md5" in heard(server)


@pytest.mark.parametrize("method", [CLEAR, MD5])
def test_password_of_a_file_or_the_environment_is_not_sent(
    way: Callable[[str], object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, method: int
) -> None:
    with false_server(method) as server:
        password_file = tmp_path / ".pgpass"
        password_file.write_text("*:*:*:*:hunter3-word\n")
        password_file.chmod(0o600)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("PGPASSFILE", str(password_file))
        monkeypatch.setenv("PGPASSWORD", "hunter4-word")
        way(f"postgresql://u@127.0.0.1:{server.port}/d")
    assert heard(server) == b""


def test_own_authentication_of_the_dsn_wins() -> None:
    with false_server(CLEAR) as server:
        through_connection(
            f"postgresql://u:hunter2-word@127.0.0.1:{server.port}/d?require_auth=password"
        )
    assert b"hunter2-word" in heard(server)
