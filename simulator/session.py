"""One client's connection: batches of frames in, bytes on the socket out."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from typing import TYPE_CHECKING

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from simulator.frames import BROKEN, TRADES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from simulator.dialogue import Dialogue
    from simulator.frames import Frame

_PONG = 0x8A
_SHORT, _MEDIUM = 126, 65_536
_FLUSH_LIMIT_S = 1.0


class FeedConnection(ServerConnection):
    """A WebSocket connection that can be told to leave pings unanswered.

    Attributes:
        answers_pings: whether pings are answered.
        writable: set while the client keeps up, and when the connection is gone.
    """

    answers_pings = True
    writable: asyncio.Event

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note that the client can be written to."""
        self.writable = asyncio.Event()
        self.writable.set()
        super().connection_made(transport)

    def pause_writing(self) -> None:
        """Note that the client reads too slowly."""
        super().pause_writing()
        self.writable.clear()

    def resume_writing(self) -> None:
        """Note that the client has caught up."""
        super().resume_writing()
        self.writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let nobody wait for a client that is gone."""
        super().connection_lost(exc)
        self.writable.set()

    def send_data(self) -> None:
        """Write what the protocol queued, without the pongs when they are switched off."""
        if not self.answers_pings:
            writes = self.protocol.writes
            writes[:] = [data for data in writes if not data or data[0] != _PONG]
        super().send_data()


def text_frame(payload: bytes) -> bytes:
    """Wrap a payload as one unmasked WebSocket text frame (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < _SHORT:
        return bytes((0x81, size)) + payload
    if size < _MEDIUM:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


class Counts:
    """What was sent over all connections. Read and written on the event loop only."""

    def __init__(self) -> None:
        self.by_kind: Counter[str] = Counter()
        self.billed = 0
        self.bytes_sent = 0

    def add(self, frames: Iterable[Frame], size: int) -> None:
        """Count a batch of `size` bytes; trades are billed."""
        kinds = Counter(frame.kind for frame in frames)
        self.by_kind.update(kinds)
        self.billed += sum(kinds[kind] for kind in TRADES)
        self.bytes_sent += size


class Session:
    """Hands frames to one client. All methods run on the event loop."""

    def __init__(self, connection: FeedConnection, dialogue: Dialogue, max_buffer: int) -> None:
        """Take over an open connection; `max_buffer` bounds its unsent bytes."""
        self.dialogue = dialogue
        self._connection = connection
        self._max_buffer = max_buffer
        self._last = b'{"txType":"buy"}'

    @property
    def open(self) -> bool:
        """Whether frames can be sent."""
        return self._connection.state is State.OPEN and not self._connection.transport.is_closing()

    @property
    def unsent_bytes(self) -> int:
        """How much waits for the client to read on."""
        return self._connection.transport.get_write_buffer_size()

    def deliver(self, frames: Iterable[Frame], counts: Counts) -> Sequence[Frame]:
        """Send those frames that the client wants, in one write; never blocks.

        Returns:
            The frames handed to the socket. None are when the connection is closed, or when the
            client reads so slowly that its buffer is over its bound: then it is dropped.
        """
        if not self.open:
            return ()
        if self.unsent_bytes > self._max_buffer:
            self.reset()
            return ()
        wants = self.dialogue.wants
        sent = [frame for frame in frames if wants(frame)]
        if sent:
            data = b"".join([text_frame(frame.data) for frame in sent])
            self._connection.transport.write(data)
            self._last = next((f.data for f in reversed(sent) if f.kind != BROKEN), self._last)
            counts.add(sent, len(data))
        return sent

    def say(self, texts: Iterable[str]) -> None:
        """Send control texts; never blocks."""
        if self.open:
            for text in texts:
                self._connection.transport.write(text_frame(text.encode()))

    async def drained(self) -> None:
        """Wait until the client has read most of what was sent, or the connection is closed."""
        await self._connection.writable.wait()

    def answer_pings(self, *, answers: bool) -> None:
        """Switch the answers to pings on or off."""
        self._connection.answers_pings = answers

    def reset(self) -> None:
        """Drop the connection with a TCP reset; what is unsent is lost."""
        connected = self._connection.transport.get_extra_info("socket")
        if connected is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.transport.abort()

    async def drop(self, *, mid_frame: bool) -> None:
        """Drop the connection without a close frame, after what was sent has gone out.

        Blocks for at most a second; a client that does not read is cut off then.

        Args:
            mid_frame: send half of a data frame before.
        """
        transport = self._connection.transport
        if mid_frame and self.open:
            whole = text_frame(self._last)
            transport.write(whole[: len(whole) // 2])
        transport.close()
        try:
            async with asyncio.timeout(_FLUSH_LIMIT_S):
                await self._connection.wait_closed()
        except TimeoutError:
            transport.abort()

    async def close(self) -> None:
        """Close with a close frame; blocks for at most the server's close timeout."""
        await self._connection.close()
