"""A scripted PumpPortal feed on a free port: the test says what is sent, and when."""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any, Self

from websockets.exceptions import InvalidState
from websockets.frames import Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

if TYPE_CHECKING:
    import ssl

LIMIT_S = 5.0
ACKS = {
    "subscribeNewToken": "Successfully subscribed to token creation events.",
    "subscribeMigration": "Subscribed to 'migration' events.",
    "subscribeTokenTrade": "Successfully subscribed to keys.",
    "unsubscribeTokenTrade": "Unsubscribed.",
}


class Client:
    """One accepted connection; every method may be called from the test's thread."""

    def __init__(self, sock: socket.socket, path: str, protocol: ServerProtocol) -> None:
        self.path = path
        self.calls: queue.Queue[dict[str, Any]] = queue.Queue()
        self.closed = threading.Event()
        self.close_code: int | None = None
        self._sock = sock
        self._protocol = protocol
        self._lock = threading.Lock()

    def send(self, *messages: dict[str, Any] | str | bytes) -> None:
        """Send text frames, all of them in one write."""
        with self._lock:
            for message in messages:
                text = json.dumps(message) if isinstance(message, dict) else message
                self._protocol.send_text(text.encode() if isinstance(text, str) else text)
            self._flush()

    def send_in_parts(self, parts: list[bytes], ping_between: bytes | None = None) -> None:
        """Send one message as several frames."""
        with self._lock:
            for index, part in enumerate(parts):
                fin = index == len(parts) - 1
                if index == 0:
                    self._protocol.send_text(part, fin=fin)
                else:
                    self._protocol.send_continuation(part, fin=fin)
                if ping_between is not None and not fin:
                    self._protocol.send_ping(ping_between)
            self._flush()

    def send_raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        with self._lock:
            self._sock.sendall(data)

    def send_close(self, code: int, reason: str) -> None:
        """Send a close frame."""
        with self._lock:
            self._protocol.send_close(code, reason)
            self._flush()

    def drop(self) -> None:
        """Cut the connection with a reset and without a close frame."""
        # RST also when data waits unread
        linger = struct.pack("ii", 1, 0)
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()

    def next_call(self, limit_s: float = LIMIT_S) -> dict[str, Any]:
        """Wait for the next call."""
        return self.calls.get(timeout=limit_s)

    def next_keys(self, method: str = "subscribeTokenTrade") -> list[str]:
        """Wait for the next call of a method that names keys."""
        while True:
            call = self.next_call()
            if call["method"] == method:
                keys: list[str] = call["keys"]
                return keys

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._sock.sendall(data)


class FeedServer:
    """Accepts connections one after the other; `client()` gives the next one."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.acknowledges = True
        self.answers_pings = True
        self.answers_close = True
        self.refusals: list[tuple[int, str]] = []
        """HTTP answers for the next upgrades, taken from the front."""
        self.is_mute = False
        """Accept connections and say nothing."""
        self.pings = 0
        self.pongs: queue.Queue[bytes] = queue.Queue()
        self._context = context
        self._clients: queue.Queue[Client] = queue.Queue()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        scheme = "wss" if context else "ws"
        host = "localhost" if context else "127.0.0.1"
        self.uri = f"{scheme}://{host}:{self._listener.getsockname()[1]}/api/data"

    def __enter__(self) -> Self:
        self._begin(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(LIMIT_S)
            assert not thread.is_alive()

    def client(self) -> Client:
        """Wait for the next connection."""
        return self._clients.get(timeout=LIMIT_S)

    def _begin(self, target: Any, *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, name="feed-server")
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self._open.append(sock)
                self._begin(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True)
                self._open.append(sock)
            self._talk(sock)

    def _talk(self, sock: socket.socket) -> None:
        protocol = ServerProtocol(max_size=None)
        client: Client | None = None
        while data := sock.recv(65_536):
            if self.is_mute:
                continue
            protocol.receive_data(data)
            for event in protocol.events_received():
                if isinstance(event, Request):
                    client = self._shake_hands(sock, protocol, event)
                    if client is None:
                        return
                elif client is not None:
                    self._answer(client, protocol, event)
        if client is not None:
            client.closed.set()

    def _shake_hands(
        self, sock: socket.socket, protocol: ServerProtocol, request: Request
    ) -> Client | None:
        if self.refusals:
            status, text = self.refusals.pop(0)
            response = protocol.reject(status, text)
            protocol.send_response(response)
            for data in protocol.data_to_send():
                sock.sendall(data)
            sock.close()
            return None
        protocol.send_response(protocol.accept(request))
        for data in protocol.data_to_send():
            sock.sendall(data)
        client = Client(sock, request.path, protocol)
        self._clients.put(client)
        return client

    def _answer(self, client: Client, protocol: ServerProtocol, frame: Any) -> None:
        match frame.opcode:
            case Opcode.TEXT:
                call = json.loads(frame.data)
                client.calls.put(call)
                if self.acknowledges:
                    with contextlib.suppress(InvalidState):
                        client.send({"message": ACKS[call["method"]]})
            case Opcode.PING:
                self.pings += 1
                self._reply(client, protocol, is_wanted=self.answers_pings)
            case Opcode.PONG:
                self.pongs.put(bytes(frame.data))
            case Opcode.CLOSE:
                client.close_code = struct.unpack("!H", frame.data[:2])[0]
                client.closed.set()
                self._reply(client, protocol, is_wanted=self.answers_close)

    @staticmethod
    def _reply(client: Client, protocol: ServerProtocol, *, is_wanted: bool) -> None:
        if is_wanted:
            with client._lock:
                client._flush()
        else:
            protocol.data_to_send()
