"""The web server: waitress in a thread, with a start and a stop."""

from __future__ import annotations

import errno
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from waitress import wasyncore  # type: ignore[import-untyped]  # has no types
from waitress.adjustments import Adjustments  # type: ignore[import-untyped]
from waitress.server import TcpWSGIServer  # type: ignore[import-untyped]

from api.auth import BODY_LIMIT, health_paths
from api.connections import CONNECTIONS, REQUEST_SECONDS, Channel, look_after
from api.lanes import RequestLanes
from api.services import end_long_work, prefix_of

if TYPE_CHECKING:
    from flask import Flask

IDLE_SECONDS: Final = 30
"""How long a connection may be idle before it is closed."""
HEADER_LIMIT: Final = 16 * 1024
WRITE_AHEAD_BYTES: Final = 4 << 20
"""An answer made piece by piece waits while its client has left this much unread."""
KERNEL_BYTES: Final = 64 * 1024
"""What the kernel keeps of an answer that is not read; Linux takes twice that."""
_ACCEPTED_AT_ONCE: Final = 32
_LOOK_SECONDS: Final = 1.0
_FLUSH_LOOK_SECONDS: Final = 0.05


class PortInUse(Exception):  # noqa: N818 - it names what is wrong
    """Somebody else listens where the API should."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        super().__init__(
            f"Port {port} of {host} is in use: stop the program that listens there, or set "
            "API_PORT to another port."
        )


class HostNotUsable(Exception):  # noqa: N818 - it names what is wrong
    """The API cannot listen on this address at all."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(
            f"The API cannot listen on port {port} of {host} ({reason}): set API_HOST to an "
            "address of this machine, such as 127.0.0.1, and API_PORT to one above 1023."
        )


class HttpListener(TcpWSGIServer):  # type: ignore[misc]  # its base has no types
    """Takes connections, many in each round of the loop, so that a flood of them queues nobody."""

    channel_class = Channel

    def handle_accept(self) -> None:
        """Take what waits, as long as there is room."""
        for _ in range(_ACCEPTED_AT_ONCE):
            before = len(self._map)
            if before >= self.adj.connection_limit:
                return
            super().handle_accept()
            if len(self._map) == before:
                return


class ApiServer:
    """Serves an application over HTTP. `start` is called once; `stop` may be called again."""

    def __init__(
        self, app: Flask, host: str, port: int, request_seconds: float = REQUEST_SECONDS
    ) -> None:
        """Remember what to serve. Port 0 takes any free port.

        A request must have arrived `request_seconds` after its first byte.
        """
        self._app = app
        self._request_seconds = request_seconds
        self._host = host
        self._port = port
        self._server: Any = None
        self._sockets: dict[int, Any] = {}
        self._flush_until_s = 0.0
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="api", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on: after `start` the real one."""
        return self._port

    def start(self) -> None:
        """Listen, and serve in a thread of its own. Requests are answered once this returns.

        Raises:
            PortInUse: Somebody else listens there.
            HostNotUsable: The address is not of this machine, or may not be used.
        """
        listener = _listen(self._host, self._port)
        self._port = int(listener.getsockname()[1])
        self._server = HttpListener(
            self._app,
            self._sockets,
            _sock=listener,
            dispatcher=RequestLanes(health_paths(prefix_of(self._app))),
            adj=_adjustments(listener),
            sockinfo=(listener.family, listener.type, listener.proto, listener.getsockname()),
            bind_socket=False,
        )
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Take no more connections, let running requests end within `timeout_s`, and close.

        Returns:
            False when something still ran after that time; it ends with the process.
        """
        if not self._thread.is_alive():
            return True
        deadline_s = time.monotonic() + timeout_s
        self._server.accepting = False
        end_long_work(self._app)
        # The loop goes on meanwhile: it is what sends the answers.
        self._server.task_dispatcher.shutdown(cancel_pending=True, timeout=timeout_s)
        self._flush_until_s = deadline_s
        self._stopping.set()
        self._server.pull_trigger()
        self._woken.set()
        self._thread.join(max(0.1, deadline_s - time.monotonic()))
        return not self._thread.is_alive()

    def _serve(self) -> None:
        while not self._stopping.is_set():
            self._look(_LOOK_SECONDS)
            for channel in self._channels():
                channel.go_on()
            self._end_slow_ones()
        while self._unsent() and time.monotonic() < self._flush_until_s:
            self._look(_FLUSH_LOOK_SECONDS)
            self._end_slow_ones()
        # Not before: the wake-up would go to a closed file, or to another one of its number.
        self._woken.wait()
        wasyncore.close_all(self._sockets, ignore_all=True)

    def _channels(self) -> tuple[Channel, ...]:
        return tuple(self._server.active_channels.values())

    def _end_slow_ones(self) -> None:
        channels = self._channels()
        look_after(channels, time.monotonic(), self._request_seconds)
        for channel in channels:
            if channel.will_close:
                # Waitress itself would wait until the client takes something.
                channel.cut_off()

    def _look(self, seconds: float) -> None:
        wasyncore.loop(timeout=seconds, use_poll=True, map=self._sockets, count=1)

    def _unsent(self) -> bool:
        return any(channel.total_outbufs_len for channel in self._channels())


def _adjustments(listener: socket.socket) -> Any:
    return Adjustments(
        sockets=[listener],
        # The listener and the loop's trigger count as well.
        connection_limit=CONNECTIONS + 2,
        channel_timeout=IDLE_SECONDS,
        cleanup_interval=IDLE_SECONDS // 3,
        max_request_body_size=BODY_LIMIT,
        max_request_header_size=HEADER_LIMIT,
        outbuf_high_watermark=WRITE_AHEAD_BYTES,
        clear_untrusted_proxy_headers=True,
        expose_tracebacks=False,
        ident=None,
    )


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise HostNotUsable(host, port, str(error.strerror)) from error
    family, kind, protocol, _, address = min(found, key=lambda info: info[0] != socket.AF_INET)
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
        listener.bind(address)
        listener.listen(CONNECTIONS)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(host, port) from error
        raise HostNotUsable(host, port, str(error.strerror)) from error
    return listener
