"""The journal: every frame of the feed on disk before anything is done with it.

Purpose: what was received survives a crash of the process, a restart of an actor and, by choice, a
loss of power, and comes back through the normal path with its own times. The files are JSON lines
in the form of a recording, so copying them makes a recording.

Guarantees, once `append` has returned and the state is `ok` or `full`:

* the records outlive the process in every mode, however it ends (kill -9 included): they are with
  the operating system;
* fsync `slice`: they also outlive a loss of power; each append waits for the disk (milliseconds);
* fsync `second`: a loss of power costs at most what arrived in the last second and during the sync
  under way;
* fsync `never`: a loss of power costs what the operating system had not written yet, usually up to
  30 s.

`append` never raises for the disk and, but for fsync `slice`, does not wait for it. Trouble is a
state: `failed` (the disk refuses; frames not on disk are counted as lost protection, the next
attempt follows after 1 to 60 s) or `full` (the cap is reached and nothing may be removed). Whether
to stop the feed then is for the owner to decide.

Not guaranteed: anything about two writers in one folder.
Relies on records coming in order: sequence numbers and times never fall.
"""

from __future__ import annotations

import contextlib
import errno
import os
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

from actors.domain import US_PER_SECOND
from actors.journal import segments as files
from actors.journal.compactor import Compactor, Opened, Policy, SyncTimes
from actors.journal.compactor import Fsync as Fsync  # noqa: PLC0414 - part of this module's interface
from actors.journal.numbering import (
    Name,
    SegmentTail,
    keep_name,
    note_closing,
)
from actors.journal.opening import open_folder
from actors.journal.reader import JournalReader as JournalReader  # noqa: PLC0414 - as above
from actors.journal.records import FactRecord as FactRecord  # noqa: PLC0414 - as above
from actors.journal.records import FrameRecord as FrameRecord  # noqa: PLC0414 - as above
from actors.journal.records import Record, Scalar, encode_all
from actors.journal.segments import Segment
from actors.journal.trouble import Trouble, sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

SEGMENT_BYTES: Final = 64 * 1024 * 1024
SEGMENT_SECONDS: Final = 600.0

_SEGMENTS_IN_CAP: Final = 8
_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class JournalState(StrEnum):
    """Whether what arrives is protected."""

    OK = "ok"
    FULL = "full"
    """The cap is reached and nothing may be removed; appends still succeed for one segment more."""
    FAILED = "failed"
    """The last attempt failed; appends are refused and counted until the next attempt."""
    CLOSED = "closed"


class JournalStats(msgspec.Struct, frozen=True):
    """The journal in figures; counts are of this process."""

    state: JournalState
    reason: str | None
    """Why the state is not `ok`."""
    last_error: str | None
    """The last trouble of any kind, also if it is over."""
    bytes: int
    """On disk, all files together; never too low."""
    segments: int
    oldest_us: int | None
    released_us: int
    appended_records: int
    appended_bytes: int
    lost_records: int
    """Given to `append` and not certainly on disk."""
    fsync: SyncTimes


