"""The WebSocket: one attempt to connect, and one open session.

Purpose: frames in and calls out without ever blocking the actor.
Guarantees: reading and writing return at once; a frame that has come in part is kept until the
rest is there; a frame, or a message in several frames, never takes more than 16 MiB; what is to be
sent is bounded by 8 MiB; frames without data are borne up to 100 a second, and the answer to the
upgrade up to a bound in bytes and time; no reason for a loss holds a secret; a failed or abandoned
attempt leaves no open socket.
Not guaranteed: that the thread of an abandoned attempt ends soon (a name lookup cannot be
interrupted); there are at most 3 of them.
Relies on websocket-client 1.9.2: its `recv_frame` takes its bytes from `frame_buffer.recv`, passes
on what that raises when no data is left, and goes on where it was at the next call.

The socket is read in large pieces. Text frames in one part, which is nearly all, are cut out of
them in place; every other frame goes through the library, byte for byte (0.6 us against 10).
"""

from __future__ import annotations

import contextlib
import queue
import socket
import ssl
import struct
import threading
from typing import TYPE_CHECKING, Any, Final

import msgspec
import websocket
from websocket import ABNF

from actors.connection.address import SessionLostError
from actors.connection.decoder import MAX_FRAME_BYTES
from actors.connection.empty_frames import SMALL_PART_BYTES, EmptyFrameLimit
from actors.connection.upgrade import BoundedWebSocket

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.connection.address import FeedAddress

MAX_SLICE_FRAMES: Final = 1_024
READ_BYTES: Final = 256 * 1024
_TEXT: Final = 0x80 | ABNF.OPCODE_TEXT
"""First byte of a text in one frame."""
_TWO_BYTES: Final = 126
"""A length up to here stands in the second byte; this one says that it stands in the next two."""
MAX_OUTGOING_BYTES: Final = 8 * 1024 * 1024
MAX_ABANDONED: Final = 3
_FORBIDDEN: Final = 403
_CODE_BYTES: Final = 2
_PING_BYTES: Final = 125
_NOTHING_NOW: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_FAILURES: Final = (OSError, websocket.WebSocketException, struct.error, SessionLostError)


