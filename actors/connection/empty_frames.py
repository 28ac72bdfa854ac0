"""How many frames without data a server may send. Pure.

A frame costs the same whether it brings data or not, and nobody else counts those without any.
"""

from __future__ import annotations

from typing import Final

from actors.connection.address import SessionLostError

EMPTY_FRAMES_PER_SECOND: Final = 100
"""The real server sends a ping every some seconds, and everything else as whole texts."""
SMALL_PART_BYTES: Final = 64
"""A part of a message with less than this counts as one without data, unless it is the last."""


class EmptyFrameLimit:
    """Counts the pings, pongs, small parts and empty messages of one session."""

    def __init__(self) -> None:
        self._began_s = float("-inf")
        self._count = 0

    def add(self, now_s: float) -> None:
        """Count a frame; `now_s` is of any clock that only goes forward.

        Raises:
            SessionLostError: More came within a second than is borne.
        """
        if now_s - self._began_s >= 1.0:
            self._began_s = now_s
            self._count = 0
        self._count += 1
        if self._count > EMPTY_FRAMES_PER_SECOND:
            raise SessionLostError(
                f"the server sent more than {EMPTY_FRAMES_PER_SECOND} frames without data within "
                "a second"
            )
