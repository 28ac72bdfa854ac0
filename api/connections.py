"""How long a client may take, and how many may wait: what waitress does not bound by itself.

Guarantees: a connection has one request at work, and the next one begins when its answer has left;
what was sent ahead of that is 8 KiB at most, and nothing more is read. A request that has not
arrived whole `REQUEST_SECONDS` after its first byte is given up, however its bytes trickle in; an
answer of which less than `PROGRESS_BYTES` leave in `PROGRESS_SECONDS` is given up with its
connection. When nearly all connections are taken, those that wait for their client make room, the
longest waiting first, so that new ones are always taken.
Relies on: everything here runs in the server's own loop, besides `check_client_disconnected`, which
only reads, `send`, and `service` of the base class, which run in the threads of requests.
"""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from waitress.channel import HTTPChannel  # type: ignore[import-untyped]  # has no types
from waitress.parser import (  # type: ignore[import-untyped]
    HTTPRequestParser,
    ParsingError,
    TransferEncodingNotImplemented,
    get_header_lines,
)
from waitress.utilities import Error  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CONNECTIONS: Final = 256
"""Open at once, a quarter of the files a process may usually have; further ones wait in the
kernel's queue.
"""
SPARE: Final = 32
"""Connections kept free by ending idle ones; as many of the newest idle ones stay."""
RESERVE: Final = 8
"""Connections kept free by ending whatever is not at work."""
REQUEST_SECONDS: Final = 20.0
PROGRESS_SECONDS: Final = 5.0
PROGRESS_BYTES: Final = 16 * 1024
UNSENT_BYTES: Final = 64 << 20
"""What all clients together may leave unread; beyond it the largest are cut off."""
BEHIND_BYTES: Final = 1 << 20
"""What a client may leave unread of an event stream: some 2,000 events."""
_RESET: Final = struct.pack("ii", 1, 0)


class ServerBusyError(Error):  # type: ignore[misc]  # its base has no types
    """Too many requests wait already."""

    code = 503
    reason = "Service Unavailable"

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        """Give status, headers and body."""
        status, headers, body = super().to_response(ident)
        return status, [*headers, ("Retry-After", "1")], body


class Parser(HTTPRequestParser):  # type: ignore[misc]  # its base has no types
    """Reads one request."""

    def parse_header(self, header_plus: bytes) -> None:
        """Read the head of a request; what Python itself refuses in it is refused as well.

        Raises:
            ParsingError: The request is answered 400. A body has a length, or is chunked once.
        """
        if _transfer_codings(header_plus) not in ([], [b"chunked"]):
            raise ParsingError("Of the transfer codings only chunked is known, and only once")
        try:
            super().parse_header(header_plus)
        except TransferEncodingNotImplemented as error:
            raise ParsingError(str(error)) from error
        except ValueError as error:
            # Such as a length of more digits than Python turns into a number.
            raise ParsingError("The head of the request cannot be read") from error
        if "TRANSFER_ENCODING" in self.headers:
            # The base class takes it out where it obeys it.
            raise ParsingError("Before HTTP/1.1 a body has a length")


def _transfer_codings(head: bytes) -> list[bytes]:
    """List the codings in the order in which they stand, over every header of that name.

    Raises:
        ParsingError: The head is none.
    """
    found: list[bytes] = []
    for line in get_header_lines(head.partition(b"\r\n")[2]):
        name, _, value = line.partition(b":")
        if name.lower() == b"transfer-encoding":
            found += (coding.strip(b" \t").lower() for coding in value.split(b","))
    return found