class WebSocketSession:
    """An open WebSocket. Used by the actor's thread alone.

    Attributes:
        lost: why the session cannot go on; None while it can.
        has_pong: a pong came since the flag was last cleared by its reader.
    """

    def __init__(self, ws: websocket.WebSocket, describe: Callable[[BaseException], str]) -> None:
        sock = ws.sock
        if sock is None:
            raise SessionLostError("the server closed the connection at once")
        ws.settimeout(0)
        self._ws: Any = ws
        self._sock: Any = sock
        self._fd = sock.fileno()
        self._describe = describe
        self._out = bytearray()
        self._in = b""
        """What was read, from `_position` on not understood yet."""
        self._position = 0
        self._is_in_library = False
        """The frame at `_position` goes through the library, which may have begun with it."""
        self._is_dry = True
        """Nothing can be cut out of `_in` before more is read."""
        ws.frame_buffer.recv = self._take
        self._parts: bytearray | None = None
        """What has come of a message in several frames; None: of none."""
        self._empty_frames = EmptyFrameLimit()
        self._now_s = 0.0
        self.lost: str | None = None
        self.has_pong = False

    def fileno(self) -> int:
        """Give the descriptor to wait for."""
        return self._fd

    @property
    def has_buffered(self) -> bool:
        """Whether data waits here or inside the TLS layer, where no `poll` sees it."""
        if not self._is_dry:
            return True
        return isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0

    @property
    def has_unsent(self) -> bool:
        """Whether something waits for the socket to take it."""
        return bool(self._out)

    def read(self, go_on: Callable[[], bool], now_s: float) -> list[bytes]:
        """Read messages until the socket is dry, 1,024 are there, or `go_on` says no.

        Pings are answered, pongs noted. Sets `lost` when nothing can follow. `now_s` is of a clock
        that only goes forward: frames without data are counted a second.
        """
        messages: list[bytes] = []
        self._now_s = now_s
        try:
            while self.lost is None and len(messages) < MAX_SLICE_FRAMES and go_on():
                if self._is_dry:
                    self._fill()
                self._understand(messages)
        except _NOTHING_NOW:
            pass
        except _FAILURES as error:
            self.lost = self._describe(error)
        self.flush()
        return messages

    def _fill(self) -> None:
        """Read once.

        Raises:
            BlockingIOError, ssl.SSLWantReadError: no data is there.
            OSError, websocket.WebSocketException: the connection is lost.
        """
        read: bytes = self._sock.recv(READ_BYTES)
        if not read:
            raise websocket.WebSocketConnectionClosedException
        self._in = self._in[self._position :] + read
        self._position = 0
        self._is_dry = False

    def _understand(self, messages: list[bytes]) -> None:
        """Add the messages that `_in` holds, up to the bound; dry when only part of one is left."""
        while len(messages) < MAX_SLICE_FRAMES:
            if not self._is_in_library and self._parts is None and self._cut_texts(messages):
                return
            self._is_in_library = True
            try:
                message = self._next_message()
            except BlockingIOError:
                self._is_dry = True
                return
            self._is_in_library = False
            if message is None:
                # A flood of control frames is no slice: the caller looks at the clock in between.
                return
            messages.append(message)

    def _cut_texts(self, messages: list[bytes]) -> bool:
        """Cut texts out as long as one follows the other; False: the library has to go on."""
        data, position, end = self._in, self._position, len(self._in)
        room = MAX_SLICE_FRAMES - len(messages)
        try:
            while room:
                if position + 1 >= end:
                    self._is_dry = True
                    return True
                size = data[position + 1]
                # Neither empty, nor masked, nor of a length that needs eight bytes.
                if data[position] != _TEXT or not 0 < size <= _TWO_BYTES:
                    return False
                begin = position + 2
                if size == _TWO_BYTES:
                    begin += 2
                    if begin > end:
                        self._is_dry = True
                        return True
                    size = data[begin - 2] << 8 | data[begin - 1]
                if begin + size > end:
                    self._is_dry = True
                    return True
                position = begin + size
                messages.append(data[begin:position])
                room -= 1
            return True
        finally:
            self._position = position

    def _take(self, size: int) -> bytes:
        """Give the library bytes of what was read.

        Raises:
            BlockingIOError: nothing is left of it.
        """
        taken = self._in[self._position : self._position + size]
        if not taken:
            raise BlockingIOError
        self._position += len(taken)
        return taken

    def send(self, text: bytes) -> None:
        """Send a text frame, now or as soon as the socket takes it."""
        self._queue(text, ABNF.OPCODE_TEXT)
        self.flush()

    def ping(self) -> None:
        """Send a ping."""
        self._queue(b"", ABNF.OPCODE_PING)
        self.flush()

    def begin_close(self) -> None:
        """Send a close frame; the server's answer sets `lost`."""
        self._queue(struct.pack("!H", 1000), ABNF.OPCODE_CLOSE)
        self.flush()

    def flush(self) -> None:
        """Hand the socket as much as it takes."""
        while self._out and self._ws.sock is not None:
            try:
                sent = self._sock.send(self._out)
            except _NOTHING_NOW:
                return
            except OSError as error:
                self.lost = self.lost or self._describe(error)
                self._out.clear()
            else:
                del self._out[:sent]

    def close(self) -> None:
        """Close the socket at once."""
        self.lost = self.lost or "closed"
        self._out.clear()
        self._ws.shutdown()

    def _queue(self, payload: bytes, opcode: int) -> None:
        if len(self._out) + len(payload) > MAX_OUTGOING_BYTES:
            self.lost = self.lost or "the server takes nothing any more"
        if self.lost is None:
            self._out += ABNF.create_frame(payload, opcode).format()

    def _next_message(self) -> bytes | None:
        frame = self._ws.recv_frame()
        match frame.opcode:
            case ABNF.OPCODE_TEXT | ABNF.OPCODE_BINARY | ABNF.OPCODE_CONT:
                return self._assemble(frame)
            case ABNF.OPCODE_PING:
                self._empty_frames.add(self._now_s)
                self._answer_ping(frame.data)
            case ABNF.OPCODE_PONG:
                self._empty_frames.add(self._now_s)
                self.has_pong = True
            case _:
                self._answer_close(frame.data)
        return None

    def _assemble(self, frame: Any) -> bytes | None:
        parts = self._parts
        if (parts is not None) != (frame.opcode == ABNF.OPCODE_CONT):
            raise SessionLostError("the server mixed the parts of two messages")
        data = bytes(frame.data)
        if (not frame.fin and len(data) < SMALL_PART_BYTES) or not (data or parts):
            self._empty_frames.add(self._now_s)
        if parts is None:
            if frame.fin:
                return data
            parts = self._parts = bytearray()
        parts += data
        if len(parts) > MAX_FRAME_BYTES:
            raise SessionLostError(_too_large(len(parts)))
        if not frame.fin:
            return None
        self._parts = None
        return bytes(parts)

    def _answer_ping(self, data: bytes) -> None:
        if len(data) > _PING_BYTES:
            raise SessionLostError("the server sent a ping of more than 125 bytes")
        self._queue(data, ABNF.OPCODE_PONG)

    def _answer_close(self, data: bytes) -> None:
        self._queue(data[:_CODE_BYTES], ABNF.OPCODE_CLOSE)
        self.flush()
        if len(data) < _CODE_BYTES:
            raise SessionLostError("the server closed the connection")
        code = int.from_bytes(data[:_CODE_BYTES], "big")
        said = " ".join(data[_CODE_BYTES:].decode("utf-8", "replace").split())
        raise SessionLostError(f"the server closed the connection: {code} {said}".rstrip())


