"""Reading a journal while it is being written, compressed and cleared away.

Guarantees: a walk sees every record whose `append` had returned when the walk began, unless
retention removed it, each once and in the order written; of what is appended meanwhile it sees a
part without holes.
Not guaranteed: how large that part is.
Relies on the names of segments and on the writer never going back to an earlier segment.
"""

from __future__ import annotations

import gzip
import zlib
from collections import deque
from typing import TYPE_CHECKING, Final

from actors.journal import segments as files
from actors.journal.records import Record, decode, may_name, names

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from actors.domain import Mint
    from actors.journal.segments import Segment

DAMAGE: Final = (OSError, EOFError, gzip.BadGzipFile, zlib.error)
"""What reading a damaged segment raises."""
_STEP_LINES: Final = 1_024


class JournalReader:
    """Reads the records of a journal folder; any number of readers may run beside the writer.

    Memory: one line at a time (a frame and its base64 at most). Every method blocks on the disk,
        none raises for damaged,
    missing or vanishing files: what cannot be read is skipped and counted. One reader is for one
    thread.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.unreadable_lines = 0
        """Lines skipped so far that are no records; a line still being written is not counted."""
        self.unreadable_segments = 0
        """Segments left early so far because the file could not be read or unpacked."""

    def records(
        self,
        *,
        since_us: int = 0,
        since_seq: int = 0,
        before_seq: int | None = None,
        mint: Mint | None = None,
    ) -> Iterator[Record]:
        """Walk the records in the order they were written.

        Args:
            since_us: Leave out records from before this time (microseconds UTC).
            since_seq: Leave out records with a lower sequence number.
            before_seq: End before the first record with this sequence number or a higher one.
            mint: Only records about this mint; others are sorted out by their bytes, mostly
                without decoding.
        """
        wanted = _wanted(self._listing(), since_us, since_seq)
        for record in self._decoded(self._lines_from(wanted, _needle(mint)), mint):
            if before_seq is not None and record.seq >= before_seq:
                return
            if record.at_us >= since_us and record.seq >= since_seq:
                yield record

    def steps(
        self, *, since_us: int = 0, before_seq: int | None = None, mint: Mint | None = None
    ) -> Iterator[Record | None]:
        """Walk the records as `records` does, and give None after every 1,024 others.

        So whoever has other things to do can leave off in between (at most some milliseconds).
        """
        needle = _needle(mint)
        others = 0
        for line in self._lines_from(_wanted(self._listing(), since_us, 0), None):
            named = needle is None or may_name(line, needle)
            record = next(self._decoded(iter((line,)), mint), None) if named else None
            if record is not None and before_seq is not None and record.seq >= before_seq:
                return
            if record is not None and record.at_us >= since_us:
                yield record
                continue
            others += 1
            if others % _STEP_LINES == 0:
                yield None

    def last(self, limit: int, *, since_us: int = 0, mint: Mint | None = None) -> list[Record]:
        """Give the newest `limit` records (0 or more), oldest first.

        Reads backwards, segment by segment, until it has them.
        """
        found: list[Record] = []
        for segment in reversed(self._listing()):
            lines = self._lines_of(segment, 0, _needle(mint), closed=False)
            young = (each for each in self._decoded(lines, mint) if each.at_us >= since_us)
            found[:0] = deque(young, maxlen=limit - len(found))
            if len(found) >= limit or segment.first_us < since_us:
                break
        return found

    def _decoded(self, lines: Iterator[bytes], mint: Mint | None) -> Iterator[Record]:
        for line in lines:
            record = decode(line)
            if record is None:
                self.unreadable_lines += 1
            elif mint is None or names(record, mint):
                yield record

    def _lines_from(self, segments: list[Segment], needle: bytes | None) -> Iterator[bytes]:
        """Yield the lines of these segments and of all after them.

        A segment can grow until a later one exists. So the end of a file is the end of its segment
        only if a later one was seen before: else the file is read on from where it ended.
        """
        while segments:
            segment, *later = segments
            later = later or self._after(segment)
            end = yield from self._lines_of(segment, 0, needle, closed=bool(later))
            if not later:
                later = self._after(segment)
                if later:
                    yield from self._lines_of(segment, end, needle, closed=True)
            segments = later

    def _lines_of(
        self, segment: Segment, start: int, needle: bytes | None, *, closed: bool
    ) -> Generator[bytes, None, int]:
        """Yield the whole lines from byte `start` on that may name the mint; return their end."""
        end = start
        try:
            file = files.open_to_read(self._directory, segment)
            if file is None:
                return end
            with file:
                file.seek(start)
                while line := file.readline():
                    if not line.endswith(b"\n"):
                        self.unreadable_lines += closed
                        break
                    end += len(line)
                    if needle is None or may_name(line, needle):
                        yield line
        except DAMAGE:
            self.unreadable_segments += 1
        return end

    def _after(self, segment: Segment) -> list[Segment]:
        return [each for each in self._listing() if each > segment]

    def _listing(self) -> tuple[Segment, ...]:
        try:
            return files.list_segments(self._directory)
        except OSError:
            self.unreadable_segments += 1
            return ()


def _needle(mint: Mint | None) -> bytes | None:
    return None if mint is None else mint.encode("utf-8", "surrogatepass")


def _wanted(segments: tuple[Segment, ...], since_us: int, since_seq: int) -> list[Segment]:
    """Leave out the first segments whose successor's name proves that they end too early."""
    for place, successor in enumerate(segments[1:]):
        if successor.first_us >= since_us and successor.first_seq >= since_seq:
            return list(segments[place:])
    return list(segments[-1:])