class JournalWriter:
    """Appends records to the segments of one folder.

    One thread opens, appends and closes; `state`, `reason`, `stats` and `release_before` may be
    used from any thread. A slow disk blocks `open`, `close` (at most 5 s) and, with fsync `slice`,
    `append`.

    Args:
        directory: The journal's own folder; made accessible to its owner alone, files have mode
            0600.
        fsync: What a loss of power may cost, see above.
        max_bytes: Cap for all files together.
        max_age_hours: Segments older than this are removed once they are released.
        wall_us: Microseconds UTC, for the age of segments.
        monotonic_s: Seconds that never step, for pauses and durations.
        segment_bytes: A segment that has reached this size is followed by another; at most an
            eighth of the cap.
        segment_seconds: So is one whose first record is older than this.
        background: Whether a thread does the upkeep; else the owner calls `maintain` about once a
            second.
    """

    def __init__(
        self,
        directory: Path,
        *,
        fsync: Fsync,
        max_bytes: int,
        max_age_hours: float,
        wall_us: Callable[[], int],
        monotonic_s: Callable[[], float],
        segment_bytes: int = SEGMENT_BYTES,
        segment_seconds: float = SEGMENT_SECONDS,
        background: bool = True,
    ) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._segment_bytes = min(segment_bytes, max_bytes // _SEGMENTS_IN_CAP)
        self._segment_us = int(segment_seconds * US_PER_SECOND)
        self._sync_slices = fsync == "slice"
        self._monotonic_s = monotonic_s
        self._wall_us = wall_us
        self._background = background
        self._opened: Opened | None = None
        self._size = 0
        self._last_seq = 0
        self._last_us = 0
        self._name = Name()
        self._appended_records = 0
        self._appended_bytes = 0
        self._trouble = Trouble()
        self._is_open = False
        self._keeper = Compactor(
            directory,
            Policy(fsync=fsync, max_bytes=max_bytes, max_age_hours=max_age_hours),
            appended_bytes=lambda: self._appended_bytes,
            wall_us=wall_us,
            monotonic_s=monotonic_s,
        )

    def open(self) -> SegmentTail:
        """Repair the tail, say where it ends and start the upkeep.

        Blocks: reads the newest segment once, up to a second for a full one. Does not raise for the
        disk; one that refuses is the state `failed`.

        Raises:
            ClockAheadError: The journal's clock was ahead, and the disk refuses to set it back.
        """
        refusals: list[OSError] = []
        tail = open_folder(self._directory, self._wall_us(), refusals)
        self._name = Name(tail.journal_id, tail.unnumbered_seq)
        self._last_seq, self._last_us = tail.last_seq, tail.last_us
        try:
            self._keeper.count()
        except OSError as error:
            refusals.append(error)
        if refusals:
            self._fail("cannot prepare the journal", refusals[0])
        self._is_open = True
        if self._background:
            self._keeper.start()
        return tail

    def append(self, records: Sequence[Record]) -> None:
        """Write the records of one slice, in order, in one write. Never raises for the disk."""
        self._heed_keeper()
        if not records:
            return
        if not self._may_write():
            self._trouble.lose(len(records))
            return
        gap = self._gap_before(records[0])
        written, error = self._try_to_write((*gap, *records))
        if written:
            self._trouble.gap_is_written()
        if error is None:
            self._trouble.succeeded()
            return
        self._trouble.lose(len(records) - max(0, written - len(gap)))
        self._fail("cannot append to the journal", error)

    def note_at_end(self, name: str) -> None:
        """Append a fact at the time of the last record; nothing where this process wrote none."""
        if self._opened is not None:
            self.append((FactRecord(self._last_seq, self._last_us, name),))

    def maintain(self) -> None:
        """Do the upkeep once, where no thread does it: sync, compress, remove.

        Blocks; never raises for the disk.
        """
        self._keeper.maintain()

    def release_before(self, us: int) -> None:
        """Allow removing what arrived before this time, because all of it is in rows.

        Nothing is ever removed before this was called; a lower time than before changes nothing.
        """
        self._keeper.release_before(us)

    def close(self) -> None:
        """End the upkeep, sync and close; what is appended afterwards is counted as lost.

        Blocks at most 5 s plus one sync.
        """
        if self._is_open and self._last_seq and not self._trouble.gap:
            note_closing(self._directory, self._last_seq)
        self._is_open = False
        self._opened = None
        if not self._keeper.stop():
            self._trouble.last_error = (
                "the disk did not answer within 5 s while the journal was closed"
            )

    @property
    def state(self) -> JournalState:
        """Whether what arrives is protected."""
        if not self._is_open:
            return JournalState.CLOSED
        if self._failure() is not None:
            return JournalState.FAILED
        return JournalState.FULL if self._is_full() else JournalState.OK

    @property
    def reason(self) -> str | None:
        """Why the state is `failed` or `full`, as a sentence."""
        if self._failure() is None and self._is_full():
            return (
                f"the journal has reached its cap of {self._max_bytes} bytes and holds nothing "
                "that may be removed; bring the database back or raise JOURNAL_MAX_MB"
            )
        return self._failure()

    def stats(self) -> JournalStats:
        """Give the present figures; cheap, touches no file."""
        census = self._keeper.census
        return JournalStats(
            state=self.state,
            reason=self.reason,
            last_error=self._failure() or self._trouble.last_error or self._keeper.last_error,
            bytes=self._total_bytes(),
            segments=census.segments,
            oldest_us=census.oldest_us,
            released_us=self._keeper.released_us,
            appended_records=self._appended_records,
            appended_bytes=self._appended_bytes,
            lost_records=self._trouble.lost,
            fsync=self._keeper.sync_times,
        )

    def _may_write(self) -> bool:
        if not self._is_open or self._at_hard_bound():
            return False
        return self._trouble.may_try(self._monotonic_s())

    def _is_full(self) -> bool:
        return self._keeper.census.full or self._at_hard_bound()

    def _at_hard_bound(self) -> bool:
        return self._total_bytes() >= self._max_bytes + self._segment_bytes

    def _total_bytes(self) -> int:
        census = self._keeper.census
        return census.bytes + self._appended_bytes - census.appended_before

    def _gap_before(self, record: Record) -> tuple[Record, ...]:
        """A reader of the journal must be able to see that records are missing before this one."""
        if not self._trouble.gap:
            return ()
        details: dict[str, Scalar] = {"lost": self._trouble.gap}
        return (FactRecord(self._last_seq, record.at_us, "journal_gap", details=details),)

    def _try_to_write(self, records: tuple[Record, ...]) -> tuple[int, OSError | None]:
        """Give the number of records that are surely in the file, and what kept the others out."""
        buffer = encode_all(records)
        try:
            opened = self._segment_for(records[0])
        except OSError as error:
            return 0, error
        # Neither falls from one record to the next.
        self._last_seq = max(self._last_seq, records[-1].seq)
        self._last_us = max(self._last_us, records[-1].at_us)
        kept, trouble = self._write(opened, buffer, len(records))
        if trouble is None and self._sync_slices:
            trouble = self._sync(opened)
            if trouble is not None:
                return 0, trouble
        return kept, trouble

    def _write(self, opened: Opened, buffer: bytes, lines: int) -> tuple[int, OSError | None]:
        """Append; give how many lines were kept: whole ones, even if the disk took half of one."""
        written, trouble = 0, None
        try:
            while written < len(buffer):
                written += os.write(opened.fd, memoryview(buffer)[written:])
        except OSError as error:
            trouble = error
        kept = written
        if written < len(buffer):
            kept = buffer.rfind(b"\n", 0, written) + 1
            lines = buffer.count(b"\n", 0, kept)
        self._size += kept
        self._appended_bytes += kept
        self._appended_records += lines
        if kept < written:
            self._cut_back(opened)
        return lines, trouble

    def _cut_back(self, opened: Opened) -> None:
        try:
            os.ftruncate(opened.fd, self._size)
        except OSError:
            # The half line stays at the end of a segment that gets no more lines: readers skip it.
            self._abandon()

    def _sync(self, opened: Opened) -> OSError | None:
        try:
            self._keeper.sync_new_segment()
            self._keeper.sync(opened.fd)
        except OSError as error:
            return error
        return None

    def _segment_for(self, record: Record) -> Opened:
        opened = self._opened
        if opened is None or self._is_due(opened.segment, record):
            return self._begin_segment(record)
        return opened

    def _is_due(self, segment: Segment, record: Record) -> bool:
        return (
            self._size >= self._segment_bytes or record.at_us - segment.first_us >= self._segment_us
        )

    def _begin_segment(self, record: Record) -> Opened:
        segment = Segment(max(record.seq, self._last_seq), max(record.at_us, self._last_us + 1))
        files.prepare_directory(self._directory)
        if self._name.journal_id:
            # Somebody may have removed the folder with everything in it.
            keep_name(self._directory, self._name)
        self._keeper.expect(segment)
        opened = Opened(segment, files.create(self._directory, segment))
        self._opened, self._size, self._last_us = opened, 0, segment.first_us
        self._keeper.begin(opened)
        return opened

    def _abandon(self) -> None:
        """Write to this segment no more; the next attempt begins another."""
        opened, self._opened = self._opened, None
        self._keeper.begin(None)
        if opened is not None and self._size == 0:
            with contextlib.suppress(OSError):
                files.remove(self._directory, opened.segment)

    def _heed_keeper(self) -> None:
        fault = self._keeper.sync_fault
        if fault is not None:
            self._keeper.sync_fault = None
            self._fail("cannot make the journal durable", fault)

    def _fail(self, what: str, error: OSError) -> None:
        self._trouble.failed(sentence(what, error), self._monotonic_s())
        if error.errno in _NO_SPACE:
            self._keeper.disk_full = True
            self._keeper.wake()
        else:
            # After a failed write or sync the kernel may have dropped pages of this file: never
            # trust it again.
            self._abandon()

    def _failure(self) -> str | None:
        fault = self._keeper.sync_fault
        if fault is not None:
            return sentence("cannot make the journal durable", fault)
        if self._background and self._is_open and not self._keeper.running:
            return "the journal's upkeep thread has ended: nothing is synced or removed; restart"
        return self._trouble.fault