class DialFailure(msgspec.Struct, frozen=True):
    """An attempt to connect has failed."""

    reason: str
    is_ban: bool = False
    """The server answered 403."""


class Dial:
    """One attempt to connect, in a thread of its own, because a name lookup can hang.

    Args:
        address: where to.
        timeout_s: bound of each step (lookup excluded): connect, TLS, the whole answer.
        make_context: makes the TLS context; the default one verifies the certificate and the name.
        done: called from the attempt's thread once `outcome` has something to give.
    """

    def __init__(
        self,
        address: FeedAddress,
        timeout_s: float,
        make_context: Callable[[], ssl.SSLContext],
        done: Callable[[], None],
    ) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._make_context = make_context
        self._done = done
        self._outcome: queue.SimpleQueue[WebSocketSession | DialFailure] = queue.SimpleQueue()
        self._is_abandoned = threading.Event()
        self._ws: websocket.WebSocket | None = None
        self._thread = threading.Thread(target=self._run, name="feed-dial", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether the attempt's thread is still there."""
        return self._thread.is_alive()

    def outcome(self) -> WebSocketSession | DialFailure | None:
        """Take the outcome; None while there is none."""
        try:
            return self._outcome.get_nowait()
        except queue.Empty:
            return None

    def abandon(self) -> None:
        """Ignore the outcome: a session that opens after all is closed at once."""
        self._is_abandoned.set()
        sock = None if self._ws is None else self._ws.sock
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._close_unwanted()

    def _run(self) -> None:
        try:
            outcome: WebSocketSession | DialFailure = self._connect()
        except (*_FAILURES, ValueError) as error:
            outcome = DialFailure(
                self._address.describe(error),
                is_ban=getattr(error, "status_code", None) == _FORBIDDEN,
            )
        self._outcome.put(outcome)
        # Put first, look second: whichever side comes later finds the session and closes it.
        if self._is_abandoned.is_set():
            self._close_unwanted()
        else:
            self._done()

    def _connect(self) -> WebSocketSession:
        options = {"context": self._make_context()} if self._address.is_tls else {}
        ws: Any = BoundedWebSocket(
            sslopt=options, enable_multithread=False, skip_utf8_validation=True
        )
        _bound_frames(ws)
        self._ws = ws
        # A redirect would hand the key to somebody else.
        ws.connect(self._address.secret_url, timeout=self._timeout_s, redirect_limit=0)
        return WebSocketSession(ws, self._address.describe)

    def _close_unwanted(self) -> None:
        outcome = self.outcome()
        if isinstance(outcome, WebSocketSession):
            outcome.close()


def _bound_frames(ws: websocket.WebSocket) -> None:
    """Refuse a frame that announces more than 16 MiB before any of it is read."""
    frames = ws.frame_buffer
    read_length = frames.recv_length

    def read_bounded_length() -> None:
        read_length()
        size = frames.length or 0
        if size > MAX_FRAME_BYTES:
            raise SessionLostError(_too_large(size))

    # The library has no limit of its own and no hook for one.
    frames.recv_length = read_bounded_length  # type: ignore[method-assign]


def _too_large(size: int) -> str:
    return f"the server sent a message of {size} bytes or more; {MAX_FRAME_BYTES} are allowed"
