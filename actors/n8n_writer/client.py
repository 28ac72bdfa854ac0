"""One HTTP request at a time, off the actor's thread.

Purpose: a webhook can hang in every stage (name lookup, connect, TLS, headers that drip, a body
without end), and not all of them obey a socket's timeout. So each request has a thread of its own,
and the actor, which owns the deadline, calls `abort` when it has passed.
Guarantees: `start` and `abort` never block; `reply` is called at most once a request, from the
request's thread; nothing of an address, a header or a library's error text leaves this module.
Not guaranteed: that an aborted request was not delivered; it is the same batch, under the same id.
Bounds: `MAX_STUCK` threads that do not end although their socket was closed; beyond it requests
fail at once. Of an answer's body at most `MAX_BODY_BYTES` are read, and none is kept.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth
from requests.utils import get_auth_from_url
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from actors.n8n_writer.retry_policy import Failure, Outcome, WebhookAnswer, retry_after_s

if TYPE_CHECKING:
    from collections.abc import Callable

    from urllib3 import PoolManager

    from actors.n8n_writer.payload import WebhookRequest

MAX_BODY_BYTES: Final = 65_536
MAX_STUCK: Final = 4
_JOIN_S: Final = 1.0

Reply = "Callable[[Outcome], None]"


class Transport(Protocol):
    """What the n8n-writer needs of a client."""

    def start(
        self, request: WebhookRequest, timeout_s: float, reply: Callable[[Outcome], None]
    ) -> None:
        """Send a request and have `reply` called with what came of it."""

    def abort(self) -> Outcome:
        """Give the running request up and say what is known of it: an answer, or a timeout."""

    def close(self) -> None:
        """Give everything up."""


class HttpTransport:
    """See the module's docstring. `start`, `abort` and `close` belong to one thread."""

    def __init__(self) -> None:
        # Its messages hold addresses, which may hold credentials.
        logging.getLogger("urllib3").setLevel(logging.CRITICAL)
        self._line: _Line | None = None
        self._exchange: _Exchange | None = None
        self._threads: list[threading.Thread] = []

    def start(
        self, request: WebhookRequest, timeout_s: float, reply: Callable[[Outcome], None]
    ) -> None:
        """Send a request in a new thread; each single wait on the socket ends after `timeout_s`."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        if len(self._threads) >= MAX_STUCK:
            reply(Failure.TIMEOUT)
            return
        if self._line is None:
            self._line = _Line()
        self._exchange = _Exchange(self._line, request, timeout_s)
        thread = threading.Thread(
            target=self._exchange.run, args=(reply,), name="n8n-request", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def abort(self) -> Outcome:
        """Close the running request's socket and say what is known of the request."""
        exchange, self._exchange = self._exchange, None
        line, self._line = self._line, None
        # Read before the cut: http.client takes headers that end with the connection for complete,
        # so a moment later the same request would look answered.
        answer = None if exchange is None else exchange.answer
        if line is not None:
            line.cut()
        return Failure.TIMEOUT if answer is None else answer

    def close(self) -> None:
        """Abort, and wait up to a second for the threads to end."""
        self.abort()
        deadline = time.monotonic() + _JOIN_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))


class _Exchange:
    """One request and its answer."""

    def __init__(self, line: _Line, request: WebhookRequest, timeout_s: float) -> None:
        self._line = line
        self._request = request
        self._timeout_s = timeout_s
        self.answer: WebhookAnswer | None = None
        """Set as soon as the status line and the headers are here, and `answered` with it."""
        self.answered = threading.Event()

    def run(self, reply: Callable[[Outcome], None]) -> None:
        try:
            self._exchange()
            failure = Failure.CONNECTION
        except requests.Timeout:
            failure = Failure.TIMEOUT
        except Exception:  # noqa: BLE001 - any error's text, and its traceback, may show the address
            failure = Failure.CONNECTION
        reply(failure if self.answer is None else self.answer)

    def _exchange(self) -> None:
        request = self._request
        with self._line.session.request(
            request.method,
            request.url,
            data=request.body,
            headers=request.headers,
            timeout=self._timeout_s,
            allow_redirects=False,
            stream=True,
        ) as response:
            headers = response.headers
            wait_s = retry_after_s(headers.get("Retry-After"), headers.get("Date"))
            self.answer = WebhookAnswer(response.status_code, wait_s)
            self.answered.set()
            # A body that was read to its end lets the connection be used again.
            left = MAX_BODY_BYTES
            for chunk in response.raw.stream(8_192, decode_content=False):
                left -= len(chunk)
                if left < 0:
                    break


class _Line:
    """A session whose sockets can be closed from another thread."""

    def __init__(self) -> None:
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._is_cut = False
        self.session = requests.Session()
        self.session.auth = _AuthOfUrl()
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, _Adapter(self._opened))

    def cut(self) -> None:
        """End whatever waits on a socket of this session, now or later."""
        self._is_cut = True
        for sock in list(self._sockets):
            _shut(sock)

    def _opened(self, sock: socket.socket) -> None:
        self._sockets.add(sock)
        if self._is_cut:
            _shut(sock)


def _shut(sock: socket.socket) -> None:
    # Shutting down, unlike closing, wakes a thread that waits on the socket.
    with suppress(OSError, ValueError):
        sock.shutdown(socket.SHUT_RDWR)


class _AuthOfUrl(AuthBase):
    """Credentials of the address itself; without this, requests would look into `~/.netrc`."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        user, password = get_auth_from_url(request.url or "")
        return HTTPBasicAuth(user, password)(request) if user or password else request


class _Adapter(HTTPAdapter):
    """An adapter that tells of every socket it opens."""

    def __init__(self, opened: Callable[[socket.socket], None]) -> None:
        self._pools = _pools(opened)
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> PoolManager:
        manager: PoolManager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager


def _pools(opened: Callable[[socket.socket], None]) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            _tell(self.sock)

    class Encrypted(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            _tell(self.sock)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(HTTPSConnectionPool):
        ConnectionCls = Encrypted

    def _tell(sock: socket.socket | None) -> None:
        if sock is not None:
            opened(sock)

    return {"http": PlainPool, "https": EncryptedPool}