class Channel(HTTPChannel):  # type: ignore[misc]  # its base has no types
    """One connection."""

    parser_class = Parser
    request: Any
    sent_continue: bool
    partial_since_s: float | None = None
    """When the loop first saw that a request has begun to arrive; None: none has."""
    unsent_since_s: float | None = None
    """When the loop last saw enough of an answer leave; None: nothing waits to leave."""
    sent_before = 0
    """What `sent_bytes` was then."""
    sent_bytes = 0
    """Taken by the kernel since the beginning."""
    _is_watched = False
    _ahead = b""
    """What the client has sent of the requests after the present one."""

    def check_client_disconnected(self) -> bool:
        """Say whether nobody reads any more, or far too slowly. Called by streams, in threads."""
        self._is_watched = True
        return not self.connected or self.total_outbufs_len > BEHIND_BYTES

    def readable(self) -> bool:
        """Say whether to look what the client sends.

        As a rule not while it waits for an answer, so that one who only stops sending gets it. The
        client of a stream is looked at all the time, for its end. What was sent ahead has its turn
        before anything else is read.
        """
        if self._ahead:
            return False
        return bool(super().readable()) or (
            self._is_watched
            and len(self.requests) == 1
            and not (self.will_close or self.close_when_flushed)
        )

    def received(self, data: bytes) -> bool:
        """Take what was read: one `recv`, 8 KiB at most."""
        self._ahead += data
        self.go_on()
        return True

    def go_on(self) -> None:
        """Begin with the next request, if there is one and the answer before it has left."""
        if not self._ahead or self.requests or self.total_outbufs_len:
            return
        with self.requests_lock:
            if self.will_close or self.close_when_flushed:
                self._ahead = b""
                return
            while self._ahead and not self.requests:
                self._parse_some()
        if self.requests:
            # Not under the lock: a request that is refused takes it again.
            self.server.add_task(self)

    def _parse_some(self) -> None:
        if self.request is None:
            # Blank lines before a request mean nothing.
            self._ahead = self._ahead.lstrip(b"\r\n")
            if not self._ahead:
                return
            self.request = self.parser_class(self.adj)
        request = self.request
        self._ahead = self._ahead[request.received(self._ahead) :]
        if request.expect_continue and request.headers_finished and not self.sent_continue:
            self.send_continue()
        if request.completed:
            self.sent_continue = False
            self.request = None
            if not request.empty:
                self.requests.append(request)

    def refuse(self) -> None:
        """Answer the request with 503 at once, in the loop, and close."""
        self.requests[0].error = ServerBusyError("Too many requests wait already: try again.")
        self.service()

    def send(self, data: bytes, do_close: bool = True) -> int:
        """Give the kernel what it takes, and count it."""
        sent = int(super().send(data, do_close=do_close))
        self.sent_bytes += sent
        return sent

    def cut_off(self) -> None:
        """Close at once. What the client has not read is lost; a running request ends itself."""
        if self.total_outbufs_len:
            # A reset: otherwise the kernel keeps for minutes what nobody reads.
            with suppress(OSError):
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.handle_close()

    @property
    def idle(self) -> bool:
        """Whether it has nothing to do: no request arrives or is at work, nothing leaves."""
        return not (self.request or self.requests or self.total_outbufs_len or self.will_close)


def look_after(
    channels: Iterable[Any], now_s: float, request_seconds: float = REQUEST_SECONDS
) -> None:
    """Mark for closing what takes too long, and what waits longest where there are too many.

    Args:
        channels: all that are open.
        now_s: any clock that only goes forward.
        request_seconds: how long a request may take to arrive.
    """
    found = list(channels)
    for channel in found:
        _look_for_arrival(channel, now_s, request_seconds)
        _look_for_progress(channel, now_s)
    _bound_unsent(found)
    _make_room(found)


def _look_for_arrival(channel: Any, now_s: float, request_seconds: float) -> None:
    if channel.request is None:
        channel.partial_since_s = None
    elif channel.partial_since_s is None:
        channel.partial_since_s = now_s
    elif now_s - channel.partial_since_s > request_seconds:
        channel.will_close = True


def _look_for_progress(channel: Any, now_s: float) -> None:
    if not channel.total_outbufs_len:
        channel.unsent_since_s = None
    elif channel.unsent_since_s is None:
        channel.unsent_since_s, channel.sent_before = now_s, channel.sent_bytes
    elif now_s - channel.unsent_since_s > PROGRESS_SECONDS:
        if channel.sent_bytes - channel.sent_before < PROGRESS_BYTES:
            channel.will_close = True
        channel.unsent_since_s, channel.sent_before = now_s, channel.sent_bytes


def _bound_unsent(channels: Sequence[Any]) -> None:
    unsent = sum(channel.total_outbufs_len for channel in channels)
    if unsent <= UNSENT_BYTES:
        return
    for channel in sorted(channels, key=lambda each: each.total_outbufs_len, reverse=True):
        if unsent <= UNSENT_BYTES:
            return
        unsent -= channel.total_outbufs_len
        channel.will_close = True


def _make_room(channels: Sequence[Any]) -> None:
    too_many = len(channels) - (CONNECTIONS - SPARE)
    if too_many <= 0:
        return
    idle = sorted((each for each in channels if each.idle), key=lambda each: each.last_activity)
    # The newest may be a probe that is about to ask.
    for channel in idle[: max(0, min(too_many, len(idle) - SPARE))]:
        channel.will_close = True
    too_many = sum(not each.will_close for each in channels) - (CONNECTIONS - RESERVE)
    if too_many > 0:
        slow = [each for each in channels if not (each.idle or each.requests or each.will_close)]
        for channel in sorted(slow, key=_waiting_since_s)[:too_many]:
            channel.will_close = True


def _waiting_since_s(channel: Any) -> float:
    since = (channel.partial_since_s, channel.unsent_since_s)
    return min(each for each in (*since, float("inf")) if each is not None)
