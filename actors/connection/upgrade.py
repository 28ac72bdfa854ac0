"""The answer to the upgrade, bounded in bytes and in time.

Purpose: websocket-client reads lines and pages of any length, as long as each byte comes in time.
Guarantees: of the head 16 KiB are read, of the page of a refusal 64 KiB, and of both together what
comes within the time of one step; a refusal whose page is cut is the same refusal.
Relies on websocket-client 1.9.2: it reads the head byte by byte through `sock`, which it sets once
TLS is there, and sets `connected` when the handshake is done.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import websocket

from actors.connection.address import SessionLostError

if TYPE_CHECKING:
    import socket

HEAD_BYTES: Final = 16 * 1024
PAGE_BYTES: Final = 64 * 1024


class UpgradeAnswer:
    """What has come of one answer. Pure."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._line_begins = 0
        self._page: bytearray | None = None
        """None: the head is not over."""

    def take(self, data: bytes) -> None:
        """Add what was read: of the head at most one line's rest.

        Raises:
            SessionLostError: The head is too long.
            websocket.WebSocketBadStatusException: A refusal; its page is longer than is read.
        """
        if self._page is None:
            self._take_head(data)
        else:
            self._page += data
            if len(self._page) >= PAGE_BYTES:
                self.end_page()

    def _take_head(self, data: bytes) -> None:
        self._head += data
        if len(self._head) > HEAD_BYTES:
            raise SessionLostError(
                f"the server answered the upgrade with a head of more than {HEAD_BYTES} bytes"
            )
        if data.endswith(b"\n"):
            if not self._head[self._line_begins :].strip():
                self._page = bytearray()
            self._line_begins = len(self._head)

    def end_page(self) -> None:
        """Take a refusal for whole whose page has begun; nothing happens before that.

        Raises:
            websocket.WebSocketBadStatusException: The refusal.
        """
        if self._page is not None:
            # The library has read it as a number before it asked for the page.
            status = int(self._head.split(maxsplit=2)[1])
            raise websocket.WebSocketBadStatusException(
                "refused", status, resp_body=bytes(self._page)
            )


class UpgradeSocket:
    """A socket whose reads are bounded together; everything else is the socket's own."""

    def __init__(self, sock: socket.socket, timeout_s: float) -> None:
        self.plain = sock
        self._answer = UpgradeAnswer()
        self._deadline_s = time.monotonic() + timeout_s

    def recv(self, size: int) -> bytes:
        """Read as the socket does, until the time for the whole answer is over.

        Raises:
            TimeoutError: It is over.
            SessionLostError, websocket.WebSocketBadStatusException: see `UpgradeAnswer.take`.
            OSError: see the socket.
        """
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            self._answer.end_page()
            raise TimeoutError
        self.plain.settimeout(left_s)
        try:
            data = self.plain.recv(size)
        except TimeoutError:
            self._answer.end_page()
            raise
        self._answer.take(data)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)


class BoundedWebSocket(websocket.WebSocket):
    """The library's WebSocket, which sees its socket through the bounds until it is connected."""

    _upgrade: UpgradeSocket | None = None

    @property
    def sock(self) -> Any:
        """The socket, if there is one."""
        if self._upgrade is None:
            return None
        return self._upgrade.plain if self.connected else self._upgrade

    @sock.setter
    def sock(self, sock: socket.socket | None) -> None:
        timeout_s = self.sock_opt.timeout
        self._upgrade = None if sock is None else UpgradeSocket(sock, timeout_s or 0.0)
