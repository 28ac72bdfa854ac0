"""Where the server's frames come from: the market or a recording, behind one interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from simulator.frames import Frame, classify
from simulator.replay import read_recording

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from simulator.market import Market


class Source(Protocol):
    """A supply of frames on its own clock, which starts at 0 when the server starts it."""

    @property
    def next_due_us(self) -> int | None:
        """When the next frame is due; None when there will be none."""

    @property
    def unpaced(self) -> bool:
        """Whether frames are due as fast as the client reads them."""

    def opening(self) -> list[Frame]:
        """Return what is due at time 0, before the client's trade subscriptions exist."""

    def frames(self, until_us: int, limit: int) -> list[Frame]:
        """Return what is due by `until_us`; an unpaced source returns at most `limit` frames."""


class MarketSource:
    """The simulated market."""

    unpaced = False

    def __init__(self, market: Market) -> None:
        self._market = market

    @property
    def next_due_us(self) -> int | None:
        """When the market moves next."""
        return self._market.next_due_us

    def opening(self) -> list[Frame]:
        """Return the creates of time 0."""
        return self._market.frames(0)

    def frames(self, until_us: int, limit: int) -> list[Frame]:  # noqa: ARG002 -- a market is paced by its clock
        """Let the market run."""
        return self._market.frames(until_us)


class RecordingSource:
    """A recording, byte for byte, without its control frames.

    Its clock starts at the first data frame. A frame without a time is due with the one before
    it, and so is one whose time lies before it: the order of the file is kept.

    Raises:
        RecordingError: from any method, when the file cannot be read on.
    """

    def __init__(self, path: Path | str, speed: float) -> None:
        """Open a recording.

        Args:
            path: the file.
            speed: recorded seconds per second; 0: as fast as the client reads.
        """
        self.unpaced = speed == 0
        self._speed = speed
        self._lines = _data_frames(path)
        self._first_us: int | None = None
        self._due_us = 0
        self._next: Frame | None = self._read()

    @property
    def next_due_us(self) -> int | None:
        """When the next recorded frame is due."""
        return self._next.due_us if self._next else None

    def opening(self) -> list[Frame]:
        """Return nothing: a recording starts when the client is ready."""
        return []

    def frames(self, until_us: int, limit: int) -> list[Frame]:
        """Return the next frames of the file."""
        out: list[Frame] = []
        while self._next and self._next.due_us <= until_us and len(out) < limit:
            out.append(self._next)
            self._next = self._read()
        return out

    def _read(self) -> Frame | None:
        read = next(self._lines, None)
        if read is None:
            return None
        received_at_us, frame = read
        if received_at_us is not None and not self.unpaced:
            if self._first_us is None:
                self._first_us = received_at_us
            due_us = int((received_at_us - self._first_us) / self._speed)
            self._due_us = max(self._due_us, due_us)
        return msgspec.structs.replace(frame, due_us=self._due_us)


def _data_frames(path: Path | str) -> Iterator[tuple[int | None, Frame]]:
    for received_at_us, data in read_recording(path):
        frame = classify(data)
        if frame is not None:
            yield received_at_us, frame
