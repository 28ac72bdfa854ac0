"""The newest raw frames of one mint, for whoever looks into one coin.

Guarantees: reads beside the running writer, which is neither locked nor slowed; of the segment
being written, whole lines only; at most `max_bytes` of records are gone through, from the newest
back; never raises for damaged, missing or vanishing files.
Not guaranteed: frames that retention has removed, or that a segment holds behind its damage.
"""

from __future__ import annotations

import gzip
import os
import struct
from collections import deque
from typing import TYPE_CHECKING, BinaryIO, Final

import msgspec

from actors.journal import segments as files
from actors.journal.reader import DAMAGE
from actors.journal.records import FrameRecord, decode, may_name, names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from actors.domain import Mint
    from actors.journal.segments import Segment

MAX_FRAMES: Final = 1_000
"""Given at once: with the feed's usual 600 bytes a frame, an answer of half a megabyte."""
MAX_BYTES: Final = 256 * 1024 * 1024
"""Four full segments: an hour of the whole market, gone through in about a second."""

_GZIP_SIZE: Final = struct.Struct("<I")
"""The last field of a gzip file: how many bytes it unpacks to (segments are far below 4 GiB)."""


class JournalFrame(msgspec.Struct, frozen=True):
    """One frame of the feed as it came off the socket."""

    seq: int
    at_us: int
    """When it arrived, microseconds UTC."""
    data: bytes


class JournalFrames(msgspec.Struct, frozen=True):
    """Frames of one mint."""

    frames: tuple[JournalFrame, ...]
    """Oldest first."""
    complete: bool
    """Nothing was left out: neither older frames, past a bound, nor what could not be read."""


def frames_of(
    folder: Path, mint: Mint, *, since_us: int = 0, limit: int = 100, max_bytes: int = MAX_BYTES
) -> JournalFrames:
    """Give the newest frames of a mint, in the order of arrival.

    Blocks on the disk, up to some seconds where the bounds are used up. For any thread.

    Args:
        folder: the journal's folder; one that does not exist is empty.
        mint: whose frames.
        since_us: leave out what arrived earlier, microseconds UTC.
        limit: how many at most; more than `MAX_FRAMES` count as that.
        max_bytes: how many bytes of records are gone through at most.
    """
    search = _Search(folder, mint, since_us, max(0, min(limit, MAX_FRAMES)), max_bytes)
    search.run()
    return JournalFrames(tuple(search.found), search.complete)


class _Search:
    """One walk from the newest segment back."""

    def __init__(self, folder: Path, mint: Mint, since_us: int, limit: int, max_bytes: int) -> None:
        self.found: list[JournalFrame] = []
        self.complete = True
        self._folder = folder
        self._mint = mint
        self._needle = mint.encode("utf-8", "surrogatepass")
        self._since_us = since_us
        self._limit = limit
        self._left_bytes = max_bytes

    def run(self) -> None:
        """Find what there is."""
        try:
            segments = files.list_segments(self._folder)
        except OSError:
            self.complete = False
            return
        for segment in reversed(segments):
            self._look_into(segment)
            if not self.complete or segment.first_us < self._since_us:
                return

    def _look_into(self, segment: Segment) -> None:
        """Put what a segment holds in front of what was found in later ones."""
        # One more than wanted tells whether there are more.
        newest: deque[JournalFrame] = deque(maxlen=self._limit - len(self.found) + 1)
        try:
            file = files.open_to_read(self._folder, segment)
            if file is None:
                return
            with file:
                newest.extend(self._frames(self._lines(file)))
        except DAMAGE:
            self.complete = False
        if len(newest) == newest.maxlen:
            self.complete = False
            newest.popleft()
        self.found[:0] = newest

    def _lines(self, file: BinaryIO) -> Iterator[bytes]:
        """Yield the whole lines of a segment, or of its end if that is all that may be read."""
        size = _size_of(file)
        if size > self._left_bytes:
            self.complete = False
            file.seek(size - self._left_bytes)
            file.readline()  # the rest of a line
        for line in file:
            self._left_bytes -= len(line)
            if self._left_bytes < 0:
                # It has grown, or is larger than it says.
                self.complete = False
                return
            if line.endswith(b"\n"):
                yield line

    def _frames(self, lines: Iterator[bytes]) -> Iterator[JournalFrame]:
        for line in lines:
            record = decode(line) if may_name(line, self._needle) else None
            if not isinstance(record, FrameRecord) or record.at_us < self._since_us:
                continue
            if names(record, self._mint):
                yield JournalFrame(record.seq, record.at_us, record.data)


def _size_of(file: BinaryIO) -> int:
    """Give the bytes of a segment that was just opened, unpacked."""
    if not isinstance(file, gzip.GzipFile):
        return os.fstat(file.fileno()).st_size
    fd = file.fileno()
    tail = os.pread(fd, _GZIP_SIZE.size, os.fstat(fd).st_size - _GZIP_SIZE.size)
    size: int = _GZIP_SIZE.unpack(tail)[0]
    return size
