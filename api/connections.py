"""How long a client may take, and how many may wait: what waitress does not bound by itself.

Guarantees: a request that has not arrived whole `REQUEST_SECONDS` after its first byte is given up,
however its bytes trickle in; when nearly all connections are taken, those that have been idle for
longest make room, so that idle ones cannot keep others out.
Relies on: everything here runs in the server's own loop, besides `check_client_disconnected`, which
only reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from waitress.channel import HTTPChannel  # type: ignore[import-untyped]  # has no types
from waitress.parser import HTTPRequestParser, ParsingError  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Iterable

CONNECTIONS: Final = 256
"""Open at once, a quarter of the files a process may usually have; further ones wait in the
kernel's queue.
"""
SPARE: Final = 32
"""Connections kept free by ending idle ones."""
REQUEST_SECONDS: Final = 20.0
BEHIND_BYTES: Final = 1 << 20
"""What a client may leave unread of an event stream: some 2,000 events."""


class Parser(HTTPRequestParser):  # type: ignore[misc]  # its base has no types
    """Reads one request."""

    def parse_header(self, header_plus: bytes) -> None:
        """Read the head of a request; what Python itself refuses in it is refused as well."""
        try:
            super().parse_header(header_plus)
        except ValueError as error:
            # Such as a length of more digits than Python turns into a number.
            raise ParsingError("The head of the request cannot be read") from error


class Channel(HTTPChannel):  # type: ignore[misc]  # its base has no types
    """One connection."""

    parser_class = Parser
    partial_since_s: float | None = None
    """When the loop first saw that a request has begun to arrive; None: none has."""
    _is_watched = False

    def check_client_disconnected(self) -> bool:
        """Say whether nobody reads any more, or far too slowly. Called by streams, in threads."""
        self._is_watched = True
        return not self.connected or self.total_outbufs_len > BEHIND_BYTES

    def readable(self) -> bool:
        """Say whether to look what the client sends.

        As a rule not while it waits for an answer, so that one who only stops sending gets it. The
        client of a stream is looked at all the time, for its end.
        """
        return bool(super().readable()) or (
            self._is_watched
            and len(self.requests) == 1
            and not (self.will_close or self.close_when_flushed)
        )

    @property
    def idle(self) -> bool:
        """Whether it has nothing to do: no request to answer, nothing to send."""
        return not self.requests and not self.total_outbufs_len and not self.will_close


def look_after(
    channels: Iterable[Any], now_s: float, request_seconds: float = REQUEST_SECONDS
) -> None:
    """Close what takes too long, and the longest idle where there are too many.

    Args:
        channels: all that are open.
        now_s: any clock that only goes forward.
        request_seconds: how long a request may take to arrive.
    """
    found = list(channels)
    for channel in found:
        if channel.request is None:
            channel.partial_since_s = None
        elif channel.partial_since_s is None:
            channel.partial_since_s = now_s
        elif now_s - channel.partial_since_s > request_seconds:
            channel.will_close = True
    too_many = len(found) - (CONNECTIONS - SPARE)
    if too_many > 0:
        idle = sorted((each for each in found if each.idle), key=lambda each: each.last_activity)
        for channel in idle[:too_many]:
            channel.will_close = True
